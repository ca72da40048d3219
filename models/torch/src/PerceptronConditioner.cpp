#include "PerceptronConditioner.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/silu_backward.h>
#include <ATen/ops/tanh_backward.h>
#include <ATen/ops/threshold_backward.h>

namespace OpenMMScore {

namespace {

using Activation = SplineFlowDescription::Activation;

/** @param y  the activation of x */
at::Tensor activationAdjoint(Activation kind, const at::Tensor& x, const at::Tensor& y, const at::Tensor& g) {
    if (kind == Activation::ReLU)
        return at::threshold_backward(g, y, 0);
    return kind == Activation::SiLU ? at::silu_backward(g, x) : at::tanh_backward(g, y);
}

} // namespace

PerceptronConditioner::PerceptronConditioner(const SplineFlowDescription::Layer& given,
                                             const std::vector<at::Tensor>& numbers)
    : layer(given), parameters(numbers), residual(given.network == SplineFlowDescription::Network::Residual),
      last(numbers.size() / 2 - 1) {}

at::Tensor PerceptronConditioner::run(const at::Tensor& inputs, bool) {
    const auto map = [&](std::size_t j, const at::Tensor& x) {
        linearInputs.push_back(x);
        return at::addmm(parameters[2 * j + 1].unsqueeze(1), parameters[2 * j], x);
    };
    const auto activated = [&](const at::Tensor& x) {
        arguments.push_back(x);
        return activate(layer.activation, x);
    };
    at::Tensor h = inputs;
    if (residual) {
        h = map(0, h);
        for (std::size_t j = 1; j < last; j += 2)
            h = h + map(j + 1, activated(map(j, activated(h))));
    }
    else
        for (std::size_t j = 0; j < last; j++)
            h = activated(map(j, h));
    return map(last, h);
}

at::Tensor PerceptronConditioner::differentiate(const at::Tensor& gNumbers,
                                                std::vector<at::Tensor>& gradient) {
    const std::vector<at::Tensor>& x = linearInputs;
    const auto map = [&](std::size_t j, const at::Tensor& g) {
        gradient[2 * j].addmm_(g, x[j].t());
        gradient[2 * j + 1].add_(g.sum(1));
        return at::mm(parameters[2 * j].t(), g);
    };
    // The argument of the activation whose result is the input of map j.
    const auto activated = [&](std::size_t j, const at::Tensor& g) {
        return activationAdjoint(layer.activation, arguments[j - 1], x[j], g);
    };
    at::Tensor g = map(last, gNumbers);
    if (!residual) {
        for (std::size_t j = last; j-- > 0;)
            g = map(j, activated(j + 1, g));
        return g;
    }
    for (std::size_t j = last; j > 2; j -= 2)
        g = g + activated(j - 2, map(j - 2, activated(j - 1, map(j - 1, g))));
    return map(0, g);
}

} // namespace OpenMMScore
