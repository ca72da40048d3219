#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <utility>

#include "openmmscore/models/Error.h"
#include "openmmscore/sampling/Mbar.h"

namespace OpenMMScore {

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

/** Sums over samples of f = 1/(1 + exp(work + shift)), of f^2 and of f (1 - f). */
struct FermiSums {
    double first = 0, second = 0, slope = 0;

    FermiSums(std::span<const double> works, double shift) {
        for (double work : works) {
            const double f = 1 / (1 + std::exp(work + shift));
            first += f;
            second += f * f;
            slope += f * (1 - f);
        }
    }
};

void checkWorks(std::span<const double> works, const char* name) {
    if (works.empty())
        throw Error(std::string("bar: there are no ") + name + " works");
    for (std::size_t i = 0; i < works.size(); i++)
        if (std::isnan(works[i]) || works[i] == -infinity)
            throw NumericalError(
                std::string("bar: the ") + name + " work of sample " + std::to_string(i) + " is " +
                std::to_string(works[i]) +
                "; leave such a sample out, or make it +infinity if the other state forbids it");
}

[[noreturn]] void failWithoutOverlap() {
    throw Error(
        "bar: the two states do not overlap: the works are too large for a free energy difference; put "
        "states between them");
}

/** @return lower and upper bounds of the difference: the works of both directions, and what counts add */
std::pair<double, double> findBracket(std::span<const double> forward, std::span<const double> reverse) {
    double low = infinity, high = -infinity;
    for (double work : forward)
        if (work < infinity) {
            low = std::min(low, work);
            high = std::max(high, work);
        }
    if (low == infinity)
        failWithoutOverlap();
    for (double work : reverse)
        if (work < infinity) {
            low = std::min(low, -work);
            high = std::max(high, -work);
        }
    const double margin = 10 + 2 * std::log(static_cast<double>(forward.size() + reverse.size()));
    return {low - margin, high + margin};
}

} // namespace

Estimate computeBar(std::span<const double> forward, std::span<const double> reverse) {
    checkWorks(forward, "forward");
    checkWorks(reverse, "reverse");
    const auto numForward = static_cast<double>(forward.size()),
               numReverse = static_cast<double>(reverse.size());
    const double M = std::log(numForward / numReverse);
    auto [low, high] = findBracket(forward, reverse);
    // Both sums are monotonic in the difference, in opposite directions: Newton's method, kept in the
    // bracket.
    double difference = (low + high) / 2;
    for (int iteration = 0; iteration < 200; iteration++) {
        const FermiSums f(forward, M - difference), r(reverse, difference - M);
        const double excess = f.first - r.first;
        (excess > 0 ? high : low) = difference;
        const double newton = difference - excess / (f.slope + r.slope);
        const double next = newton > low && newton < high ? newton : (low + high) / 2;
        const double change = std::abs(next - difference);
        difference = next;
        if (change <= 1e-13 * (1 + std::abs(difference)))
            break;
    }
    const FermiSums f(forward, M - difference), r(reverse, difference - M);
    const double variance =
        f.second / (f.first * f.first) + r.second / (r.first * r.first) - 1 / numForward - 1 / numReverse;
    if (!std::isfinite(variance))
        failWithoutOverlap();
    return {difference, std::sqrt(std::max(0.0, variance))};
}

} // namespace OpenMMScore
