// The paths that velocities are fitted to.
#include <cmath>
#include <numbers>
#include <vector>

#include <gtest/gtest.h>

#include "FlowPaths.h"

namespace OpenMMScore::testing {
namespace {

using Kind = FlowPaths::Kind;
using Vector = std::vector<double>;
constexpr double pi = std::numbers::pi;
const std::vector<bool> circular = {false, true, true, false};

Vector follow(const FlowPaths& paths, double t, const Vector& u0, const Vector& u1, const Vector& eps,
              Vector* rate = nullptr) {
    Vector u(u0.size()), unused(u0.size());
    paths.follow(t, u0.data(), u1.data(), eps.data(), u.data(), (rate ? *rate : unused).data());
    return u;
}

TEST(FlowPaths, LeadFromOneEndToTheOtherAtTheirRate) {
    const Vector u0 = {0.4, 3.0, -1.0, 2.0}, u1 = {-1.2, -3.0, 1.5, 0.1}, still(4, 0.0);
    for (Kind kind : {Kind::Straight, Kind::Diffusion}) {
        const FlowPaths paths(kind, 0.0, circular);
        const Vector first = follow(paths, 0, u0, u1, still), last = follow(paths, 1, u0, u1, still);
        for (std::size_t k = 0; k < 4; k++) {
            EXPECT_NEAR(first[k], u0[k], 1e-12);
            const double difference = last[k] - u1[k];
            EXPECT_NEAR(circular[k] ? std::remainder(difference, 2 * pi) : difference, 0.0, 1e-12);
        }
        const double t = 0.3, h = 1e-5;
        Vector rate(4);
        follow(paths, t, u0, u1, still, &rate);
        const Vector above = follow(paths, t + h, u0, u1, still), below = follow(paths, t - h, u0, u1, still);
        for (std::size_t k = 0; k < 4; k++)
            EXPECT_NEAR(rate[k], (above[k] - below[k]) / (2 * h), 1e-8);
        // From 3 to -3 by way of pi.
        EXPECT_NEAR(rate[1], 2 * pi - 6, 1e-12);
    }
    const FlowPaths blurred(Kind::Diffusion, 0.5, circular);
    const Vector eps = {1, 2, 3, 4}, with = follow(blurred, 0.3, u0, u1, eps);
    const Vector without = follow(blurred, 0.3, u0, u1, still);
    for (std::size_t k = 0; k < 4; k++)
        EXPECT_NEAR(with[k] - without[k], 0.5 * eps[k], 1e-12);
}

TEST(FlowPaths, ADiffusionLeavesNormalDataWhereTheyAre) {
    // The mean of du/dt among paths through u is a slope times u: none for a diffusion, 2t - 1 over the
    // variance if paths are straight. Angles that are uniform have none either.
    const int count = 20000;
    const double t = 0.8;
    for (Kind kind : {Kind::Straight, Kind::Diffusion}) {
        const FlowPaths paths(kind, 0.0, circular);
        Vector u0(4), u1(4), eps(4), rate(4), product(4), square(4), moment(4);
        for (int i = 0; i < count; i++) {
            CounterRandom random(5, CounterRandom::Stream::Sample, static_cast<std::uint64_t>(i));
            paths.draw(random, u0.data(), eps.data());
            paths.draw(random, u1.data(), eps.data());
            const Vector u = follow(paths, t, u0, u1, eps, &rate);
            for (std::size_t k = 0; k < 4; k++) {
                const double place = circular[k] ? std::cos(u[k]) : u[k];
                product[k] += place * rate[k] / count;
                moment[k] += std::pow(place * rate[k], 2) / count;
                square[k] += place * place / count;
                if (circular[k])
                    EXPECT_LE(std::abs(u0[k]), pi);
            }
        }
        for (std::size_t k = 0; k < 4; k++) {
            const double expected = kind == Kind::Straight && !circular[k] ? 2 * t - 1 : 0.0;
            EXPECT_NEAR(product[k], expected, 5 * std::sqrt(moment[k] / count)) << k;
            EXPECT_NEAR(square[k], circular[k] ? 0.5 : kind == Kind::Diffusion ? 1.0 : 0.68, 0.05);
        }
    }
}

TEST(FlowPaths, DistancesGoTheShorterWay) {
    const FlowPaths paths(Kind::Straight, 0.0, circular);
    const Vector u0 = {1, 3, 0, 0}, u1 = {3, -3, 0.5, 1};
    EXPECT_NEAR(paths.squaredDistance(u0.data(), u1.data()), 4 + std::pow(2 * pi - 6, 2) + 0.25 + 1, 1e-12);
    EXPECT_TRUE(paths.hasCircular());
    EXPECT_FALSE(FlowPaths(Kind::Straight, 0.0, {false, false}).hasCircular());
}

} // namespace
} // namespace OpenMMScore::testing
