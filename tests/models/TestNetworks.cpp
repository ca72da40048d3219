// Values in this file were computed once in float64 by an independent program from the published formulas.
#include <algorithm>
#include <array>
#include <cmath>

#include <gtest/gtest.h>

#include "../TestModels.h"

using namespace OpenMMScore;
using namespace OpenMMScore::testing;

namespace {

constexpr auto particles = ModelDescription::Space::Particles;
constexpr auto vector = ModelDescription::Space::Vector;

struct Result {
    double energy = 0;
    std::vector<double> score;
};

Result evaluate(const ScoreModel& model, const std::vector<double>& z, double t,
                const std::vector<int>& features = {}) {
    Result result;
    result.score.resize(z.size());
    model.evaluate(1, z, {&t, 1}, features, model.hasEnergy(t) ? &result.energy : nullptr,
                   result.score.data());
    return result;
}

std::vector<double> wave(int size) {
    std::vector<double> z(size);
    for (int k = 0; k < size; k++)
        z[k] = std::sin(1.3 * k) + 0.4 * std::cos(2.1 * k);
    return z;
}

template <std::size_t size>
void expectBegins(const std::array<double, size>& expected, const std::vector<double>& found) {
    ASSERT_GE(found.size(), size);
    for (std::size_t i = 0; i < size; i++)
        EXPECT_NEAR(expected[i], found[i], 1e-9) << "component " << i;
}

void expectScoreIsMinusGradient(const ScoreModel& model, std::vector<double> z, double t,
                                const std::vector<int>& features = {}) {
    const Result center = evaluate(model, z, t, features);
    const double h = 5e-5;
    double largest = 1;
    for (double component : center.score)
        largest = std::max(largest, std::abs(component));
    for (std::size_t i = 0; i < z.size(); i++) {
        const double x = z[i];
        auto difference = [&](double step) {
            z[i] = x + step;
            double above = evaluate(model, z, t, features).energy;
            z[i] = x - step;
            double below = evaluate(model, z, t, features).energy;
            z[i] = x;
            return (above - below) / (2 * step);
        };
        // Two central differences without their h^2 term: what remains is h^4 f^(5)/30, which is of the
        // order of the stiffest direction, and rounding 1e-15/h.
        const double gradient = (4 * difference(h) - difference(2 * h)) / 3;
        EXPECT_NEAR(-gradient, center.score[i], 1e-9 * largest) << "component " << i;
    }
}

std::vector<int> dipeptideFeatures() {
    return {0,  0, 1, 0, 0,  1, 0, 0, 0,  2, 0, 0, 0,  3, 0, 0, 0,  4, 2, 0,
            17, 0, 1, 1, 17, 1, 0, 1, 17, 2, 0, 1, 17, 3, 0, 1, 17, 4, 2, 1};
}

ModelDescription dipeptides(int hidden, int layers) {
    ModelDescription model = describe(particles, 10, {transformerExpert(hidden, layers, 0, 0.1)});
    model.features = {{"residue", 20}, {"atom", 5}, {"element", 3}, {"position", 2}};
    model.experts[0].graphTransformer.embeddingWidth = 16;
    return model;
}

} // namespace

TEST(Mlp, EnergyAndScoreMatchTheFormulas) {
    const std::vector<double> z = {-0.5, 1.2};
    struct Case {
        double t0, t1, t, energy;
        std::array<double, 2> score;
    };
    for (const Case& c : {Case{0, 1, 0.3, 0.0813984361, {-0.1977623617, -0.0132351662}},
                          Case{0, 0.1, 1e-5, -0.2064986430, {-0.2027923311, 0.0591915148}},
                          Case{0.1, 0.6, 0.25, 1.2417122744, {0.2826833456, -0.6736717700}}}) {
        auto model = makeModel(describe(vector, 2, {mlpExpert({4, 3}, c.t0, c.t1)}));
        Result result = evaluate(*model, z, c.t);
        EXPECT_NEAR(c.energy, result.energy, 1e-9);
        expectBegins(c.score, result.score);
    }
}

TEST(Mlp, ScoreHeadMatchesTheFormulas) {
    auto model = makeModel(describe(vector, 2, {mlpExpert({4, 3}, 0.1, 0.6, Head::Score)}));
    expectBegins(std::array{-1.0740392974, -0.3335013878}, evaluate(*model, {-0.5, 1.2}, 0.25).score);
}

TEST(Mlp, ScoreIsMinusTheGradientOfTheEnergy) {
    auto model = makeModel(describe(vector, 7, {mlpExpert({9, 16, 5}, 0, 1)}));
    expectScoreIsMinusGradient(*model, wave(7), 0.4);
}

TEST(GraphTransformer, EnergyAndScoreMatchTheFormulas) {
    auto model = makeModel(describe(particles, 5, {transformerExpert(8, 2, 0, 0.1)}));
    Result result = evaluate(*model, wave(15), 1e-5);
    EXPECT_NEAR(1.4093136557, result.energy, 1e-9);
    expectBegins(std::array{-0.0671875631, 0.0278730493, -0.0397084807, -0.1140738993, -0.1562127959,
                            -0.1578290097, 0.1352096937, -0.1190281382, 0.1089977876, 0.0121275535,
                            0.2156266790, 0.1732175128, 0.0339242152, 0.0317412058, -0.0846778100},
                 result.score);
}

TEST(GraphTransformer, ScoreHeadMatchesTheFormulas) {
    auto model = makeModel(describe(particles, 5, {transformerExpert(8, 2, 0.1, 0.6, Head::Score)}));
    expectBegins(std::array{0.1503276490, 0.1973288502, -0.4369809888, -0.1546629342, -0.3495672741,
                            -0.0641757942, 1.0192838877, -0.2540212700, 0.1212353889, -0.2061693287,
                            0.1886264777, 0.6677540718, 0.1732113468, 0.4467711390, 0.0806744773},
                 evaluate(*model, wave(15), 0.25).score);
}

TEST(GraphTransformer, FeaturesSelectRowsOfTheEmbeddings) {
    auto model = makeModel(dipeptides(8, 1));
    Result result = evaluate(*model, wave(30), 1e-5, dipeptideFeatures());
    EXPECT_NEAR(-2.7169264424, result.energy, 1e-9);
    expectBegins(
        std::array{-0.0877082930, -0.1042797080, 0.1022013732, -0.3487180779, 0.0721796303, -0.1874579093},
        result.score);
}

TEST(GraphTransformer, EpsilonAndGeluAreConventionsOfTheFile) {
    ModelDescription description = describe(particles, 5, {transformerExpert(8, 2, 0, 0.1)});
    description.experts[0].graphTransformer.layerNormEpsilon = 1e-5;
    EXPECT_NEAR(1.4093031765, evaluate(*makeModel(description), wave(15), 1e-5).energy, 1e-9);
    description.experts[0].graphTransformer.layerNormEpsilon = 1e-6;
    description.experts[0].graphTransformer.gelu = Gelu::Erf;
    EXPECT_NEAR(1.4091465937, evaluate(*makeModel(description), wave(15), 1e-5).energy, 1e-9);
}

TEST(GraphTransformer, NoisePredictionIsDividedBySigma) {
    ModelDescription description = describe(particles, 5, {transformerExpert(8, 2, 0, 0.999)});
    ExpertDescription& expert = description.experts[0];
    expert.graphTransformer.layerNormEpsilon = 1e-5;
    expert.graphTransformer.gelu = Gelu::Erf;
    expert.timeFeatures = TimeFeatures::Linear;
    expert.outputSign = -1;
    expert.scaling = Scaling::InverseSigma;
    description.schedule.kind = ScheduleDescription::Kind::CosineDdpm;
    description.defaultDiffusionTime = 0.02;
    auto model = makeModel(description);
    Result result = evaluate(*model, wave(15), 0.02);
    const double sigma = model->getSchedule().sigma(0.02);
    EXPECT_NEAR(2.4249869853, -sigma * result.energy, 1e-9);
    const std::array noise{-0.4893801902, 0.4266585715, -0.1506426316,
                           -0.3523115313, 0.0555178132, -0.1445568263};
    for (std::size_t i = 0; i < noise.size(); i++)
        EXPECT_NEAR(noise[i], -sigma * result.score[i], 1e-9);
}

TEST(GraphTransformer, ScoreIsMinusTheGradientOfTheEnergy) {
    expectScoreIsMinusGradient(*makeModel(describe(particles, 4, {transformerExpert(12, 3, 0, 1)}), 2.0),
                               wave(12), 0.3);
    expectScoreIsMinusGradient(*makeModel(dipeptides(8, 2)), wave(30), 0.05, dipeptideFeatures());
}

TEST(GraphTransformer, TranslationChangesNothing) {
    auto model = makeModel(describe(particles, 6, {transformerExpert(16, 2, 0, 1)}));
    std::vector<double> z = wave(18), moved = z;
    for (int i = 0; i < 18; i++)
        moved[i] += 0.3 * (i % 3) - 1.7;
    Result here = evaluate(*model, z, 0.2), there = evaluate(*model, moved, 0.2);
    EXPECT_NEAR(here.energy, there.energy, 1e-12);
    for (int c = 0; c < 3; c++) {
        double net = 0;
        for (int i = c; i < 18; i += 3)
            net += here.score[i];
        EXPECT_NEAR(0, net, 1e-12) << "component " << c;
    }
}

TEST(GraphTransformer, OneParticleFeelsNothing) {
    auto model = makeModel(describe(particles, 1, {transformerExpert(8, 2, 0, 1)}));
    for (double component : evaluate(*model, {0.3, -2, 1}, 0.2).score)
        EXPECT_NEAR(0, component, 1e-12);
}
