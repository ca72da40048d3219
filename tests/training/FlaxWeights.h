#ifndef OPENMMSCORE_TESTS_TRAINING_FLAXWEIGHTS_H_
#define OPENMMSCORE_TESTS_TRAINING_FLAXWEIGHTS_H_

#include <cstring>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include <ATen/ATen.h>
#include <nlohmann/json.hpp>

#include "../TestModels.h"
#include "openmmscore/models/Error.h"
#include "openmmscore/torch/TorchNetwork.h"

namespace OpenMMScore::testing {

/** Reference numbers of ScoreMD: weights under Flax names, inputs and results in double precision. */
class ReferenceFile {
public:
    /** @param weightPrefix  of the weights' names, ending in a slash */
    ReferenceFile(const std::string& name, std::string weightPrefix) : prefix(std::move(weightPrefix)) {
        std::ifstream file(TEST_DATA_DIR "/scoremd/" + name + ".safetensors", std::ios::binary);
        bytes.assign(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
        std::uint64_t length = 0;
        std::memcpy(&length, bytes.data(), 8);
        header = nlohmann::json::parse(bytes.substr(8, length));
        start = 8 + length;
    }

    at::Tensor tensor(const std::string& name) const {
        const nlohmann::json& entry = header.at(name);
        const auto shape = entry.at("shape").get<std::vector<std::int64_t>>();
        const std::map<std::string, at::ScalarType> dtypes = {
            {"F64", at::kDouble}, {"F32", at::kFloat}, {"I64", at::kLong}, {"I32", at::kInt}};
        const auto dtype = dtypes.at(entry.at("dtype").get<std::string>());
        at::Tensor result = at::empty(shape, dtype);
        std::memcpy(result.data_ptr(), bytes.data() + start + entry.at("data_offsets")[0].get<std::size_t>(),
                    result.nbytes());
        return result.to(at::isIntegralType(dtype, false) ? at::kLong : at::kDouble);
    }
    bool has(const std::string& name) const { return header.contains(name); }
    double scalar(const std::string& name) const { return tensor(name).item<double>(); }

    /** @return the network of the file's weights, float64 */
    std::unique_ptr<TorchNetwork> network(const ModelDescription& model) const {
        auto result = TorchNetwork::create(model, 0, at::kDouble);
        std::vector<std::vector<double>> values;
        for (const TensorShape& shape : result->getShapes()) {
            at::Tensor weights = tensor(prefix + flaxName(shape.name, model.experts[0]));
            if (weights.dim() == 2 && shape.name.find("feature_embeddings") == std::string::npos)
                weights = weights.t().contiguous();
            values.emplace_back(weights.data_ptr<double>(), weights.data_ptr<double>() + weights.numel());
        }
        result->importTensors(values);
        return result;
    }
    /** @return our name's counterpart, without the prefix */
    static std::string flaxName(const std::string& name, const ExpertDescription& expert);

private:
    std::string prefix, bytes;
    nlohmann::json header;
    std::size_t start = 0;
};

inline std::string ReferenceFile::flaxName(const std::string& name, const ExpertDescription& expert) {
    const std::string ours = name.substr(name.find('.', 8) + 1);
    const std::string layerName = ours.substr(0, ours.rfind('.'));
    const std::string kind = ours.substr(ours.rfind('.') + 1) == "weight" ? "kernel" : "bias";
    if (layerName.rfind("feature_embeddings.", 0) == 0)
        return "scalar_embedding_" + layerName.substr(19) + "/embedding";
    if (layerName == "readout")
        return "node_decoder/" + kind;
    if (layerName.rfind("layers.", 0) != 0)
        return layerName + "/" + kind;
    const std::size_t dot = layerName.find('.', 7);
    const int l = std::stoi(layerName.substr(7, dot - 7));
    if (expert.architecture == ExpertDescription::Architecture::Mlp)
        return "Dense_" + std::to_string(l) + "/" + kind;
    const std::string part = layerName.substr(dot + 1), transformer = "GraphTransformerLucid_0/";
    const std::string even = std::to_string(2 * l), odd = std::to_string(2 * l + 1);
    if (part == "attention_norm" || part == "feed_forward_norm")
        return transformer + "PreNorm_" + (part == "attention_norm" ? even : odd) + "/LayerNorm_0/" +
               (kind == "kernel" ? "scale" : "bias");
    if (part == "attention_gate" || part == "feed_forward_gate")
        return transformer + "GatedResidual_" + (part == "attention_gate" ? even : odd) + "/Dense_0/kernel";
    if (part == "feed_forward.expand" || part == "feed_forward.contract")
        return transformer + "Dense_" + (part == "feed_forward.expand" ? even : odd) + "/" + kind;
    const std::vector<std::string> roles = {"query", "key", "value", "edge", "output"};
    for (std::size_t i = 0; i < roles.size(); i++)
        if (part == "attention." + roles[i])
            return transformer + "Attention_" + std::to_string(l) + "/Dense_" + std::to_string(i) + "/" +
                   kind;
    throw Error("no counterpart of " + name);
}

} // namespace OpenMMScore::testing

#endif // OPENMMSCORE_TESTS_TRAINING_FLAXWEIGHTS_H_
