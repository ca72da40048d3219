// WriteModelFileSeeds <directory>: small valid files and documents from which the fuzzer sets out.

#include <filesystem>
#include <iostream>

#include "openmmscore/models/Error.h"
#include "openmmscore/models/ModelDescription.h"
#include "openmmscore/models/ModelFile.h"

using namespace OpenMMScore;

namespace {

ModelDescription mlpModel() {
    ModelDescription model;
    model.space = ModelDescription::Space::Vector;
    model.count = 1;
    ExpertDescription expert;
    expert.mlp.hidden = {1};
    expert.timeFeatures = TimeFeatures::Linear;
    model.experts = {expert};
    return model;
}

ModelDescription transformerModel() {
    ModelDescription model;
    model.count = 2;
    model.schedule.kind = ScheduleDescription::Kind::CosineDdpm;
    ExpertDescription expert;
    expert.architecture = ExpertDescription::Architecture::GraphTransformer;
    expert.graphTransformer = {1, 1, 1, 1, 1, 1e-5, Gelu::Erf, 1};
    expert.lowerTime = 0.5;
    expert.head = Head::Score;
    model.experts.push_back(expert);
    expert.lowerTime = 0;
    expert.upperTime = 0.5;
    model.experts.push_back(expert);
    model.features = {{"residue", 3}};
    model.particles = {{"CA", "C", 12, "ALA", 1}, {"CB", "", 13, "ALA", 1}};
    model.bonds = {{0, 1}};
    model.provenance = R"({"losses":[0.5,1e-3],"source":null})";
    return model;
}

void write(const std::filesystem::path& start, const ModelDescription& model, DType dtype) {
    std::vector<NamedTensor> tensors;
    for (int k = 0; k < static_cast<int>(model.experts.size()); k++) {
        for (const TensorShape& shape : expertTensors(model, k)) {
            std::size_t size = 1;
            for (std::int64_t length : shape.shape)
                size *= static_cast<std::size_t>(length);
            tensors.push_back({shape.name, shape.shape, std::vector<double>(size, 0.5), dtype});
        }
    }
    const std::string document = model.toJson();
    ModelFile::writeAtomically(start.string() + ".safetensors", ModelFile::encode(document, tensors));
    ModelFile::writeAtomically(start.string() + ".json",
                               {reinterpret_cast<const std::uint8_t*>(document.data()), document.size()});
}

} // namespace

int main(int argc, char** argv) {
    if (argc != 2) {
        std::cerr << "usage: WriteModelFileSeeds <directory>\n";
        return 2;
    }
    const std::filesystem::path directory = argv[1];
    try {
        std::filesystem::create_directories(directory);
        write(directory / "mlp", mlpModel(), DType::Float64);
        write(directory / "transformer", transformerModel(), DType::Float32);
        ModelFile::writeAtomically((directory / "tensor.safetensors").string(),
                                   ModelFile::encode("", {{"w", {1, 2}, {1, 2}}, {"s", {}, {3}}}));
    }
    catch (const std::exception& error) {
        std::cerr << error.what() << "\n";
        return 1;
    }
}
