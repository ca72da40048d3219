#ifndef OPENMMSCORE_TESTS_PROPOSALS_H_
#define OPENMMSCORE_TESTS_PROPOSALS_H_

#include <cstddef>
#include <vector>

#include "TestModels.h"
#include "openmmscore/sampling/AffineCouplingProposal.h"
#include "openmmscore/sampling/ContinuousFlowProposal.h"
#include "openmmscore/sampling/GaussianMixtureProposal.h"

namespace OpenMMScore::testing {

inline std::vector<double> anyNumbers(Filler& filler, std::size_t count, double scale, double centre = 0) {
    std::vector<double> values(count);
    for (double& value : values)
        value = centre + scale * filler.next();
    return values;
}

/** @return [K, width, width]: A A^T plus a diagonal, with correlations of every sign */
inline std::vector<double> anyMatrices(Filler& filler, std::size_t count, std::size_t width) {
    std::vector<double> result(count * width * width);
    for (std::size_t k = 0; k < count; k++) {
        const std::vector<double> a = anyNumbers(filler, width * width, 0.2);
        for (std::size_t i = 0; i < width; i++)
            for (std::size_t j = 0; j < width; j++) {
                double sum = i == j ? 0.02 : 0;
                for (std::size_t m = 0; m < width; m++)
                    sum += a[i * width + m] * a[j * width + m];
                result[(k * width + i) * width + j] = sum;
            }
    }
    return result;
}

inline GaussianMixtureProposal::Parameters mixture(int numParticles, std::size_t components,
                                                   GaussianMixtureProposal::Covariance covariance,
                                                   Proposal::Frame frame = Proposal::Frame::Absolute) {
    Filler filler;
    const std::size_t width = 3 * static_cast<std::size_t>(numParticles);
    GaussianMixtureProposal::Parameters p;
    p.count = numParticles;
    p.frame = frame;
    p.weights = anyNumbers(filler, components, 0.5, 1);
    p.means = anyNumbers(filler, components * width, 0.2);
    p.covariance = covariance;
    if (covariance == GaussianMixtureProposal::Covariance::Full)
        p.covariances = anyMatrices(filler, components, width);
    else
        p.covariances = anyNumbers(
            filler, components * (covariance == GaussianMixtureProposal::Covariance::Diagonal ? width : 1),
            0.01, 0.03);
    return p;
}

inline AffineCouplingProposal::Parameters coupling(int numParticles, std::size_t numLayers,
                                                   std::size_t hidden,
                                                   Proposal::Frame frame = Proposal::Frame::Absolute) {
    Filler filler;
    const FrameCoordinates coordinates(numParticles, frame);
    const auto d = static_cast<std::size_t>(coordinates.getDimension());
    AffineCouplingProposal::Parameters p;
    p.count = numParticles;
    p.frame = frame;
    p.location = anyNumbers(filler, d, 0.1);
    p.scale = anyNumbers(filler, d, 0.03, 0.1);
    for (std::size_t l = 0; l < numLayers; l++) {
        const std::size_t kept = AffineCouplingProposal::countKept(d, l), changed = d - kept;
        p.layers.push_back({anyNumbers(filler, hidden * kept, 1), anyNumbers(filler, hidden, 0.5),
                            anyNumbers(filler, changed * hidden, 0.5), anyNumbers(filler, changed, 0.3),
                            anyNumbers(filler, changed * hidden, 0.7), anyNumbers(filler, changed, 0.3)});
    }
    return p;
}

/** A flow of any numbers; weights are as large as keeps velocities of order 1. */
inline ContinuousFlowProposal::Parameters continuousFlow(ContinuousFlowDescription flow) {
    Filler filler;
    ContinuousFlowProposal::Parameters p;
    p.flow = std::move(flow);
    p.flow.timeFrequencies = p.flow.network == ContinuousFlowDescription::Network::GraphTransformer ? 0 : 2;
    for (const TensorShape& tensor : p.flow.getTensors()) {
        const bool matrix = tensor.shape.size() == 2;
        const auto in = static_cast<double>(tensor.shape.back());
        p.tensors.push_back(
            anyNumbers(filler, static_cast<std::size_t>(tensor.shape[0] * (matrix ? tensor.shape[1] : 1)),
                       matrix ? 2.5 / std::sqrt(in) : 0.5));
    }
    for (double& scale : p.tensors[1])
        scale = 0.1 + 0.05 * scale;
    for (int c : p.flow.circular)
        p.tensors[1][static_cast<std::size_t>(c)] = 1;
    p.solver.absoluteTolerance = p.solver.relativeTolerance = 1e-9;
    return p;
}

inline ContinuousFlowProposal::Parameters continuousFlow(int count, std::vector<int> hidden,
                                                         Proposal::Frame frame = Proposal::Frame::Absolute) {
    ContinuousFlowDescription flow;
    flow.count = count;
    flow.frame = frame;
    flow.mlp.hidden = std::move(hidden);
    return continuousFlow(std::move(flow));
}

/** A flow of plain vectors, of which some coordinates are circular. */
inline ContinuousFlowProposal::Parameters circularFlow(int count, std::vector<int> circular,
                                                       std::vector<int> hidden) {
    ContinuousFlowDescription flow;
    flow.count = count;
    flow.frame = Proposal::Frame::Vector;
    flow.mlp.hidden = std::move(hidden);
    flow.circular = std::move(circular);
    flow.angleFrequencies = 2;
    return continuousFlow(std::move(flow));
}

inline ContinuousFlowProposal::Parameters egnnFlow(int count, int hidden, int layers, Proposal::Frame frame) {
    ContinuousFlowDescription flow;
    flow.count = count;
    flow.frame = frame;
    flow.network = ContinuousFlowDescription::Network::Egnn;
    flow.egnn = {hidden, layers, 3, 1.0};
    return continuousFlow(std::move(flow));
}

inline ContinuousFlowProposal::Parameters transformerFlow(int count, Proposal::Frame frame, int heads = 2) {
    ContinuousFlowDescription flow;
    flow.count = count;
    flow.frame = frame;
    flow.network = ContinuousFlowDescription::Network::GraphTransformer;
    flow.graphTransformer = {4, 1, heads, 3, 6};
    return continuousFlow(std::move(flow));
}

} // namespace OpenMMScore::testing

#endif // OPENMMSCORE_TESTS_PROPOSALS_H_
