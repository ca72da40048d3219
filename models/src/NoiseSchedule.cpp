#include "openmmscore/models/NoiseSchedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string>

#include "openmmscore/models/Error.h"

namespace OpenMMScore {

double NoiseSchedule::noiseLevel(double t) const {
    return std::sqrt(-std::expm1(-logDecay(t)));
}

VariancePreserving::VariancePreserving(double betaMin, double betaMax) : betaMin(betaMin), betaMax(betaMax) {}

double VariancePreserving::beta(double t) const {
    return betaMin + (betaMax - betaMin) * t;
}

double VariancePreserving::logMeanCoefficient(double t) const {
    return -0.5 * betaMin * t - 0.25 * (betaMax - betaMin) * t * t;
}

double VariancePreserving::meanCoefficient(double t) const {
    return std::exp(logMeanCoefficient(t));
}

double VariancePreserving::sigma(double t) const {
    // expm1, because 1 - exp(x) has no digits left for t below 1e-8.
    return std::sqrt(-std::expm1(2 * logMeanCoefficient(t)));
}

bool VariancePreserving::covers(double t) const {
    return t >= 0 && t <= 1;
}

double VariancePreserving::timeOf(double logDecay) const {
    if (!(logDecay > 0))
        return 0;
    // The root of betaMin t + (betaMax - betaMin) t^2/2 = logDecay, without cancellation for small ones.
    const double slope = betaMax - betaMin;
    return std::min(1.0, 2 * logDecay / (betaMin + std::sqrt(betaMin * betaMin + 2 * slope * logDecay)));
}

LevelSchedule::LevelSchedule(std::vector<double> values) : alphaBars(std::move(values)) {
    for (double alphaBar : alphaBars)
        decays.push_back(-std::log(alphaBar));
}

int LevelSchedule::level(double t) const {
    if (!covers(t))
        throw ShapeError("NoiseSchedule: diffusion time " + std::to_string(t) + " is none of the levels n/" +
                         std::to_string(getNumSteps()) + ", n = 0 ... " + std::to_string(getNumSteps() - 1));
    return static_cast<int>(std::lround(t * getNumSteps()));
}

double LevelSchedule::meanCoefficient(double t) const {
    return std::sqrt(alphaBars[level(t)]);
}

double LevelSchedule::sigma(double t) const {
    return std::sqrt(1 - alphaBars[level(t)]);
}

bool LevelSchedule::covers(double t) const {
    double n = t * getNumSteps();
    return n > -1e-6 && n < getNumSteps() - 1 + 1e-6 && std::abs(n - std::round(n)) < 1e-6;
}

double LevelSchedule::logDecay(double t) const {
    const double n = std::clamp(t * getNumSteps(), 0.0, getNumSteps() - 1.0);
    const auto below = std::min(static_cast<std::size_t>(n), decays.size() - 1);
    const auto above = std::min(below + 1, decays.size() - 1);
    return std::lerp(decays[below], decays[above], n - static_cast<double>(below));
}

double LevelSchedule::timeOf(double logDecay) const {
    const auto above = std::upper_bound(decays.begin(), decays.end(), logDecay);
    if (above == decays.begin())
        return 0;
    const double n = static_cast<double>(above - decays.begin()) - 1;
    if (above == decays.end())
        return n / getNumSteps();
    const double below = *(above - 1);
    return (n + (logDecay - below) / (*above - below)) / getNumSteps();
}

namespace {

std::vector<double> cosineAlphaBars(int numSteps, double offset, double maxBeta) {
    auto f = [&](int n) {
        double u = (static_cast<double>(n) / numSteps + offset) / (1 + offset);
        double c = std::cos(0.5 * std::numbers::pi * u);
        return c * c;
    };
    std::vector<double> alphaBars(numSteps);
    double product = 1;
    for (int n = 0; n < numSteps; n++) {
        double beta = std::clamp(1 - f(n + 1) / f(n), 0.0, maxBeta);
        product *= 1 - beta;
        alphaBars[n] = product;
    }
    return alphaBars;
}

std::vector<double> polynomialAlphaBars(int numSteps, double precision) {
    auto p = [&](int n) {
        const double u = static_cast<double>(n) / numSteps;
        return (1 - 2 * precision) * (1 - u * u) + precision;
    };
    std::vector<double> alphaBars(numSteps);
    double product = 1;
    for (int n = 0; n < numSteps; n++) {
        const double ratio = p(n + 1) / p(n);
        product *= ratio * ratio < 1e-3 ? 1e-3 : ratio;
        alphaBars[n] = product;
    }
    return alphaBars;
}

} // namespace

CosineDdpm::CosineDdpm(int numSteps, double offset, double maxBeta)
    : LevelSchedule(cosineAlphaBars(numSteps, offset, maxBeta)) {}

PolynomialDdpm::PolynomialDdpm(int numSteps, double precision)
    : LevelSchedule(polynomialAlphaBars(numSteps, precision)) {}

} // namespace OpenMMScore
