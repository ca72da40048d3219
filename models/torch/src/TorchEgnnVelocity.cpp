#include "TorchEgnnVelocity.h"

#include <cmath>
#include <string>
#include <utility>

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/sqrt.h>
#include <ATen/ops/tanh.h>
#include <ATen/ops/tensor.h>
#include <torch/csrc/autograd/autograd.h>

#include "openmmscore/models/CounterRandom.h"

namespace OpenMMScore {

namespace {

/**
 * @param all  shape [samples, N, N, width]
 * @return shape [samples, N (N - 1), width]: without the diagonal, in the same order. In a row of N^2 - 1,
 * the first one left out, every (N+1)-th is of the diagonal
 */
at::Tensor withoutDiagonal(const at::Tensor& all) {
    const std::int64_t samples = all.size(0), n = all.size(1), width = all.size(3);
    return all.reshape({samples, n * n, width})
        .narrow(1, 1, n * n - 1)
        .reshape({samples, n - 1, n + 1, width})
        .narrow(2, 0, n)
        .reshape({samples, n * (n - 1), width});
}

/** @return for all i != j, a_i + b_j; shape [samples, N (N - 1), width] */
at::Tensor ofPairs(const at::Tensor& a, const at::Tensor& b) {
    return withoutDiagonal(a.unsqueeze(2) + b.unsqueeze(1));
}

} // namespace

TorchEgnnVelocity::TorchEgnnVelocity(const ContinuousFlowDescription& flow, const at::TensorOptions& options,
                                     std::vector<double> given)
    : TorchVelocity(flow, options, std::move(given)), directions(flow, options) {
    for (const at::Tensor& view : viewsOf(flat))
        leaves.push_back(view.detach().requires_grad_());
    std::size_t next = 0;
    const auto linear = [&] {
        Linear result{leaves[next], leaves[next + 1]};
        next += 2;
        return result;
    };
    embedding = linear();
    for (int l = 0; l < flow.egnn.layers; l++) {
        Layer layer;
        for (Linear* part : {&layer.edge0, &layer.edge1, &layer.gate, &layer.coordinate0})
            *part = linear();
        layer.coordinate1 = leaves[next++];
        layer.node0 = linear();
        layer.node1 = linear();
        layers.push_back(layer);
    }
    features = at::tensor(nodeFeatures, at::kDouble).view({flow.count, flow.egnn.nodeFeatures}).to(options);
}

void TorchEgnnVelocity::initialize(std::uint64_t seed) {
    const std::vector<at::Tensor> views = viewsOf(flat);
    const std::string unused = "network.layers." + std::to_string(layers.size() - 1) + ".node.";
    flat.zero_();
    for (std::size_t k = 0; k < views.size(); k++) {
        const std::string& name = shapes[k].name;
        if (!name.ends_with(".weight") || name.ends_with("coordinate.1.weight") || name.starts_with(unused))
            continue;
        CounterRandom random(seed, CounterRandom::Stream::Initialization, k);
        const double inputs = k == 0 ? 1.0 + description.getNumTimeFeatures() : double(shapes[k].shape[1]);
        at::Tensor values = at::empty({views[k].numel()}, at::kDouble);
        for (std::int64_t i = 0; i < values.numel(); i++)
            values.data_ptr<double>()[i] = random.normal() / std::sqrt(inputs);
        views[k].copy_(values.view(views[k].sizes()));
    }
}

TorchEgnnVelocity::Pairs TorchEgnnVelocity::pairsOf(const at::Tensor& r) const {
    const at::Tensor difference = ofPairs(r, -r);
    return {difference, (difference * difference).sum(2, true)};
}

at::Tensor TorchEgnnVelocity::sumPairs(const at::Tensor& each) const {
    const std::int64_t n = description.count;
    return each.view({each.size(0), n, n - 1, each.size(2)}).sum(2);
}

at::Tensor TorchEgnnVelocity::embed(const at::Tensor& t) const {
    const std::int64_t count = features.size(1), times = description.getNumTimeFeatures();
    const at::Tensor ofNodes = at::linear(features, embedding.weight.narrow(1, 0, count), embedding.bias);
    const at::Tensor ofTimes = at::linear(timeFeatures(t), embedding.weight.narrow(1, count, times));
    return ofNodes.unsqueeze(0) + ofTimes.unsqueeze(1);
}

at::Tensor TorchEgnnVelocity::messages(const Layer& layer, const at::Tensor& nodes, const at::Tensor& square,
                                       const at::Tensor& initial) const {
    const std::int64_t h = description.egnn.hidden;
    const at::Tensor& w = layer.edge0.weight;
    const at::Tensor ofNodes =
        ofPairs(at::linear(nodes, w.narrow(1, 0, h), layer.edge0.bias), at::linear(nodes, w.narrow(1, h, h)));
    const at::Tensor ofLengths = at::linear(at::cat({square, initial}, 2), w.narrow(1, 2 * h, 2));
    const at::Tensor message =
        at::silu(at::linear(at::silu(ofNodes + ofLengths), layer.edge1.weight, layer.edge1.bias));
    return message * at::sigmoid(at::linear(message, layer.gate.weight, layer.gate.bias));
}

at::Tensor TorchEgnnVelocity::pulls(const Layer& layer, const at::Tensor& message, const Pairs& pairs) const {
    constexpr double smallDistance = 1e-8;
    const double range = description.egnn.coordinateRange / description.egnn.layers;
    const at::Tensor hidden = at::silu(at::linear(message, layer.coordinate0.weight, layer.coordinate0.bias));
    const at::Tensor pull = at::tanh(at::linear(hidden, layer.coordinate1));
    const at::Tensor distance = at::sqrt(pairs.square + smallDistance);
    return sumPairs(pairs.difference * (range * pull / (distance + 1.0)));
}

at::Tensor TorchEgnnVelocity::displacement(const at::Tensor& start, const at::Tensor& t) const {
    at::Tensor nodes = embed(t), r = start, initial;
    for (std::size_t l = 0; l < layers.size(); l++) {
        const Layer& layer = layers[l];
        const Pairs pairs = pairsOf(r);
        if (l == 0)
            initial = pairs.square;
        const at::Tensor message = messages(layer, nodes, pairs.square, initial);
        r = r + pulls(layer, message, pairs);
        // Nobody asks for the nodes behind the last layer.
        if (l + 1 == layers.size())
            break;
        const at::Tensor told = at::cat({nodes, sumPairs(message)}, 2);
        nodes = nodes + at::linear(at::silu(at::linear(told, layer.node0.weight, layer.node0.bias)),
                                   layer.node1.weight, layer.node1.bias);
    }
    return r - start;
}

at::Tensor TorchEgnnVelocity::velocity(const at::Tensor& u, const at::Tensor& t) const {
    const at::NoGradGuard noGrad;
    const at::Tensor r = directions.toPositions(u).view({u.size(0), description.count, 3});
    return directions.toCoordinates(displacement(r, t).reshape({u.size(0), -1}));
}

double TorchEgnnVelocity::addGradient(const at::Tensor& u, const at::Tensor& t, const at::Tensor& target,
                                      double factor, at::Tensor& gradient) const {
    const at::AutoGradMode enable(true);
    const at::Tensor r = directions.toPositions(u).view({u.size(0), description.count, 3});
    const at::Tensor v = directions.toCoordinates(displacement(r, t).reshape({u.size(0), -1}));
    const at::Tensor difference = v.detach() - target;
    const double share = factor / double(u.size(1));
    const auto parts = torch::autograd::grad({v}, leaves, {difference * (2.0 * share)}, false, false, true);
    const std::vector<at::Tensor> sums = viewsOf(gradient);
    for (std::size_t k = 0; k < leaves.size(); k++)
        if (parts[k].defined())
            sums[k].add_(parts[k]);
    return share * (difference * difference).sum(at::kDouble).item<double>();
}

} // namespace OpenMMScore
