#include "FlowPaths.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numbers>
#include <utility>

namespace OpenMMScore {

namespace {

constexpr double pi = std::numbers::pi;

} // namespace

FlowPaths::FlowPaths(Kind ownKind, double ownSigma, std::vector<bool> circular)
    : kind(ownKind), sigma(ownSigma), isCircular(std::move(circular)) {}

bool FlowPaths::hasCircular() const {
    return std::find(isCircular.begin(), isCircular.end(), true) != isCircular.end();
}

void FlowPaths::draw(CounterRandom& random, double* u0, double* eps) const {
    for (std::size_t k = 0; k < isCircular.size(); k++)
        u0[k] = isCircular[k] ? pi * (2.0 * random.uniform() - 1.0) : random.normal();
    for (std::size_t k = 0; k < isCircular.size(); k++)
        eps[k] = random.normal();
}

void FlowPaths::follow(double t, const double* u0, const double* u1, const double* eps, double* u,
                       double* rate) const {
    const double a = std::sin(0.5 * pi * t), s = std::cos(0.5 * pi * t);
    for (std::size_t k = 0; k < isCircular.size(); k++) {
        if (kind == Kind::Diffusion && !isCircular[k]) {
            u[k] = s * u0[k] + a * u1[k];
            rate[k] = 0.5 * pi * (s * u1[k] - a * u0[k]);
        }
        else {
            rate[k] = isCircular[k] ? std::remainder(u1[k] - u0[k], 2.0 * pi) : u1[k] - u0[k];
            u[k] = u0[k] + t * rate[k];
        }
        u[k] += sigma * eps[k];
    }
}

double FlowPaths::squaredDistance(const double* u0, const double* u1) const {
    double sum = 0.0;
    for (std::size_t k = 0; k < isCircular.size(); k++) {
        const double way = isCircular[k] ? std::remainder(u1[k] - u0[k], 2.0 * pi) : u1[k] - u0[k];
        sum += way * way;
    }
    return sum;
}

} // namespace OpenMMScore
