#include "ProposalHandle.h"

#include <algorithm>

#include "openmmscore/models/Error.h"
#include "openmmscore/sampling/ContinuousFlowProposal.h"
#include "openmmscore/sampling/DiffusionProposal.h"
#include "openmmscore/sampling/FlowProposal.h"
#include "openmmscore/sampling/OptimalPairing.h"
#include "openmmscore/sampling/ProposalFile.h"
#include "openmmscore/sampling/SplineFlowDescription.h"

namespace OpenMMScore {

namespace {

const FlowProposal& flowOf(const Proposal& proposal) {
    if (const auto* flow = dynamic_cast<const FlowProposal*>(&proposal))
        return *flow;
    throw Error("Proposal: a " + proposal.getFamily() + " is no map from a base distribution");
}

const ContinuousFlowProposal& asFlow(const Proposal& proposal) {
    const auto* flow = dynamic_cast<const ContinuousFlowProposal*>(&proposal);
    if (flow == nullptr)
        throw Error("Proposal: is a " + proposal.getFamily() + ", expected a continuous-flow");
    return *flow;
}

} // namespace

ProposalHandle::ProposalHandle(const std::string& path) : proposal(readProposal(path)) {}

ProposalHandle* ProposalHandle::fromBytes(const std::vector<std::uint8_t>& bytes, const std::string& origin) {
    return new ProposalHandle(
        makeProposal({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, origin));
}

ProposalHandle* ProposalHandle::ofDiffusion(const ModelHandle& model, const std::vector<int>& features,
                                            double time, int numSteps, int frame, int numThreads,
                                            bool plain) {
    DiffusionProposal::Settings settings;
    settings.numSteps = numSteps;
    settings.time = time;
    settings.frame = static_cast<Proposal::Frame>(frame);
    settings.engine = plain ? ProbabilityFlow::Engine::Plain : ProbabilityFlow::Engine::Fast;
    settings.features = features;
    settings.numThreads = numThreads;
    return new ProposalHandle(std::make_shared<DiffusionProposal>(model.getModel(), std::move(settings)));
}

std::vector<std::uint8_t> ProposalHandle::encode() const {
    const std::string bytes = proposal->encode();
    return {bytes.begin(), bytes.end()};
}

void ProposalHandle::save(const std::string& path) const {
    writeProposal(*proposal, path);
}

void ProposalHandle::sample(unsigned long long seed, long long first, long long count, double* positions,
                            double* densities) const {
    proposal->sample(seed, first, count, positions, densities);
}

void ProposalHandle::logDensity(long long count, const double* x, double* densities) const {
    proposal->logDensity(count, x, densities);
}

void ProposalHandle::logDensityGradient(long long count, const double* x, double* gradients) const {
    proposal->logDensityGradient(count, x, gradients);
}

void ProposalHandle::optimalPairing(int count, int dimension, const double* x, const double* t,
                                    int* partners) {
    const std::vector<int> found = OpenMMScore::optimalPairing(x, t, count, dimension);
    std::copy(found.begin(), found.end(), partners);
}

void ProposalHandle::estimateLogDensity(long long count, const double* x, double* densities,
                                        double* variances) const {
    asFlow(*proposal).estimateLogDensity(count, x, densities, variances);
}

void ProposalHandle::computeVelocity(long long count, const double* x, const double* t, double* velocities,
                                     double* divergences) const {
    asFlow(*proposal).computeVelocity(count, x, t, velocities, divergences);
}

int ProposalHandle::getBaseDimension() const {
    const auto* flow = dynamic_cast<const FlowProposal*>(proposal.get());
    return flow == nullptr ? 0 : flow->getBaseDimension();
}

void ProposalHandle::toBase(long long count, const double* x, double* base, double* densities) const {
    flowOf(*proposal).toBase(count, x, base, densities);
}

void ProposalHandle::fromBase(long long count, const double* x, double* positions, double* densities) const {
    flowOf(*proposal).fromBase(count, x, positions, densities);
}

std::string ProposalHandle::describeSplineFlow(const std::string& settings) {
    std::string text = "{";
    for (const auto& [name, shape] : splineFlowTensors(readSplineFlowSettings(settings, "SplineFlow"))) {
        text += (text.size() > 1 ? ",\"" : "\"") + name + "\":[";
        for (std::size_t k = 0; k < shape.size(); k++)
            text += (k > 0 ? "," : "") + std::to_string(shape[k]);
        text += "]";
    }
    return text + "}";
}

} // namespace OpenMMScore
