#include "openmmscore/torch/TorchVelocity.h"

#include <cmath>
#include <functional>
#include <numeric>

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
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include "openmmscore/models/CounterRandom.h"
#include "openmmscore/models/Error.h"

namespace OpenMMScore {

namespace {

std::int64_t sizeOf(const TensorShape& tensor) {
    return std::accumulate(tensor.shape.begin(), tensor.shape.end(), std::int64_t(1), std::multiplies<>());
}

} // namespace

/** What the way back needs: the input of each layer, and the argument of each activation. */
struct TorchVelocity::Record {
    std::vector<at::Tensor> inputs, arguments;
};

TorchVelocity::TorchVelocity(const ContinuousFlowDescription& flow, const at::TensorOptions& options)
    : description(flow), shapes(flow.getTensors()) {
    if (description.network != ContinuousFlowDescription::Network::Mlp)
        throw ShapeError("TorchVelocity: only perceptrons can be trained");
    shapes.erase(shapes.begin(), shapes.begin() + 2);
    std::int64_t size = 0;
    for (const TensorShape& tensor : shapes)
        size += sizeOf(tensor);
    flat = at::zeros({size}, options);
    layers = viewsOf(flat);
}

std::vector<TorchVelocity::Linear> TorchVelocity::viewsOf(const at::Tensor& flatTensor) const {
    std::vector<Linear> result;
    std::int64_t begin = 0;
    for (const TensorShape& tensor : shapes) {
        const at::Tensor view = flatTensor.narrow(0, begin, sizeOf(tensor)).view(tensor.shape);
        begin += sizeOf(tensor);
        if (tensor.shape.size() == 2)
            result.push_back({view, {}});
        else
            result.back().bias = view;
    }
    return result;
}

void TorchVelocity::initialize(std::uint64_t seed) {
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

at::Tensor TorchVelocity::inputs(const at::Tensor& u, const at::Tensor& t) const {
    const int count = description.getNumTimeFeatures();
    at::Tensor features = at::empty({t.size(0), count}, at::kDouble);
    for (std::int64_t i = 0; i < t.size(0); i++)
        computeFlowTimeFeatures(description, t.data_ptr<double>()[i],
                                features.data_ptr<double>() + i * count);
    return at::cat({u, features.to(u.options())}, 1);
}

at::Tensor TorchVelocity::run(const at::Tensor& u, const at::Tensor& t, Record* record) const {
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

at::Tensor TorchVelocity::velocity(const at::Tensor& u, const at::Tensor& t) const {
    return run(u, t, nullptr);
}

double TorchVelocity::addGradient(const at::Tensor& u, const at::Tensor& t, const at::Tensor& target,
                                  double factor, at::Tensor& gradient) const {
    const at::NoGradGuard noGrad;
    const bool swish = description.mlp.activation == ContinuousFlowDescription::Activation::Swish;
    const std::vector<Linear> sums = viewsOf(gradient);
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

std::vector<std::vector<double>> TorchVelocity::exportTensors(const std::vector<double>& location,
                                                              const std::vector<double>& scale,
                                                              const at::Tensor& values) const {
    const at::Tensor numbers = values.detach().to(at::kCPU, at::kDouble).contiguous();
    const double* next = numbers.data_ptr<double>();
    std::vector<std::vector<double>> result = {location, scale};
    for (const TensorShape& tensor : shapes) {
        result.emplace_back(next, next + sizeOf(tensor));
        next += sizeOf(tensor);
    }
    return result;
}

void TorchVelocity::importTensors(const std::vector<std::vector<double>>& values) {
    std::vector<double> all;
    for (std::size_t k = 0; k < shapes.size(); k++) {
        if (values.size() != shapes.size() + 2 ||
            static_cast<std::int64_t>(values[k + 2].size()) != sizeOf(shapes[k]))
            throw ShapeError("TorchVelocity: tensor " + shapes[k].name +
                             " has another size than this "
                             "network's");
        all.insert(all.end(), values[k + 2].begin(), values[k + 2].end());
    }
    flat.copy_(at::tensor(all, at::kDouble));
}

} // namespace OpenMMScore
