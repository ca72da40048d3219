#include <cmath>
#include <limits>
#include <numeric>
#include <set>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "NpyFile.h"
#include "TrainingFiles.h"
#include "openmmscore/training/TrainingSet.h"

namespace OpenMMScore::testing {
namespace {

::testing::AssertionResult contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos ? ::testing::AssertionSuccess()
                                                : ::testing::AssertionFailure() << text << " lacks " << part;
}

class TrainingSetTest : public ::testing::Test {
protected:
    TrainingConfig configFor(const std::string& npy, const std::string& run = smallRun()) {
        folder.write("chain.npy", npy);
        return TrainingConfig::read(folder.write("run.toml", run));
    }
    std::string problemWith(const std::string& npy, const std::string& run = smallRun()) {
        TrainingConfig config = configFor(npy, run);
        return messageOf([&] { TrainingSet(config, at::kDouble); });
    }
    TemporaryFolder folder;
};

TEST_F(TrainingSetTest, CentresAndScalesToUnitVariance) {
    TrainingConfig config = configFor(npyBytes({100, 4, 3}, wobblingChain(100, 4)));
    config.training.randomRotations = false;
    config.stages[0].batchSize = 90;
    const TrainingSet data(config, at::kDouble);
    EXPECT_EQ(data.getNumTrainingFrames(), 90);
    EXPECT_EQ(data.getNumValidationFrames(), 10);
    EXPECT_EQ(config.model.count, 4);
    EXPECT_EQ(config.model.space, ModelDescription::Space::Particles);
    const at::Tensor z = data.trainingBatch(0).clean;
    EXPECT_NEAR(z.square().mean().item<double>(), 1.0, 1e-12);
    EXPECT_LT(z.view({90, 4, 3}).mean(1).abs().max().item<double>(), 1e-14);
}

TEST_F(TrainingSetTest, RotationsAreProperAndKeepDistances) {
    TrainingConfig config = configFor(npyBytes({100, 4, 3}, wobblingChain(100, 4)));
    TrainingConfig still = config;
    still.training.randomRotations = false;
    const at::Tensor a = TrainingSet(config, at::kDouble).trainingBatch(3).clean.view({40, 4, 3});
    const at::Tensor b = TrainingSet(still, at::kDouble).trainingBatch(3).clean.view({40, 4, 3});
    EXPECT_GT((a - b).abs().max().item<double>(), 0.1);
    EXPECT_LT((at::cdist(a, a) - at::cdist(b, b)).abs().max().item<double>(), 1e-6);
    const auto handedness = [](const at::Tensor& x) {
        const at::Tensor edges = x.slice(1, 1) - x.slice(1, 0, 3);
        return at::linalg_det(edges);
    };
    EXPECT_LT((handedness(a) - handedness(b)).abs().max().item<double>(), 1e-12);
}

TEST_F(TrainingSetTest, DrawsDependOnNothingButSeedAndStep) {
    TrainingConfig config = configFor(npyBytes({100, 4, 3}, wobblingChain(100, 4)));
    const TrainingSet one(config, at::kFloat), other(config, at::kFloat);
    for (int step = 0; step < 7; step++)
        one.trainingBatch(step);
    const NoisedBatch a = one.trainingBatch(5), b = other.trainingBatch(5), c = other.trainingBatch(6);
    EXPECT_TRUE(at::equal(a.clean, b.clean) && at::equal(a.times, b.times) && at::equal(a.noise, b.noise));
    EXPECT_FALSE(at::equal(b.noise, c.noise));
    config.seed++;
    EXPECT_FALSE(at::equal(TrainingSet(config, at::kFloat).trainingBatch(5).times, a.times));
}

TEST_F(TrainingSetTest, AnEpochSeesEveryFrameOnce) {
    std::vector<float> values;
    for (int i = 0; i < 100; i++)
        values.push_back(float(i));
    TrainingConfig config = configFor(npyBytes({100, 1}, values));
    config.model.experts[0].architecture = ExpertDescription::Architecture::Mlp;
    config.stages[0].batchSize = 30;
    const TrainingSet data(config, at::kDouble);
    std::set<double> seen;
    for (int step = 0; step < 3; step++) {
        const at::Tensor clean = data.trainingBatch(step).clean;
        seen.insert(clean.data_ptr<double>(), clean.data_ptr<double>() + 30);
    }
    EXPECT_EQ(seen.size(), 90u);
    EXPECT_EQ(config.model.space, ModelDescription::Space::Vector);
    EXPECT_EQ(config.model.lengthScale, 1.0);
}

TEST_F(TrainingSetTest, NoiseIsStandardNormalAndTimesUniform) {
    TrainingConfig config = configFor(npyBytes({3000, 4, 3}, wobblingChain(3000, 4)));
    config.stages[0].batchSize = 2500;
    const NoisedBatch batch = TrainingSet(config, at::kDouble).trainingBatch(0);
    // 30 000 numbers: the mean is known to 0.006, the fourth moment (3) to 0.06, five deviations are allowed.
    EXPECT_NEAR(batch.noise.mean().item<double>(), 0.0, 0.03);
    EXPECT_NEAR(batch.noise.square().mean().item<double>(), 1.0, 0.04);
    EXPECT_NEAR(batch.noise.pow(4).mean().item<double>(), 3.0, 0.3);
    EXPECT_NEAR(batch.times.mean().item<double>(), 0.5, 0.03);
    EXPECT_NEAR(batch.times.var().item<double>(), 1.0 / 12.0, 0.01);
}

TEST_F(TrainingSetTest, StratifiedTimesLieOneInEachPart) {
    TrainingConfig config = configFor(npyBytes({100, 4, 3}, wobblingChain(100, 4)),
                                      smallRun("", "times = \"stratified\"\ntime_interval = [0.2, 0.6]\n"));
    const TrainingSet data(config, at::kDouble);
    for (int step = 0; step < 3; step++) {
        const at::Tensor times = data.trainingBatch(step).times;
        const at::Tensor part = ((times - 0.2) / 0.4 * 40).floor();
        EXPECT_TRUE(at::equal(part, at::arange(40, at::kDouble)));
        // The other end of a share is where the other processes' begins.
        EXPECT_TRUE(at::equal(data.trainingBatch(step, 0, 10, 20).times, times.slice(0, 10, 30)));
    }
}

TEST_F(TrainingSetTest, PerturbationsAreNormalAndIndependentOfNoise) {
    TrainingConfig config = configFor(npyBytes({3000, 4, 3}, wobblingChain(3000, 4)),
                                      smallRun("[fokker_planck]\nweight = 1e-3\n"));
    config.stages[0].batchSize = 2500;
    const TrainingSet data(config, at::kDouble);
    const NoisedBatch batch = data.trainingBatch(0);
    const at::Tensor v = batch.perturbations;
    ASSERT_EQ(v.sizes(), (std::vector<std::int64_t>{2, 2500, 12}));
    const auto mean = [](const at::Tensor& x) { return x.mean().item<double>(); };
    // 30 000 numbers each: means of products of two are known to 0.006, five deviations are allowed.
    EXPECT_NEAR(mean(v[0]), 0.0, 0.03);
    EXPECT_NEAR(mean(v[0].square()), 1.0, 0.041);
    EXPECT_NEAR(mean(v[1].square()), 1.0, 0.041);
    EXPECT_NEAR(mean(v[0] * v[1]), 0.0, 0.03);
    EXPECT_NEAR(mean(v[0] * batch.noise), 0.0, 0.03);
    EXPECT_FALSE(at::equal(v, data.trainingBatch(1).perturbations));
    EXPECT_FALSE(at::equal(v[0][0], data.validationBatch(4).perturbations[0][0]));
    EXPECT_TRUE(at::equal(batch.slice(7, 5).perturbations, v.slice(1, 7, 12)));
    // They change nothing else.
    TrainingConfig without = configFor(npyBytes({3000, 4, 3}, wobblingChain(3000, 4)));
    without.stages[0].batchSize = 2500;
    const NoisedBatch other = TrainingSet(without, at::kDouble).trainingBatch(0);
    EXPECT_TRUE(at::equal(other.noise, batch.noise) && at::equal(other.clean, batch.clean));
    EXPECT_FALSE(other.perturbations.defined());
}

TEST_F(TrainingSetTest, StagesDrawNumbersOfTheirOwn) {
    TrainingConfig config =
        configFor(npyBytes({100, 4, 3}, wobblingChain(100, 4)), smallRun("method = \"mixture\""));
    const TrainingSet data(config, at::kDouble);
    const NoisedBatch first = data.trainingBatch(0, 0), last = data.trainingBatch(0, 2);
    EXPECT_FALSE(at::equal(first.noise, last.noise));
    EXPECT_GE(first.times.min().item<double>(), 0.6);
    EXPECT_LE(last.times.max().item<double>(), 0.1);
    EXPECT_TRUE(at::equal(data.trainingBatch(0, 0).clean, first.clean));
}

TEST_F(TrainingSetTest, TwoForOneDrawsLowLevelsHalfOfTheTimeAndCentresNoise) {
    TrainingConfig config =
        configFor(npyBytes({3000, 4, 3}, wobblingChain(3000, 4)), smallRun("method = \"two-for-one\""));
    config.stages[0].batchSize = 2500;
    const NoisedBatch batch = TrainingSet(config, at::kDouble).trainingBatch(0);
    const at::Tensor levels = batch.times * 1000;
    EXPECT_LT((levels - levels.round()).abs().max().item<double>(), 1e-9);
    EXPECT_EQ(levels.min().item<double>(), 0.0);
    EXPECT_GT(levels.max().item<double>(), 980.0);
    // Known to 0.01, five deviations are allowed; uniform levels would give 0.1.
    EXPECT_NEAR(levels.lt(99.5).to(at::kDouble).mean().item<double>(), 0.5, 0.05);
    EXPECT_NEAR(levels.lt(49.5).to(at::kDouble).mean().item<double>(), 0.25, 0.05);
    EXPECT_LT(batch.noise.view({2500, 4, 3}).mean(1).abs().max().item<double>(), 1e-14);
    config.stages[0].preferLowLevels = false;
    const at::Tensor uniform = TrainingSet(config, at::kDouble).trainingBatch(0).times;
    EXPECT_NEAR(uniform.lt(0.0995).to(at::kDouble).mean().item<double>(), 0.1, 0.03);
}

/** The configuration of 100 numbers 0 ... 99 with weights, for a network of plain vectors. */
class WeightedSetTest : public TrainingSetTest {
protected:
    TrainingConfig weighted(const std::vector<float>& weights, const std::string& key = "weights") {
        std::vector<float> values;
        for (int i = 0; i < 100; i++)
            values.push_back(float(i));
        folder.write("w.npy", npyBytes({static_cast<std::int64_t>(weights.size())}, weights));
        std::string run = smallRun();
        run.replace(run.find("temperature"), 0, key + " = \"w.npy\"\n");
        TrainingConfig config = configFor(npyBytes({100, 1}, values), run);
        config.model.experts[0].architecture = ExpertDescription::Architecture::Mlp;
        config.data.validationFraction = 0.0;
        config.stages[0].batchSize = 50;
        return config;
    }
    /** How often each number comes in some epochs. */
    static std::vector<int> counts(const TrainingSet& data, int epochs) {
        std::vector<int> result(100, 0);
        for (int step = 0; step < 2 * epochs; step++) {
            const at::Tensor clean = data.trainingBatch(step).clean;
            for (int i = 0; i < 50; i++)
                result[std::lround(clean.data_ptr<double>()[i])]++;
        }
        return result;
    }
    std::string problemWithWeights(const std::vector<float>& weights, const std::string& key = "weights") {
        TrainingConfig config = weighted(weights, key);
        return messageOf([&] { TrainingSet(config, at::kDouble); });
    }
};

TEST_F(WeightedSetTest, FramesComeInProportionToTheirWeights) {
    std::vector<float> weights(100, 1.0f);
    weights[3] = 0.0f;
    weights[7] = 10.5f;
    TrainingConfig config = weighted(weights);
    const TrainingSet data(config, at::kDouble);
    const int epochs = 200;
    const std::vector<int> seen = counts(data, epochs);
    EXPECT_EQ(seen[3], 0);
    // Each count of an epoch is one of two neighbouring integers, with variance p (1 - p) <= 1/4.
    const double total = 98.0 + 10.5, deviation = std::sqrt(0.25 * epochs);
    for (int i = 0; i < 100; i++)
        EXPECT_NEAR(seen[i], epochs * 100.0 * weights[i] / total, 5.0 * deviation) << i;
    EXPECT_TRUE(data.isWeighted());
    EXPECT_NEAR(data.getEffectiveTrainingFrames(), total * total / (98.0 + 10.5 * 10.5), 1e-9);
}

TEST_F(WeightedSetTest, EqualWeightsGiveEachFrameOnceAnEpoch) {
    TrainingConfig config = weighted(std::vector<float>(100, 0.3f));
    EXPECT_EQ(counts(TrainingSet(config, at::kDouble), 3), std::vector<int>(100, 3));
}

TEST_F(WeightedSetTest, BiasEnergiesAndLogarithmsAreWeights) {
    // At 300 K, kT ln 4 = 3.4578885 kJ/mol.
    std::vector<float> plain(100, 1.0f), logarithms(100, 1000.0f), bias(100, -3.4578885f);
    for (int i = 50; i < 100; i++) {
        plain[i] = 4.0f;
        logarithms[i] += std::log(4.0f);
        bias[i] = 0.0f;
    }
    for (const auto& [key, values] :
         {std::pair{"weights", plain}, {"log_weights", logarithms}, {"bias_energy", bias}}) {
        TrainingConfig config = weighted(values, key);
        const std::vector<int> seen = counts(TrainingSet(config, at::kDouble), 50);
        EXPECT_NEAR(std::accumulate(seen.begin() + 50, seen.end(), 0), 0.8 * 5000, 5) << key;
    }
}

TEST_F(WeightedSetTest, ValidationAndLengthScaleAreWeighted) {
    std::vector<float> weights(100, 0.0f);
    for (int i = 0; i < 100; i++)
        weights[i] = i >= 90 ? 1.0f : 0.0f;
    TrainingConfig config = weighted(weights);
    const at::Tensor clean = TrainingSet(config, at::kDouble).validationBatch(64).clean;
    EXPECT_GE(clean.min().item<double>(), 90.0);

    // Positions of two groups of sizes 1 and 2 nm; only the second counts.
    std::vector<float> positions;
    for (int i = 0; i < 100; i++)
        for (float x : {-1.0f, 0.0f, 0.0f, 1.0f, 0.0f, 0.0f})
            positions.push_back(i < 50 ? x : 2.0f * x);
    folder.write("chain.npy", npyBytes({100, 2, 3}, positions));
    std::fill(weights.begin(), weights.end(), 1.0f);
    std::fill_n(weights.begin(), 50, 0.0f);
    folder.write("w.npy", npyBytes({100}, weights));
    TrainingConfig pairs = TrainingConfig::read(folder.path("run.toml"));
    TrainingSet(pairs, at::kDouble);
    EXPECT_NEAR(pairs.model.lengthScale, 2.0 / std::sqrt(3.0), 1e-12);
}

TEST_F(WeightedSetTest, RefusesBadWeights) {
    std::vector<float> weights(100, 1.0f);
    EXPECT_TRUE(contains(problemWithWeights(std::vector<float>(99, 1.0f)), "has shape [99], expected [100]"));
    EXPECT_TRUE(contains(problemWithWeights(std::vector<float>(100, 0.0f)), "all weights are zero"));
    weights[5] = -1.0f;
    EXPECT_TRUE(
        contains(problemWithWeights(weights), "the number of frame 5 is -1, expected a finite weight"));
    EXPECT_EQ(problemWithWeights(weights, "log_weights"), "");
    weights[5] = std::numeric_limits<float>::quiet_NaN();
    EXPECT_TRUE(contains(problemWithWeights(weights, "log_weights"), "the number of frame 5 is nan"));
    weights[5] = std::numeric_limits<float>::infinity();
    EXPECT_TRUE(contains(problemWithWeights(weights), "the number of frame 5 is inf"));
}

TEST_F(TrainingSetTest, EachMoleculeBringsItsFeatures) {
    // Two molecules that differ in size, so that a sample tells which one it is.
    std::vector<float> small = wobblingChain(60, 4), large = small;
    for (float& x : large)
        x *= 10.0f;
    folder.write("large.npy", npyBytes({60, 4, 3}, large));
    std::string run = smallRun();
    run.replace(run.find("file = \"chain.npy\"\n"), 19, "");
    const std::string features = "[[features]]\nname = \"kind\"\nnum_values = 5\n";
    const std::string one = "[[molecules]]\nfile = \"chain.npy\"\nfeatures = [[0], [1], [2], [3]]\n";
    const std::string two = "[[molecules]]\nfile = \"large.npy\"\nfeatures = [[4], [3], [2], [1]]\n";
    const std::string npy = npyBytes({60, 4, 3}, small);
    TrainingConfig config = configFor(npy, run + features + one + two);
    const TrainingSet data(config, at::kDouble);
    EXPECT_EQ(data.getNumTrainingFrames(), 108);
    const NoisedBatch batch = data.trainingBatch(0);
    EXPECT_EQ(batch.features.sizes(), (at::IntArrayRef{40, 4, 1}));
    int numLarge = 0;
    for (int i = 0; i < 40; i++) {
        const bool isLarge = batch.clean[i].square().mean().item<double>() > 0.5;
        EXPECT_EQ(batch.features[i][0][0].item<std::int64_t>(), isLarge ? 4 : 0);
        numLarge += isLarge;
    }
    EXPECT_GT(numLarge, 5);
    EXPECT_LT(numLarge, 35);
    EXPECT_TRUE(at::equal(batch.slice(7, 9).features, batch.features.slice(0, 7, 16)));

    EXPECT_TRUE(contains(messageOf([&] { configFor(npy, run + one); }), "a row has 1"));
    const std::string none = "[[molecules]]\nfile = \"chain.npy\"\n";
    EXPECT_TRUE(contains(problemWith(npy, run + features + none), "tells 0 features of this molecule"));
    EXPECT_TRUE(contains(problemWith(npy, run + none + none), "must be told which is which"));
    folder.write("large.npy", npyBytes({60, 3, 3}, wobblingChain(60, 3)));
    EXPECT_TRUE(contains(problemWith(npy, run + features + one + two), "does not fit the molecules before"));
}

TEST_F(TrainingSetTest, ReadsHalfPrecision) {
    // 1, -2, 0.5, 65504, 2^-24 (subnormal) and 0 in IEEE 754 binary16.
    std::string bytes = npyBytes({2, 3}, {}, "<f2");
    for (unsigned bits : {0x3C00u, 0xC000u, 0x3800u, 0x7BFFu, 0x0001u, 0x0000u}) {
        bytes += static_cast<char>(bits & 255);
        bytes += static_cast<char>(bits >> 8);
    }
    const std::vector<double> expected = {1.0, -2.0, 0.5, 65504.0, std::exp2(-24.0), 0.0};
    EXPECT_EQ(NpyFile::read(folder.write("half.npy", bytes)).values, expected);
}

TEST_F(TrainingSetTest, SelectsAtomsAndConvertsUnits) {
    const std::string npy = npyBytes({100, 4, 3}, wobblingChain(100, 4));
    std::string run = smallRun();
    run.replace(run.find("temperature"), 0, "unit = \"angstrom\"\natoms = [3, 0]\n");
    TrainingConfig whole = configFor(npy), part = configFor(npy, run);
    for (TrainingConfig* config : {&whole, &part})
        config->training.randomRotations = false;
    const at::Tensor all = TrainingSet(whole, at::kDouble).trainingBatch(0).clean.view({40, 4, 3});
    const at::Tensor two = TrainingSet(part, at::kDouble).trainingBatch(0).clean.view({40, 2, 3});
    EXPECT_EQ(part.model.count, 2);
    const at::Tensor a = (all.select(1, 3) - all.select(1, 0)) * whole.model.lengthScale;
    const at::Tensor b = (two.select(1, 0) - two.select(1, 1)) * part.model.lengthScale;
    EXPECT_LT((0.1 * a - b).abs().max().item<double>(), 1e-12);
    run.replace(run.find("[3, 0]"), 6, "[4]");
    EXPECT_TRUE(contains(problemWith(npy, run), "names index 4, the file's second axis has 4"));
}

TEST_F(TrainingSetTest, RefusesUnusableData) {
    const std::vector<float> chain = wobblingChain(100, 4);
    const std::string good = npyBytes({100, 4, 3}, chain);
    EXPECT_TRUE(contains(problemWith(good.substr(0, good.size() - 5)), "truncated or damaged"));
    EXPECT_TRUE(contains(problemWith(good.substr(0, 60)), "ends inside its header"));
    EXPECT_TRUE(contains(problemWith("not an array"), "is not a .npy file"));
    EXPECT_TRUE(contains(problemWith(npyBytes({100, 4, 3}, chain, "<i4")), "expected float32"));
    EXPECT_TRUE(contains(problemWith(npyBytes({100, 4, 3}, chain, "<f4", "True")), "not in C order"));
    EXPECT_TRUE(contains(problemWith(npyBytes({1200}, chain)), "has shape [1200], expected"));
    EXPECT_TRUE(contains(problemWith(npyBytes({100, 3, 4}, chain)), "expected [frames, particles, 3]"));
    EXPECT_TRUE(contains(problemWith(npyBytes({4611686018427387904, 4, 3}, chain)), "absurd"));
    std::vector<float> broken = chain;
    broken[25] = std::numeric_limits<float>::quiet_NaN();
    EXPECT_TRUE(
        contains(problemWith(npyBytes({100, 4, 3}, broken)), "frame 2 holds a number that is not finite"));
    EXPECT_TRUE(
        contains(problemWith(npyBytes({10, 4, 3}, wobblingChain(10, 4))), "fewer than training.batch_size"));
    EXPECT_TRUE(contains(problemWith(npyBytes({100, 4, 3}, std::vector<float>(1200, 1.0f))),
                         "all training frames are alike"));
    const std::string oneParticle = "[[particles]]\nname = \"A\"\nmass = 1\n";
    EXPECT_TRUE(
        contains(problemWith(good, smallRun() + oneParticle), "describes 1 particles, the frames have 4"));
}

TEST_F(TrainingSetTest, EverySingleTruncationIsNoticed) {
    const std::string good = npyBytes({2, 2, 3}, wobblingChain(2, 2));
    for (std::size_t length = 0; length < good.size(); length++) {
        const std::string path = folder.write("cut.npy", good.substr(0, length));
        EXPECT_NE(messageOf([&] { NpyFile::read(path); }), "") << length;
    }
}

} // namespace
} // namespace OpenMMScore::testing
