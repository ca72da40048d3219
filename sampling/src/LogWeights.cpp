#include "openmmscore/sampling/LogWeights.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <utility>

#include "openmmscore/models/Error.h"
#include "openmmscore/sampling/ParetoSmoothing.h"

namespace OpenMMScore {

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

std::string describe(const char* format, double value) {
    char text[200];
    std::snprintf(text, sizeof text, format, value);
    return text;
}

} // namespace

double logSumExp(std::span<const double> x) {
    const double largest = x.empty() ? -infinity : *std::ranges::max_element(x);
    if (!std::isfinite(largest))
        return largest;
    double sum = 0;
    for (double each : x)
        sum += std::exp(each - largest);
    return largest + std::log(sum);
}

LogWeights::LogWeights(std::vector<double> logWeights, std::span<const std::int32_t> status)
    : logarithms(std::move(logWeights)) {
    const std::size_t n = logarithms.size();
    if (n == 0)
        throw ShapeError("LogWeights: there are no samples");
    if (!status.empty() && status.size() != n)
        throw ShapeError("LogWeights: there are " + std::to_string(n) + " log weights but " +
                         std::to_string(status.size()) + " statuses; give one for each sample");
    for (std::size_t i = 0; i < n; i++) {
        if (!status.empty() && status[i] != 0) {
            logarithms[i] = -infinity;
            numRejected++;
        }
        if (std::isnan(logarithms[i]) || logarithms[i] == infinity)
            throw NumericalError("LogWeights: the log weight of sample " + std::to_string(i) + " is " +
                                 std::to_string(logarithms[i]) +
                                 "; give such a sample a status other than 0, and it will count as one of "
                                 "weight zero");
        numZero += logarithms[i] == -infinity ? 1 : 0;
    }
    if (numZero == n)
        throw NumericalError("LogWeights: none of " + std::to_string(n) +
                             " samples has a weight above zero (" + std::to_string(numRejected) +
                             " have a status other than 0); proposal and target do not overlap");
    const double largest = *std::ranges::max_element(logarithms);
    normalized.resize(n);
    double sum = 0;
    for (std::size_t i = 0; i < n; i++)
        sum += normalized[i] = std::exp(logarithms[i] - largest);
    for (double& each : normalized)
        each /= sum;
    logSum = largest + std::log(sum);
}

double LogWeights::computeEffectiveSampleSize() const {
    double sum = 0, squares = 0;
    for (double w : normalized) {
        sum += w;
        squares += w * w;
    }
    return sum * sum / squares;
}

double LogWeights::computePerplexity() const {
    double entropy = 0;
    for (double w : normalized)
        entropy -= w > 0 ? w * std::log(w) : 0;
    return std::exp(entropy);
}

double LogWeights::computeLargestShare() const {
    return *std::ranges::max_element(normalized);
}

std::vector<std::string> LogWeights::computeWarnings() const {
    std::vector<std::string> sentences;
    const double k = computeParetoK(logarithms);
    if (k == infinity)
        sentences.push_back(
            "The tail of the weights cannot be judged: too few of them are different; draw more "
            "samples");
    else if (k > 0.7)
        sentences.push_back(describe(
            "The weights have a heavy tail (Pareto k-hat %.2f, above 0.7): averages and their errors "
            "cannot be trusted, and more samples alone will hardly help; the proposal misses part of "
            "the target",
            k));
    const double size = computeEffectiveSampleSize();
    if (size < 100)
        sentences.push_back(
            describe("The weights are worth %.1f independent samples, fewer than 100: averages are "
                     "coarse and their errors uncertain; draw more samples or improve the proposal",
                     size));
    return sentences;
}

} // namespace OpenMMScore
