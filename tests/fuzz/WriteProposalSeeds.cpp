// WriteProposalSeeds <directory>: small valid proposals from which the fuzzer sets out.

#include <filesystem>
#include <iostream>

#include "openmmscore/sampling/AffineCouplingProposal.h"
#include "openmmscore/sampling/GaussianMixtureProposal.h"
#include "openmmscore/sampling/ProposalFile.h"

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
    }
    catch (const std::exception& error) {
        std::cerr << error.what() << "\n";
        return 1;
    }
}
