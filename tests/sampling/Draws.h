#ifndef OPENMMSCORE_TESTS_DRAWS_H_
#define OPENMMSCORE_TESTS_DRAWS_H_

#include <cstdint>
#include <vector>

#include "openmmscore/sampling/Proposal.h"

namespace OpenMMScore::testing {

/** Samples and the logarithms of the densities with which they were drawn. */
struct Draw {
    std::vector<double> positions, logDensity;
};

inline Draw draw(const Proposal& proposal, std::uint64_t seed, std::int64_t first, std::int64_t count) {
    Draw result{std::vector<double>(static_cast<std::size_t>(count * proposal.getNumCoordinates())),
                std::vector<double>(static_cast<std::size_t>(count))};
    proposal.sample(seed, first, count, result.positions.data(), result.logDensity.data());
    return result;
}

/** @return log q of as many samples as there are in positions */
inline std::vector<double> densities(const Proposal& proposal, const std::vector<double>& positions) {
    std::vector<double> result(positions.size() / static_cast<std::size_t>(proposal.getNumCoordinates()));
    proposal.logDensity(static_cast<std::int64_t>(result.size()), positions.data(), result.data());
    return result;
}

} // namespace OpenMMScore::testing

#endif // OPENMMSCORE_TESTS_DRAWS_H_
