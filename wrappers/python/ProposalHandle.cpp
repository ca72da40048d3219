#include "ProposalHandle.h"

#include "openmmscore/models/Error.h"
#include "openmmscore/sampling/ContinuousFlowProposal.h"
#include "openmmscore/sampling/ProposalFile.h"

namespace OpenMMScore {

namespace {

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

void ProposalHandle::estimateLogDensity(long long count, const double* x, double* densities,
                                        double* variances) const {
    asFlow(*proposal).estimateLogDensity(count, x, densities, variances);
}

void ProposalHandle::computeVelocity(long long count, const double* x, const double* t, double* velocities,
                                     double* divergences) const {
    asFlow(*proposal).computeVelocity(count, x, t, velocities, divergences);
}

} // namespace OpenMMScore
