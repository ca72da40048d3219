#include "openmmscore/models/NoiseSchedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string>

#include "openmmscore/models/Error.h"

namespace OpenMMScore {

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

CosineDdpm::CosineDdpm(int numSteps, double offset, double maxBeta) : alphaBars(numSteps) {
    auto f = [&](int n) {
        double u = (static_cast<double>(n) / numSteps + offset) / (1 + offset);
        double c = std::cos(0.5 * std::numbers::pi * u);
        return c * c;
    };
    double product = 1;
    for (int n = 0; n < numSteps; n++) {
        double beta = std::clamp(1 - f(n + 1) / f(n), 0.0, maxBeta);
        product *= 1 - beta;
        alphaBars[n] = product;
    }
}

int CosineDdpm::level(double t) const {
    if (!covers(t))
        throw ShapeError("CosineDdpm: diffusion time " + std::to_string(t) + " is none of the levels n/" +
                         std::to_string(getNumSteps()) + ", n = 0 ... " + std::to_string(getNumSteps() - 1));
    return static_cast<int>(std::lround(t * getNumSteps()));
}

double CosineDdpm::meanCoefficient(double t) const {
    return std::sqrt(alphaBars[level(t)]);
}

double CosineDdpm::sigma(double t) const {
    return std::sqrt(1 - alphaBars[level(t)]);
}

bool CosineDdpm::covers(double t) const {
    double n = t * getNumSteps();
    return n > -1e-6 && n < getNumSteps() - 1 + 1e-6 && std::abs(n - std::round(n)) < 1e-6;
}

} // namespace OpenMMScore
