#include "TorchGraphTransformer.h"

#include <cmath>

#include <ATen/TensorOperators.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/baddbmm.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/lerp.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/mv.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/softmax.h>

#include "NodeIdentity.h"
#include "TransformerScore.h"

namespace OpenMMScore {

TorchGraphTransformer::TorchGraphTransformer(const ModelDescription& model, int expert,
                                             const at::TensorOptions& options)
    : TorchNetwork(model, expert, options), sizes(getExpert().graphTransformer), numParticles(model.count),
      numFeatures(static_cast<int>(model.features.size())),
      parameters(getParameters(), sizes.layers, numFeatures) {}

std::unique_ptr<RecordedScore> TorchGraphTransformer::recordScore(const at::Tensor& z, const at::Tensor& t,
                                                                  Record what,
                                                                  const at::Tensor& particleFeatures) const {
    if (!hasEnergy() || !z.is_cpu())
        return TorchNetwork::recordScore(z, t, what, particleFeatures);
    checkCanRecord(what);
    return recordTransformerScore(
        {sizes, parameters,
         [this](const at::Tensor& flat) {
             return TransformerParameters(viewsOf(flat), sizes.layers, numFeatures);
         },
         z.detach().contiguous().view({z.size(0), numParticles, 3}), particleFeatures, timeFeatures(t),
         what == Record::EnergyRate ? timeFeatureRates(t) : at::Tensor(), outputScale(t)});
}

at::Tensor TorchGraphTransformer::forward(const at::Tensor& z, const at::Tensor& features,
                                          const at::Tensor& particleFeatures) const {
    const std::int64_t batch = z.size(0), n = numParticles, h = sizes.hidden;
    const at::Tensor positions = z.view({batch, n, 3});
    const NodeIdentity identity(parameters, n, particleFeatures);
    const at::Tensor time = parameters.nodeEmbedding.weight.narrow(1, identity.getWidth(), features.size(1));
    at::Tensor nodes =
        identity.nodes() + at::linear(features, time, parameters.nodeEmbedding.bias).unsqueeze(1);
    nodes = nodes.reshape({batch * n, h});
    for (const Layer& layer : parameters.layers) {
        nodes = gate(layer.attentionGate, attend(layer, nodes, positions), nodes);
        nodes = gate(layer.feedForwardGate, feedForward(layer, nodes), nodes);
    }
    if (hasEnergy())
        return at::linear(nodes, parameters.readout.weight, parameters.readout.bias).view({batch, n}).sum(1);
    return at::linear(nodes.view({batch, n * h}), parameters.readout.weight, parameters.readout.bias);
}

at::Tensor TorchGraphTransformer::attend(const Layer& layer, const at::Tensor& nodes,
                                         const at::Tensor& positions) const {
    const std::int64_t n = numParticles, heads = sizes.heads, d = sizes.headSize, h = sizes.hidden;
    const std::int64_t batch = positions.size(0);
    const at::Tensor a = at::matmul(layer.edge.weight, parameters.edgeEmbedding.weight);
    const at::Tensor c = at::linear(parameters.edgeEmbedding.bias, layer.edge.weight, layer.edge.bias);
    const at::Tensor y = at::layer_norm(nodes, {h}, layer.attentionNorm.weight, layer.attentionNorm.bias,
                                        sizes.layerNormEpsilon);
    // Queries with A^T q / sqrt(d), keys and values with z in the last three columns: shape [batch heads, n,
    // d + 3].
    const auto byHead = [&](const Linear& linear) {
        return at::linear(y, linear.weight, linear.bias).view({batch, n, heads, d}).transpose(1, 2);
    };
    const at::Tensor q = byHead(layer.query), k = byHead(layer.key), v = byHead(layer.value);
    const at::Tensor shared = positions.unsqueeze(1).expand({batch, heads, n, 3});
    const at::Tensor q3 = at::matmul(q, a.view({1, heads, d, 3}));
    const at::Tensor scores = (at::matmul(q, k.transpose(2, 3)) + at::matmul(q3, shared.transpose(2, 3))) *
                              (1.0 / std::sqrt(double(d)));
    const at::Tensor weights = at::softmax(scores, -1);
    const at::Tensor mixed = at::matmul(weights, v).transpose(1, 2).reshape({batch * n, heads * d});
    const at::Tensor shift =
        (at::matmul(weights, shared) - shared).transpose(1, 2).reshape({batch * n, heads * 3});
    // W_o (A shift + c), with W_o and A multiplied first, head by head.
    const at::Tensor byHeadOutput = layer.output.weight.view({h, heads, d}).transpose(0, 1);
    const at::Tensor shiftWeight =
        at::bmm(byHeadOutput, a.view({heads, d, 3})).transpose(1, 2).reshape({heads * 3, h});
    const at::Tensor bias = at::linear(c, layer.output.weight, layer.output.bias);
    return at::addmm(at::linear(mixed, layer.output.weight, bias), shift, shiftWeight);
}

at::Tensor TorchGraphTransformer::feedForward(const Layer& layer, const at::Tensor& nodes) const {
    const at::Tensor y = at::layer_norm(nodes, {sizes.hidden}, layer.feedForwardNorm.weight,
                                        layer.feedForwardNorm.bias, sizes.layerNormEpsilon);
    const at::Tensor wide = at::gelu(at::linear(y, layer.expand.weight, layer.expand.bias),
                                     sizes.gelu == Gelu::Tanh ? "tanh" : "none");
    return at::linear(wide, layer.contract.weight, layer.contract.bias);
}

at::Tensor TorchGraphTransformer::gate(const at::Tensor& weight, const at::Tensor& update,
                                       const at::Tensor& nodes) const {
    // w . [x; r; x - r] = (w1 + w3) . x + (w2 - w3) . r
    const std::int64_t h = sizes.hidden;
    const at::Tensor w1 = weight.narrow(1, 0, h), w2 = weight.narrow(1, h, h),
                     w3 = weight.narrow(1, 2 * h, h);
    const at::Tensor g =
        at::sigmoid(at::mv(update, (w1 + w3).view({h})) + at::mv(nodes, (w2 - w3).view({h})));
    return at::lerp(nodes, update, g.unsqueeze(1));
}

} // namespace OpenMMScore
