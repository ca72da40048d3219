#include "openmmscore/torch/TorchVelocity.h"

#include <functional>
#include <numeric>
#include <string>
#include <utility>

#include <ATen/ops/empty.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include "TorchEgnnVelocity.h"
#include "TorchMlpVelocity.h"
#include "TorchTransformerVelocity.h"
#include "openmmscore/models/Error.h"

namespace OpenMMScore {

namespace {

constexpr const char* nodeFeaturesName = "network.node_features";

std::int64_t sizeOf(const TensorShape& tensor) {
    return std::accumulate(tensor.shape.begin(), tensor.shape.end(), std::int64_t(1), std::multiplies<>());
}

bool isTrained(const TensorShape& tensor) {
    return tensor.name != "location" && tensor.name != "scale" && tensor.name != nodeFeaturesName;
}

} // namespace

std::unique_ptr<TorchVelocity> TorchVelocity::create(const ContinuousFlowDescription& description,
                                                     const at::TensorOptions& options,
                                                     std::vector<double> nodeFeatures) {
    using Network = ContinuousFlowDescription::Network;
    if (description.network == Network::Egnn)
        return std::make_unique<TorchEgnnVelocity>(description, options, std::move(nodeFeatures));
    if (description.network == Network::GraphTransformer)
        return std::make_unique<TorchTransformerVelocity>(description, options);
    return std::make_unique<TorchMlpVelocity>(description, options);
}

TorchVelocity::TorchVelocity(const ContinuousFlowDescription& flow, const at::TensorOptions& options,
                             std::vector<double> features)
    : description(flow), nodeFeatures(std::move(features)) {
    std::int64_t size = 0;
    for (TensorShape& tensor : flow.getTensors()) {
        if (tensor.name == nodeFeaturesName &&
            sizeOf(tensor) != static_cast<std::int64_t>(nodeFeatures.size()))
            throw ShapeError("TorchVelocity: there are " + std::to_string(nodeFeatures.size()) +
                             " node features, expected " + std::to_string(sizeOf(tensor)));
        if (!isTrained(tensor))
            continue;
        size += sizeOf(tensor);
        shapes.push_back(std::move(tensor));
    }
    flat = at::zeros({size}, options);
}

TorchVelocity::~TorchVelocity() = default;

std::vector<at::Tensor> TorchVelocity::viewsOf(const at::Tensor& flatTensor) const {
    std::vector<at::Tensor> views;
    std::int64_t begin = 0;
    for (const TensorShape& tensor : shapes) {
        views.push_back(flatTensor.narrow(0, begin, sizeOf(tensor)).view(tensor.shape));
        begin += sizeOf(tensor);
    }
    return views;
}

at::Tensor TorchVelocity::timeFeatures(const at::Tensor& t) const {
    const int count = description.getNumTimeFeatures();
    at::Tensor features = at::empty({t.size(0), count}, at::kDouble);
    for (std::int64_t i = 0; i < t.size(0); i++)
        computeFlowTimeFeatures(description, t.data_ptr<double>()[i],
                                features.data_ptr<double>() + i * count);
    return features.to(flat.options());
}

std::vector<std::vector<double>> TorchVelocity::exportTensors(const std::vector<double>& location,
                                                              const std::vector<double>& scale,
                                                              const at::Tensor& values) const {
    const at::Tensor numbers = values.detach().to(at::kCPU, at::kDouble).contiguous();
    const double* next = numbers.data_ptr<double>();
    std::vector<std::vector<double>> result;
    for (const TensorShape& tensor : description.getTensors())
        if (isTrained(tensor)) {
            result.emplace_back(next, next + sizeOf(tensor));
            next += sizeOf(tensor);
        }
        else
            result.push_back(tensor.name == "location" ? location
                             : tensor.name == "scale"  ? scale
                                                       : nodeFeatures);
    return result;
}

void TorchVelocity::importTensors(const std::vector<std::vector<double>>& values) {
    const std::vector<TensorShape> tensors = description.getTensors();
    std::vector<double> all;
    for (std::size_t k = 0; k < tensors.size(); k++) {
        if (values.size() != tensors.size() ||
            static_cast<std::int64_t>(values[k].size()) != sizeOf(tensors[k]))
            throw ShapeError("TorchVelocity: tensor " + tensors[k].name +
                             " has another size than this network's");
        if (isTrained(tensors[k]))
            all.insert(all.end(), values[k].begin(), values[k].end());
        else if (tensors[k].name == nodeFeaturesName && values[k] != nodeFeatures)
            throw ShapeError("TorchVelocity: the node features differ from those of the network at hand");
    }
    flat.copy_(at::tensor(all, at::kDouble));
}

} // namespace OpenMMScore
