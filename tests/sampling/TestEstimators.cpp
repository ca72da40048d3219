#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>
#include <vector>

#include <gtest/gtest.h>

#include "openmmscore/models/CounterRandom.h"
#include "openmmscore/models/Error.h"
#include "openmmscore/sampling/Bootstrap.h"
#include "openmmscore/sampling/Estimators.h"

using namespace OpenMMScore;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double notANumber = std::numeric_limits<double>::quiet_NaN();

/**
 * Draws of a standard normal in d dimensions, weighted for exp(-|x|^2 / (2 v)), whose ln Z is
 * d/2 ln(2 pi v) and whose every coordinate has the variance v.
 */
struct NormalCase {
    std::vector<double> logWeights, first, squares;

    NormalCase(int d, double v, std::size_t n, std::uint64_t seed) {
        for (std::size_t i = 0; i < n; i++) {
            CounterRandom random(seed, CounterRandom::Stream::Sample, i);
            double sum = 0, x = 0;
            for (int k = 0; k < d; k++) {
                x = random.normal();
                sum += x * x;
            }
            first.push_back(x);
            squares.push_back(sum);
            logWeights.push_back(-sum / (2 * v) + sum / 2 + d / 2.0 * std::log(2 * std::numbers::pi));
        }
    }
};

} // namespace

TEST(Estimators, EqualWeightsGiveThePlainMeanAndItsError) {
    const LogWeights weights(std::vector<double>(4, 2.5));
    const Estimate mean = computeAverage(weights, std::vector<double>{1, 2, 3, 6});
    EXPECT_DOUBLE_EQ(mean.value, 3);
    EXPECT_DOUBLE_EQ(mean.error, std::sqrt(14.0 / 3 / 4));
    const Estimate logZ = computeLogNormalization(weights);
    EXPECT_DOUBLE_EQ(logZ.value, 2.5);
    EXPECT_NEAR(logZ.error, 0, 1e-8);
}

TEST(Estimators, NormalsInOneToSixtySixDimensionsAreMatched) {
    for (int d : {1, 3, 22, 66}) {
        const double v = 1 - 0.5 / std::sqrt(d);
        const NormalCase normal(d, v, 20000, d);
        const LogWeights weights(normal.logWeights);
        EXPECT_TRUE(weights.computeWarnings().empty()) << d;
        const Estimate logZ = computeLogNormalization(weights);
        EXPECT_NEAR(logZ.value, d / 2.0 * std::log(2 * std::numbers::pi * v), 5 * logZ.error) << d;
        const Estimate squares = computeAverage(weights, normal.squares);
        EXPECT_NEAR(squares.value, d * v, 5 * squares.error) << d;
        EXPECT_LT(squares.error, 0.05 * d * v) << d;
        // P(x > 1/2) against P(x < 0).
        std::vector<double> above, below;
        for (double x : normal.first) {
            above.push_back(x > 0.5);
            below.push_back(x < 0);
        }
        const Estimate difference = computeRegionDifference(weights, below, above);
        const double exact = -std::log(std::erfc(0.5 / std::sqrt(2 * v)));
        EXPECT_NEAR(difference.value, exact, 5 * difference.error) << d;
        EXPECT_LT(difference.error, 0.1) << d;
    }
}

TEST(Estimators, ASingleSampleHasNoError) {
    const LogWeights weights(std::vector<double>{1.5});
    EXPECT_TRUE(std::isnan(computeAverage(weights, std::vector<double>{2}).error));
    EXPECT_TRUE(std::isnan(computeLogNormalization(weights).error));
    EXPECT_EQ(computeLogNormalization(weights).value, 1.5);
}

TEST(Estimators, RegionsShareTheirFluctuations) {
    const NormalCase normal(2, 0.8, 1000, 1);
    const LogWeights weights(normal.logWeights);
    std::vector<double> inside, outside;
    for (double x : normal.first) {
        inside.push_back(x > 0);
        outside.push_back(x <= 0);
    }
    EXPECT_EQ(computeRegionDifference(weights, inside, inside).error, 0);
    // For complements, d ln(p/(1-p)) = dp / (p (1-p)).
    const Estimate p = computeAverage(weights, inside);
    const Estimate difference = computeRegionDifference(weights, inside, outside);
    EXPECT_NEAR(difference.value, std::log(p.value / (1 - p.value)), 1e-12);
    EXPECT_NEAR(difference.error, p.error / (p.value * (1 - p.value)), 1e-12);
}

TEST(Estimators, TargetsOfTheSameDrawsShareTheirFluctuations) {
    const NormalCase normal(3, 0.8, 1000, 2);
    std::vector<double> shifted = normal.logWeights, other;
    for (std::size_t i = 0; i < shifted.size(); i++) {
        shifted[i] += 7;
        other.push_back(normal.logWeights[i] + 0.02 * normal.first[i]);
    }
    const LogWeights weights(normal.logWeights);
    const Estimate shift = computeTargetDifference(weights, LogWeights(shifted));
    EXPECT_NEAR(shift.value, -7, 1e-12);
    EXPECT_NEAR(shift.error, 0, 1e-12);
    const Estimate small = computeTargetDifference(weights, LogWeights(other));
    EXPECT_LT(small.error, 0.2 * computeLogNormalization(weights).error);
}

TEST(Estimators, BinsAreAveragesOfTheirIndicators) {
    const NormalCase normal(1, 0.7, 500, 3);
    const LogWeights weights(normal.logWeights);
    std::vector<std::int64_t> bins;
    for (double x : normal.first)
        bins.push_back(x < -1 ? -1 : x < 0 ? 0 : x < 1 ? 1 : 2);
    const BinProbabilities result = computeBinProbabilities(weights, bins, 3);
    for (int b = 0; b < 3; b++) {
        std::vector<double> inside;
        for (std::int64_t bin : bins)
            inside.push_back(bin == b);
        const Estimate expected = computeAverage(weights, inside);
        EXPECT_NEAR(result.values[b], expected.value, 1e-14);
        EXPECT_NEAR(result.errors[b], expected.error, 1e-12);
    }
    bins[7] = 3;
    EXPECT_THROW(computeBinProbabilities(weights, bins, 3), ShapeError);
    bins[7] = -2;
    EXPECT_THROW(computeBinProbabilities(weights, bins, 3), ShapeError);
    EXPECT_THROW(bootstrapBins(weights, bins, 3, 5, 1), ShapeError);
}

TEST(Estimators, SamplesOfWeightZeroAreNotLookedAt) {
    const LogWeights weights(std::vector<double>{0, -infinity, 0}, {});
    EXPECT_DOUBLE_EQ(computeAverage(weights, std::vector<double>{1, notANumber, 3}).value, 2);
    EXPECT_THROW(computeAverage(weights, std::vector<double>{notANumber, 1, 3}), NumericalError);
    EXPECT_THROW(computeAverage(weights, std::vector<double>{1, 3}), ShapeError);
    EXPECT_THROW(computeRegionDifference(weights, std::vector<double>{1, 1, 0}, std::vector<double>{0, 1, 0}),
                 Error);
}

TEST(Estimators, ReweightingAddsOldEnergiesAndSubtractsNewOnes) {
    const std::vector<double> weights = {1, -infinity, 2, 3}, before = {5, notANumber, 6, 7};
    const auto result = reweight(weights, before, std::vector<double>{4, notANumber, infinity, 7});
    EXPECT_EQ(result, (std::vector<double>{2, -infinity, -infinity, 3}));
    EXPECT_THROW(reweight(weights, before, std::vector<double>{4, 0, notANumber, 7}), NumericalError);
    EXPECT_THROW(reweight(weights, before, std::vector<double>{4, 0, -infinity, 7}), NumericalError);
    EXPECT_THROW(reweight(weights, std::vector<double>{infinity, 0, 0, 0}, std::vector<double>(4)),
                 NumericalError);
    EXPECT_THROW(reweight(weights, before, std::vector<double>(3)), ShapeError);
}

TEST(Bootstrap, DrawsAsManyAsThereAre) {
    std::vector<std::uint32_t> counts(1001), again(1001);
    drawBootstrapCounts(4, 17, counts);
    EXPECT_EQ(std::accumulate(counts.begin(), counts.end(), 0u), 1001u);
    drawBootstrapCounts(4, 17, again);
    EXPECT_EQ(counts, again);
    drawBootstrapCounts(4, 18, again);
    EXPECT_NE(counts, again);
}

TEST(Bootstrap, AReplicateDoesNotDependOnHowManyThereAre) {
    const NormalCase normal(1, 0.7, 300, 5);
    const LogWeights weights(normal.logWeights);
    const auto few = bootstrapAverages(weights, normal.first, 3, 8);
    const auto many = bootstrapAverages(weights, normal.first, 10, 8);
    for (int r = 0; r < 3; r++) {
        EXPECT_EQ(few.averages[r], many.averages[r]);
        EXPECT_EQ(few.logNormalization[r], many.logNormalization[r]);
    }
}

TEST(Bootstrap, SpreadsAsTheDeltaMethodSays) {
    const NormalCase normal(2, 0.8, 2000, 6);
    const LogWeights weights(normal.logWeights);
    const int replicates = 800;
    const auto result = bootstrapAverages(weights, normal.first, replicates, 1);
    double mean = 0, square = 0, logZ = 0, logZSquare = 0;
    for (int r = 0; r < replicates; r++) {
        mean += result.averages[r] / replicates;
        square += result.averages[r] * result.averages[r] / replicates;
        logZ += result.logNormalization[r] / replicates;
        logZSquare += result.logNormalization[r] * result.logNormalization[r] / replicates;
    }
    // 800 replicates know a standard deviation to 2.5 %.
    EXPECT_NEAR(std::sqrt(square - mean * mean) / computeAverage(weights, normal.first).error, 1, 0.15);
    EXPECT_NEAR(std::sqrt(logZSquare - logZ * logZ) / computeLogNormalization(weights).error, 1, 0.15);
    EXPECT_NEAR(mean, computeAverage(weights, normal.first).value,
                5 * computeAverage(weights, normal.first).error / std::sqrt(replicates) + 1e-3);
}
