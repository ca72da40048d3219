#include <cmath>
#include <limits>
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
    config.training.batchSize = 90;
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
    config.training.batchSize = 30;
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
    config.training.batchSize = 2500;
    const NoisedBatch batch = TrainingSet(config, at::kDouble).trainingBatch(0);
    // 30 000 numbers: the mean is known to 0.006, the fourth moment (3) to 0.06, five deviations are allowed.
    EXPECT_NEAR(batch.noise.mean().item<double>(), 0.0, 0.03);
    EXPECT_NEAR(batch.noise.square().mean().item<double>(), 1.0, 0.04);
    EXPECT_NEAR(batch.noise.pow(4).mean().item<double>(), 3.0, 0.3);
    EXPECT_NEAR(batch.times.mean().item<double>(), 0.5, 0.03);
    EXPECT_NEAR(batch.times.var().item<double>(), 1.0 / 12.0, 0.01);
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
