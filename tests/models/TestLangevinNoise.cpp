#include <cmath>
#include <set>

#include <gtest/gtest.h>

#include "openmmscore/models/LangevinNoise.h"

using namespace OpenMMScore;
using Purpose = LangevinNoise::Purpose;

TEST(LangevinNoise, IsAFunctionOfItsArguments) {
    LangevinNoise noise(42);
    double first[3], later[3], other[3];
    noise.computeNormals(3, 1000000000000, 7, Purpose::Kick, first);
    noise.computeNormals(4, 5, 6, Purpose::Kick, other);
    noise.computeNormals(3, 1000000000000, 7, Purpose::Kick, later);
    for (int i = 0; i < 3; i++)
        EXPECT_EQ(first[i], later[i]);
}

TEST(LangevinNoise, EveryArgumentMatters) {
    std::set<double> seen;
    auto draw = [&](std::uint64_t seed, std::uint32_t molecule, std::uint64_t step, std::uint32_t particle,
                    Purpose purpose) {
        double xi[3];
        LangevinNoise(seed).computeNormals(molecule, step, particle, purpose, xi);
        seen.insert(xi, xi + 3);
    };
    draw(1, 2, 3, 4, Purpose::Kick);
    draw(2, 2, 3, 4, Purpose::Kick);
    draw(1ULL << 40, 2, 3, 4, Purpose::Kick);
    draw(1, 3, 3, 4, Purpose::Kick);
    draw(1, 2, 4, 4, Purpose::Kick);
    draw(1, 2, 3 + (1ULL << 32), 4, Purpose::Kick);
    draw(1, 2, 3, 5, Purpose::Kick);
    draw(1, 2, 3, 4, Purpose::SecondKick);
    EXPECT_EQ(24u, seen.size());
}

TEST(LangevinNoise, NormalsHaveTheMomentsOfANormalDistribution) {
    // The standard error of the k-th moment over n draws is sqrt((m_2k - m_k^2)/n); five of them are allowed.
    LangevinNoise noise(7);
    const int n = 200000;
    double sum[5] = {}, cross = 0;
    for (int i = 0; i < n; i++) {
        double xi[3];
        noise.computeNormals(i % 100, i / 100, i % 3, Purpose::Kick, xi);
        for (double x : xi)
            for (int k = 1; k <= 4; k++)
                sum[k] += std::pow(x, k);
        cross += xi[0] * xi[1] + xi[1] * xi[2] + xi[0] * xi[2];
    }
    const double total = 3.0 * n;
    EXPECT_NEAR(0, sum[1] / total, 5 * std::sqrt(1 / total));
    EXPECT_NEAR(1, sum[2] / total, 5 * std::sqrt(2 / total));
    EXPECT_NEAR(0, sum[3] / total, 5 * std::sqrt(15 / total));
    EXPECT_NEAR(3, sum[4] / total, 5 * std::sqrt(96 / total));
    EXPECT_NEAR(0, cross / total, 5 * std::sqrt(1 / total));
}

TEST(LangevinNoise, UniformsFillTheUnitInterval) {
    LangevinNoise noise(11);
    const int n = 100000;
    double sum = 0, square = 0;
    for (int i = 0; i < n; i++) {
        double u = noise.computeUniform(i, 0, Purpose::Acceptance);
        ASSERT_GT(u, 0);
        ASSERT_LE(u, 1);
        sum += u;
        square += u * u;
    }
    EXPECT_NEAR(0.5, sum / n, 5 * std::sqrt(1.0 / 12 / n));
    EXPECT_NEAR(1.0 / 3, square / n, 5 * std::sqrt(4.0 / 45 / n));
}
