#include "TorchMlp.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/silu.h>

namespace OpenMMScore {

TorchMlp::TorchMlp(const ModelDescription& model, int expert, const at::TensorOptions& options)
    : TorchNetwork(model, expert, options), layers(layersOf(getParameters())) {}

std::vector<DenseParameters> TorchMlp::layersOf(const std::vector<at::Tensor>& tensors) const {
    // In the model file's order: weight and bias of each layer.
    std::vector<DenseParameters> result;
    for (std::size_t i = 0; i + 1 < tensors.size(); i += 2)
        result.push_back({tensors[i], tensors[i + 1]});
    return result;
}

std::unique_ptr<RecordedScore> TorchMlp::recordScore(const at::Tensor& z, const at::Tensor& t, Record what,
                                                     const at::Tensor& particleFeatures) const {
    if (!hasEnergy() || !z.is_cpu())
        return TorchNetwork::recordScore(z, t, what, particleFeatures);
    checkCanRecord(what);
    return recordMlpScore({layers, [this](const at::Tensor& flat) { return layersOf(viewsOf(flat)); },
                           z.detach(), timeFeatures(t),
                           what == Record::EnergyRate ? timeFeatureRates(t) : at::Tensor(), outputScale(t)});
}

at::Tensor TorchMlp::forward(const at::Tensor& z, const at::Tensor& features,
                             const at::Tensor& /*particleFeatures*/) const {
    at::Tensor x = at::cat({z, features}, 1);
    for (std::size_t i = 0; i < layers.size(); i++) {
        if (i > 0)
            x = at::silu(x);
        x = at::linear(x, layers[i].weight, layers[i].bias);
    }
    return hasEnergy() ? x.squeeze(1) : x;
}

} // namespace OpenMMScore
