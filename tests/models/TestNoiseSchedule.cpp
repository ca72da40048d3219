#include <cmath>
#include <numbers>

#include <gtest/gtest.h>

#include "openmmscore/models/Error.h"
#include "openmmscore/models/NoiseSchedule.h"

using namespace OpenMMScore;

TEST(NoiseSchedule, VariancePreservingKeepsUnitVariance) {
    VariancePreserving schedule;
    for (double t = 0; t <= 1; t += 0.01) {
        double m = schedule.meanCoefficient(t), s = schedule.sigma(t);
        EXPECT_NEAR(1.0, m * m + s * s, 1e-15) << "t = " << t;
    }
}

TEST(NoiseSchedule, VariancePreservingHasTheDefaultConstantsOfThePaper) {
    VariancePreserving schedule;
    EXPECT_DOUBLE_EQ(0.1, schedule.beta(0));
    EXPECT_DOUBLE_EQ(20.0, schedule.beta(1));
    EXPECT_NEAR(0.00657158649, schedule.meanCoefficient(1), 1e-11);
    EXPECT_NEAR(0.322052536, schedule.sigma(0.1), 1e-9);
}

TEST(NoiseSchedule, VariancePreservingSigmaIsAccurateNearZero) {
    // For small t, sigma^2 = betaMin t + O(t^2).
    VariancePreserving schedule;
    EXPECT_NEAR(0.00100049713, schedule.sigma(1e-5), 1e-11);
    EXPECT_NEAR(1, schedule.sigma(1e-14) / std::sqrt(0.1 * 1e-14), 1e-11);
    EXPECT_EQ(0, schedule.sigma(0));
}

TEST(NoiseSchedule, LogMeanCoefficientIsMinusHalfTheIntegralOfBeta) {
    VariancePreserving schedule(0.3, 7.0);
    double integral = 0;
    const int n = 1000;
    for (int i = 0; i < n; i++)
        integral += schedule.beta((i + 0.5) * 0.7 / n) * 0.7 / n;
    EXPECT_NEAR(-0.5 * integral, schedule.logMeanCoefficient(0.7), 1e-12);
}

TEST(NoiseSchedule, CosineDdpmFollowsTheSquaredCosine) {
    // As long as no beta is clipped the product telescopes to f(n+1)/f(0).
    CosineDdpm schedule;
    auto f = [](double n) {
        return std::pow(std::cos((n / 1000 + 0.008) / 1.008 * std::numbers::pi / 2), 2);
    };
    for (int n : {0, 8, 20, 500, 990}) {
        double alphaBar = f(n + 1) / f(0);
        EXPECT_NEAR(std::sqrt(1 - alphaBar), schedule.sigma(n / 1000.0), 1e-12) << "level " << n;
        EXPECT_NEAR(std::sqrt(alphaBar), schedule.meanCoefficient(n / 1000.0), 1e-12) << "level " << n;
    }
    EXPECT_NEAR(0.017903, schedule.sigma(0.005), 1e-6);
    EXPECT_NEAR(0.043425, schedule.sigma(0.020), 1e-6);
}

TEST(NoiseSchedule, CosineDdpmRefusesTimesBetweenLevels) {
    CosineDdpm schedule;
    EXPECT_EQ(8, schedule.level(0.008));
    EXPECT_TRUE(schedule.covers(0.999));
    for (double t : {0.0085, -0.001, 1.0, std::nan("")}) {
        EXPECT_FALSE(schedule.covers(t));
        EXPECT_THROW(schedule.sigma(t), ShapeError) << t;
    }
}

TEST(NoiseSchedule, PolynomialDdpmTelescopesUpToItsLastLevel) {
    const PolynomialDdpm schedule;
    ASSERT_EQ(100, schedule.getNumSteps());
    for (int n = 0; n < 99; n++) {
        const double u = (n + 1) / 100.0;
        EXPECT_NEAR(((1 - 2e-5) * (1 - u * u) + 1e-5) / (1 - 1e-5), schedule.getAlphaBar(n), 1e-14);
    }
    EXPECT_NEAR(1e-3 * schedule.getAlphaBar(98), schedule.getAlphaBar(99), 1e-18);
    EXPECT_TRUE(schedule.covers(0.99));
    EXPECT_FALSE(schedule.covers(1.0));
}

TEST(NoiseSchedule, TimesAndDecaysAreInverse) {
    const VariancePreserving continuous(0.3, 7.0);
    const CosineDdpm cosine;
    const PolynomialDdpm polynomial(20);
    for (const NoiseSchedule* schedule :
         {static_cast<const NoiseSchedule*>(&continuous), static_cast<const NoiseSchedule*>(&cosine),
          static_cast<const NoiseSchedule*>(&polynomial)}) {
        double before = -1;
        for (double t : {0.0, 1e-7, 0.0123, 0.1, 0.5, 0.777, 0.95}) {
            const double decay = schedule->logDecay(t);
            EXPECT_GT(decay, before);
            EXPECT_NEAR(t, schedule->timeOf(decay), 1e-12);
            EXPECT_NEAR(std::sqrt(1 - std::exp(-decay)), schedule->noiseLevel(t), 1e-8);
            before = decay;
            if (schedule->covers(t)) {
                EXPECT_NEAR(schedule->sigma(t), schedule->noiseLevel(t), 1e-9);
            }
        }
        EXPECT_EQ(0, schedule->timeOf(-1));
        EXPECT_NEAR(1, schedule->timeOf(1e9), 0.051);
    }
}
