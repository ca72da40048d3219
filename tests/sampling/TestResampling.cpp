#include <algorithm>
#include <cmath>
#include <fstream>
#include <numeric>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "openmmscore/models/Error.h"
#include "openmmscore/sampling/LogWeights.h"
#include "openmmscore/sampling/Resampling.h"

using namespace OpenMMScore;

namespace {

constexpr ResamplingScheme schemes[] = {ResamplingScheme::Multinomial, ResamplingScheme::Stratified,
                                        ResamplingScheme::Systematic, ResamplingScheme::Residual};

std::vector<double> countChosen(const std::vector<std::int64_t>& chosen, std::size_t n) {
    std::vector<double> counts(n);
    for (std::int64_t i : chosen)
        counts.at(i)++;
    return counts;
}

} // namespace

class ResamplingTest : public testing::TestWithParam<ResamplingScheme> {};
INSTANTIATE_TEST_SUITE_P(All, ResamplingTest, testing::ValuesIn(schemes));

TEST_P(ResamplingTest, ChoosesEachSampleByItsWeightOnAverage) {
    const std::vector<double> weights = {0.0, 3.1, 0.04, 0.0, 2.46, 4.4, 0.0};
    const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
    const int numSeeds = 4000, count = 6;
    std::vector<double> mean(7), square(7);
    for (int seed = 0; seed < numSeeds; seed++) {
        const auto counts = countChosen(resample(weights, count, GetParam(), seed), 7);
        EXPECT_EQ(std::accumulate(counts.begin(), counts.end(), 0.0), count);
        for (int i = 0; i < 7; i++) {
            mean[i] += counts[i] / numSeeds;
            square[i] += counts[i] * counts[i] / numSeeds;
        }
    }
    for (int i = 0; i < 7; i++) {
        const double error = std::sqrt(std::max(0.0, square[i] - mean[i] * mean[i]) / numSeeds);
        EXPECT_LE(std::abs(mean[i] - count * weights[i] / sum), 5 * error + 1e-12) << i;
    }
}

TEST_P(ResamplingTest, StaysInsideWhereWeightsSumToLessThanOne) {
    // The sum falls short of 1 by rounding and more; nothing behind the last weight may be chosen.
    for (double scale : {1.0, 1 - 1e-9, 0.5, 1e-300, 1e300}) {
        std::vector<double> weights(13, 0.0);
        std::fill(weights.begin(), weights.begin() + 10, 0.1 * scale);
        for (int seed = 0; seed < 100; seed++)
            for (std::int64_t i : resample(weights, 1000, GetParam(), seed))
                ASSERT_TRUE(i >= 0 && i < 10) << scale;
    }
}

TEST_P(ResamplingTest, IsAFunctionOfItsSeed) {
    const std::vector<double> weights = {1, 2, 3, 4, 5};
    EXPECT_EQ(resample(weights, 20, GetParam(), 9), resample(weights, 20, GetParam(), 9));
    bool differs = false;
    for (int seed = 0; seed < 10; seed++)
        differs |= resample(weights, 20, GetParam(), 9) != resample(weights, 20, GetParam(), seed);
    EXPECT_TRUE(differs);
    EXPECT_TRUE(resample(weights, 0, GetParam(), 1).empty());
}

TEST(Resampling, SystematicIsThatOfNumPy) {
    std::ifstream file(TEST_DATA_DIR "/sampling/systematic.json");
    const auto golden = nlohmann::json::parse(file);
    const LogWeights weights(golden["logWeights"].get<std::vector<double>>());
    const auto chosen = resampleSystematic(weights.getNormalized(), 300, golden["u"].get<double>());
    EXPECT_EQ(chosen, golden["indices"].get<std::vector<std::int64_t>>());
}

TEST(Resampling, SystematicHoldsAtBothEndsOfTheInterval) {
    const std::vector<double> weights = {0, 1, 1, 0};
    EXPECT_EQ(resampleSystematic(weights, 4, 0), (std::vector<std::int64_t>{1, 1, 1, 2}));
    EXPECT_EQ(resampleSystematic(weights, 4, 1), (std::vector<std::int64_t>{1, 1, 2, 2}));
    const std::vector<double> tenths(10, 0.1); // sums to 1 - 1e-16
    for (double u : {1.0, 1 - 1e-16, 1 - 1e-12}) {
        const auto chosen = resampleSystematic(tenths, 100000, u);
        EXPECT_EQ(chosen.front(), 0);
        EXPECT_EQ(chosen.back(), 9);
    }
}

TEST(Resampling, SystematicAndResidualKeepWholeCopies) {
    const std::vector<double> weights = {0.2, 0.5, 0.3};
    for (int seed = 0; seed < 50; seed++) {
        const auto systematic = countChosen(resample(weights, 10, ResamplingScheme::Systematic, seed), 3);
        const auto residual = countChosen(resample(weights, 10, ResamplingScheme::Residual, seed), 3);
        for (int i = 0; i < 3; i++) {
            EXPECT_NEAR(systematic[i], 10 * weights[i], 1);
            EXPECT_NEAR(residual[i], 10 * weights[i], 1);
        }
    }
}

TEST(Resampling, RefusesWhatIsNoWeight) {
    for (const std::vector<double>& weights :
         {std::vector<double>{1, -1}, {1, NAN}, {INFINITY, 1}, {0, 0}, {}})
        for (ResamplingScheme scheme : schemes)
            EXPECT_THROW(resample(weights, 3, scheme, 1), Error);
    EXPECT_THROW(resampleSystematic(std::vector<double>{1}, 1, -0.1), Error);
    EXPECT_THROW(resamplingSchemeFromName("fair"), Error);
}
