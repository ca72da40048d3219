// What each method that takes noise back to data does to normal data, whose score is known.

#include <cmath>

#include <gtest/gtest.h>

#include "DiffusionModels.h"
#include "openmmscore/models/Error.h"
#include "openmmscore/sampling/ReverseDiffusion.h"

using namespace OpenMMScore;
using namespace OpenMMScore::testing;
using Engine = ReverseDiffusion::Engine;
using Method = ReverseDiffusion::Method;
using Tuning = ReverseDiffusion::Tuning;

namespace {

std::shared_ptr<const ScoreModel> anyModel(ScheduleDescription schedule = {}) {
    ModelDescription description = describe(ModelDescription::Space::Vector, 1, {mlpExpert({2}, 0, 1)});
    description.schedule = schedule;
    return makeModel(description);
}

ScheduleDescription levels(ScheduleDescription::Kind kind, int numSteps) {
    ScheduleDescription schedule;
    schedule.kind = kind;
    schedule.numSteps = numSteps;
    return schedule;
}

ReverseDiffusion sampler(const std::shared_ptr<const ScoreModel>& model, Method method, int numSteps,
                         const Tuning& tuning = {}) {
    return {model, {}, numSteps, method, 1, Engine::Plain, tuning};
}

/** The standard deviation of what comes out where the score is slope(t) z: its variance's exact recursion. */
template <class Slope>
double deviationOf(const ReverseDiffusion& sampler, Slope slope) {
    double variance = 1;
    for (int k = 0; k < sampler.getNumUpdates(); k++) {
        const ReverseDiffusion::Update& u = sampler.getUpdate(k);
        double a = u.positionFactor + u.scoreFactor * slope(u.time);
        if (u.second)
            a += u.second->scoreFactor * slope(u.second->time) *
                 (u.second->middlePositionFactor + u.second->middleScoreFactor * slope(u.time));
        variance = a * a * variance + u.noiseFactor * u.noiseFactor;
    }
    return std::sqrt(variance);
}

/** The same for data N(0, deviation^2), less that deviation, relative to it. */
double error(const ReverseDiffusion& sampler, const NoiseSchedule& schedule, double deviation) {
    return deviationOf(sampler,
                       [&](double t) {
                           const double decay = schedule.logDecay(t);
                           return -1 / (std::exp(-decay) * deviation * deviation - std::expm1(-decay));
                       }) /
               deviation -
           1;
}

} // namespace

TEST(DiffusionUpdates, SecondOrderMethodsConvergeWithTheSquareOfTheSteps) {
    const auto model = anyModel();
    for (Method method : {Method::Heun, Method::Exponential, Method::StochasticHeun})
        for (double deviation : {1.0, 0.5, 0.1, 0.02}) {
            const double coarse = error(sampler(model, method, 40), model->getSchedule(), deviation);
            const double fine = error(sampler(model, method, 160), model->getSchedule(), deviation);
            EXPECT_LT(std::abs(coarse), method == Method::StochasticHeun ? 0.1 : 0.03);
            EXPECT_LT(std::abs(fine), std::abs(coarse) / 10 + 1e-12);
        }
}

TEST(DiffusionUpdates, FirstOrderMethodsConvergeWithTheSteps) {
    const auto model = anyModel();
    for (double eta : {0.0, 0.5, 1.0})
        for (double deviation : {1.0, 0.5, 0.1, 0.02}) {
            Tuning tuning;
            tuning.eta = eta;
            const double coarse =
                error(sampler(model, Method::Ddim, 100, tuning), model->getSchedule(), deviation);
            const double fine =
                error(sampler(model, Method::Ddim, 400, tuning), model->getSchedule(), deviation);
            EXPECT_LT(std::abs(coarse), 0.12);
            EXPECT_NEAR(4, coarse / fine, 0.5);
        }
}

TEST(DiffusionUpdates, DistortNormalDataAsComputedApart) {
    // By another program, from formulas in the clean data and the noise that a score stands for.
    const auto model = anyModel();
    const double deviations[] = {1.0, 0.5, 0.1, 0.02};
    const std::pair<Method, std::vector<double>> cases[] = {
        {Method::EulerMaruyama, {1.0007000, 0.5002780, 0.0997900, 0.0189200}},
        {Method::Ancestral, {0.9955160, 0.4960913, 0.0962387, 0.0161969}},
        {Method::Ddim, {0.9982618, 0.4991436, 0.0997318, 0.0198991}},
        {Method::Heun, {1.0000074, 0.5000109, 0.1000032, 0.0200011}},
        {Method::Exponential, {1.0000032, 0.5000097, 0.1000030, 0.0200010}},
        {Method::PredictorCorrector, {0.9993652, 0.4984907, 0.0969976, 0.0163540}},
        {Method::StochasticHeun, {1.0000338, 0.5000197, 0.1000070, 0.0200028}}};
    for (const auto& [method, expected] : cases)
        for (std::size_t i = 0; i < 4; i++) {
            const double relative = error(sampler(model, method, 1000), model->getSchedule(), deviations[i]);
            EXPECT_NEAR(expected[i], deviations[i] * (1 + relative), 5e-7) << static_cast<int>(method);
        }
}

TEST(DiffusionUpdates, DdimWithAllItsNoiseIsAncestral) {
    Tuning tuning;
    tuning.eta = 1;
    for (auto kind : {ScheduleDescription::Kind::CosineDdpm, ScheduleDescription::Kind::PolynomialDdpm}) {
        const auto model = anyModel(levels(kind, 100));
        const ReverseDiffusion one = sampler(model, Method::Ddim, 30, tuning);
        const ReverseDiffusion other = sampler(model, Method::Ancestral, 30);
        ASSERT_EQ(30, one.getNumUpdates());
        ASSERT_EQ(30, other.getNumUpdates());
        for (int k = 0; k < 30; k++) {
            EXPECT_EQ(other.getUpdate(k).time, one.getUpdate(k).time);
            EXPECT_NEAR(other.getUpdate(k).positionFactor, one.getUpdate(k).positionFactor, 1e-12);
            EXPECT_NEAR(other.getUpdate(k).scoreFactor, one.getUpdate(k).scoreFactor, 1e-10);
            EXPECT_NEAR(other.getUpdate(k).noiseFactor, one.getUpdate(k).noiseFactor, 1e-12);
        }
    }
}

TEST(DiffusionUpdates, StochasticHeunWithoutChurnIsHeunAndNeverLeavesTheWay) {
    const auto model = anyModel();
    Tuning still, wild;
    still.churn = 0;
    wild.churn = 1e6;
    const ReverseDiffusion one = sampler(model, Method::StochasticHeun, 30, still);
    const ReverseDiffusion other = sampler(model, Method::Heun, 30);
    const ReverseDiffusion most = sampler(model, Method::StochasticHeun, 30, wild);
    ASSERT_EQ(other.getNumUpdates(), one.getNumUpdates());
    for (int k = 0; k < one.getNumUpdates(); k++) {
        const ReverseDiffusion::Update &a = one.getUpdate(k), &b = other.getUpdate(k);
        EXPECT_NEAR(b.time, a.time, 1e-12);
        EXPECT_NEAR(b.positionFactor, a.positionFactor, 1e-12);
        EXPECT_NEAR(b.scoreFactor, a.scoreFactor, 1e-12);
        EXPECT_NEAR(0, a.noiseFactor, 1e-12);
        EXPECT_LE(most.getUpdate(k).time, 1.0);
        EXPECT_EQ(k + 1 == one.getNumUpdates(), most.getUpdate(k).noiseFactor == 0);
    }
}

TEST(DiffusionUpdates, EndWithoutNoiseExceptUpstreams) {
    const auto model = anyModel(levels(ScheduleDescription::Kind::PolynomialDdpm, 100));
    for (Method method : {Method::Ancestral, Method::Ddim, Method::Heun, Method::Exponential,
                          Method::PredictorCorrector, Method::StochasticHeun}) {
        const ReverseDiffusion whole = sampler(model, method, 100);
        // Noise that was renewed is more than that of the lowest level.
        EXPECT_EQ(method != Method::StochasticHeun, whole.getUpdate(whole.getNumUpdates() - 1).time == 0);
        EXPECT_EQ(0, whole.getUpdate(whole.getNumUpdates() - 1).noiseFactor);
        // A single point as data: exact, but for what the corrector is not given time to do.
        if (method != Method::PredictorCorrector) {
            EXPECT_NEAR(0, 1e-9 * (1 + error(whole, model->getSchedule(), 1e-9)), 1e-7);
        }
        Tuning tuning;
        tuning.upstreamStopAtLowestLevel = true;
        const ReverseDiffusion upstream = sampler(model, method, 100, tuning);
        EXPECT_EQ(whole.getNumUpdates() - 1, upstream.getNumUpdates());
        if (method == Method::Ancestral) {
            EXPECT_NEAR(model->getSchedule().sigma(0),
                        1e-9 * (1 + error(upstream, model->getSchedule(), 1e-9)), 1e-9);
        }
    }
    Tuning tuning;
    tuning.upstreamStopAtLowestLevel = true;
    EXPECT_THROW(sampler(anyModel(), Method::Ddim, 10, tuning), Error);
}

TEST(DiffusionUpdates, SamplesHaveTheVarianceOfTheRecursion) {
    // Scores that are linear, if no diffusion's: -k z, in one stretch of times and in the other.
    const std::vector<double> large = {0.9, 1.0}, small = {1.3, 0.8};
    const auto model = quadraticModel(large, small, 0.4);
    Tuning tuning;
    tuning.eta = 0.6;
    tuning.correctorSteps = 2;
    const int count = 4000;
    for (Method method : {Method::EulerMaruyama, Method::Ancestral, Method::Ddim, Method::Heun,
                          Method::Exponential, Method::PredictorCorrector, Method::StochasticHeun}) {
        ReverseDiffusion own = sampler(model, method, 25, tuning);
        std::vector<double> z(2 * count);
        own.drawStart(5, 0, count, z.data());
        own.advance(5, 0, count, z.data(), 0, own.getNumUpdates());
        for (std::size_t c = 0; c < 2; c++) {
            const double deviation = deviationOf(own, [&](double t) {
                return -0.5 * ((t >= 0.4 ? large : small)[c] + (t > 0.4 ? large : small)[c]);
            });
            double squares = 0;
            for (std::size_t i = 0; i < count; i++)
                squares += z[2 * i + c] * z[2 * i + c] / count;
            EXPECT_NEAR(1, squares / (deviation * deviation), 5 * std::sqrt(2.0 / count))
                << static_cast<int>(method);
        }
    }
}

TEST(DiffusionUpdates, SamplesDependOnSeedAndNumberAloneAndStayCentred) {
    const auto model =
        makeModel(describe(ModelDescription::Space::Particles, 3, {transformerExpert(8, 1, 0, 1)}), 0.5);
    for (Method method : {Method::Ddim, Method::Heun, Method::Exponential, Method::PredictorCorrector,
                          Method::StochasticHeun}) {
        Tuning tuning;
        tuning.eta = 0.5;
        ReverseDiffusion one(model, {}, 8, method, 1, Engine::Fast, tuning);
        ReverseDiffusion three(model, {}, 8, method, 3, Engine::Fast, tuning);
        std::vector<double> all(300 * 9), some(20 * 9);
        three.drawStart(3, 0, 300, all.data());
        three.advance(3, 0, 300, all.data(), 0, three.getNumUpdates());
        one.drawStart(3, 130, 20, some.data());
        for (int k = 0; k < one.getNumUpdates(); k++)
            one.advance(3, 130, 20, some.data(), k, k + 1);
        for (std::size_t i = 0; i < some.size(); i++)
            ASSERT_EQ(all[130 * 9 + i], some[i]);
        for (std::size_t i = 0; i < 9 * 20; i += 9)
            for (std::size_t c = 0; c < 3; c++)
                EXPECT_NEAR(0, some[i + c] + some[i + 3 + c] + some[i + 6 + c], 1e-10);
    }
}

TEST(DiffusionUpdates, RefuseTuningOutOfRange) {
    const auto model = anyModel();
    for (const Tuning& tuning : {Tuning{-0.1}, Tuning{1.1}, Tuning{0, 0.0}, Tuning{0, 1.5},
                                 Tuning{0, 0.1, -1}, Tuning{std::nan("")}, Tuning{0, 0.1, 1, false, -1}})
        EXPECT_THROW(sampler(model, Method::Ddim, 10, tuning), Error);
    EXPECT_THROW(sampler(anyModel(levels(ScheduleDescription::Kind::PolynomialDdpm, 20)), Method::Heun, 21),
                 Error);
}
