#include "TransformerSweeps.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/mv.h>
#include <ATen/ops/outer.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

namespace OpenMMScore {

using Linear = TransformerParameters::Linear;
using Layer = TransformerParameters::Layer;

namespace {

template <class T>
T* data(const at::Tensor& tensor) {
    return tensor.defined() ? tensor.data_ptr<T>() : nullptr;
}

/** Shape [2, H]: the weights of the update and of the old nodes, from w . [x; n; x - n]. */
at::Tensor gateWeights(const at::Tensor& weight, std::int64_t hidden) {
    const at::Tensor difference = weight.narrow(1, 2 * hidden, hidden);
    return at::cat({weight.narrow(1, 0, hidden) + difference, weight.narrow(1, hidden, hidden) - difference});
}

void addGateGradient(const at::Tensor& byRole, const at::Tensor& gradient) {
    const std::int64_t hidden = byRole.size(1);
    gradient.narrow(1, 0, 2 * hidden).add_(byRole.view({1, 2 * hidden}));
    gradient.narrow(1, 2 * hidden, hidden).add_(byRole.narrow(0, 0, 1) - byRole.narrow(0, 1, 1));
}

/** y = W x + b: the weights' derivative is r_y x^T, and g_y d_x^T where the input has a tangent. */
void addLinearGradient(const Linear& gradient, const at::Tensor& x, const at::Tensor& ry,
                       const at::Tensor& dx, const at::Tensor& gy) {
    gradient.weight.addmm_(ry.t(), x);
    if (dx.defined())
        gradient.weight.addmm_(gy.t(), dx);
    gradient.bias.add_(ry.sum(0));
}

at::Tensor apply(const Linear& linear, const at::Tensor& x) {
    return at::addmm(linear.bias, x, linear.weight.t());
}

} // namespace

template <class T>
TransformerLayerSweeps<T>::TransformerLayerSweeps(const GraphTransformerDescription& networkSizes,
                                                  const TransformerParameters& network, const Layer& layer,
                                                  const at::Tensor& z, bool isFirst)
    : sizes(networkSizes), all(network), parameters(layer), positions(z), first(isFirst),
      molecules(z.size(0)), particles(z.size(1)), hidden(sizes.hidden), inner(sizes.heads * sizes.headSize) {
    const std::int64_t heads = sizes.heads, d = sizes.headSize;
    edgeWeight = at::mm(layer.edge.weight, all.edgeEmbedding.weight).view({heads, d, 3});
    edgeWeightTransposed = edgeWeight.transpose(1, 2).contiguous();
    edgeBias = at::linear(all.edgeEmbedding.bias, layer.edge.weight, layer.edge.bias);
    const at::Tensor outputByHead = layer.output.weight.view({hidden, heads, d}).transpose(0, 1);
    shiftWeight = at::bmm(outputByHead, edgeWeight).transpose(1, 2).reshape({heads * 3, hidden});
    attentionGateWeights = gateWeights(layer.attentionGate, hidden);
    feedForwardGateWeights = gateWeights(layer.feedForwardGate, hidden);
}

template <class T>
RowOperations::Rows TransformerLayerSweeps<T>::rows() const {
    return {molecules * particles, hidden};
}

template <class T>
at::Tensor TransformerLayerSweeps<T>::rowTensor(std::int64_t width) const {
    return at::empty({molecules * particles, width}, positions.options());
}

template <class T>
RowOperations::LayerNorm<T> TransformerLayerSweeps<T>::attentionNorm() const {
    return {rows(),
            data<T>(parameters.attentionNorm.weight),
            data<T>(parameters.attentionNorm.bias),
            T(sizes.layerNormEpsilon),
            data<T>(hat1),
            data<T>(inverse1)};
}

template <class T>
RowOperations::LayerNorm<T> TransformerLayerSweeps<T>::feedForwardNorm() const {
    return {rows(),
            data<T>(parameters.feedForwardNorm.weight),
            data<T>(parameters.feedForwardNorm.bias),
            T(sizes.layerNormEpsilon),
            data<T>(hat2),
            data<T>(inverse2)};
}

template <class T>
RowOperations::Gate<T> TransformerLayerSweeps<T>::attentionGate() const {
    const T* w = data<T>(attentionGateWeights);
    return {rows(), w, w + hidden, data<T>(update), data<T>(in), data<T>(opening1), data<T>(argument1)};
}

template <class T>
RowOperations::Gate<T> TransformerLayerSweeps<T>::feedForwardGate() const {
    const T* w = data<T>(feedForwardGateWeights);
    return {
        rows(), w, w + hidden, data<T>(contracted), data<T>(middle), data<T>(opening2), data<T>(argument2)};
}

template <class T>
RowOperations::Activation<T> TransformerLayerSweeps<T>::gelu() const {
    return {wide.numel(), data<T>(slope), data<T>(curvature)};
}

template <class T>
AttentionOperations<T> TransformerLayerSweeps<T>::attention() const {
    return {molecules,
            particles,
            sizes.heads,
            sizes.headSize,
            data<T>(edgeWeightTransposed),
            data<T>(query),
            data<T>(key),
            data<T>(value_),
            data<T>(positions),
            data<T>(weights),
            data<T>(gWeights),
            data<T>(gLogits)};
}

template <class T>
at::Tensor TransformerLayerSweeps<T>::value(const at::Tensor& nodes) {
    const std::int64_t count = molecules * particles, heads = sizes.heads;
    in = nodes;
    hat1 = rowTensor(hidden);
    hat2 = rowTensor(hidden);
    y1 = rowTensor(hidden);
    y2 = rowTensor(hidden);
    for (at::Tensor* perRow : {&inverse1, &inverse2, &opening1, &opening2, &argument1, &argument2})
        *perRow = at::empty({count}, positions.options());
    attentionNorm().value(data<T>(in), data<T>(y1));
    query = apply(parameters.query, y1);
    key = apply(parameters.key, y1);
    value_ = apply(parameters.value, y1);
    weights = at::empty({molecules, heads, particles, particles}, positions.options());
    mixed = rowTensor(inner);
    shift = rowTensor(heads * 3);
    attention().values(data<T>(mixed), data<T>(shift));
    const at::Tensor bias = at::linear(edgeBias, parameters.output.weight, parameters.output.bias);
    update = at::addmm(bias, mixed, parameters.output.weight.t()).addmm_(shift, shiftWeight);
    middle = rowTensor(hidden);
    attentionGate().value(data<T>(middle));

    feedForwardNorm().value(data<T>(middle), data<T>(y2));
    const at::Tensor expanded = apply(parameters.expand, y2);
    wide = at::empty_like(expanded);
    slope = at::empty_like(expanded);
    curvature = at::empty_like(expanded);
    gelu().gelu(sizes.gelu, data<T>(expanded), data<T>(wide));
    contracted = apply(parameters.contract, wide);
    at::Tensor out = rowTensor(hidden);
    feedForwardGate().value(data<T>(out));
    return out;
}

template <class T>
at::Tensor TransformerLayerSweeps<T>::adjoint(const at::Tensor& gNodes, at::Tensor& gPositions) {
    gOut = gNodes;
    gContracted = rowTensor(hidden);
    gMiddle = rowTensor(hidden);
    feedForwardGate().adjoint(data<T>(gOut), data<T>(gContracted), data<T>(gMiddle));
    gWide = at::mm(gContracted, parameters.contract.weight);
    gExpanded = at::empty_like(gWide);
    gelu().adjoint(data<T>(gWide), data<T>(gExpanded));
    gY2 = at::mm(gExpanded, parameters.expand.weight);
    feedForwardNorm().adjoint(data<T>(gY2), data<T>(gMiddle));

    gUpdate = rowTensor(hidden);
    gIn = rowTensor(hidden);
    attentionGate().adjoint(data<T>(gMiddle), data<T>(gUpdate), data<T>(gIn));
    gMixed = at::mm(gUpdate, parameters.output.weight);
    gShift = at::mm(gUpdate, shiftWeight.t());
    gWeights = at::empty_like(weights);
    gLogits = at::empty_like(weights);
    if (!first)
        for (at::Tensor* input : {&gQuery, &gKey, &gValue})
            *input = rowTensor(inner);
    attention().adjoint(data<T>(gMixed), data<T>(gShift), {data<T>(gQuery), data<T>(gKey), data<T>(gValue)},
                        data<T>(gPositions));
    if (first) {
        gIn.reset();
        return {};
    }
    gY1 = at::mm(gQuery, parameters.query.weight)
              .addmm_(gKey, parameters.key.weight)
              .addmm_(gValue, parameters.value.weight);
    attentionNorm().adjoint(data<T>(gY1), data<T>(gIn));
    return gIn;
}

template <class T>
at::Tensor TransformerLayerSweeps<T>::tangent(const at::Tensor& dNodes, const at::Tensor& dZ) {
    dIn = dNodes;
    dPositions = dZ;
    if (!first) {
        dY1 = rowTensor(hidden);
        attentionNorm().tangent(data<T>(dIn), data<T>(dY1));
        dQuery = at::mm(dY1, parameters.query.weight.t());
        dKey = at::mm(dY1, parameters.key.weight.t());
        dValue = at::mm(dY1, parameters.value.weight.t());
    }
    dMixed = rowTensor(inner);
    dShift = at::empty_like(shift);
    attention().tangent({data<T>(dQuery), data<T>(dKey), data<T>(dValue)}, data<T>(dPositions),
                        data<T>(dMixed), data<T>(dShift));
    dUpdate = at::mm(dMixed, parameters.output.weight.t()).addmm_(dShift, shiftWeight);
    dMiddle = rowTensor(hidden);
    attentionGate().tangent(data<T>(dUpdate), data<T>(dIn), data<T>(dMiddle));

    dY2 = rowTensor(hidden);
    feedForwardNorm().tangent(data<T>(dMiddle), data<T>(dY2));
    dExpanded = at::mm(dY2, parameters.expand.weight.t());
    dWide = at::empty_like(dExpanded);
    gelu().tangent(data<T>(dExpanded), data<T>(dWide));
    dContracted = at::mm(dWide, parameters.contract.weight.t());
    at::Tensor dOut = rowTensor(hidden);
    feedForwardGate().tangent(data<T>(dContracted), data<T>(dMiddle), data<T>(dOut));
    return dOut;
}

template <class T>
at::Tensor TransformerLayerSweeps<T>::second(const at::Tensor& rNodes, const Layer& gradients,
                                             const Linear& edgeGradient) {
    at::Tensor rContracted = rowTensor(hidden), rMiddle = rowTensor(hidden);
    at::Tensor gateGradient = at::zeros_like(feedForwardGateWeights);
    feedForwardGate().second(data<T>(gOut), data<T>(rNodes), data<T>(dContracted), data<T>(dMiddle),
                             data<T>(rContracted), data<T>(rMiddle), data<T>(gateGradient),
                             data<T>(gateGradient) + hidden);
    addGateGradient(gateGradient, gradients.feedForwardGate);
    addLinearGradient(gradients.contract, wide, rContracted, dWide, gContracted);
    at::Tensor rExpanded = at::mm(rContracted, parameters.contract.weight);
    gelu().second(data<T>(gWide), data<T>(rExpanded), data<T>(dExpanded), data<T>(rExpanded));
    addLinearGradient(gradients.expand, y2, rExpanded, dY2, gExpanded);
    const at::Tensor rY2 = at::mm(rExpanded, parameters.expand.weight);
    feedForwardNorm().second(data<T>(gY2), data<T>(rY2), data<T>(dMiddle), data<T>(rMiddle),
                             data<T>(gradients.feedForwardNorm.weight),
                             data<T>(gradients.feedForwardNorm.bias));

    at::Tensor rUpdate = rowTensor(hidden), rIn = rowTensor(hidden);
    gateGradient.zero_();
    attentionGate().second(data<T>(gMiddle), data<T>(rMiddle), data<T>(dUpdate), data<T>(dIn),
                           data<T>(rUpdate), data<T>(rIn), data<T>(gateGradient),
                           data<T>(gateGradient) + hidden);
    addGateGradient(gateGradient, gradients.attentionGate);
    const at::Tensor rY1 = secondOfAttention(rUpdate, gradients, edgeGradient);
    // In the first layer the tangent is zero, so that the adjoint, which was not computed, has no part.
    const at::Tensor gNorm = first ? dIn : gY1;
    attentionNorm().second(data<T>(gNorm), data<T>(rY1), data<T>(dIn), data<T>(rIn),
                           data<T>(gradients.attentionNorm.weight), data<T>(gradients.attentionNorm.bias));
    return rIn;
}

template <class T>
at::Tensor TransformerLayerSweeps<T>::secondOfAttention(const at::Tensor& rUpdate, const Layer& gradients,
                                                        const Linear& edgeGradient) {
    const std::int64_t heads = sizes.heads, d = sizes.headSize;
    const at::Tensor& outputWeight = parameters.output.weight;
    const at::Tensor rBias = rUpdate.sum(0);
    gradients.output.weight.addmm_(gUpdate.t(), dMixed).addmm_(rUpdate.t(), mixed);
    const at::Tensor rMixed = at::mm(rUpdate, outputWeight), rShift = at::mm(rUpdate, shiftWeight.t());
    at::Tensor rQuery = rowTensor(inner), rKey = rowTensor(inner), rValue = rowTensor(inner);
    at::Tensor edge = at::zeros_like(edgeWeightTransposed);
    attention().second({data<T>(gMixed),
                        data<T>(gShift),
                        data<T>(dPositions),
                        {data<T>(dQuery), data<T>(dKey), data<T>(dValue)}},
                       data<T>(rMixed), data<T>(rShift), {data<T>(rQuery), data<T>(rKey), data<T>(rValue)},
                       data<T>(edge));
    addLinearGradient(gradients.query, y1, rQuery, dY1, gQuery);
    addLinearGradient(gradients.key, y1, rKey, dY1, gKey);
    addLinearGradient(gradients.value, y1, rValue, dY1, gValue);

    // W_o A, head by head, then A = W_l W_e and the biases c = W_l b_e + b_l, W_o c + b_o.
    const at::Tensor shiftGradient = at::mm(gUpdate.t(), dShift).addmm_(rUpdate.t(), shift);
    const at::Tensor byHead = shiftGradient.view({hidden, heads, 3}).transpose(0, 1);
    gradients.output.weight.view({hidden, heads, d})
        .add_(at::bmm(byHead, edgeWeightTransposed).transpose(0, 1));
    gradients.output.weight.addr_(rBias, edgeBias);
    gradients.output.bias.add_(rBias);
    const at::Tensor outputByHead = outputWeight.view({hidden, heads, d}).transpose(0, 1);
    const at::Tensor rEdge =
        (edge.transpose(1, 2) + at::bmm(outputByHead.transpose(1, 2), byHead)).reshape({heads * d, 3});
    const at::Tensor rEdgeBias = at::mv(outputWeight.t(), rBias);
    gradients.edge.weight.addmm_(rEdge, all.edgeEmbedding.weight.t())
        .addr_(rEdgeBias, all.edgeEmbedding.bias);
    gradients.edge.bias.add_(rEdgeBias);
    edgeGradient.weight.addmm_(parameters.edge.weight.t(), rEdge);
    edgeGradient.bias.addmv_(parameters.edge.weight.t(), rEdgeBias);

    return at::mm(rQuery, parameters.query.weight)
        .addmm_(rKey, parameters.key.weight)
        .addmm_(rValue, parameters.value.weight);
}

template class TransformerLayerSweeps<float>;
template class TransformerLayerSweeps<double>;

} // namespace OpenMMScore
