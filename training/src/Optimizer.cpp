#include "Optimizer.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/norm.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

namespace OpenMMScore {

Optimizer::Optimizer(at::Tensor flat, const StageConfig& config)
    : parameters(std::move(flat)),
      settings(config), state{0, at::zeros_like(parameters), at::zeros_like(parameters)},
      numUpdates(at::zeros({}, parameters.options().dtype(at::kFloat))) {}

double Optimizer::learningRate(std::int64_t step) const {
    const double phase = std::numbers::pi * double(step) / double(settings.steps);
    return settings.finalLearningRate +
           0.5 * (settings.learningRate - settings.finalLearningRate) * (1.0 + std::cos(phase));
}

void Optimizer::step(at::Tensor& gradient, std::int64_t step) {
    if (settings.gradientNorm > 0.0)
        gradient.mul_(std::min(1.0, settings.gradientNorm / gradient.norm().item<double>()));
    gradient.clamp_(-settings.gradientClip, settings.gradientClip);
    state.updates++;
    numUpdates.fill_(double(state.updates));
    at::_fused_adamw_({parameters}, {gradient}, {state.firstMoment}, {state.secondMoment}, {}, {numUpdates},
                      learningRate(step), 0.9, 0.999, settings.weightDecay, 1e-8, false, false);
}

void Optimizer::setState(const State& saved) {
    state.updates = saved.updates;
    state.firstMoment.copy_(saved.firstMoment);
    state.secondMoment.copy_(saved.secondMoment);
}

} // namespace OpenMMScore
