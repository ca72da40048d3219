#ifndef OPENMMSCORE_TESTS_MODELFILEBYTES_H_
#define OPENMMSCORE_TESTS_MODELFILEBYTES_H_

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "openmmscore/models/Error.h"
#include "openmmscore/models/ModelDescription.h"
#include "openmmscore/models/ModelFile.h"

namespace OpenMMScore::testing {

using Bytes = std::vector<std::uint8_t>;

/** Put a file together from a header that may be anything and a number of zero bytes of data. */
inline Bytes assemble(const std::string& header, std::size_t dataSize = 0) {
    Bytes bytes(8 + header.size() + dataSize, 0);
    const std::uint64_t length = header.size();
    std::memcpy(bytes.data(), &length, 8);
    std::memcpy(bytes.data() + 8, header.data(), header.size());
    return bytes;
}

/** Check that an action throws a ModelFileError whose sentence holds all of these parts. */
template <class Action>
void expectRefusal(Action&& action, const std::vector<std::string>& parts) {
    try {
        action();
    }
    catch (const ModelFileError& error) {
        const std::string message = error.what();
        for (const std::string& part : parts)
            EXPECT_NE(message.find(part), std::string::npos) << "'" << part << "' is not in: " << message;
        EXPECT_LT(message.size(), 1000u);
        EXPECT_NE(message.back(), '.') << message;
        return;
    }
    ADD_FAILURE() << "accepted, expected a message with: " << parts.front();
}

/** The smallest model that has everything: two experts, bonds, particles. */
inline ModelDescription smallModel() {
    ModelDescription model;
    model.title = "small";
    model.count = 2;
    ExpertDescription expert;
    expert.architecture = ExpertDescription::Architecture::GraphTransformer;
    expert.graphTransformer = {2, 1, 1, 2, 2, 1e-6, Gelu::Tanh, 0};
    expert.lowerTime = 0.5;
    model.experts.push_back(expert);
    expert.lowerTime = 0;
    expert.upperTime = 0.5;
    model.experts.push_back(expert);
    for (int i = 0; i < 2; i++)
        model.particles.push_back({"CA", "C", 12.5, "ALA", 1});
    model.bonds.emplace_back(0, 1);
    return model;
}

/** A model with as few bytes as possible, for tests that visit every one of them. */
inline ModelDescription tinyModel() {
    ModelDescription model;
    model.title = "tiny";
    model.space = ModelDescription::Space::Vector;
    model.count = 1;
    ExpertDescription expert;
    expert.mlp.hidden = {1};
    expert.timeFeatures = TimeFeatures::Linear;
    model.experts.push_back(expert);
    return model;
}

/** @return tensors of the right names and shapes for a model, with values of no meaning */
inline std::vector<NamedTensor> anyTensors(const ModelDescription& model) {
    std::vector<NamedTensor> tensors;
    for (int k = 0; k < static_cast<int>(model.experts.size()); k++) {
        for (const TensorShape& shape : expertTensors(model, k)) {
            NamedTensor tensor{shape.name, shape.shape, {}, DType::Float32};
            std::size_t size = 1;
            for (std::int64_t length : shape.shape)
                size *= static_cast<std::size_t>(length);
            for (std::size_t i = 0; i < size; i++)
                tensor.values.push_back(0.25 * static_cast<double>(i % 7) - 0.5);
            tensors.push_back(std::move(tensor));
        }
    }
    return tensors;
}

inline Bytes anyFile(const ModelDescription& model) {
    return ModelFile::encode(model.toJson(), anyTensors(model));
}

/** Everything that loading a model checks: container, description, tensors, values. */
inline void readEverything(const Bytes& bytes) {
    ModelFile file = ModelFile::fromBytes(bytes, "test");
    ModelDescription model = ModelDescription::fromJson(file.getDocument(), file.getOrigin());
    checkTensors(model, file);
    for (const auto& [name, info] : file.getTensors())
        file.readTensor(name, info.shape);
}

} // namespace OpenMMScore::testing

#endif // OPENMMSCORE_TESTS_MODELFILEBYTES_H_
