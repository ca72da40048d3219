#include "openmmscore/sampling/Resampling.h"

#include <algorithm>
#include <cmath>

#include "openmmscore/models/CounterRandom.h"
#include "openmmscore/models/Error.h"

namespace OpenMMScore {

namespace {

double checkedSum(std::span<const double> weights) {
    double sum = 0;
    for (std::size_t i = 0; i < weights.size(); i++) {
        if (!(weights[i] >= 0 && std::isfinite(weights[i])))
            throw Error("resampling: the weight of sample " + std::to_string(i) + " is " +
                        std::to_string(weights[i]) + ", but weights must be finite and not negative");
        sum += weights[i];
    }
    if (!(sum > 0))
        throw Error("resampling: none of " + std::to_string(weights.size()) +
                    " samples has a weight above zero");
    return sum;
}

/** Number `index` of the sequence that a seed names. */
double uniform(std::uint64_t seed, std::uint64_t index) {
    return CounterRandom(seed, CounterRandom::Stream::Resampling, index).fineUniform();
}

std::vector<std::int64_t> resampleMultinomial(std::span<const double> weights, std::size_t count,
                                              std::uint64_t seed) {
    checkedSum(weights);
    std::vector<double> cumulative(weights.size());
    double sum = 0;
    std::size_t last = 0;
    for (std::size_t i = 0; i < weights.size(); i++) {
        cumulative[i] = sum += weights[i];
        if (weights[i] > 0)
            last = i;
    }
    std::vector<std::int64_t> chosen(count);
    for (std::size_t k = 0; k < count; k++) {
        // The first sample beyond the point; never one of weight zero, whose bin is empty.
        const auto found = std::ranges::upper_bound(cumulative, uniform(seed, k) * sum) - cumulative.begin();
        chosen[k] = std::min<std::int64_t>(found, static_cast<std::int64_t>(last));
    }
    return chosen;
}

std::vector<std::int64_t> resampleResidual(std::span<const double> weights, std::size_t count,
                                           std::uint64_t seed) {
    const double sum = checkedSum(weights);
    std::vector<std::int64_t> chosen;
    chosen.reserve(count);
    std::vector<double> rest(weights.size());
    double restSum = 0;
    for (std::size_t i = 0; i < weights.size(); i++) {
        const double expected = weights[i] / sum * static_cast<double>(count);
        const auto copies = std::min(static_cast<std::size_t>(expected), count - chosen.size());
        chosen.insert(chosen.end(), copies, static_cast<std::int64_t>(i));
        restSum += rest[i] = std::max(0.0, expected - static_cast<double>(copies));
    }
    if (chosen.size() < count) {
        // Where rounding has left less than there is to choose, all weights are multiples of 1/count.
        const auto others = resampleMultinomial(restSum > 0 ? rest : weights, count - chosen.size(), seed);
        chosen.insert(chosen.end(), others.begin(), others.end());
    }
    return chosen;
}

} // namespace

ResamplingScheme resamplingSchemeFromName(const std::string& name) {
    if (name == "multinomial")
        return ResamplingScheme::Multinomial;
    if (name == "stratified")
        return ResamplingScheme::Stratified;
    if (name == "systematic")
        return ResamplingScheme::Systematic;
    if (name == "residual")
        return ResamplingScheme::Residual;
    throw Error("resampling: there is no scheme '" + name +
                "'; choose multinomial, stratified, systematic or residual");
}

std::vector<std::int64_t> findSamples(std::span<const double> weights, std::span<const double> points) {
    const double sum = checkedSum(weights);
    std::size_t last = weights.size() - 1;
    while (weights[last] == 0)
        last--;
    std::vector<std::int64_t> chosen(points.size());
    std::size_t i = 0;
    double cumulative = weights[0];
    for (std::size_t k = 0; k < points.size(); k++) {
        // Rounding can leave the last cumulative weight below the last point: stop at the last sample.
        while (i < last && (cumulative < points[k] * sum || weights[i] == 0))
            cumulative += weights[++i];
        chosen[k] = static_cast<std::int64_t>(i);
    }
    return chosen;
}

std::vector<std::int64_t> resampleSystematic(std::span<const double> weights, std::size_t count, double u) {
    if (!(u >= 0 && u <= 1))
        throw Error("resampling: the uniform number must lie between 0 and 1, got " + std::to_string(u));
    std::vector<double> points(count);
    for (std::size_t k = 0; k < count; k++)
        points[k] = (static_cast<double>(k) + u) / static_cast<double>(count);
    return findSamples(weights, points);
}

std::vector<std::int64_t> resample(std::span<const double> weights, std::size_t count,
                                   ResamplingScheme scheme, std::uint64_t seed) {
    switch (scheme) {
    case ResamplingScheme::Multinomial:
        return resampleMultinomial(weights, count, seed);
    case ResamplingScheme::Residual:
        return resampleResidual(weights, count, seed);
    case ResamplingScheme::Systematic:
        return resampleSystematic(weights, count, uniform(seed, 0));
    case ResamplingScheme::Stratified:
        break;
    }
    std::vector<double> points(count);
    for (std::size_t k = 0; k < count; k++)
        points[k] = (static_cast<double>(k) + uniform(seed, k)) / static_cast<double>(count);
    return findSamples(weights, points);
}

} // namespace OpenMMScore
