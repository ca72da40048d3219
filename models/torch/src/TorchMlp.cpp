#include "TorchMlp.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/silu.h>

namespace OpenMMScore {

TorchMlp::TorchMlp(const ModelDescription& model, int expert, const at::TensorOptions& options)
    : TorchNetwork(model, expert, options) {
    const std::size_t numLayers = getExpert().mlp.hidden.size() + 1;
    for (std::size_t i = 0; i < numLayers; i++) {
        const std::string name = "layers." + std::to_string(i);
        layers.emplace_back(parameter(name + ".weight"), parameter(name + ".bias"));
    }
}

at::Tensor TorchMlp::forward(const at::Tensor& z, const at::Tensor& features) const {
    at::Tensor x = at::cat({z, features}, 1);
    for (std::size_t i = 0; i < layers.size(); i++) {
        if (i > 0)
            x = at::silu(x);
        x = at::linear(x, layers[i].first, layers[i].second);
    }
    return hasEnergy() ? x.squeeze(1) : x;
}

} // namespace OpenMMScore
