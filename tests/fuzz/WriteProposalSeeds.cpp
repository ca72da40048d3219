// WriteProposalSeeds <directory>: small valid proposals from which the fuzzer sets out.

#include <filesystem>
#include <iostream>

#include "openmmscore/sampling/AffineCouplingProposal.h"
#include "openmmscore/sampling/DiffusionProposal.h"
#include "openmmscore/sampling/GaussianMixtureProposal.h"
#include "openmmscore/sampling/ProposalFile.h"
#include "openmmscore/sampling/SplineFlowProposal.h"

using namespace OpenMMScore;

namespace {

GaussianMixtureProposal vectorMixture() {
    GaussianMixtureProposal::Parameters p;
    p.count = 1;
    p.frame = Proposal::Frame::Vector;
    p.weights = {1, 3};
    p.means = {0, 1};
    p.covariances = {0.1, 0.2};
    return GaussianMixtureProposal(p);
}

GaussianMixtureProposal centredNormal() {
    GaussianMixtureProposal::Parameters p;
    p.count = 2;
    p.frame = Proposal::Frame::Centred;
    p.weights = {1};
    p.means = {-0.1, 0, 0, 0.1, 0, 0};
    p.covariance = GaussianMixtureProposal::Covariance::Full;
    for (int i = 0; i < 36; i++)
        p.covariances.push_back(i % 7 == 0 ? 0.01 : 0.0);
    return GaussianMixtureProposal(p);
}

AffineCouplingProposal flow() {
    AffineCouplingProposal::Parameters p;
    p.count = 2;
    p.frame = Proposal::Frame::Vector;
    p.location = {0, 0};
    p.scale = {1, 2};
    p.layers = {{{0.5}, {0.1}, {0.3}, {0}, {0.2}, {0}}};
    return AffineCouplingProposal(p);
}

/** A perceptron and a transformer, of an angle and a number. */
SplineFlowProposal splineFlow() {
    SplineFlowDescription flow;
    flow.dimension = 2;
    flow.circular = {0};
    flow.bins = 2;
    flow.layers.resize(2);
    flow.layers[0].transformed = {1};
    flow.layers[0].hidden = {2};
    flow.layers[1].transformed = {1, 0};
    flow.layers[1].type = SplineFlowDescription::Layer::Type::Autoregressive;
    flow.layers[1].network = SplineFlowDescription::Network::Transformer;
    flow.layers[1].hidden = {2};
    flow.layers[1].heads = 1;
    flow.layers[1].feedForward = 2;
    SplineFlow::Tensors tensors;
    for (const auto& [name, shape] : splineFlowTensors(flow)) {
        std::size_t size = 1;
        for (const std::int64_t each : shape)
            size *= static_cast<std::size_t>(each);
        tensors[name].assign(size, name == "scale" ? 1.0 : 0.25);
    }
    return {2, Proposal::Frame::Vector, flow, tensors};
}

void writeDiffusion(const std::filesystem::path& path) {
    ModelDescription model;
    model.space = ModelDescription::Space::Vector;
    model.count = 1;
    ExpertDescription expert;
    expert.mlp.hidden = {1};
    expert.timeFeatures = TimeFeatures::Linear;
    model.experts = {expert};
    std::vector<NamedTensor> tensors;
    for (const TensorShape& shape : expertTensors(model, 0)) {
        const std::size_t size = shape.shape.size() == 2 ? shape.shape[0] * shape.shape[1] : shape.shape[0];
        tensors.push_back({shape.name, shape.shape, std::vector<double>(size, 0.5), DType::Float32});
    }
    DiffusionProposal::Settings settings;
    settings.frame = Proposal::Frame::Vector;
    settings.numSteps = 2;
    settings.numThreads = 1;
    auto loaded = ScoreModel::fromBytes(ModelFile::encode(model.toJson(), tensors), "seed");
    writeProposal(DiffusionProposal(std::move(loaded), settings), path.string());
}

} // namespace

int main(int argc, char** argv) {
    if (argc != 2) {
        std::cerr << "usage: WriteProposalSeeds <directory>\n";
        return 2;
    }
    const std::filesystem::path directory = argv[1];
    try {
        std::filesystem::create_directories(directory);
        writeProposal(vectorMixture(), (directory / "mixture.safetensors").string());
        writeProposal(centredNormal(), (directory / "centred.safetensors").string());
        writeProposal(flow(), (directory / "flow.safetensors").string());
        writeProposal(splineFlow(), (directory / "spline.safetensors").string());
        writeDiffusion(directory / "diffusion.safetensors");
    }
    catch (const std::exception& error) {
        std::cerr << error.what() << "\n";
        return 1;
    }
}
