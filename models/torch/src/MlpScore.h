#ifndef OPENMMSCORE_TORCH_MLPSCORE_H_
#define OPENMMSCORE_TORCH_MLPSCORE_H_

#include <functional>
#include <memory>
#include <vector>

#include "openmmscore/torch/TorchNetwork.h"

namespace OpenMMScore {

/** Weight and bias of a dense layer. */
struct DenseParameters {
    at::Tensor weight, bias;
};

/** What recordMlpScore() needs; references must outlive the result. */
struct MlpInput {
    const std::vector<DenseParameters>& layers;
    /** @return the views of a flat gradient that belong to each layer */
    std::function<std::vector<DenseParameters>(const at::Tensor&)> viewsOf;
    /** shapes [batch, coordinates] and [batch, time features] */
    at::Tensor positions, features;
    /** shape [batch, time features]: derivatives of the features with respect to time; undefined if no rate
     * is wanted */
    at::Tensor featureRates;
    /** shape [batch]: what the network's output is multiplied by to become an energy */
    at::Tensor scale;
};

/**
 * The score of a multilayer perceptron with an energy head on the CPU, and the derivative of a loss of it, by
 * the four sweeps that TransformerScore.h describes. With the cotangents u, v, w of score, energy and energy
 * rate, the tangent goes in along (-u, w df/dt) for (positions, features), and v is where the second sweep
 * begins.
 */
std::unique_ptr<RecordedScore> recordMlpScore(const MlpInput& input);

} // namespace OpenMMScore

#endif // OPENMMSCORE_TORCH_MLPSCORE_H_
