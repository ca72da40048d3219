#ifndef OPENMMSCORE_MODELS_MLP_H_
#define OPENMMSCORE_MODELS_MLP_H_

#include "Dense.h"
#include "openmmscore/models/Network.h"

namespace OpenMMScore {

/**
 * A multilayer perceptron on [z, time features] with swish(x) = x sigmoid(x) after each hidden layer.
 */
class Mlp : public Network {
public:
    Mlp(const ModelDescription& model, int index, const std::vector<std::vector<double>>& tensors);
    std::unique_ptr<FixedTimeNetwork> atTime(double t, std::span<const int> features) const override;

private:
    friend class FixedTimeMlp;
    const ModelDescription& model;
    const ExpertDescription& expert;
    /** Weight and bias of the first layer, as in the file: its time features are folded into a bias later. */
    std::vector<double> firstWeight, firstBias;
    /** All layers after the first. */
    std::vector<Dense> layers;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_MODELS_MLP_H_
