#include "openmmscore/sampling/ParetoSmoothing.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "openmmscore/sampling/LogWeights.h"

namespace OpenMMScore {

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

/** The mean over y of log(1 - b y), which is -k for the right b. */
double meanLog(double b, std::span<const double> y) {
    double sum = 0;
    for (double each : y)
        sum += std::log1p(-b * each);
    return sum / static_cast<double>(y.size());
}

/**
 * Fit k and scale to excesses over a threshold, by Zhang & Stephens' empirical Bayes estimate.
 *
 * @param y  in ascending order, all above zero
 */
void fitExcesses(std::span<const double> y, double& k, double& scale) {
    const auto n = static_cast<double>(y.size());
    const int numPoints = 30 + static_cast<int>(std::sqrt(n));
    // The number n/4 + 1/2, rounded down.
    const double quartile = y[(y.size() + 2) / 4 - 1];
    std::vector<double> b(numPoints), logLikelihood(numPoints);
    for (int j = 0; j < numPoints; j++) {
        b[j] = (1 - std::sqrt(numPoints / (j + 0.5))) / (3 * quartile) + 1 / y.back();
        const double mean = meanLog(b[j], y);
        logLikelihood[j] = n * (std::log(-b[j] / mean) - mean - 1);
    }
    const double logSum = logSumExp(logLikelihood);
    double sum = 0, posterior = 0;
    for (int j = 0; j < numPoints; j++) {
        const double weight = std::exp(logLikelihood[j] - logSum);
        // What is negligible is left out, as in ArviZ, whose numbers these must be.
        if (weight >= 10 * std::numeric_limits<double>::epsilon()) {
            sum += weight;
            posterior += weight * b[j];
        }
    }
    posterior /= sum;
    const double mean = meanLog(posterior, y);
    scale = -mean / posterior;
    // The prior counts as ten observations of k = 1/2.
    k = (n * mean + 10 * 0.5) / (n + 10);
}

} // namespace

ParetoTail fitParetoTail(std::span<const double> logWeights) {
    const std::size_t n = logWeights.size();
    const double size = static_cast<double>(n);
    const auto numTail = static_cast<std::size_t>(std::ceil(std::min(size / 5, 3 * std::sqrt(size))));
    const double largest = *std::ranges::max_element(logWeights);
    ParetoTail tail{infinity, 0, 0, {}};
    if (numTail >= n)
        return tail;
    std::vector<double> sorted(logWeights.begin(), logWeights.end());
    std::ranges::nth_element(sorted, sorted.begin() + numTail, std::greater<>());
    const double cutoff = std::max(sorted[numTail] - largest, std::log(std::numeric_limits<double>::min()));
    // Differences of rounding are no tail.
    if (numTail > 4 && cutoff > -1e-10) {
        tail.k = -infinity;
        return tail;
    }
    for (std::size_t i = 0; i < n; i++)
        if (logWeights[i] - largest > cutoff)
            tail.samples.push_back(i);
    std::ranges::stable_sort(tail.samples, {}, [&](std::size_t i) { return logWeights[i]; });
    tail.threshold = std::exp(cutoff);
    if (tail.samples.size() <= 4)
        return tail;
    std::vector<double> excesses;
    excesses.reserve(tail.samples.size());
    for (std::size_t i : tail.samples)
        excesses.push_back(std::exp(logWeights[i] - largest) - tail.threshold);
    fitExcesses(excesses, tail.k, tail.scale);
    if (!std::isfinite(tail.k))
        tail.k = infinity;
    return tail;
}

double computeParetoK(std::span<const double> logWeights) {
    return fitParetoTail(logWeights).k;
}

double paretoSmooth(std::span<double> logWeights) {
    const ParetoTail tail = fitParetoTail(logWeights);
    if (!std::isfinite(tail.k) || !(tail.scale > 0))
        return tail.k;
    const double largest = *std::ranges::max_element(logWeights);
    const auto m = static_cast<double>(tail.samples.size());
    for (std::size_t j = 0; j < tail.samples.size(); j++) {
        const double logSurvival = std::log1p(-(static_cast<double>(j) + 0.5) / m);
        const double quantile = std::abs(tail.k) < std::numeric_limits<double>::epsilon()
                                    ? -logSurvival
                                    : std::expm1(-tail.k * logSurvival) / tail.k;
        logWeights[tail.samples[j]] =
            largest + std::min(0.0, std::log(tail.scale * quantile + tail.threshold));
    }
    return tail.k;
}

} // namespace OpenMMScore
