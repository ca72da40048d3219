#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "FlaxWeights.h"
#include "Optimizer.h"
#include "openmmscore/training/DenoisingScoreMatchingLoss.h"
#include "openmmscore/training/ExponentialMovingAverage.h"

namespace OpenMMScore::testing {
namespace {

using Space = ModelDescription::Space;

double largest(const at::Tensor& x) {
    return x.abs().max().item<double>();
}

NoisedBatch batchOf(const ReferenceFile& reference) {
    return {reference.tensor("in/z0"), reference.tensor("in/t"), reference.tensor("in/noise0"), {}};
}

struct Case {
    std::string file;
    double midpoint;
    ModelDescription model;
};

class ScoreMatchingReference : public ::testing::TestWithParam<Case> {};

TEST_P(ScoreMatchingReference, LossAndGradientAreThoseOfScoreMD) {
    const Case& c = GetParam();
    const ReferenceFile reference(c.file, "params/models_0/");
    const auto network = reference.network(c.model);
    const VariancePreserving schedule;
    const DenoisingScoreMatchingLoss loss(schedule, 0.0, 1.0, c.midpoint);
    const NoisedBatch batch = batchOf(reference);
    EXPECT_LT(largest(loss.noised(batch) - reference.tensor("out64/z_t")), 1e-12);
    at::Tensor gradient = at::zeros({network->getNumParameters()}, at::kDouble);
    const double scale = 1.0 / double(batch.size());
    const double value = loss.addGradient(*network, batch, scale, gradient);
    const double expected = reference.scalar("out64/loss_dsm"),
                 norm = reference.scalar("out64/grad_norm_dsm_all");
    EXPECT_NEAR(value, expected, 1e-10 * expected);
    EXPECT_NEAR(loss.value(*network, batch, scale), expected, 1e-10 * expected);
    EXPECT_NEAR(gradient.norm().item<double>(), norm, 1e-9 * norm);
}

TEST_P(ScoreMatchingReference, PartsOfABatchAddUp) {
    const Case& c = GetParam();
    const ReferenceFile reference(c.file, "params/models_0/");
    const auto network = reference.network(c.model);
    const VariancePreserving schedule;
    const DenoisingScoreMatchingLoss loss(schedule, 0.0, 1.0, c.midpoint);
    const NoisedBatch batch = batchOf(reference);
    const double scale = 1.0 / double(batch.size());
    at::Tensor whole = at::zeros({network->getNumParameters()}, at::kDouble), parts = at::zeros_like(whole);
    const double value = loss.addGradient(*network, batch, scale, whole);
    const double sum = loss.addGradient(*network, batch.slice(0, 5), scale, parts) +
                       loss.addGradient(*network, batch.slice(5, batch.size() - 5), scale, parts);
    EXPECT_NEAR(sum, value, 1e-13 * value);
    EXPECT_LT(largest(parts - whole), 1e-12 * largest(whole));
}

INSTANTIATE_TEST_SUITE_P(
    ScoreMD, ScoreMatchingReference,
    ::testing::Values(Case{"loss_mb_single_fp", 0.5,
                           describe(Space::Vector, 2, {mlpExpert({46, 46, 46}, 0.0, 1.0)})},
                      Case{"loss_aldp_single_fp", 0.3,
                           describe(Space::Particles, 5, {transformerExpert(32, 2, 0.0, 1.0)})}),
    [](const auto& instance) { return instance.param.file; });

TEST(DenoisingScoreMatchingLoss, WeighsBothSidesOfTheMidpointAlike) {
    const VariancePreserving schedule;
    const DenoisingScoreMatchingLoss loss(schedule, 0.0, 1.0, 0.3);
    EXPECT_DOUBLE_EQ(loss.timeWeight(0.3), 5.0 / 3.0);
    EXPECT_DOUBLE_EQ(loss.timeWeight(0.31), 5.0 / 7.0);
}

TEST(DenoisingScoreMatchingLoss, NoisesAsTheReferenceScheduleDoes) {
    const ReferenceFile reference("vp_sde", "");
    const at::Tensor t = reference.tensor("in/t"), one = at::ones({t.size(0), 1}, at::kDouble);
    const VariancePreserving schedule;
    const DenoisingScoreMatchingLoss loss(schedule, 0.0, 1.0, 0.5);
    const at::Tensor m = loss.noised({one, t, 0 * one, {}}).view({-1}),
                     sigma = loss.noised({0 * one, t, one, {}}).view({-1});
    EXPECT_LT(largest(m.log() - reference.tensor("out64/log_mean_coeff")), 1e-12);
    EXPECT_LT(largest(sigma - reference.tensor("out64/std")), 1e-12);
}

TEST(ExponentialMovingAverage, ForgetsGeometricallyOnceWarm) {
    const at::Tensor zero = at::zeros({2}, at::kDouble), one = at::ones({2}, at::kDouble);
    ExponentialMovingAverage average(zero, 0.9);
    for (int k = 100; k < 110; k++)
        average.update(one, k);
    EXPECT_NEAR(average.getAverage()[0].item<double>(), 1 - std::pow(0.9, 10), 1e-14);
}

TEST(ExponentialMovingAverage, BeginsWithAYoungAverage) {
    const at::Tensor zero = at::zeros({1}, at::kDouble);
    ExponentialMovingAverage average(zero, 0.999);
    average.update(zero + 1, 0);
    EXPECT_NEAR(average.getAverage().item<double>(), 0.9, 1e-15);
}

TEST(ExponentialMovingAverage, IsUpdatedAtIntervals) {
    const at::Tensor zero = at::zeros({1}, at::kDouble);
    ExponentialMovingAverage average(zero, 0.5, 10);
    for (int step = 1; step < 20; step++)
        average.update(zero + step, step);
    // Once, at step 10, where the second update's decay is 2/11.
    EXPECT_NEAR(average.getAverage().item<double>(), 10.0 * 9.0 / 11.0, 1e-12);
}

TEST(ExponentialMovingAverage, MayForgetAsTheUpstreamProgramDoes) {
    const at::Tensor zero = at::zeros({1}, at::kDouble);
    ExponentialMovingAverage average(zero, 0.995, 1, Averaging::UpstreamPerEpoch);
    average.update(zero + 1, 0);
    EXPECT_NEAR(average.getAverage().item<double>(), 0.995, 1e-15);
}

TEST(Optimizer, FollowsTheReferenceCosine) {
    const at::Tensor expected = ReferenceFile("vp_sde", "").tensor("out64/lr/cosine_K1000");
    StageConfig settings;
    settings.steps = 1000;
    const Optimizer optimizer(at::zeros({3}), settings);
    for (int k = 0; k <= 20; k++)
        EXPECT_NEAR(optimizer.learningRate(50 * k), expected[k].item<double>(), 1e-15) << k;
}

TEST(Optimizer, ContinuesFromItsState) {
    StageConfig settings;
    settings.steps = 10;
    at::Tensor x = at::ones({3}, at::kDouble), y;
    Optimizer first(x, settings);
    const auto step = [](Optimizer& optimizer, int k) {
        at::Tensor gradient = at::full({3}, 1.0 - 0.3 * k, at::kDouble);
        optimizer.step(gradient, k);
    };
    step(first, 0);
    step(first, 1);
    y = x.clone();
    Optimizer second(y, settings);
    second.setState(first.getState());
    step(first, 2);
    step(second, 2);
    EXPECT_TRUE(at::equal(x, y));
}

TEST(Optimizer, FollowsTheCosine) {
    StageConfig settings;
    settings.steps = 1000;
    const Optimizer optimizer(at::zeros({3}), settings);
    EXPECT_DOUBLE_EQ(optimizer.learningRate(0), 3e-4);
    EXPECT_NEAR(optimizer.learningRate(500), (3e-4 + 1e-5) / 2, 1e-16);
    EXPECT_NEAR(optimizer.learningRate(1000), 1e-5, 1e-16);
}

TEST(Optimizer, TakesAdamWStepsOnClippedGradients) {
    StageConfig settings;
    settings.steps = 10;
    settings.gradientClip = 2.0;
    at::Tensor x = at::ones({1}, at::kDouble);
    Optimizer optimizer(x, settings);
    const double gradients[] = {7.0, -0.5};
    double m = 0, v = 0, expected = 1;
    for (int k = 0; k < 2; k++) {
        const double lr = optimizer.learningRate(k), g = std::min(gradients[k], 2.0);
        m = 0.9 * m + 0.1 * g;
        v = 0.999 * v + 0.001 * g * g;
        const double mHat = m / (1 - std::pow(0.9, k + 1)), vHat = v / (1 - std::pow(0.999, k + 1));
        expected -= lr * (1e-4 * expected + mHat / (std::sqrt(vHat) + 1e-8));
        at::Tensor gradient = at::full({1}, gradients[k], at::kDouble);
        optimizer.step(gradient, k);
    }
    EXPECT_NEAR(x.item<double>(), expected, 1e-12);
}

} // namespace
} // namespace OpenMMScore::testing
