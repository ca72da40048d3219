#include <cmath>
#include <functional>
#include <string>

#include <gtest/gtest.h>

#include "../TestModels.h"
#include "openmmscore/models/Error.h"

using namespace OpenMMScore;
using namespace OpenMMScore::testing;

namespace {

constexpr auto particles = ModelDescription::Space::Particles;

/** Score heads above t = 0.1, an energy below: how the published mixtures are made. */
std::shared_ptr<const ScoreModel> mixture() {
    return makeModel(
        describe(particles, 3,
                 {transformerExpert(8, 1, 0.6, 1, Head::Score),
                  transformerExpert(8, 1, 0.1, 0.6, Head::Score), transformerExpert(8, 2, 0, 0.1)}));
}

std::vector<double> coordinates(int batch, int width) {
    std::vector<double> z(batch * width);
    for (std::size_t k = 0; k < z.size(); k++)
        z[k] = std::sin(0.7 * k + 0.2) + 0.3 * std::cos(1.9 * k);
    return z;
}

std::string messageOf(const std::function<void()>& action) {
    try {
        action();
    }
    catch (const Error& error) {
        return error.what();
    }
    return "nothing was thrown";
}

} // namespace

TEST(ScoreModel, ExpertsAreHardInTimeAndShareTheirEnds) {
    auto model = mixture();
    using Weights = std::vector<double>;
    EXPECT_EQ((Weights{1, 0, 0}), model->expertWeights(0.7));
    EXPECT_EQ((Weights{0.5, 0.5, 0}), model->expertWeights(0.6));
    EXPECT_EQ((Weights{0, 0.5, 0.5}), model->expertWeights(0.1));
    EXPECT_EQ((Weights{0, 0, 1}), model->expertWeights(0));
    EXPECT_EQ((Weights{1, 0, 0}), model->expertWeights(3)) << "times beyond the interval count as its end";
}

TEST(ScoreModel, HasAnEnergyOnlyWhereEveryActiveExpertHas) {
    auto model = mixture();
    EXPECT_TRUE(model->hasEnergy(0.05));
    EXPECT_FALSE(model->hasEnergy(0.1));
    EXPECT_FALSE(model->hasEnergy(0.3));
}

TEST(ScoreModel, SharedEndGivesTheMeanOfBothScores) {
    auto model = mixture();
    const std::vector<double> z = coordinates(1, 9);
    auto scoreAt = [&](double t) {
        std::vector<double> score(9);
        model->evaluate(1, z, {&t, 1}, {}, nullptr, score.data());
        return score;
    };
    auto below = scoreAt(std::nextafter(0.1, 0.0)), above = scoreAt(std::nextafter(0.1, 1.0)),
         at = scoreAt(0.1);
    for (int i = 0; i < 9; i++)
        EXPECT_NEAR(0.5 * (below[i] + above[i]), at[i], 1e-10);
}

TEST(ScoreModel, BatchEqualsItsSamplesOneByOneBitForBit) {
    auto model = mixture();
    const int batch = 7;
    const std::vector<double> z = coordinates(batch, 9), t = {0.05, 0.7, 0.05, 0.3, 0.0, 0.6, 0.1};
    std::vector<double> together(batch * 9), alone(9);
    model->evaluate(batch, z, t, {}, nullptr, together.data());
    for (int b = 0; b < batch; b++) {
        model->evaluate(1, {&z[9 * b], 9}, {&t[b], 1}, {}, nullptr, alone.data());
        for (int i = 0; i < 9; i++)
            EXPECT_EQ(alone[i], together[9 * b + i]) << "sample " << b;
    }
}

TEST(ScoreModel, EvaluatorDoesNotDependOnThreadOrPosition) {
    auto model = mixture();
    const int batch = 5;
    const std::vector<double> z = coordinates(batch, 9);
    auto evaluator = model->createEvaluator(0.02, {}, batch, 2);
    std::vector<double> energies(batch), scores(9 * batch);
    evaluator->evaluate(0, 0, batch, z.data(), energies.data(), scores.data());
    for (int b = 0; b < batch; b++) {
        double energy, score[9];
        evaluator->evaluate(1, b, 1, &z[9 * b], &energy, score);
        EXPECT_EQ(energies[b], energy);
        for (int i = 0; i < 9; i++)
            EXPECT_EQ(scores[9 * b + i], score[i]);
    }
}

TEST(ScoreModel, MoleculesWithDifferentFeaturesKeepThemApart) {
    ModelDescription description = describe(particles, 3, {transformerExpert(8, 2, 0, 1)});
    description.features = {{"kind", 4}};
    description.experts[0].graphTransformer.embeddingWidth = 5;
    auto model = makeModel(description);
    const std::vector<double> z = coordinates(3, 9), t = {0.2};
    const std::vector<int> features = {0, 1, 2, 3, 3, 3, 0, 1, 2};
    std::vector<double> together(3), alone(1);
    model->evaluate(3, z, t, features, together.data(), nullptr);
    for (int b = 0; b < 3; b++) {
        model->evaluate(1, {&z[9 * b], 9}, t, {&features[3 * b], 3}, alone.data(), nullptr);
        EXPECT_EQ(alone[0], together[b]);
    }
    EXPECT_NE(together[0], together[2]);
}

TEST(ScoreModel, SaysWhatIsWrongWithItsArguments) {
    auto model = mixture();
    const std::vector<double> z = coordinates(2, 9), t = {0.3}, three = {0, 0, 0};
    double energies[2];
    EXPECT_NE(std::string::npos,
              messageOf([&] { model->evaluate(2, z, t, {}, energies, nullptr); }).find("no energy"));
    EXPECT_NE(std::string::npos,
              messageOf([&] { model->evaluate(3, z, t, {}, nullptr, nullptr); }).find("9 coordinates"));
    EXPECT_NE(std::string::npos, messageOf([&] {
                                     model->evaluate(2, z, three, {}, nullptr, nullptr);
                                 }).find("3 diffusion times"));
    const std::vector<double> nan = {std::nan("")};
    EXPECT_NE(std::string::npos,
              messageOf([&] { model->evaluate(2, z, nan, {}, nullptr, nullptr); }).find("not a number"));
    const std::vector<int> features = {1, 2};
    EXPECT_NE(std::string::npos,
              messageOf([&] { model->evaluate(2, z, t, features, nullptr, nullptr); }).find("0 features"));
}

TEST(ScoreModel, NamesTheFeatureThatIsOutOfRange) {
    ModelDescription description = describe(particles, 2, {transformerExpert(8, 1, 0, 1)});
    description.features = {{"residue", 20}, {"atom", 5}};
    description.experts[0].graphTransformer.embeddingWidth = 4;
    auto model = makeModel(description);
    const std::vector<int> features = {0, 0, 1, 1, 2, 2, 3, 5};
    std::string message = messageOf([&] { model->createEvaluator(0.1, features, 2); });
    EXPECT_NE(std::string::npos, message.find("\"atom\" of particle 1 of molecule 1 is 5")) << message;
}
