#include "TorchMlpVelocity.h"

#include <cmath>

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/cos.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/silu_backward.h>
#include <ATen/ops/sin.h>
#include <ATen/ops/tanh.h>
#include <ATen/ops/tanh_backward.h>
#include <ATen/ops/tensor.h>

#include "openmmscore/models/CounterRandom.h"

namespace OpenMMScore {

/** What the way back needs: the input of each layer, and the argument of each activation. */
struct TorchMlpVelocity::Record {
    std::vector<at::Tensor> inputs, arguments;
};

TorchMlpVelocity::TorchMlpVelocity(const ContinuousFlowDescription& flow, const at::TensorOptions& options)
    : TorchVelocity(flow, options), layers(layersOf(flat)) {
    if (flow.circular.empty())
        return;
    const std::vector<bool> isCircular = flow.whichAreCircular();
    const auto numCircular = static_cast<std::int64_t>(flow.circular.size());
    std::vector<std::int64_t> columns, places(flow.circular.begin(), flow.circular.end());
    std::int64_t angle = 0;
    for (std::size_t i = 0; i < isCircular.size(); i++) {
        if (!isCircular[i])
            columns.push_back(static_cast<std::int64_t>(i));
        else {
            for (int k = 0; k < 2 * flow.angleFrequencies; k++)
                columns.push_back(flow.getDimension() + k * numCircular + angle);
            angle++;
        }
    }
    const at::TensorOptions integers = at::TensorOptions(at::kLong).device(options.device());
    circular = at::tensor(places, at::kLong).to(integers);
    order = at::tensor(columns, at::kLong).to(integers);
}

at::Tensor TorchMlpVelocity::inputs(const at::Tensor& u, const at::Tensor& t) const {
    if (!circular.defined())
        return at::cat({u, timeFeatures(t)}, 1);
    const at::Tensor angles = u.index_select(1, circular);
    std::vector<at::Tensor> all = {u};
    for (int k = 1; k <= description.angleFrequencies; k++) {
        all.push_back((angles * double(k)).cos());
        all.push_back((angles * double(k)).sin());
    }
    return at::cat({at::cat(all, 1).index_select(1, order), timeFeatures(t)}, 1);
}

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
    at::Tensor x = inputs(u, t);
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
