#include "ConditionerSweep.h"

#include <ATen/ops/relu.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/tanh.h>

#include "PerceptronConditioner.h"
#include "TransformerConditioner.h"

namespace OpenMMScore {

namespace {

/** Without inputs the numbers are the same for all samples. */
class ConstantConditioner : public ConditionerSweep {
public:
    explicit ConstantConditioner(const at::Tensor& numbers) : bias(numbers) {}

    at::Tensor run(const at::Tensor& inputs, bool) override {
        return bias.unsqueeze(1).expand({-1, inputs.size(1)}).contiguous();
    }
    at::Tensor differentiate(const at::Tensor& gNumbers, std::vector<at::Tensor>& gradient) override {
        gradient[0].add_(gNumbers.sum(1));
        return {};
    }

private:
    const at::Tensor& bias;
};

} // namespace

std::unique_ptr<ConditionerSweep> ConditionerSweep::create(const SplineFlowDescription& description,
                                                           std::size_t layer,
                                                           const std::vector<at::Tensor>& parameters) {
    if (parameters.size() == 1)
        return std::make_unique<ConstantConditioner>(parameters[0]);
    if (description.layers[layer].network == SplineFlowDescription::Network::Transformer)
        return std::make_unique<TransformerConditioner>(description, layer, parameters);
    return std::make_unique<PerceptronConditioner>(description.layers[layer], parameters);
}

at::Tensor activate(SplineFlowDescription::Activation kind, const at::Tensor& x) {
    using Activation = SplineFlowDescription::Activation;
    if (kind == Activation::ReLU)
        return at::relu(x);
    return kind == Activation::SiLU ? at::silu(x) : at::tanh(x);
}

} // namespace OpenMMScore
