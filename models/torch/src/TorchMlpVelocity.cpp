#include "TorchMlpVelocity.h"

#include <cmath>

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/silu_backward.h>
#include <ATen/ops/tanh.h>
#include <ATen/ops/tanh_backward.h>

#include "openmmscore/models/CounterRandom.h"

namespace OpenMMScore {

/** What the way back needs: the input of each layer, and the argument of each activation. */
struct TorchMlpVelocity::Record {
    std::vector<at::Tensor> inputs, arguments;
};

TorchMlpVelocity::TorchMlpVelocity(const ContinuousFlowDescription& flow, const at::TensorOptions& options)
    : TorchVelocity(flow, options), layers(layersOf(flat)) {}

std::vector<TorchMlpVelocity::Linear> TorchMlpVelocity::layersOf(const at::Tensor& flatTensor) const {
    const std::vector<at::Tensor> views = viewsOf(flatTensor);
    std::vector<Linear> result;
    for (std::size_t k = 0; k < views.size(); k += 2)
        result.push_back({views[k], views[k + 1]});
    return result;
}

void TorchMlpVelocity::initialize(std::uint64_t seed) {
    CounterRandom random(seed, CounterRandom::Stream::Initialization, 0);
    flat.zero_();
    for (std::size_t j = 0; j + 1 < layers.size(); j++) {
        const at::Tensor& weight = layers[j].weight;
        at::Tensor values = at::empty({weight.numel()}, at::kDouble);
        for (std::int64_t i = 0; i < values.numel(); i++)
            values.data_ptr<double>()[i] = random.normal() / std::sqrt(double(weight.size(1)));
        weight.copy_(values.view(weight.sizes()));
    }
}

at::Tensor TorchMlpVelocity::run(const at::Tensor& u, const at::Tensor& t, Record* record) const {
    const at::NoGradGuard noGrad;
    const bool swish = description.mlp.activation == ContinuousFlowDescription::Activation::Swish;
    at::Tensor x = at::cat({u, timeFeatures(t)}, 1);
    for (std::size_t j = 0; j < layers.size(); j++) {
        if (record)
            record->inputs.push_back(x);
        x = at::addmm(layers[j].bias, x, layers[j].weight.t());
        if (j + 1 == layers.size())
            break;
        if (record)
            record->arguments.push_back(x);
        x = swish ? at::silu(x) : at::tanh(x);
    }
    return x;
}

at::Tensor TorchMlpVelocity::velocity(const at::Tensor& u, const at::Tensor& t) const {
    return run(u, t, nullptr);
}

double TorchMlpVelocity::addGradient(const at::Tensor& u, const at::Tensor& t, const at::Tensor& target,
                                     double factor, at::Tensor& gradient) const {
    const at::NoGradGuard noGrad;
    const bool swish = description.mlp.activation == ContinuousFlowDescription::Activation::Swish;
    const std::vector<Linear> sums = layersOf(gradient);
    Record record;
    const at::Tensor difference = run(u, t, &record) - target;
    const double share = factor / double(u.size(1));
    at::Tensor g = difference * (2.0 * share);
    for (std::size_t j = layers.size(); j-- > 0;) {
        sums[j].weight.addmm_(g.t(), record.inputs[j]);
        sums[j].bias.add_(g.sum(0));
        if (j == 0)
            break;
        g = at::mm(g, layers[j].weight);
        g = swish ? at::silu_backward(g, record.arguments[j - 1]) : at::tanh_backward(g, record.inputs[j]);
    }
    return share * (difference * difference).sum(at::kDouble).item<double>();
}

} // namespace OpenMMScore
