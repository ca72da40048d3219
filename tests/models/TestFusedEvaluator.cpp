// The fused engine against the plain one: sizes around vector lengths and tile sizes, conventions, fallbacks.
#include <gtest/gtest.h>

#include "FusedModels.h"
#include "openmmscore/models/Error.h"

using namespace OpenMMScore;
using namespace OpenMMScore::testing;

namespace {

constexpr auto particles = ModelDescription::Space::Particles;
constexpr auto vector = ModelDescription::Space::Vector;

void expectAgreement(const ScoreModel& model, double t, const std::vector<int>& features, int batch,
                     double tolerance, double energyScale) {
    const std::vector<double> z = waves(batch, model.getDescription().getNumCoordinates());
    const Results expected = evaluateAll(*model.createEvaluator(t, features, batch), z);
    const auto fast = createFastEvaluator(model, t, features, batch, 1);
    ASSERT_EQ(model.hasEnergy(t), fast->hasEnergy());
    const double scale = std::max(1.0, largest(expected.scores));
    energyScale = std::max(energyScale, largest(expected.energies));
    forEachInstructionSet([&](const std::string& name) {
        const Results found = evaluateAll(*fast, z);
        double energyError = 0, scoreError = 0;
        for (int m = 0; m < batch; m++)
            energyError = std::max(energyError, std::abs(found.energies[m] - expected.energies[m]));
        for (std::size_t i = 0; i < z.size(); i++)
            scoreError = std::max(scoreError, std::abs(found.scores[i] - expected.scores[i]));
        EXPECT_LE(energyError, tolerance * energyScale) << name;
        EXPECT_LE(scoreError, tolerance * scale) << name;
    });
}

class FusedTransformer : public ::testing::TestWithParam<TransformerCase> {};

TEST_P(FusedTransformer, AgreesWithThePlainEngine) {
    const TransformerCase c = GetParam();
    expectAgreement(*modelOf(c), 1e-5, {}, c.batch, relativeTolerance(c), c.beads);
}

std::string caseName(const ::testing::TestParamInfo<TransformerCase>& info) {
    const TransformerCase& c = info.param;
    return "N" + std::to_string(c.beads) + "H" + std::to_string(c.hidden) + "L" + std::to_string(c.layers) +
           "B" + std::to_string(c.batch) + "heads" + std::to_string(c.heads) + "x" +
           std::to_string(c.headSize) + (c.gelu == Gelu::Erf ? "Erf" : "") +
           (c.head == Head::Score ? "Score" : "");
}

// Every number of beads up to 13 and two large ones, every width with each of two numbers of layers, batches
// on both sides of a block.
INSTANTIATE_TEST_SUITE_P(Sizes, FusedTransformer,
                         ::testing::Values(TransformerCase{1, 8, 1, 17}, TransformerCase{1, 96, 3, 2},
                                           TransformerCase{2, 16, 2, 16}, TransformerCase{2, 128, 1, 3},
                                           TransformerCase{3, 24, 3, 15}, TransformerCase{3, 100, 2, 4},
                                           TransformerCase{4, 40, 4, 14}, TransformerCase{4, 8, 2, 5},
                                           TransformerCase{5, 96, 2, 17}, TransformerCase{5, 128, 1, 1},
                                           TransformerCase{6, 100, 1, 12}, TransformerCase{6, 16, 4, 7},
                                           TransformerCase{7, 128, 2, 11}, TransformerCase{7, 24, 1, 1},
                                           TransformerCase{8, 8, 3, 10}, TransformerCase{8, 40, 2, 8},
                                           TransformerCase{9, 16, 1, 9}, TransformerCase{9, 96, 4, 2},
                                           TransformerCase{10, 128, 3, 8}, TransformerCase{10, 24, 2, 1},
                                           TransformerCase{11, 40, 1, 7}, TransformerCase{11, 100, 3, 3},
                                           TransformerCase{12, 96, 1, 6}, TransformerCase{12, 8, 4, 13},
                                           TransformerCase{13, 100, 2, 5}, TransformerCase{13, 128, 4, 1},
                                           TransformerCase{28, 128, 3, 3}, TransformerCase{28, 24, 2, 2},
                                           TransformerCase{35, 96, 2, 2}, TransformerCase{35, 40, 3, 1}),
                         caseName);

INSTANTIATE_TEST_SUITE_P(
    OddHeads, FusedTransformer,
    ::testing::Values(TransformerCase{5, 24, 2, 3, 1, 5}, TransformerCase{5, 96, 2, 3, 3, 20},
                      TransformerCase{7, 40, 3, 4, 5, 33}, TransformerCase{17, 16, 2, 2, 7, 16},
                      TransformerCase{10, 128, 2, 2, 2, 100}, TransformerCase{3, 9, 3, 5, 3, 7, 11},
                      TransformerCase{16, 33, 2, 2, 4, 12, 50}, TransformerCase{33, 8, 2, 3, 2, 1, 1}),
    caseName);

INSTANTIATE_TEST_SUITE_P(ErfGelu, FusedTransformer,
                         ::testing::Values(TransformerCase{5, 96, 2, 6, 8, 64, 0, Gelu::Erf},
                                           TransformerCase{10, 40, 1, 2, 8, 64, 0, Gelu::Erf}),
                         caseName);

INSTANTIATE_TEST_SUITE_P(ScoreHead, FusedTransformer,
                         ::testing::Values(TransformerCase{1, 8, 1, 17, 8, 64, 0, Gelu::Tanh, Head::Score},
                                           TransformerCase{5, 96, 2, 13, 8, 64, 0, Gelu::Tanh, Head::Score},
                                           TransformerCase{6, 100, 3, 11, 5, 33, 0, Gelu::Erf, Head::Score},
                                           TransformerCase{28, 24, 1, 3, 8, 64, 0, Gelu::Tanh, Head::Score}),
                         caseName);

TEST(FusedEvaluator, KeepsSignScalingAndLinearTime) {
    const TransformerCase c{5, 24, 2, 3, 8, 64, 0, Gelu::Erf};
    ExpertDescription expert = expertOf(c);
    expert.outputSign = -1;
    expert.scaling = Scaling::InverseSigma;
    expert.timeFeatures = TimeFeatures::Linear;
    expert.graphTransformer.layerNormEpsilon = 1e-5;
    ModelDescription description = describe(particles, c.beads, {expert});
    description.schedule.kind = ScheduleDescription::Kind::CosineDdpm;
    // sigma is about 0.04, so everything is 25 times greater.
    expectAgreement(*makeModel(description), 0.02, {}, c.batch, relativeTolerance(c), 25.0 * c.beads);
}

TEST(FusedEvaluator, GivesEachMoleculeTheWeightsOfItsFeatures) {
    const TransformerCase c{6, 40, 3, 17};
    ModelDescription description = describe(particles, c.beads, {expertOf(c)});
    description.experts[0].graphTransformer.embeddingWidth = 6;
    description.features = {{"residue", 5}, {"atom", 3}};
    std::vector<int> features;
    // Three kinds of molecules in runs of different lengths.
    for (int m = 0; m < c.batch; m++)
        for (int i = 0; i < c.beads; i++) {
            features.push_back((m % 7 / 3 + i) % 5);
            features.push_back(i % 3);
        }
    const auto model = makeModel(description);
    expectAgreement(*model, 0.03, features, c.batch, relativeTolerance(c), c.beads);

    features.back() = 3;
    EXPECT_THROW(createFastEvaluator(*model, 0.03, features, c.batch, 1), ShapeError);
    EXPECT_THROW(createFastEvaluator(*model, 0.03, {}, c.batch, 1), ShapeError);
}

TEST(FusedEvaluator, MlpAgreesWithThePlainEngine) {
    const std::vector<std::vector<int>> widths = {{4, 3},   {92, 92, 92}, {64, 64, 64},
                                                  {54, 54}, {1},          {17, 128, 5}};
    for (int d : {1, 2, 3, 16, 17})
        for (const auto& hidden : widths)
            for (int batch : {1, 5, 90}) {
                SCOPED_TRACE("d = " + std::to_string(d) + ", first width " + std::to_string(hidden[0]));
                double links = d;
                for (int width : hidden)
                    links += 2 * width;
                for (Head head : {Head::Energy, Head::Score}) {
                    const auto model = makeModel(describe(vector, d, {mlpExpert(hidden, 0, 0.1, head)}));
                    expectAgreement(*model, 0.03, {}, batch, 16 * std::sqrt(links) * std::ldexp(1.0, -24),
                                    1.0);
                }
            }
}

TEST(FusedEvaluator, UsesTheExpertOfItsTime) {
    const auto model = makeModel(describe(
        vector, 2,
        {mlpExpert({16, 16}, 0.6, 1), mlpExpert({8}, 0.1, 0.6, Head::Score), mlpExpert({24, 24}, 0, 0.1)}));
    expectAgreement(*model, 0.05, {}, 4, 1e-5, 1.0);
    expectAgreement(*model, 0.9, {}, 4, 1e-5, 1.0);
    expectAgreement(*model, -3, {}, 4, 1e-5, 1.0);
}

TEST(FusedEvaluator, AveragesTwoExpertsWhereTheyMeet) {
    const auto model = makeModel(describe(
        vector, 2,
        {mlpExpert({16, 16}, 0.6, 1), mlpExpert({8}, 0.1, 0.6), mlpExpert({24, 24}, 0, 0.1, Head::Score)}));
    for (double t : {0.05, 0.6, 0.1})
        expectAgreement(*model, t, {}, 3, 1e-5, 1.0);
    std::vector<double> z = waves(3, 2), energies(3);
    EXPECT_THROW(createFastEvaluator(*model, 0.1, {}, 3, 1)->evaluate(0, 0, 3, z.data(), energies.data(), {}),
                 ShapeError);
}

/** Moved on from one time to another, an evaluator gives what a new one would, bit for bit. */
void expectMoved(const ScoreModel& model, double from, double to, const std::vector<int>& features) {
    const std::vector<double> z = waves(4, model.getDescription().getNumCoordinates());
    const auto moved = createFastEvaluator(model, from, features, 4, 1);
    ASSERT_TRUE(moved->setTime(model, to));
    const Results found = evaluateAll(*moved, z);
    EXPECT_EQ(evaluateAll(*createFastEvaluator(model, to, features, 4, 1), z).scores, found.scores);
    EXPECT_NE(evaluateAll(*createFastEvaluator(model, from, features, 4, 1), z).scores, found.scores);
}

TEST(FusedEvaluator, GoesOnToAnotherTime) {
    for (Head head : {Head::Energy, Head::Score}) {
        const TransformerCase c{5, 24, 2, 4, 8, 64, 0, Gelu::Tanh, head};
        ModelDescription description = describe(particles, c.beads, {expertOf(c)});
        expectMoved(*makeModel(description), 0.2, 0.7, {});
        description.features = {{"residue", 5}};
        description.experts[0].graphTransformer.embeddingWidth = 6;
        expectMoved(*makeModel(description), 0.2, 0.7,
                    {0, 1, 2, 3, 4, 4, 3, 2, 1, 0, 0, 1, 2, 3, 4, 1, 1, 1, 1, 1});
        expectMoved(*makeModel(describe(vector, 3, {mlpExpert({24, 24}, 0, 1, head)})), 0.2, 0.7, {});
    }
    const auto mixture =
        makeModel(describe(vector, 2, {mlpExpert({16}, 0.5, 1), mlpExpert({16}, 0, 0.5, Head::Score)}));
    const auto evaluator = createFastEvaluator(*mixture, 0.7, {}, 1, 1);
    EXPECT_FALSE(evaluator->setTime(*mixture, 0.5));
    EXPECT_FALSE(evaluator->setTime(*mixture, 0.3));
    EXPECT_TRUE(evaluator->setTime(*mixture, 0.9));
}

TEST(FusedEvaluator, EnergiesAndScoresCanBeLeftOut) {
    const TransformerCase c{5, 40, 2, 3};
    const auto model = modelOf(c);
    const auto fast = createFastEvaluator(*model, 1e-5, {}, c.batch, 1);
    const std::vector<double> z = waves(c.batch, 15);
    const Results both = evaluateAll(*fast, z);
    Results alone = {std::vector<double>(c.batch), std::vector<double>(z.size())};
    fast->evaluate(0, 0, c.batch, z.data(), alone.energies.data(), nullptr);
    fast->evaluate(0, 0, c.batch, z.data(), nullptr, alone.scores.data());
    EXPECT_EQ(both.energies, alone.energies);
    EXPECT_EQ(both.scores, alone.scores);
    fast->evaluate(0, 0, 0, nullptr, nullptr, nullptr);
    EXPECT_EQ(0, createFastEvaluator(*model, 1e-5, {}, 0, 1)->getNumMolecules());
}

TEST(FusedEvaluator, ScoreIsMinusTheGradientOfTheEnergy) {
    const TransformerCase c{5, 96, 2, 1};
    const auto fast = createFastEvaluator(*modelOf(c), 1e-5, {}, 1, 1);
    std::vector<double> z = waves(1, 15);
    const Results center = evaluateAll(*fast, z);
    // Energies of float32 carry errors of about 1e-6, so a step of 0.02 balances them and the third
    // derivative.
    const double h = 0.02;
    for (std::size_t i = 0; i < z.size(); i++) {
        const double x = z[i];
        auto energyAt = [&](double value) {
            z[i] = value;
            double energy;
            fast->evaluate(0, 0, 1, z.data(), &energy, nullptr);
            z[i] = x;
            return energy;
        };
        const double slope =
            (8 * (energyAt(x + h) - energyAt(x - h)) - energyAt(x + 2 * h) + energyAt(x - 2 * h)) / (12 * h);
        EXPECT_NEAR(-slope, center.scores[i], 2e-3) << "component " << i;
    }
}

TEST(FusedEvaluator, DoesNotSeeTranslations) {
    const TransformerCase c{10, 96, 2, 1};
    const auto fast = createFastEvaluator(*modelOf(c), 1e-5, {}, 1, 1);
    std::vector<double> z = waves(1, 30);
    const Results here = evaluateAll(*fast, z);
    for (double& x : z)
        x += 1000;
    const Results there = evaluateAll(*fast, z);
    EXPECT_NEAR(here.energies[0], there.energies[0], 1e-5);
    for (int c2 = 0; c2 < 3; c2++) {
        double force = 0;
        for (int i = c2; i < 30; i += 3) {
            EXPECT_NEAR(here.scores[i], there.scores[i], 1e-5);
            force += here.scores[i];
        }
        EXPECT_NEAR(0, force, 1e-14);
    }
}

} // namespace
