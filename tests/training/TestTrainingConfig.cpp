#include <gtest/gtest.h>

#include "TrainingFiles.h"
#include "openmmscore/training/TrainingConfig.h"

namespace OpenMMScore::testing {
namespace {

std::string problemWith(const std::string& text) {
    TemporaryFolder folder;
    const std::string path = folder.write("run.toml", text);
    return messageOf([&] { TrainingConfig::read(path); });
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
    text.replace(text.find(from), from.size(), to);
    return text;
}

::testing::AssertionResult contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos ? ::testing::AssertionSuccess()
                                                : ::testing::AssertionFailure() << text << " lacks " << part;
}

TEST(TrainingConfig, ReadsARunWithItsDefaults) {
    TemporaryFolder folder;
    const auto config = TrainingConfig::read(folder.write("run.toml", smallRun("title = \"a chain\"")));
    EXPECT_EQ(config.model.title, "a chain");
    EXPECT_EQ(config.seed, 5u);
    EXPECT_EQ(config.data.molecules.at(0).file, folder.path("chain.npy"));
    EXPECT_EQ(config.output.directory, folder.path("out"));
    const ExpertDescription& expert = config.model.experts.at(0);
    EXPECT_EQ(expert.graphTransformer.feedForward, 32);
    EXPECT_EQ(expert.outputSign, 1);
    EXPECT_TRUE(config.measureLengthScale);
    EXPECT_EQ(config.training.lowerTime, 1e-5);
    EXPECT_EQ(config.training.timeMidpoint, 0.5);
}

TEST(TrainingConfig, NamesTheNearestKeyOfAnUnknownOne) {
    EXPECT_TRUE(contains(problemWith(smallRun("", "lerning_rate = 1\n")),
                         "training.lerning_rate (line 17) is not a key that is known; did you mean "
                         "training.learning_rate?"));
    EXPECT_TRUE(contains(problemWith(smallRun("sed = 1")), "did you mean seed?"));
    EXPECT_TRUE(contains(problemWith(smallRun("[extras]\nx = 1")), "extras"));
}

TEST(TrainingConfig, ChecksTypesAndRanges) {
    const std::string run = smallRun();
    EXPECT_TRUE(contains(problemWith(replaced(run, "steps = 12", "steps = 1.5")),
                         "training.steps must be an integer"));
    EXPECT_TRUE(
        contains(problemWith(replaced(run, "steps = 12", "steps = 0")), "must be at least 1, it is 0"));
    EXPECT_TRUE(contains(problemWith(replaced(run, "\"chain.npy\"", "7")), "data.file must be a text"));
    EXPECT_TRUE(contains(problemWith(replaced(run, "1e-3", "\"fast\"")), "must be a number, it is a text"));
    EXPECT_TRUE(
        contains(problemWith(replaced(run, "temperature = 300", "temperature = -1")), "greater than zero"));
    EXPECT_TRUE(contains(problemWith(replaced(run, "temperature = 300", "")), "data.temperature is missing"));
    EXPECT_TRUE(contains(problemWith(replaced(run, "graph-transformer", "cnn")),
                         "one of \"mlp\", \"graph-transformer\""));
    EXPECT_TRUE(contains(problemWith(replaced(run, "hidden = 8", "hidden = [8, 8]")),
                         "model.hidden must be one integer"));
    EXPECT_TRUE(
        contains(problemWith(smallRun("", "time_interval = [0.5, 0.1]\n")), "two increasing numbers"));
    EXPECT_TRUE(
        contains(problemWith(smallRun("", "time_midpoint = 1.0\n")), "must lie inside model.interval"));
}

TEST(TrainingConfig, ChecksBondsAgainstParticles) {
    const std::string particles =
        "\n[[particles]]\nname = \"A\"\nmass = 12\n[[particles]]\nname = \"B\"\nmass = 12\n";
    EXPECT_EQ(problemWith(smallRun("bonds = [[0, 1]]") + particles), "");
    EXPECT_TRUE(contains(problemWith(smallRun("bonds = [[0, 2]]") + particles), "bonds must be pairs"));
    EXPECT_TRUE(contains(problemWith(smallRun("bonds = [[0]]") + particles), "bonds must be pairs"));
}

TEST(TrainingConfig, ReadsMoleculesWithTheirFeatures) {
    TemporaryFolder folder;
    const std::string tables = "\n[[features]]\nname = \"kind\"\nnum_values = 3\n"
                               "[[molecules]]\nname = \"AB\"\nfile = \"ab.npy\"\nfeatures = [[0], [2]]\n"
                               "[[molecules]]\nfile = \"ba.npy\"\nweights = \"w.npy\"\n"
                               "features = [[2], [0]]\n";
    const std::string run = replaced(smallRun(), "file = \"chain.npy\"\n", "") + tables;
    const auto config = TrainingConfig::read(folder.write("run.toml", run));
    ASSERT_EQ(config.data.molecules.size(), 2u);
    EXPECT_EQ(config.data.molecules[0].name, "AB");
    EXPECT_EQ(config.data.molecules[1].name, "molecule 1");
    EXPECT_EQ(config.data.molecules[1].features, (std::vector<std::int64_t>{2, 0}));
    EXPECT_EQ(config.data.molecules[1].weightsFile, folder.path("w.npy"));
    EXPECT_EQ(config.model.features.at(0).numValues, 3);
    EXPECT_EQ(config.model.experts.at(0).graphTransformer.embeddingWidth, 16);
    EXPECT_TRUE(contains(problemWith(smallRun() + tables), "data.file stands beside tables [[molecules]]"));
    EXPECT_TRUE(contains(problemWith(replaced(run, "[[0], [2]]", "[[0], [3]]")), "holds 3 for feature kind"));
    EXPECT_TRUE(contains(problemWith(replaced(run, "[[0], [2]]", "[[0, 1]]")), "a row has 2"));
}

TEST(TrainingConfig, LeavesTrajectoriesToPreparation) {
    const std::string run = replaced(smallRun(), "file = \"chain.npy\"",
                                     "trajectory = \"run.dcd\"\ntopology = \"a.pdb\"\nselection = \"all\"");
    EXPECT_TRUE(contains(problemWith(run), "data.trajectory is read by: openmmscore train "));
    EXPECT_TRUE(contains(problemWith(replaced(smallRun(), "chain.npy", "chain.npz")), "openmmscore train"));
    TemporaryFolder folder;
    const std::string prepared =
        folder.write("frames.toml", "file = \"frames.npy\"\n[[particles]]\nname = \"A\"\nmass = 2.0\n");
    const auto config = TrainingConfig::read(folder.write("run.toml", run), prepared);
    EXPECT_EQ(config.data.molecules.at(0).file, folder.path("frames.npy"));
    EXPECT_EQ(config.model.particles.at(0).mass, 2.0);
    EXPECT_EQ(config.data.unit, 1.0);
    const std::string typo = folder.write("typo.toml", replaced(run, "topology", "toplogy"));
    EXPECT_TRUE(contains(messageOf([&] { TrainingConfig::read(typo, prepared); }), "mean data.topology?"));
}

TEST(TrainingConfig, TakesOneKindOfWeights) {
    const std::string run = smallRun();
    const auto with = [&](const std::string& keys) {
        return problemWith(replaced(run, "temperature = 300", "temperature = 300\n" + keys));
    };
    EXPECT_EQ(with("log_weights = \"w.npy\"\n"), "");
    EXPECT_TRUE(contains(with("weights = \"w.npy\"\nbias_energy = \"v.npy\"\n"),
                         "data.bias_energy stands beside weights"));
}

TEST(TrainingConfig, SaysWhereAFileIsNoToml) {
    EXPECT_TRUE(contains(problemWith("seed = 1\ntitle = \n"), "line 2 is not TOML"));
    EXPECT_TRUE(
        contains(messageOf([] { TrainingConfig::read("/nowhere/run.toml"); }), "there is no such file"));
}

} // namespace
} // namespace OpenMMScore::testing
