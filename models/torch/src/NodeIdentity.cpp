#include "NodeIdentity.h"

#include <string>

#include <ATen/TensorOperators.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>

#include "openmmscore/models/Error.h"

namespace OpenMMScore {

NodeIdentity::NodeIdentity(const TransformerParameters& networkParameters, std::int64_t numParticles,
                           const at::Tensor& particleFeatures)
    : parameters(networkParameters), particles(numParticles), width(numParticles),
      features(particleFeatures) {
    const auto count = static_cast<std::int64_t>(parameters.featureEmbeddings.size());
    if ((count > 0) != features.defined())
        throw ShapeError(count > 0
                             ? "TorchGraphTransformer: the network must be told features of its particles"
                             : "TorchGraphTransformer: the network takes no features of its particles");
    if (count == 0)
        return;
    if (features.dim() != 3 || features.size(1) != particles || features.size(2) != count)
        throw ShapeError("TorchGraphTransformer: features must have the shape [batch, " +
                         std::to_string(particles) + ", " + std::to_string(count) + "]");
    width = count * parameters.featureEmbeddings[0].size(1);
}

at::Tensor NodeIdentity::columns(const at::Tensor& weight, std::size_t f) const {
    const std::int64_t each = parameters.featureEmbeddings[f].size(1);
    return weight.narrow(1, static_cast<std::int64_t>(f) * each, each);
}

at::Tensor NodeIdentity::nodes() const {
    const at::Tensor& weight = parameters.nodeEmbedding.weight;
    if (!features.defined())
        return weight.narrow(1, 0, particles).t().contiguous().unsqueeze(0);
    at::Tensor sum;
    for (std::size_t f = 0; f < parameters.featureEmbeddings.size(); f++) {
        const at::Tensor ofValues = at::matmul(parameters.featureEmbeddings[f], columns(weight, f).t());
        const at::Tensor rows = ofValues.index_select(0, index(f));
        sum = sum.defined() ? sum + rows : rows;
    }
    return sum.view({features.size(0), particles, weight.size(0)});
}

void NodeIdentity::addGradient(const at::Tensor& ofNodes, const TransformerParameters& gradient) const {
    if (!features.defined()) {
        gradient.nodeEmbedding.weight.narrow(1, 0, particles).add_(ofNodes.sum(0).t());
        return;
    }
    const std::int64_t hidden = ofNodes.size(2);
    const at::Tensor rows = ofNodes.reshape({-1, hidden});
    for (std::size_t f = 0; f < parameters.featureEmbeddings.size(); f++) {
        const at::Tensor& table = parameters.featureEmbeddings[f];
        const at::Tensor ofValues =
            at::zeros({table.size(0), hidden}, rows.options()).index_add_(0, index(f), rows);
        columns(gradient.nodeEmbedding.weight, f).add_(at::mm(ofValues.t(), table));
        gradient.featureEmbeddings[f].addmm_(ofValues, columns(parameters.nodeEmbedding.weight, f));
    }
}

} // namespace OpenMMScore
