#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <numeric>
#include <span>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "openmmscore/models/CounterRandom.h"
#include "openmmscore/models/Error.h"
#include "openmmscore/sampling/LogWeights.h"
#include "openmmscore/sampling/ParetoSmoothing.h"
#include "openmmscore/sampling/Truncation.h"

using namespace OpenMMScore;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double notANumber = std::numeric_limits<double>::quiet_NaN();

/** Weights with a Pareto tail: P(w > x) = x^(-1/k). */
std::vector<double> drawPareto(std::size_t n, double k, std::uint64_t seed) {
    std::vector<double> logWeights(n);
    for (std::size_t i = 0; i < n; i++)
        logWeights[i] = -k * std::log(CounterRandom(seed, CounterRandom::Stream::Sample, i).fineUniform());
    return logWeights;
}

std::string messageOf(const std::vector<double>& logWeights, const std::vector<std::int32_t>& status = {}) {
    try {
        LogWeights weights(logWeights, status);
    }
    catch (const Error& e) {
        return e.what();
    }
    return "";
}

} // namespace

TEST(LogSumExp, HoldsWhereExponentialsOverflow) {
    EXPECT_NEAR(logSumExp(std::vector<double>{1000, 1000}), 1000 + std::log(2.0), 1e-12);
    EXPECT_NEAR(logSumExp(std::vector<double>{-1000, -1000 + std::log(3.0)}), -1000 + std::log(4.0), 1e-12);
    EXPECT_EQ(logSumExp({}), -infinity);
    EXPECT_EQ(logSumExp(std::vector<double>{-infinity, -infinity}), -infinity);
    EXPECT_NEAR(logSumExp(std::vector<double>{-infinity, 2}), 2, 1e-15);
}

TEST(LogWeights, EqualWeightsAreWorthAllSamples) {
    const LogWeights weights(std::vector<double>(64, -700.0));
    EXPECT_DOUBLE_EQ(weights.computeEffectiveSampleSize(), 64);
    EXPECT_NEAR(weights.computePerplexity(), 64, 1e-11);
    EXPECT_DOUBLE_EQ(weights.computeLargestShare(), 1.0 / 64);
    EXPECT_NEAR(weights.getLogSum(), -700 + std::log(64), 1e-12);
}

TEST(LogWeights, OneWeightIsWorthOneSample) {
    const LogWeights weights(std::vector<double>{-infinity, 5, -2000});
    EXPECT_DOUBLE_EQ(weights.computeEffectiveSampleSize(), 1);
    EXPECT_DOUBLE_EQ(weights.computePerplexity(), 1);
    EXPECT_EQ(weights.getNumZero(), 1u);
}

TEST(LogWeights, SamplesWithAStatusHaveWeightZeroAndAreCounted) {
    const LogWeights weights(std::vector<double>{0, notANumber, infinity, 0, -infinity},
                             std::vector<std::int32_t>{0, 1, 7, 0, 0});
    EXPECT_EQ(weights.getNumSamples(), 5u);
    EXPECT_EQ(weights.getNumRejected(), 2u);
    EXPECT_EQ(weights.getNumZero(), 3u);
    EXPECT_EQ(weights.getNormalized(), (std::vector<double>{0.5, 0, 0, 0.5, 0}));
}

TEST(LogWeights, RefusesWhatIsNoWeight) {
    EXPECT_NE(messageOf({0, notANumber}).find("sample 1 is nan"), std::string::npos);
    EXPECT_NE(messageOf({infinity}).find("sample 0 is inf"), std::string::npos);
    EXPECT_NE(messageOf({-infinity}).find("none of 1 samples"), std::string::npos);
    EXPECT_NE(messageOf({}).find("no samples"), std::string::npos);
    EXPECT_NE(messageOf({0, 0}, {0}).find("2 log weights but 1 statuses"), std::string::npos);
    EXPECT_NE(messageOf({0}, {3}).find("1 have a status"), std::string::npos);
}

TEST(LogWeights, WarnsOfHeavyTailsAndOfFewSamples) {
    EXPECT_EQ(LogWeights(drawPareto(2000, 0.3, 1)).computeWarnings().size(), 0u);
    const auto sentences = LogWeights(drawPareto(2000, 1.2, 1)).computeWarnings();
    ASSERT_EQ(sentences.size(), 2u);
    EXPECT_NE(sentences[0].find("above 0.7"), std::string::npos);
    EXPECT_NE(sentences[1].find("fewer than 100"), std::string::npos);
}

TEST(ParetoSmoothing, FindsTheShapeOfATail) {
    // The tail of n = 40000 holds 600 samples: k is known to about (1 + k)/sqrt(600).
    for (double k : {0.2, 0.5, 0.9, 1.5}) {
        const double found = computeParetoK(drawPareto(40000, k, 3));
        EXPECT_NEAR(found, k, 5 * (1 + k) / std::sqrt(600.0));
    }
}

TEST(ParetoSmoothing, ChangesTheTailAloneAndKeepsItsOrderAndBound) {
    const std::vector<double> raw = drawPareto(1000, 0.8, 4);
    std::vector<double> smoothed = raw;
    EXPECT_DOUBLE_EQ(paretoSmooth(smoothed), computeParetoK(raw));
    const ParetoTail tail = fitParetoTail(raw);
    EXPECT_EQ(tail.samples.size(), 95u);
    const double largest = raw[tail.samples.back()];
    std::size_t changed = 0;
    for (std::size_t i = 0; i < raw.size(); i++)
        changed += raw[i] != smoothed[i] ? 1 : 0;
    EXPECT_LE(changed, tail.samples.size());
    EXPECT_GT(changed, 80u);
    for (std::size_t j = 1; j < tail.samples.size(); j++)
        EXPECT_GE(smoothed[tail.samples[j]], smoothed[tail.samples[j - 1]]);
    EXPECT_LE(smoothed[tail.samples.back()], largest);
}

TEST(ParetoSmoothing, NeverExceedsTheLargestWeightThereWas) {
    int numBounded = 0;
    for (std::uint64_t seed = 0; seed < 20; seed++) {
        std::vector<double> logWeights = drawPareto(500, 0.9, seed);
        const double largest = *std::ranges::max_element(logWeights);
        paretoSmooth(logWeights);
        const double smoothed = *std::ranges::max_element(logWeights);
        EXPECT_LE(smoothed, largest);
        numBounded += smoothed == largest ? 1 : 0;
    }
    EXPECT_GT(numBounded, 0);
}

TEST(ParetoSmoothing, AgreesWithArviZ) {
    std::ifstream file(TEST_DATA_DIR "/sampling/psis.json");
    const auto numbers = [](const nlohmann::json& list) {
        std::vector<double> values;
        for (const auto& each : list)
            values.push_back(each.is_string() ? -infinity : each.get<double>());
        return values;
    };
    const nlohmann::json cases = nlohmann::json::parse(file)["cases"];
    EXPECT_EQ(cases.size(), 4u);
    for (const auto& [name, golden] : cases.items()) {
        std::vector<double> logWeights = numbers(golden["logWeights"]);
        EXPECT_NEAR(paretoSmooth(logWeights), golden["k"].get<double>(), 1e-12) << name;
        const double sum = logSumExp(logWeights);
        const std::vector<double> expected = numbers(golden["smoothed"]);
        for (std::size_t i = 0; i < expected.size(); i++)
            if (expected[i] == -infinity)
                EXPECT_EQ(logWeights[i], -infinity) << name << i;
            else
                EXPECT_NEAR(logWeights[i] - sum, expected[i], 1e-12) << name << i;
    }
}

TEST(ParetoSmoothing, LeavesAloneWhatHasNoTail) {
    std::vector<double> equal(100, 2.0);
    EXPECT_EQ(paretoSmooth(equal), -infinity);
    EXPECT_EQ(equal, std::vector<double>(100, 2.0));
    for (std::size_t n : {1, 2, 5, 20}) {
        std::vector<double> few(n);
        std::iota(few.begin(), few.end(), 0.0);
        const std::vector<double> before = few;
        EXPECT_EQ(paretoSmooth(few), infinity) << n;
        EXPECT_EQ(few, before);
    }
    std::vector<double> one(1000, -infinity);
    one[500] = 0;
    EXPECT_EQ(paretoSmooth(one), infinity);
}

TEST(Truncation, CutsAtRootNTimesTheMean) {
    std::vector<double> logWeights(100, 0.0);
    logWeights[3] = std::log(1000.0);
    const double limit = truncateAtRootN(logWeights);
    EXPECT_NEAR(limit, std::log(1099.0 / 100 * 10), 1e-12);
    EXPECT_EQ(logWeights[3], limit);
    EXPECT_EQ(logWeights[4], 0.0);
}

TEST(Truncation, CutsOrDropsAboveAQuantile) {
    std::vector<double> logWeights(101);
    std::iota(logWeights.begin(), logWeights.end(), 0.0);
    std::vector<double> dropped = logWeights;
    EXPECT_NEAR(truncateAtQuantile(logWeights, 0.025, false), 97.5, 1e-9);
    EXPECT_NEAR(logWeights[98], 97.5, 1e-9);
    EXPECT_EQ(logWeights[97], 97);
    truncateAtQuantile(dropped, 0.025, true);
    EXPECT_EQ(dropped[98], -infinity);
    EXPECT_EQ(dropped[97], 97);
    std::vector<double> zeros(10, -infinity);
    zeros[0] = 1;
    EXPECT_THROW(truncateAtQuantile(zeros, 0.5, false), Error);
    EXPECT_THROW(truncateAtQuantile(logWeights, 0.0, false), Error);
    EXPECT_THROW(truncateAtQuantile(logWeights, notANumber, false), Error);
}
