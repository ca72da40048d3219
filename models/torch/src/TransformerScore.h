#ifndef OPENMMSCORE_TORCH_TRANSFORMERSCORE_H_
#define OPENMMSCORE_TORCH_TRANSFORMERSCORE_H_

#include <functional>
#include <memory>

#include "TransformerParameters.h"
#include "openmmscore/torch/TorchNetwork.h"

namespace OpenMMScore {

/** What recordTransformerScore() needs; references must outlive the result. */
struct TransformerInput {
    const GraphTransformerDescription& sizes;
    const TransformerParameters& parameters;
    /** @return the views of a flat gradient that belong to each parameter */
    std::function<TransformerParameters(const at::Tensor&)> viewsOf;
    /** shape [batch, particles, 3] */
    at::Tensor positions;
    /** shape [batch, particles, features], int64; undefined for networks that are told nothing */
    at::Tensor particleFeatures;
    /** shape [batch, time features] */
    at::Tensor features;
    /** Shape like features: their derivatives with respect to time; undefined if no rate is wanted. */
    at::Tensor featureRates;
    /** shape [batch]: what the network's output is multiplied by to become an energy */
    at::Tensor scale;
};

/**
 * The score of a graph transformer with an energy head on the CPU, and the derivative of a loss of it,
 * without a graph.
 *
 * With u the derivative of the loss with respect to the score s = -dE/dz, the parameters' derivative of u . s
 * is that of the directional derivative dE/dz . d_z with d_z = -u. A derivative w with respect to the rate
 * dE/dt = dE/df . df/dt joins it as the direction d_f = w df/dt of the time features f, and a derivative with
 * respect to E itself is where the second sweep begins. Every operation of the network comes in
 * four forms (RowOperations.h), run as four sweeps over the layers:
 *
 *     forward   Value                            addGradient   forward   Tangent: the directional derivative
 *     backward  Adjoint: dE/dz, the score                      backward  Second: its derivative by the
 * parameters
 *
 * The adjoints of the tangents are the adjoints of the second sweep, so nothing is computed twice, and the
 * first layer's queries, keys and values, which know no positions, need neither adjoint nor tangent unless
 * the rate is wanted. That makes a little more than five forward evaluations in few, large operations. Runs
 * on the calling thread; parts of a batch may run in parallel.
 */
std::unique_ptr<RecordedScore> recordTransformerScore(const TransformerInput& input);

} // namespace OpenMMScore

#endif // OPENMMSCORE_TORCH_TRANSFORMERSCORE_H_
