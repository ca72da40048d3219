// What a training does about wrong configurations, other runs' checkpoints and ends at a bad moment.
#include <cstdio>
#include <cstdlib>
#include <set>

#include <sys/resource.h>

#include "TrainerTest.h"
#include "WorkerPool.h"

namespace OpenMMScore::testing {
namespace {

TEST_F(TrainerTest, NamesWhatDiffersInAnotherNetwork) {
    train(config("out"), Trainer::Start::Fresh, 3);
    const auto problem = [&](const TrainingConfig& run) {
        return messageOf([&] { train(run, Trainer::Start::Resume); });
    };
    TrainingConfig wider = config("out"), split = config("out");
    wider.model.experts[0].graphTransformer.hidden = 12;
    EXPECT_NE(problem(wider).find("model/hidden = 8, the configuration says 12"), std::string::npos);
    split.data.validationSplit = DataConfig::Split::Last;
    EXPECT_NE(problem(split).find("data/validation_split = nothing said, the configuration says \"last\""),
              std::string::npos);
}

TEST_F(TrainerTest, WeightsOfABiasBelongToTheirTemperature) {
    folder.write("bias.npy", npyBytes({200}, std::vector<float>(200, 1.0f)));
    TrainingConfig run = config("out");
    run.data.molecules[0].weightsFile = folder.path("bias.npy");
    run.data.molecules[0].weights = MoleculeData::Weights::BiasEnergies;
    train(run, Trainer::Start::Fresh, 3);
    run.model.temperature = 310.0;
    EXPECT_NE(messageOf([&] { train(run, Trainer::Start::Resume); }).find("data/temperature = 300.0"),
              std::string::npos);
}

TEST_F(TrainerTest, AFinishedRunIsCompletedAndNotShortened) {
    train(config("out"));
    const std::vector<double> model = numbers("out/model.safetensors");
    std::filesystem::remove(folder.path("out/model.safetensors"));
    EXPECT_TRUE(train(config("out"), Trainer::Start::Resume));
    EXPECT_EQ(numbers("out/model.safetensors"), model);
    // Of an earlier step, as after a disk that was full between checkpoint and model.
    train(config("early"), Trainer::Start::Fresh, 3);
    folder.write("out/model.safetensors", folder.read("early/model.safetensors"));
    EXPECT_TRUE(train(config("out"), Trainer::Start::Resume));
    EXPECT_EQ(numbers("out/model.safetensors"), model);
    const std::string written = folder.read("out/model.safetensors");
    EXPECT_TRUE(train(config("out"), Trainer::Start::Resume));
    EXPECT_EQ(folder.read("out/model.safetensors"), written);
    TrainingConfig shorter = config("out");
    shorter.stages[0].steps = 8;
    EXPECT_NE(messageOf([&] {
                  train(shorter, Trainer::Start::Resume);
              }).find("the checkpoint is of step 12, the run has only 8"),
              std::string::npos);
}

TEST_F(TrainerTest, NothingIsLeftOfWritesThatWereKilled) {
    train(config("out"), Trainer::Start::Fresh, 3);
    folder.write("out/model.safetensors.tmp-17-4", "half");
    folder.write("out/checkpoint.safetensors.tmp-17-5", "half");
    folder.write("out/mine.tmp-1", "whole");
    train(config("out"), Trainer::Start::Resume);
    EXPECT_FALSE(std::filesystem::exists(folder.path("out/model.safetensors.tmp-17-4")));
    EXPECT_FALSE(std::filesystem::exists(folder.path("out/checkpoint.safetensors.tmp-17-5")));
    EXPECT_TRUE(std::filesystem::exists(folder.path("out/mine.tmp-1")));
}

TEST_F(TrainerTest, FindsBeforeTheTrainingWhatAModelFileWouldNotTake) {
    TrainingConfig run = config("out");
    run.model.temperature = 1e12;
    EXPECT_NE(messageOf([&] { train(run); })
                  .find("no model file could be written of this configuration: "
                        "temperature"),
              std::string::npos);
    EXPECT_FALSE(std::filesystem::exists(folder.path("out")));
}

TEST_F(TrainerTest, WithoutAnyStepThereIsNoModel) {
    TrainingConfig run = config("out");
    run.stages[0].learningRate = run.stages[0].finalLearningRate = 1e300;
    EXPECT_NE(messageOf([&] { train(run); }).find("try a smaller training.learning_rate"), std::string::npos);
    EXPECT_FALSE(std::filesystem::exists(folder.path("out/model.safetensors")));
    TrainingConfig blind = config("blind");
    blind.data.unit = 1e35;
    blind.measureLengthScale = false;
    blind.model.lengthScale = 1e-8;
    EXPECT_NE(messageOf([&] { train(blind); }).find("in any of 12 steps"), std::string::npos);
}

TEST_F(TrainerTest, TheFirstSecondsHaveASpeedOfTheirOwn) {
    TrainingConfig run = config("out");
    run.stages[0].steps = 60;
    train(run);
    std::ifstream file(folder.path("out/log.jsonl"));
    std::set<double> speeds;
    for (std::string line; std::getline(file, line);)
        speeds.insert(nlohmann::json::parse(line)["steps_per_second"].get<double>());
    EXPECT_GT(speeds.size(), 10u);
}

TEST(WorkerPool, SaysWhenThereAreNotThatManyThreads) {
#ifdef __SANITIZE_ADDRESS__
    GTEST_SKIP() << "the sanitizer needs more address space than that";
#endif
    // A limit of the address space is reached by the stacks of this many.
    const auto overcrowd = [] {
        rlimit limit{std::size_t(4) << 30, std::size_t(4) << 30};
        setrlimit(RLIMIT_AS, &limit);
        const std::string problem = messageOf([] { WorkerPool pool(100000); });
        std::fprintf(stderr, "%s\n", problem.c_str());
        std::_Exit(problem.empty() ? 1 : 0);
    };
    EXPECT_EXIT(overcrowd(), ::testing::ExitedWithCode(0), "training.threads is 100000, of which only");
}

} // namespace
} // namespace OpenMMScore::testing
