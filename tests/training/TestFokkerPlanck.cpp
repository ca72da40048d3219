#include <cmath>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "FlaxWeights.h"
#include "openmmscore/training/FokkerPlanckLoss.h"

namespace OpenMMScore::testing {
namespace {

using Space = ModelDescription::Space;
using TimeDerivative = FokkerPlanckOptions::TimeDerivative;

double largest(const at::Tensor& x) {
    return x.abs().max().item<double>();
}

/** A recorded loss of ScoreMD, with the conventions of the publication. */
struct Case {
    std::string file;
    double weight, midpoint;
    ModelDescription model;
    std::string weightsFile = "", weightPrefix = "params/models_0/";
};

FokkerPlanckOptions published(double weight) {
    FokkerPlanckOptions options;
    options.weight = weight;
    options.timeDerivative = TimeDerivative::ClampedStencil;
    options.oneDimensionalDivergence = true;
    return options;
}

class FokkerPlanckReference : public ::testing::TestWithParam<Case> {
protected:
    FokkerPlanckReference()
        : reference(GetParam().file, GetParam().weightPrefix),
          weights(GetParam().weightsFile.empty() ? GetParam().file : GetParam().weightsFile,
                  GetParam().weightPrefix),
          network(weights.network(GetParam().model)), batch{reference.tensor("in/z0"),
                                                            reference.tensor("in/t"),
                                                            reference.tensor("in/noise0"),
                                                            reference.tensor("in/noise1")},
          matching(schedule, GetParam().model.getLowerTime(), GetParam().model.getUpperTime(),
                   GetParam().midpoint),
          loss(schedule, matching, published(GetParam().weight), GetParam().model.space == Space::Particles) {
    }

    double scale() const { return 1.0 / double(batch.size()); }
    /** The reference's gradient of one tensor, as far as it is recorded, against ours. */
    void expectGradient(const TensorShape& shape, const at::Tensor& flax) const;

    ReferenceFile reference, weights;
    std::unique_ptr<TorchNetwork> network;
    NoisedBatch batch;
    VariancePreserving schedule;
    DenoisingScoreMatchingLoss matching;
    FokkerPlanckLoss loss;
};

TEST_P(FokkerPlanckReference, ResidualsAndLossAreThoseOfScoreMD) {
    const at::Tensor product = loss.residuals(*network, batch).prod(0);
    const at::Tensor expected = reference.tensor("out64/R1R2");
    EXPECT_LT(largest(product - expected), 1e-9 * largest(expected));
    const double value = reference.scalar("out64/loss_fp");
    EXPECT_NEAR(loss.value(*network, batch, scale()), value, 1e-8 * std::abs(value));
}

void FokkerPlanckReference::expectGradient(const TensorShape& shape, const at::Tensor& flax) const {
    const std::string name =
        GetParam().weightPrefix + ReferenceFile::flaxName(shape.name, GetParam().model.experts[0]);
    const double whole = reference.scalar("out64/grad_norm_total_all");
    if (reference.has("out64/grad_total/" + name)) {
        EXPECT_LT(largest(flax - reference.tensor("out64/grad_total/" + name)), 1e-8 * whole) << name;
        return;
    }
    const at::Tensor index = at::arange(flax.numel(), at::kDouble);
    EXPECT_NEAR(flax.norm().item<double>(), reference.scalar("out64/grad_total_l2/" + name), 1e-8 * whole)
        << name;
    EXPECT_NEAR((flax.reshape(-1) * index.cos()).sum().item<double>(),
                reference.scalar("out64/grad_total_dot/" + name), 1e-8 * whole * std::sqrt(flax.numel()))
        << name;
}

TEST_P(FokkerPlanckReference, GradientIsThatOfScoreMD) {
    at::Tensor gradient = at::zeros({network->getNumParameters()}, at::kDouble);
    const double total = matching.addGradient(*network, batch, scale(), gradient) +
                         loss.addGradient(*network, batch, scale(), gradient);
    const double expected = reference.scalar("out64/loss_total");
    EXPECT_NEAR(total, expected, 1e-8 * std::abs(expected));
    std::int64_t offset = 0;
    for (const TensorShape& shape : network->getShapes()) {
        std::int64_t count = 1;
        for (std::int64_t size : shape.shape)
            count *= size;
        const at::Tensor ours = gradient.narrow(0, offset, count).view(shape.shape);
        // Flax stores weights the other way round.
        expectGradient(shape, ours.dim() == 2 ? ours.t().contiguous() : ours);
        offset += count;
    }
}

INSTANTIATE_TEST_SUITE_P(
    ScoreMD, FokkerPlanckReference,
    ::testing::Values(Case{"loss_mb_single_fp", 5e-4, 0.5,
                           describe(Space::Vector, 2, {mlpExpert({46, 46, 46}, 0.0, 1.0)})},
                      Case{"loss_mb_both_last_stage", 5e-4, 0.05,
                           describe(Space::Vector, 2, {mlpExpert({64, 64, 64}, 0.0, 0.1)}), "mixture_mb_both",
                           "params/models_2/"},
                      Case{"loss_aldp_single_fp", 5e-4, 0.3,
                           describe(Space::Particles, 5, {transformerExpert(32, 2, 0.0, 1.0)})},
                      Case{"loss_aldp_both_last_stage", 1e-3, 0.03,
                           describe(Space::Particles, 5, {transformerExpert(96, 2, 0.0, 0.1)}),
                           "mixture_aldp_both", "params/models_2/"}),
    [](const auto& instance) { return instance.param.file; });

/** Random weights everywhere, so that nothing cancels. */
std::unique_ptr<TorchNetwork> randomNetwork(const ModelDescription& model) {
    auto network = TorchNetwork::create(model, 0, at::kDouble);
    std::vector<std::vector<double>> values;
    for (const NamedTensor& tensor : fillWeights(model))
        values.push_back(tensor.values);
    network->importTensors(values);
    return network;
}

NoisedBatch randomBatch(std::int64_t size, std::int64_t coordinates, double lower, double upper) {
    at::manual_seed(1);
    return {at::randn({size, coordinates}, at::kDouble),
            lower + (upper - lower) * at::rand({size}, at::kDouble),
            at::randn({size, coordinates}, at::kDouble), at::randn({2, size, coordinates}, at::kDouble)};
}

enum class Kind { Vector, Particles, ParticlesWithFeatures };

ModelDescription modelOf(Kind kind) {
    if (kind == Kind::Vector)
        return describe(Space::Vector, 3, {mlpExpert({9, 7}, 0.1, 0.6)});
    ModelDescription model = describe(Space::Particles, 4, {transformerExpert(12, 2, 0.0, 0.1)});
    if (kind == Kind::ParticlesWithFeatures) {
        model.features = {{"atom", 3}, {"residue", 2}};
        model.experts[0].graphTransformer.embeddingWidth = 5;
    }
    return model;
}

class FokkerPlanckDerivative : public ::testing::TestWithParam<std::tuple<TimeDerivative, Kind>> {};

TEST_P(FokkerPlanckDerivative, GradientMatchesFiniteDifferences) {
    const auto [kind, networkKind] = GetParam();
    const bool particles = networkKind != Kind::Vector;
    const ModelDescription model = modelOf(networkKind);
    const auto network = randomNetwork(model);
    NoisedBatch batch =
        randomBatch(5, model.getNumCoordinates(), model.getLowerTime() + 1e-4, model.getUpperTime() - 1e-4);
    // Each sample is another molecule.
    if (networkKind == Kind::ParticlesWithFeatures)
        batch.features = at::remainder(at::arange(40).mul(7).view({5, 4, 2}), at::tensor({3, 2}, at::kLong));
    const VariancePreserving schedule;
    const DenoisingScoreMatchingLoss matching(schedule, model.getLowerTime(), model.getUpperTime(),
                                              0.5 * (model.getLowerTime() + model.getUpperTime()));
    FokkerPlanckOptions options;
    options.weight = 0.3;
    options.timeDerivative = kind;
    // Wide enough for differences of differences to be accurate.
    options.perturbation = 1e-2;
    const FokkerPlanckLoss loss(schedule, matching, options, particles);
    at::Tensor& parameters = network->getFlatParameters();
    const at::Tensor start = parameters.clone(), direction = at::randn_like(parameters);
    const auto along = [&](double step) {
        parameters.copy_(start + step * direction);
        return loss.value(*network, batch, 0.2);
    };
    const double step = 1e-5, expected = (along(step) - along(-step)) / (2 * step);
    parameters.copy_(start);
    at::Tensor gradient = at::zeros_like(parameters);
    const double value = loss.addGradient(*network, batch, 0.2, gradient);
    EXPECT_NEAR(value, loss.value(*network, batch, 0.2), 1e-12 * std::abs(value));
    EXPECT_NEAR((gradient * direction).sum().item<double>(), expected, 1e-5 * std::abs(expected));
}

INSTANTIATE_TEST_SUITE_P(Kinds, FokkerPlanckDerivative,
                         ::testing::Combine(::testing::Values(TimeDerivative::Exact, TimeDerivative::Stencil,
                                                              TimeDerivative::ClampedStencil),
                                            ::testing::Values(Kind::Vector, Kind::Particles,
                                                              Kind::ParticlesWithFeatures)));

TEST(FokkerPlanckLoss, StencilConvergesToTheExactDerivativeAtTheEndsToo) {
    const ModelDescription model = describe(Space::Vector, 2, {mlpExpert({12, 12}, 0.0, 0.1)});
    const auto network = randomNetwork(model);
    NoisedBatch batch = randomBatch(3, 2, 0.0, 0.1);
    batch.times = at::tensor({1e-5, 0.05, 0.1 - 1e-5}, at::kDouble);
    const VariancePreserving schedule;
    const DenoisingScoreMatchingLoss matching(schedule, 0.0, 0.1, 0.05);
    const auto residuals = [&](TimeDerivative kind) {
        FokkerPlanckOptions options;
        options.timeDerivative = kind;
        return FokkerPlanckLoss(schedule, matching, options, false).residuals(*network, batch);
    };
    const at::Tensor exact = residuals(TimeDerivative::Exact);
    const at::Tensor stencil = residuals(TimeDerivative::Stencil),
                     clamped = residuals(TimeDerivative::ClampedStencil);
    EXPECT_LT(largest(stencil - exact), 2e-2 * largest(exact));
    // Outside its interval the network is told the end: the difference comes out too small there.
    const at::Tensor wrong = (clamped - exact).abs().mean(0);
    EXPECT_GT(wrong[0].item<double>(), 10 * (stencil - exact).abs().max().item<double>());
    EXPECT_GT(wrong[2].item<double>(), 10 * (stencil - exact).abs().max().item<double>());
    EXPECT_LT(wrong[1].item<double>(), (stencil - exact).abs().max().item<double>() + 1e-12);
}

TEST(FokkerPlanckLoss, EachSampleKeepsItsFeatures) {
    const ModelDescription model = modelOf(Kind::ParticlesWithFeatures);
    const auto network = randomNetwork(model);
    NoisedBatch batch = randomBatch(3, 12, 1e-4, 0.1);
    batch.features = at::remainder(at::arange(24).mul(7).view({3, 4, 2}), at::tensor({3, 2}, at::kLong));
    const VariancePreserving schedule;
    const DenoisingScoreMatchingLoss matching(schedule, 0.0, 0.1, 0.05);
    for (const TimeDerivative kind : {TimeDerivative::Exact, TimeDerivative::Stencil}) {
        FokkerPlanckOptions options;
        options.timeDerivative = kind;
        const FokkerPlanckLoss loss(schedule, matching, options, true);
        const at::Tensor together = loss.residuals(*network, batch);
        for (std::int64_t i = 0; i < 3; i++) {
            const at::Tensor alone = loss.residuals(*network, batch.slice(i, 1));
            EXPECT_LT(largest(together.narrow(1, i, 1) - alone), 1e-9 * largest(together)) << i;
        }
    }
}

TEST(FokkerPlanckLoss, RefusesBatchesWithoutPerturbationsAndScoreHeads) {
    const ModelDescription energy = describe(Space::Vector, 2, {mlpExpert({4}, 0.0, 1.0)});
    const ModelDescription score = describe(Space::Vector, 2, {mlpExpert({4}, 0.0, 1.0, Head::Score)});
    const VariancePreserving schedule;
    const DenoisingScoreMatchingLoss matching(schedule, 0.0, 1.0, 0.5);
    const FokkerPlanckLoss loss(schedule, matching, {}, false);
    NoisedBatch batch = randomBatch(2, 2, 0.1, 0.9);
    EXPECT_THROW(loss.value(*randomNetwork(score), batch, 1.0), ShapeError);
    batch.perturbations.reset();
    EXPECT_THROW(loss.value(*randomNetwork(energy), batch, 1.0), ShapeError);
}

} // namespace
} // namespace OpenMMScore::testing
