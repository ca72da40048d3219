#include "Optimizer.h"

#include <cmath>
#include <numbers>

#include <ATen/ops/zeros_like.h>
#include <torch/optim/adamw.h>

namespace OpenMMScore {

using torch::optim::AdamWOptions;
using torch::optim::AdamWParamState;

Optimizer::Optimizer(at::Tensor flat, const OptimizationConfig& config)
    : parameters(std::move(flat)), settings(config) {
    adam = std::make_unique<torch::optim::AdamW>(
        std::vector<at::Tensor>{parameters},
        AdamWOptions(settings.learningRate).betas({0.9, 0.999}).eps(1e-8).weight_decay(settings.weightDecay));
}

Optimizer::~Optimizer() = default;

double Optimizer::learningRate(std::int64_t step) const {
    const double phase = std::numbers::pi * double(step) / double(settings.steps);
    return settings.finalLearningRate +
           0.5 * (settings.learningRate - settings.finalLearningRate) * (1.0 + std::cos(phase));
}

void Optimizer::step(at::Tensor& gradient, std::int64_t step) {
    parameters.mutable_grad() = gradient.clamp_(-settings.gradientClip, settings.gradientClip);
    adam->param_groups()[0].options().set_lr(learningRate(step));
    adam->step();
}

Optimizer::State Optimizer::getState() const {
    const auto found = adam->state().find(parameters.unsafeGetTensorImpl());
    if (found == adam->state().end())
        return {0, at::zeros_like(parameters), at::zeros_like(parameters)};
    const auto& state = static_cast<const AdamWParamState&>(*found->second);
    return {state.step(), state.exp_avg(), state.exp_avg_sq()};
}

void Optimizer::setState(const State& state) {
    auto entry = std::make_unique<AdamWParamState>();
    entry->step(state.updates);
    entry->exp_avg(state.firstMoment.to(parameters.options(), false, true));
    entry->exp_avg_sq(state.secondMoment.to(parameters.options(), false, true));
    adam->state()[parameters.unsafeGetTensorImpl()] = std::move(entry);
}

} // namespace OpenMMScore
