#include "openmmscore/sampling/Bootstrap.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "openmmscore/models/CounterRandom.h"
#include "openmmscore/models/Error.h"

namespace OpenMMScore {

namespace {

/**
 * Sum weights of each replicate and let `add` sum the rest.
 *
 * @param add  called with (sample, its count times its weight, sums [quantities])
 */
template <class Add>
BootstrapReplicates replicate(const LogWeights& weights, std::size_t numQuantities, std::size_t numReplicates,
                              std::uint64_t seed, Add add) {
    const auto& p = weights.getNormalized();
    BootstrapReplicates result;
    result.logNormalization.resize(numReplicates);
    result.averages.resize(numReplicates * numQuantities);
    std::vector<std::uint32_t> counts(p.size());
    for (std::size_t r = 0; r < numReplicates; r++) {
        drawBootstrapCounts(seed, r, counts);
        const std::span<double> sums(result.averages.data() + r * numQuantities, numQuantities);
        double sum = 0;
        for (std::size_t i = 0; i < p.size(); i++) {
            if (counts[i] == 0 || p[i] == 0)
                continue;
            const double weight = counts[i] * p[i];
            sum += weight;
            add(i, weight, sums);
        }
        for (double& each : sums)
            each = sum > 0 ? each / sum : std::numeric_limits<double>::quiet_NaN();
        result.logNormalization[r] =
            std::log(sum) + weights.getLogSum() - std::log(static_cast<double>(p.size()));
    }
    return result;
}

} // namespace

void drawBootstrapCounts(std::uint64_t seed, std::uint64_t replicate, std::span<std::uint32_t> counts) {
    std::ranges::fill(counts, 0);
    // The generator's period ends after 2^33 numbers, far beyond any n that fits in memory with its weights.
    CounterRandom random(seed, CounterRandom::Stream::Bootstrap, replicate);
    for (std::size_t i = 0; i < counts.size(); i++)
        counts[random.below(counts.size())]++;
}

BootstrapReplicates bootstrapAverages(const LogWeights& weights, std::span<const double> values,
                                      std::size_t numReplicates, std::uint64_t seed) {
    const std::size_t n = weights.getNumSamples();
    if (values.size() % n != 0)
        throw ShapeError("bootstrap: there are " + std::to_string(n) + " samples but " +
                         std::to_string(values.size()) + " values; give one for each sample and quantity");
    return replicate(weights, values.size() / n, numReplicates, seed,
                     [&](std::size_t i, double weight, std::span<double> sums) {
                         for (std::size_t k = 0; k < sums.size(); k++)
                             sums[k] += weight * values[k * n + i];
                     });
}

BootstrapReplicates bootstrapBins(const LogWeights& weights, std::span<const std::int64_t> bins,
                                  std::size_t numBins, std::size_t numReplicates, std::uint64_t seed) {
    const std::size_t n = weights.getNumSamples();
    if (bins.size() != n)
        throw ShapeError("bootstrap: there are " + std::to_string(n) + " samples but " +
                         std::to_string(bins.size()) + " indices of bins; give one for each sample");
    for (std::int64_t bin : bins)
        if (bin < -1 || bin >= static_cast<std::int64_t>(numBins))
            throw ShapeError("bootstrap: there is no bin " + std::to_string(bin) + ", there are " +
                             std::to_string(numBins));
    return replicate(weights, numBins, numReplicates, seed,
                     [&](std::size_t i, double weight, std::span<double> sums) {
                         if (bins[i] >= 0)
                             sums[bins[i]] += weight;
                     });
}

} // namespace OpenMMScore
