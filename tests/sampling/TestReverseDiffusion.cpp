// The sampler that takes noise back to data: its updates, its random numbers, what it does to a Gaussian.
#include <cmath>
#include <numeric>

#include <gtest/gtest.h>

#include "../TestModels.h"
#include "openmmscore/models/Error.h"
#include "openmmscore/sampling/ReverseDiffusion.h"

using namespace OpenMMScore;
using namespace OpenMMScore::testing;
using Method = ReverseDiffusion::Method;

namespace {

constexpr auto particles = ModelDescription::Space::Particles;
constexpr auto vector = ModelDescription::Space::Vector;

std::shared_ptr<const ScoreModel> mixture() {
    return makeModel(describe(
        particles, 4, {transformerExpert(16, 1, 0.6, 1, Head::Score), transformerExpert(8, 2, 0, 0.6)}));
}

/**
 * Standard deviation of samples of N(0, deviation^2), whose score is known: the recursion of the variance.
 */
double sampledDeviation(const ReverseDiffusion& sampler, const NoiseSchedule& schedule, double deviation) {
    double variance = 1;
    for (int k = 0; k < sampler.getNumUpdates(); k++) {
        const ReverseDiffusion::Update& u = sampler.getUpdate(k);
        const double m = schedule.meanCoefficient(u.time), sigma = schedule.sigma(u.time);
        const double slope = -1 / (m * m * deviation * deviation + sigma * sigma);
        const double a = u.positionFactor + u.scoreFactor * slope;
        variance = a * a * variance + u.noiseFactor * u.noiseFactor;
    }
    return std::sqrt(variance);
}

std::vector<double> sample(ReverseDiffusion& sampler, int width, std::uint64_t seed, int first, int count) {
    std::vector<double> z(std::size_t(count) * width);
    sampler.drawStart(seed, first, count, z.data());
    sampler.advance(seed, first, count, z.data(), 0, sampler.getNumUpdates());
    return z;
}

TEST(ReverseDiffusion, EulerMaruyamaDistortsGaussiansAsPublishedSamplersDo) {
    const auto model = makeModel(describe(vector, 1, {mlpExpert({2}, 0, 1)}));
    const ReverseDiffusion sampler(model, {}, 1000, Method::EulerMaruyama, 1);
    ASSERT_EQ(1000, sampler.getNumUpdates());
    EXPECT_EQ(1, sampler.getUpdate(0).time);
    EXPECT_EQ(0, sampler.getUpdate(999).time);
    // Computed apart from this program.
    EXPECT_NEAR(1.000700, sampledDeviation(sampler, model->getSchedule(), 1.0), 1e-6);
    EXPECT_NEAR(0.500278, sampledDeviation(sampler, model->getSchedule(), 0.5), 1e-6);
    EXPECT_NEAR(0.099790, sampledDeviation(sampler, model->getSchedule(), 0.1), 1e-6);
    EXPECT_NEAR(0.018920, sampledDeviation(sampler, model->getSchedule(), 0.02), 1e-6);
}

TEST(ReverseDiffusion, AncestralUpdatesAreExactForAPoint) {
    ModelDescription description = describe(vector, 1, {mlpExpert({2}, 0, 1)});
    for (auto kind : {ScheduleDescription::Kind::VariancePreserving, ScheduleDescription::Kind::CosineDdpm}) {
        description.schedule.kind = kind;
        const auto model = makeModel(description);
        const ReverseDiffusion sampler(model, {}, 300, Method::Ancestral, 1);
        EXPECT_NEAR(0, sampledDeviation(sampler, model->getSchedule(), 1e-9), 1e-7);
        // For anything wider the noise is too small, by a term of first order in the step.
        EXPECT_NEAR(1, sampledDeviation(sampler, model->getSchedule(), 1), 2e-2);
    }
}

TEST(ReverseDiffusion, ASampleIsAFunctionOfSeedAndNumber) {
    const auto model = mixture();
    ReverseDiffusion one(model, {}, 12, Method::EulerMaruyama, 1);
    ReverseDiffusion three(model, {}, 12, Method::EulerMaruyama, 3);
    const std::vector<double> all = sample(three, 12, 7, 0, 500);
    const std::vector<double> some = sample(one, 12, 7, 205, 30);
    for (int i = 0; i < 30 * 12; i++)
        ASSERT_EQ(all[205 * 12 + i], some[i]);
    EXPECT_NE(some, sample(one, 12, 8, 205, 30));
    EXPECT_NE(some, sample(one, 12, 7, 206, 30));

    // In pieces.
    std::vector<double> z(30 * 12);
    one.drawStart(7, 205, 30, z.data());
    for (int k = 0; k < 12; k += 5)
        one.advance(7, 205, 30, z.data(), k, std::min(12, k + 5));
    EXPECT_EQ(some, z);
}

TEST(ReverseDiffusion, KeepsTheCentreOfMassThatWouldBlowUp) {
    // An energy of difference vectors without forces, so the centre of mass would only be multiplied.
    const auto model = makeModel(describe(particles, 4, {transformerExpert(8, 1, 0, 1)}), 0.0);
    ReverseDiffusion sampler(model, {}, 1000, Method::EulerMaruyama, 1);
    double variance = 1;
    for (int k = 0; k < 1000; k++) {
        const ReverseDiffusion::Update& u = sampler.getUpdate(k);
        variance = std::pow(u.positionFactor, 2) * variance + std::pow(u.noiseFactor, 2);
    }
    EXPECT_NEAR(212, std::sqrt(variance), 1);

    const std::vector<double> z = sample(sampler, 12, 1, 0, 400);
    double squares = 0;
    for (int m = 0; m < 400; m++)
        for (int c = 0; c < 3; c++) {
            const double* x = &z[12 * m + c];
            EXPECT_NEAR(0, x[0] + x[3] + x[6] + x[9], 1e-10);
            squares += std::pow(x[0] - x[3], 2) / 2;
        }
    // Internal coordinates have the law that they would have otherwise: 1200 squares of deviation 212.
    EXPECT_NEAR(1, squares / (1200 * variance), 5 * std::sqrt(2.0 / 1200));
}

TEST(ReverseDiffusion, EnginesAgree) {
    const auto model = mixture();
    ReverseDiffusion fast(model, {}, 12, Method::EulerMaruyama, 1);
    ReverseDiffusion plain(model, {}, 12, Method::EulerMaruyama, 1, ReverseDiffusion::Engine::Plain);
    for (int k = 0; k < 12; k++) {
        std::vector<double> a(20 * 12), noise(20 * 12);
        for (std::size_t i = 0; i < a.size(); i++) {
            a[i] = std::sin(1.3 * static_cast<double>(i));
            noise[i] = std::cos(2.1 * static_cast<double>(i));
        }
        std::vector<double> b = a;
        fast.replay(k, 20, a.data(), noise.data());
        plain.replay(k, 20, b.data(), noise.data());
        for (std::size_t i = 0; i < a.size(); i++)
            EXPECT_NEAR(a[i], b[i], 1e-5);
    }
}

TEST(ReverseDiffusion, WhatIsNotFiniteStaysSoAndAlone) {
    const auto model = mixture();
    ReverseDiffusion sampler(model, {}, 12, Method::EulerMaruyama, 1);
    std::vector<double> good = sample(sampler, 12, 3, 0, 20), z(20 * 12);
    sampler.drawStart(3, 0, 20, z.data());
    z[5 * 12 + 4] = std::nan("");
    sampler.advance(3, 0, 20, z.data(), 0, 12);
    for (int i = 0; i < 20 * 12; i++)
        if (i / 12 == 5)
            EXPECT_FALSE(std::isfinite(z[i]));
        else
            EXPECT_EQ(good[i], z[i]);
}

TEST(ReverseDiffusion, RefusesWhatItCannotDo) {
    ModelDescription description = describe(vector, 1, {mlpExpert({2}, 0, 1)});
    const auto model = makeModel(description);
    EXPECT_THROW(ReverseDiffusion(model, {}, 1, Method::EulerMaruyama, 1), Error);
    EXPECT_THROW(ReverseDiffusion(model, {}, 10, Method::EulerMaruyama, 0), Error);
    EXPECT_THROW(ReverseDiffusion(model, {1}, 10, Method::EulerMaruyama, 1), ShapeError);
    double z;
    const ReverseDiffusion sampler(model, {}, 10, Method::EulerMaruyama, 1);
    EXPECT_THROW(sampler.drawStart(0, -1, 1, &z), Error);
    EXPECT_THROW(sampler.drawStart(0, std::int64_t(1) << 32, 1, &z), Error);

    // Only trained at small times; an infinite factor at t = 0; a discrete schedule.
    const auto small = makeModel(describe(vector, 1, {mlpExpert({2}, 0, 0.1)}));
    EXPECT_THROW(ReverseDiffusion(small, {}, 10, Method::EulerMaruyama, 1), Error);
    ModelDescription scaled = description;
    scaled.experts[0].scaling = Scaling::InverseSigma;
    scaled.defaultDiffusionTime = 0.1;
    EXPECT_THROW(ReverseDiffusion(makeModel(scaled), {}, 10, Method::EulerMaruyama, 1), Error);
    EXPECT_NO_THROW(ReverseDiffusion(makeModel(scaled), {}, 10, Method::Ancestral, 1));
    description.schedule.kind = ScheduleDescription::Kind::CosineDdpm;
    const auto discrete = makeModel(description);
    EXPECT_THROW(ReverseDiffusion(discrete, {}, 10, Method::EulerMaruyama, 1), Error);
    EXPECT_THROW(ReverseDiffusion(discrete, {}, 1001, Method::Ancestral, 1), Error);
    EXPECT_EQ(Method::Ancestral, ReverseDiffusion::publishedMethod(*discrete));
    EXPECT_EQ(Method::EulerMaruyama, ReverseDiffusion::publishedMethod(*model));
}

} // namespace
