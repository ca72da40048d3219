#ifndef OPENMMSCORE_TORCH_TRANSFORMERSWEEPS_H_
#define OPENMMSCORE_TORCH_TRANSFORMERSWEEPS_H_

#include "AttentionOperations.h"
#include "RowOperations.h"
#include "TransformerParameters.h"

namespace OpenMMScore {

/**
 * One layer of a graph transformer in the four sweeps of TransformerScore.h, with all that one sweep leaves
 * for a later one. Rows are particles, molecule by molecule. Prefixes: g adjoint, d tangent, r second; none:
 * the value.
 */
template <class T>
class TransformerLayerSweeps {
public:
    /** @param first  whether the nodes that come in are independent of all that tangents are taken along */
    TransformerLayerSweeps(const GraphTransformerDescription& sizes, const TransformerParameters& all,
                           const TransformerParameters::Layer& parameters, const at::Tensor& positions,
                           bool first);

    /** @return the nodes that go out, shape [rows, H] */
    at::Tensor value(const at::Tensor& nodes);
    /**
     * @param gNodes      of the nodes that go out
     * @param gPositions  shape [molecules, particles, 3], added to
     * @return of the nodes that come in; undefined for the first layer
     */
    at::Tensor adjoint(const at::Tensor& gNodes, at::Tensor& gPositions);
    /** @return what adjoint() returned */
    const at::Tensor& getInputAdjoint() const { return gIn; }
    /** @return the tangent of the nodes that go out */
    at::Tensor tangent(const at::Tensor& dNodes, const at::Tensor& dPositions);
    /**
     * @param gradients, edgeGradient  of this layer and of the edge embedding, added to
     * @return r of the nodes that come in
     */
    at::Tensor second(const at::Tensor& rNodes, const TransformerParameters::Layer& gradients,
                      const TransformerParameters::Linear& edgeGradient);

private:
    RowOperations::Rows rows() const;
    RowOperations::LayerNorm<T> attentionNorm() const;
    RowOperations::LayerNorm<T> feedForwardNorm() const;
    RowOperations::Gate<T> attentionGate() const;
    RowOperations::Gate<T> feedForwardGate() const;
    RowOperations::Activation<T> gelu() const;
    AttentionOperations<T> attention() const;
    at::Tensor rowTensor(std::int64_t width) const;
    at::Tensor secondOfAttention(const at::Tensor& rUpdate, const TransformerParameters::Layer& gradients,
                                 const TransformerParameters::Linear& edgeGradient);

    const GraphTransformerDescription& sizes;
    const TransformerParameters& all;
    const TransformerParameters::Layer& parameters;
    at::Tensor positions;
    bool first;
    std::int64_t molecules, particles, hidden, inner;
    /** A = W_l W_e [heads, headSize, 3] and its transpose [heads, 3, headSize]; c = W_l b_e + b_l; W_o A
     * [heads 3, H]; w1 + w3 and w2 - w3 of both gates. */
    at::Tensor edgeWeight, edgeWeightTransposed, edgeBias, shiftWeight, attentionGateWeights,
        feedForwardGateWeights;

    at::Tensor in, y1, hat1, inverse1, query, key, value_, weights, mixed, shift, update, opening1, argument1;
    at::Tensor middle, y2, hat2, inverse2, wide, slope, curvature, contracted, opening2, argument2;
    at::Tensor gOut, gContracted, gWide, gExpanded, gY2, gMiddle, gUpdate, gMixed, gShift, gWeights, gLogits,
        gQuery, gKey, gValue, gY1, gIn;
    at::Tensor dPositions, dIn, dY1, dQuery, dKey, dValue, dMixed, dShift, dUpdate, dMiddle, dY2, dExpanded,
        dWide, dContracted;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_TORCH_TRANSFORMERSWEEPS_H_
