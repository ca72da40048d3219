#include "openmmscore/sampling/Truncation.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "openmmscore/models/Error.h"
#include "openmmscore/sampling/LogWeights.h"

namespace OpenMMScore {

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

double computeQuantile(std::span<const double> values, double probability) {
    std::vector<double> sorted(values.begin(), values.end());
    const double position = probability * static_cast<double>(sorted.size() - 1);
    const auto below = static_cast<std::size_t>(position);
    std::ranges::nth_element(sorted, sorted.begin() + below);
    const double low = sorted[below];
    if (below + 1 == sorted.size() || low == -infinity)
        return low;
    const double high = *std::min_element(sorted.begin() + below + 1, sorted.end());
    return low + (position - static_cast<double>(below)) * (high - low);
}

} // namespace

double truncateAtRootN(std::span<double> logWeights) {
    const double limit = logSumExp(logWeights) - 0.5 * std::log(static_cast<double>(logWeights.size()));
    for (double& each : logWeights)
        each = std::min(each, limit);
    return limit;
}

double truncateAtQuantile(std::span<double> logWeights, double fraction, bool drop) {
    if (!(fraction > 0 && fraction < 1))
        throw Error("truncation: the fraction of the largest weights must lie between 0 and 1, got " +
                    std::to_string(fraction));
    const double quantile = computeQuantile(logWeights, 1 - fraction);
    if (quantile == -infinity)
        throw Error("truncation: the " + std::to_string(1 - fraction) +
                    " quantile of the weights is zero; choose a smaller fraction");
    for (double& each : logWeights)
        if (each > quantile)
            each = drop ? -infinity : quantile;
    return quantile;
}

} // namespace OpenMMScore
