#ifndef OPENMMSCORE_SAMPLING_BOOTSTRAP_H_
#define OPENMMSCORE_SAMPLING_BOOTSTRAP_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "openmmscore/sampling/LogWeights.h"

namespace OpenMMScore {

/**
 * Draw n samples out of n with replacement. Replicate r of a seed is the same whichever others are computed.
 * Source: B. Efron, Bootstrap methods: another look at the jackknife, Ann. Stat. 7 (1979).
 *
 * @param counts  written: [n], how many times each sample was drawn; the sum is n
 */
void drawBootstrapCounts(std::uint64_t seed, std::uint64_t replicate, std::span<std::uint32_t> counts);

/** Bootstrap replicates of what estimators are functions of. */
struct BootstrapReplicates {
    std::vector<double> logNormalization; ///< [replicates]; -infinity if no sample drawn has a weight
    std::vector<double> averages;         ///< [replicates, quantities]; NaN in that case
};

/**
 * Recompute weighted averages and ln Z on resampled data. The standard deviation over replicates of anything
 * computed from them is its standard error. Costs replicates * n * (1 + quantities); the memory is 4 n bytes
 * and the result.
 *
 * @param values  shape [quantities, n]; not looked at where the weight is zero
 * @throws ShapeError  if the size of values is not a multiple of n
 */
BootstrapReplicates bootstrapAverages(const LogWeights& weights, std::span<const double> values,
                                      std::size_t numReplicates, std::uint64_t seed);

/**
 * The same for the bins of a histogram.
 *
 * @param bins  shape [n]: from 0 to numBins-1, or -1 for a sample that is in none of them
 * @return averages [replicates, numBins] are the probabilities of the bins
 */
BootstrapReplicates bootstrapBins(const LogWeights& weights, std::span<const std::int64_t> bins,
                                  std::size_t numBins, std::size_t numReplicates, std::uint64_t seed);

} // namespace OpenMMScore

#endif // OPENMMSCORE_SAMPLING_BOOTSTRAP_H_
