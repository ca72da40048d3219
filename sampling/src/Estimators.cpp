#include "openmmscore/sampling/Estimators.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "openmmscore/models/Error.h"

namespace OpenMMScore {

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

void checkCount(std::size_t n, std::size_t found, const char* what) {
    if (n != found)
        throw ShapeError("LogWeights: there are " + std::to_string(n) + " samples but " +
                         std::to_string(found) + " " + what +
                         "; give one for each sample, also for those of weight zero");
}

/** n/(n-1), which makes variances unbiased when all weights are equal; NaN for a single sample. */
double besselFactor(std::size_t n) {
    return n > 1 ? static_cast<double>(n) / static_cast<double>(n - 1)
                 : std::numeric_limits<double>::quiet_NaN();
}

double checkedMean(const LogWeights& weights, std::span<const double> values, const char* what) {
    const auto& p = weights.getNormalized();
    checkCount(p.size(), values.size(), what);
    double mean = 0;
    for (std::size_t i = 0; i < p.size(); i++) {
        if (p[i] == 0)
            continue;
        if (!std::isfinite(values[i]))
            throw NumericalError("LogWeights: of the " + std::string(what) + " that of sample " +
                                 std::to_string(i) + " is " + std::to_string(values[i]) +
                                 "; only samples of weight zero may have such");
        mean += p[i] * values[i];
    }
    return mean;
}

} // namespace

Estimate computeAverage(const LogWeights& weights, std::span<const double> values) {
    const auto& p = weights.getNormalized();
    const double mean = checkedMean(weights, values, "values");
    double variance = 0;
    for (std::size_t i = 0; i < p.size(); i++)
        if (p[i] > 0)
            variance += p[i] * p[i] * (values[i] - mean) * (values[i] - mean);
    return {mean, std::sqrt(besselFactor(p.size()) * variance)};
}

Estimate computeLogNormalization(const LogWeights& weights) {
    const auto n = static_cast<double>(weights.getNumSamples());
    const double excess = 1 / weights.computeEffectiveSampleSize() - 1 / n;
    return {weights.getLogSum() - std::log(n),
            std::sqrt(besselFactor(weights.getNumSamples()) * std::max(0.0, excess))};
}

Estimate computeRegionDifference(const LogWeights& weights, std::span<const double> regionA,
                                 std::span<const double> regionB) {
    const auto& p = weights.getNormalized();
    const double a = checkedMean(weights, regionA, "values of region A");
    const double b = checkedMean(weights, regionB, "values of region B");
    if (!(a > 0) || !(b > 0))
        throw Error(std::string("LogWeights: no sample that has a weight lies within region ") +
                    (a > 0 ? "B" : "A") + "; its free energy is unknown, draw more samples or widen it");
    double variance = 0;
    for (std::size_t i = 0; i < p.size(); i++) {
        if (p[i] == 0)
            continue;
        const double influence = p[i] * (regionA[i] / a - regionB[i] / b);
        variance += influence * influence;
    }
    return {std::log(a / b), std::sqrt(besselFactor(p.size()) * variance)};
}

Estimate computeTargetDifference(const LogWeights& weights, const LogWeights& other) {
    const auto &p = weights.getNormalized(), &q = other.getNormalized();
    checkCount(p.size(), q.size(), "weights for the other target");
    double variance = 0;
    for (std::size_t i = 0; i < p.size(); i++)
        variance += (p[i] - q[i]) * (p[i] - q[i]);
    return {weights.getLogSum() - other.getLogSum(), std::sqrt(besselFactor(p.size()) * variance)};
}

BinProbabilities computeBinProbabilities(const LogWeights& weights, std::span<const std::int64_t> bins,
                                         std::size_t numBins) {
    const auto& p = weights.getNormalized();
    checkCount(p.size(), bins.size(), "indices of bins");
    BinProbabilities result{std::vector<double>(numBins), std::vector<double>(numBins)};
    double squares = 0;
    for (std::size_t i = 0; i < p.size(); i++) {
        squares += p[i] * p[i];
        if (bins[i] == -1)
            continue;
        if (bins[i] < 0 || bins[i] >= static_cast<std::int64_t>(numBins))
            throw ShapeError("LogWeights: the bin of sample " + std::to_string(i) + " is " +
                             std::to_string(bins[i]) + ", but there are " + std::to_string(numBins));
        result.values[bins[i]] += p[i];
        result.errors[bins[i]] += p[i] * p[i];
    }
    // The sum over all samples of p_i^2 (inside - P)^2, multiplied out: no pass over the samples for each
    // bin.
    for (std::size_t b = 0; b < numBins; b++) {
        const double inside = result.errors[b], P = result.values[b];
        const double variance = inside * (1 - P) * (1 - P) + (squares - inside) * P * P;
        result.errors[b] = std::sqrt(besselFactor(p.size()) * std::max(0.0, variance));
    }
    return result;
}

std::vector<double> reweight(std::span<const double> logWeights, std::span<const double> oldEnergies,
                             std::span<const double> newEnergies) {
    checkCount(logWeights.size(), oldEnergies.size(), "old energies");
    checkCount(logWeights.size(), newEnergies.size(), "new energies");
    std::vector<double> result(logWeights.size(), -infinity);
    for (std::size_t i = 0; i < logWeights.size(); i++) {
        if (logWeights[i] == -infinity || newEnergies[i] == infinity)
            continue;
        result[i] = logWeights[i] + oldEnergies[i] - newEnergies[i];
        if (!std::isfinite(result[i]))
            throw NumericalError("reweighting: sample " + std::to_string(i) + " has the log weight " +
                                 std::to_string(logWeights[i]) + ", the old energy " +
                                 std::to_string(oldEnergies[i]) + " and the new energy " +
                                 std::to_string(newEnergies[i]) +
                                 "; they must be finite, or the sample have a status other than 0");
    }
    return result;
}

} // namespace OpenMMScore
