#ifndef OPENMMSCORE_SRC_PROPOSALSTREAM_H_
#define OPENMMSCORE_SRC_PROPOSALSTREAM_H_

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "openmmscore/sampling/Proposal.h"

namespace OpenMMScore {

/**
 * The samples of a proposal, one by one, drawn ahead in chunks: a network makes many in the time of a few.
 * Sample i is a function of (seed, i), so it does not show.
 */
class ProposalStream {
public:
    struct Sample {
        /** Shape [particles, 3], nm; valid until the next call. */
        std::span<const double> positions;
        double logDensity;
    };

    ProposalStream(std::shared_ptr<const Proposal> source, std::uint64_t seed)
        : proposal(std::move(source)), seed(seed), width(3 * std::size_t(proposal->getNumParticles())),
          positions(chunkSize * width), logDensities(chunkSize) {}

    Sample get(std::int64_t index) {
        if (first < 0 || index < first || index >= first + chunkSize) {
            first = -1;
            proposal->sample(seed, index, chunkSize, positions.data(), logDensities.data());
            first = index;
        }
        const std::size_t i = index - first;
        return {std::span<const double>(positions).subspan(i * width, width), logDensities[i]};
    }

private:
    static constexpr std::int64_t chunkSize = 64;

    const std::shared_ptr<const Proposal> proposal;
    const std::uint64_t seed;
    const std::size_t width;
    /** Index of the first sample at hand; -1 if there are none. */
    std::int64_t first = -1;
    std::vector<double> positions, logDensities;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_SRC_PROPOSALSTREAM_H_
