// Divergences of scores: differentiated in float64, which differences of scores confirm, and in float32.
#include <cmath>

#include <gtest/gtest.h>

#include "Dual.h"
#include "FusedModels.h"
#include "PlainEvaluator.h"
#include "openmmscore/models/Error.h"

using namespace OpenMMScore;
using namespace OpenMMScore::testing;

namespace {

constexpr auto vector = ModelDescription::Space::Vector;
constexpr auto particles = ModelDescription::Space::Particles;

struct Found {
    std::vector<double> scores, divergences;
};

Found differentiate(Evaluator& evaluator, const std::vector<double>& z) {
    const int count = evaluator.getNumMolecules();
    Found found{std::vector<double>(z.size()), std::vector<double>(count)};
    evaluator.evaluateDivergence(0, 0, count, z.data(), found.scores.data(), found.divergences.data());
    return found;
}

/** Two experts that both answer at t = 0.5, with a sign and a scaling besides. */
std::shared_ptr<const ScoreModel> meeting(int d, const std::vector<int>& hidden, Head head,
                                          Scaling scaling = Scaling::InverseSigma) {
    ModelDescription description =
        describe(vector, d, {mlpExpert(hidden, 0.5, 1, head), mlpExpert({7, 5, 6}, 0, 0.5, Head::Energy)});
    description.experts[0].outputSign = -1;
    description.experts[0].scaling = scaling;
    return makeModel(description);
}

/**
 * Derivative of all scores by one coordinate. Its error is h^2 times third derivatives of order one, and
 * 1e-16/h.
 */
std::vector<double> difference(Evaluator& evaluator, const std::vector<double>& z, int coordinate) {
    constexpr double h = 1e-5;
    std::vector<double> moved = z, above(z.size()), below(z.size());
    moved[coordinate] = z[coordinate] + h;
    evaluator.evaluate(0, 0, 1, moved.data(), nullptr, above.data());
    moved[coordinate] = z[coordinate] - h;
    evaluator.evaluate(0, 0, 1, moved.data(), nullptr, below.data());
    for (std::size_t i = 0; i < above.size(); i++)
        above[i] = (above[i] - below[i]) / (2 * h);
    return above;
}

const std::vector<std::vector<int>> widths = {{5}, {33, 20}, {92, 92, 92}, {17, 128, 5, 9}};

} // namespace

TEST(Divergence, IsThatOfTheScore) {
    for (Head head : {Head::Energy, Head::Score})
        for (const auto& hidden : widths)
            for (int d : {1, 3, 7}) {
                SCOPED_TRACE("d = " + std::to_string(d) + ", first width " + std::to_string(hidden[0]));
                const auto model = meeting(d, hidden, head);
                const std::vector<double> z = waves(1, d);
                auto evaluator = model->createEvaluator(0.5, {}, 1);
                ASSERT_TRUE(evaluator->hasDivergence());
                const Found found = differentiate(*evaluator, z);
                std::vector<double> scores(d);
                evaluator->evaluate(0, 0, 1, z.data(), nullptr, scores.data());
                double expected = 0;
                for (int c = 0; c < d; c++) {
                    EXPECT_NEAR(scores[c], found.scores[c], 1e-13 * (1 + std::abs(scores[c])));
                    expected += difference(*evaluator, z, c)[c];
                }
                EXPECT_NEAR(expected, found.divergences[0], 1e-8 * (1 + std::abs(expected)));
                EXPECT_GT(std::abs(expected), 1e-4);
            }
}

TEST(Divergence, FusedEngineAgreesWithThePlainOne) {
    for (Head head : {Head::Energy, Head::Score})
        for (const auto& hidden : widths)
            for (int d : {1, 2, 16, 17})
                for (int batch : {1, 90}) {
                    SCOPED_TRACE("d = " + std::to_string(d) + ", first width " + std::to_string(hidden[0]));
                    const auto model = meeting(d, hidden, head);
                    const std::vector<double> z = waves(batch, d);
                    const Found expected = differentiate(*model->createEvaluator(0.5, {}, batch), z);
                    const auto fast = createFastEvaluator(*model, 0.3, {}, batch, 1);
                    ASSERT_FALSE(fast->setTime(*model, 0.5));
                    const auto both = createFastEvaluator(*model, 0.5, {}, batch, 1);
                    ASSERT_TRUE(both->hasDivergence());
                    // Chains of float32 roundings, and d terms that may cancel.
                    double links = d;
                    for (int width : hidden)
                        links += 2 * width;
                    const double error = 16 * std::sqrt(links) * std::ldexp(1.0, -24);
                    const double scoreScale = std::max(1.0, largest(expected.scores));
                    const double scale = std::sqrt(d) * std::max(1.0, largest(expected.divergences));
                    forEachInstructionSet([&](const std::string& name) {
                        const Found found = differentiate(*both, z);
                        for (std::size_t i = 0; i < z.size(); i++)
                            ASSERT_NEAR(expected.scores[i], found.scores[i], error * scoreScale) << name;
                        for (int m = 0; m < batch; m++)
                            ASSERT_NEAR(expected.divergences[m], found.divergences[m], error * scale) << name;
                    });
                }
}

TEST(Divergence, OfPredictedCleanData) {
    const auto model = meeting(3, {8, 7}, Head::Score, Scaling::CleanData);
    const auto outputs = meeting(3, {8, 7}, Head::Score, Scaling::None);
    const std::vector<double> z = waves(5, 3);
    // Both times lie where the first expert answers alone; the second evaluator has been elsewhere before.
    const auto fast = createFastEvaluator(*model, 0.9, {}, 5, 1);
    ASSERT_TRUE(fast->setTime(*model, 0.7));
    const Found found = differentiate(*model->createEvaluator(0.7, {}, 5), z),
                quick = differentiate(*fast, z);
    const Found output = differentiate(*outputs->createEvaluator(0.7, {}, 5), z);
    const double m = model->getSchedule().meanCoefficient(0.7), sigma = model->getSchedule().sigma(0.7);
    const double variance = sigma * sigma;
    std::vector<double> scores(15), fastScores(15);
    model->createEvaluator(0.7, {}, 5)->evaluate(0, 0, 5, z.data(), nullptr, scores.data());
    fast->evaluate(0, 0, 5, z.data(), nullptr, fastScores.data());
    for (std::size_t i = 0; i < 15; i++) {
        const double expected = (m * output.scores[i] - z[i]) / variance;
        EXPECT_NEAR(expected, found.scores[i], 1e-13);
        EXPECT_NEAR(expected, quick.scores[i], 1e-5);
        EXPECT_NEAR(expected, scores[i], 1e-13);
        EXPECT_NEAR(expected, fastScores[i], 1e-5);
    }
    for (std::size_t i = 0; i < 5; i++) {
        EXPECT_NEAR((m * output.divergences[i] - 3) / variance, found.divergences[i], 1e-12);
        EXPECT_NEAR((m * output.divergences[i] - 3) / variance, quick.divergences[i], 1e-5);
    }
}

TEST(Divergence, DependsOnNothingButTheSample) {
    for (const auto& hidden : widths)
        for (Head head : {Head::Energy, Head::Score}) {
            const auto model = makeModel(describe(vector, 4, {mlpExpert(hidden, 0, 1, head)}));
            const std::vector<double> z = waves(50, 4);
            const auto fast = createFastEvaluator(*model, 0.2, {}, 50, 1);
            const Found whole = differentiate(*fast, z);
            ASSERT_TRUE(fast->setTime(*model, 0.4));
            ASSERT_TRUE(fast->setTime(*model, 0.2));
            for (int m = 0; m < 50; m += 7) {
                double score[4], divergence;
                fast->evaluateDivergence(0, m, 1, &z[4 * m], score, &divergence);
                EXPECT_EQ(whole.divergences[m], divergence);
                for (int c = 0; c < 4; c++)
                    EXPECT_EQ(whole.scores[4 * m + c], score[c]);
            }
        }
}

/** Two graph transformers that both answer at t = 0.5, the second with the other activation. */
std::shared_ptr<const ScoreModel> meetingTransformers(int n, Head head, Scaling scaling) {
    ModelDescription description =
        describe(particles, n,
                 {transformerExpert(12, 3, 0.5, 1, head), transformerExpert(8, 1, 0, 0.5, Head::Energy)});
    description.experts[0].scaling = scaling;
    description.experts[1].graphTransformer.gelu = Gelu::Erf;
    return makeModel(description);
}

TEST(Divergence, IsThatOfTheScoreOfGraphTransformers) {
    const std::pair<Head, Scaling> kinds[] = {{Head::Energy, Scaling::InverseSigma},
                                              {Head::Score, Scaling::None}};
    for (const auto& [head, scaling] : kinds)
        // Their 3N - 3 directions are none, some, nearly a block of 16, and more than one block.
        for (int n : {1, 2, 6, 7, 13}) {
            SCOPED_TRACE("particles: " + std::to_string(n));
            const int d = 3 * n;
            const auto model = meetingTransformers(n, head, scaling);
            std::vector<double> z = waves(1, d), scores(d);
            auto evaluator = model->createEvaluator(0.5, {}, 1);
            ASSERT_TRUE(evaluator->hasDivergence());
            const Found found = differentiate(*evaluator, z);
            evaluator->evaluate(0, 0, 1, z.data(), nullptr, scores.data());
            // Differences of centred scores, as densities need them.
            double expected = 0, size = 0;
            for (int c = 0; c < d; c++) {
                EXPECT_NEAR(scores[c], found.scores[c], 1e-12 * (1 + std::abs(scores[c])));
                const std::vector<double> slopes = difference(*evaluator, z, c);
                double mean = 0;
                for (int i = c % 3; i < d; i += 3)
                    mean += slopes[i] / n;
                expected += slopes[c] - mean;
                size = std::max(size, std::abs(slopes[c]));
            }
            EXPECT_NEAR(expected, found.divergences[0], 1e-8 * (1 + d * size));
            EXPECT_EQ(n == 1, std::abs(found.divergences[0]) < 1e-4);
        }
}

TEST(Divergence, OfGraphTransformersAtOtherTimesAndOfSeveralKinds) {
    ModelDescription description = describe(particles, 4, {transformerExpert(8, 2, 0, 1)});
    description.features = {{"kind", 3}};
    description.experts[0].graphTransformer.embeddingWidth = 5;
    const auto model = makeModel(description);
    const std::vector<int> features = {0, 1, 2, 0, 2, 2, 1, 0};
    const std::vector<double> z = waves(2, 12);
    PlainEvaluator evaluator(*model, 0.9, features, 2, 1);
    const Found before = differentiate(evaluator, z);
    evaluator.setTime(*model, 0.2);
    const Found found = differentiate(evaluator, z);
    EXPECT_NE(before.divergences[0], found.divergences[0]);
    for (int m = 0; m < 2; m++) {
        const auto alone = model->createEvaluator(0.2, std::span(features).subspan(4 * m, 4), 1);
        double divergence, scores[12];
        alone->evaluateDivergence(0, 0, 1, &z[12 * m], scores, &divergence);
        EXPECT_EQ(divergence, found.divergences[m]);
        for (int c = 0; c < 12; c++)
            EXPECT_EQ(scores[c], found.scores[12 * m + c]);
    }
}

TEST(Divergence, FusedGraphTransformersHaveNone) {
    const auto model = makeModel(describe(particles, 3, {transformerExpert(8, 1, 0, 1)}));
    const auto fast = createFastEvaluator(*model, 0.1, {}, 1, 1);
    EXPECT_FALSE(fast->hasDivergence());
    double z[9] = {}, divergence;
    EXPECT_THROW(fast->evaluateDivergence(0, 0, 1, z, z, &divergence), Error);
}

TEST(Dual, ALogisticFunctionSaturatesWithAFiniteSlope) {
    for (const double x : {-1000.0, -3.0, 0.0, 3.0, 1000.0}) {
        Dual number(x);
        number.tangents[2] = 1;
        const Dual y = logistic(number);
        EXPECT_EQ(y.value, 1 / (1 + std::exp(-x)));
        EXPECT_NEAR(y.tangents[2], y.value * (1 - y.value), 1e-15) << x;
        EXPECT_EQ(y.tangents[1], 0);
    }
}
