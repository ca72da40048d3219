#include <fstream>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "TrainingFiles.h"
#include "WorkerPool.h"
#include "openmmscore/models/ModelFile.h"
#include "openmmscore/models/ScoreModel.h"
#include "openmmscore/training/Trainer.h"

namespace OpenMMScore::testing {
namespace {

class TrainerTest : public ::testing::Test {
protected:
    void SetUp() override { folder.write("chain.npy", npyBytes({200, 4, 3}, wobblingChain(200, 4))); }
    TrainingConfig config(const std::string& output, const std::string& training = "") {
        TrainingConfig result = TrainingConfig::read(folder.write("run.toml", smallRun("", training)));
        result.output.directory = folder.path(output);
        return result;
    }
    bool train(const TrainingConfig& run, Trainer::Start start = Trainer::Start::Fresh,
               int stopAfter = 1000) {
        Trainer trainer(run, start);
        return trainer.run([stopAfter]() mutable { return --stopAfter == 0; });
    }
    /** The weights in a model or the state in a checkpoint, all tensors one after another. */
    std::vector<double> numbers(const std::string& file) {
        const ModelFile content = ModelFile::read(folder.path(file));
        std::vector<double> all;
        for (const auto& [name, info] : content.getTensors())
            for (double x : content.readTensor(name, info.shape))
                all.push_back(x);
        return all;
    }
    /** Validation losses by step. */
    std::vector<std::pair<int, double>> validation(const std::string& log) {
        std::ifstream file(folder.path(log));
        std::vector<std::pair<int, double>> result;
        for (std::string line; std::getline(file, line);) {
            const auto entry = nlohmann::json::parse(line);
            if (entry.contains("validation_loss"))
                result.emplace_back(entry["step"], entry["validation_loss"]);
        }
        return result;
    }
    TemporaryFolder folder;
};

TEST_F(TrainerTest, WritesAModelWithItsProvenance) {
    EXPECT_TRUE(train(config("out")));
    const auto model = ScoreModel::load(folder.path("out/model.safetensors"));
    const auto provenance = nlohmann::json::parse(model->getDescription().provenance);
    EXPECT_EQ(provenance["steps"], 12);
    EXPECT_EQ(provenance["data"]["file"], "chain.npy");
    EXPECT_EQ(provenance["data"]["sha256"].get<std::string>().size(), 64u);
    EXPECT_EQ(provenance["data"]["training_frames"], 180);
    EXPECT_EQ(provenance["config"]["seed"], 5);
    EXPECT_EQ(validation("out/log.jsonl").size(), 3u);
    EXPECT_GT(model->getDescription().lengthScale, 0.0);
}

TEST_F(TrainerTest, AResumedRunEqualsAnUnbrokenOneBitForBit) {
    for (const std::string precision : {"", "precision = \"float64\"\n"}) {
        const std::string suffix = precision.empty() ? "32" : "64";
        train(config("whole" + suffix, precision));
        // Stopped by request between two checkpoints, then again.
        EXPECT_FALSE(train(config("broken" + suffix, precision), Trainer::Start::Fresh, 3));
        EXPECT_FALSE(train(config("broken" + suffix, precision), Trainer::Start::Resume, 4));
        EXPECT_TRUE(train(config("broken" + suffix, precision), Trainer::Start::Resume));
        for (const std::string file : {"/model.safetensors", "/checkpoint.safetensors"})
            EXPECT_EQ(numbers("whole" + suffix + file), numbers("broken" + suffix + file));
        EXPECT_EQ(validation("whole" + suffix + "/log.jsonl"), validation("broken" + suffix + "/log.jsonl"));
    }
}

TEST_F(TrainerTest, LinesAfterTheCheckpointAreDroppedFromTheLog) {
    train(config("whole"));
    train(config("cut"), Trainer::Start::Fresh, 5);
    std::ofstream(folder.path("cut/log.jsonl"), std::ios::app)
        << "{\"step\":8,\"validation_loss\":1.0}\n{\"ste";
    train(config("cut"), Trainer::Start::Resume);
    EXPECT_EQ(validation("whole/log.jsonl"), validation("cut/log.jsonl"));
}

TEST_F(TrainerTest, ThreadsDoNotChangeTheResult) {
    TrainingConfig one = config("one", "precision = \"float32\"\n"), three = config("three");
    // Parts of 80 samples: four of them here.
    one.training.batchSize = three.training.batchSize = 170;
    one.training.threads = 1;
    three.training.threads = 3;
    one.training.steps = three.training.steps = 3;
    train(one);
    train(three);
    EXPECT_EQ(numbers("one/checkpoint.safetensors"), numbers("three/checkpoint.safetensors"));
}

TEST_F(TrainerTest, TrainingLowersTheLoss) {
    TrainingConfig run = config("out");
    run.training.steps = 300;
    run.output.validationInterval = 10;
    train(run);
    const auto losses = validation("out/log.jsonl");
    // What remains is above the floor 1/N = 0.25 of centred particles.
    EXPECT_LT(losses.back().second, 0.75 * losses.front().second);
    EXPECT_GT(losses.back().second, 0.25);
}

TEST_F(TrainerTest, ScoreHeadsAndVectorsTrainToo) {
    const std::string transformer =
        "architecture = \"graph-transformer\"\nhidden = 8\nlayers = 1\nheads = 2\n"
        "head_size = 4";
    const std::string mlp = "architecture = \"mlp\"\nhidden = [8, 8]\n";
    folder.write("plane.npy", npyBytes({1200, 2}, wobblingChain(200, 4)));
    for (const std::string& change : {"head = \"score\"\n" + transformer, mlp, mlp + "head = \"score\"\n",
                                      mlp + "interval = [0.1, 0.6]\n"}) {
        std::string run = smallRun();
        run.replace(run.find(transformer), transformer.size(), change);
        if (change.find("mlp") != std::string::npos)
            run.replace(run.find("chain"), 5, "plane");
        const TrainingConfig parsed = TrainingConfig::read(folder.write("run.toml", run));
        EXPECT_TRUE(train(parsed, Trainer::Start::Overwrite)) << change;
        EXPECT_NO_THROW(ScoreModel::load(folder.path("out/model.safetensors"))) << change;
    }
}

TEST_F(TrainerTest, ArchitectureMustFitTheShapeOfTheData) {
    TrainingConfig run = config("out");
    run.model.experts[0].architecture = ExpertDescription::Architecture::Mlp;
    EXPECT_NE(messageOf([&] { train(run); }).find("needs a graph transformer"), std::string::npos);
}

TEST_F(TrainerTest, StepsThatAreNotFiniteAreLeftOutAndThenRefused) {
    TrainingConfig run = config("out");
    // Coordinates that float32 cannot hold.
    run.data.unit = 1e35;
    run.measureLengthScale = false;
    run.model.lengthScale = 1e-8;
    run.training.steps = 100;
    const std::string message = messageOf([&] { train(run); });
    EXPECT_NE(message.find("20 steps in a row up to step 20"), std::string::npos) << message;
}

TEST_F(TrainerTest, RefusesToOverwriteOrToContinueSomethingElse) {
    train(config("out"), Trainer::Start::Fresh, 3);
    const auto problem = [&](const TrainingConfig& run, Trainer::Start start) {
        return messageOf([&] { train(run, start); });
    };
    EXPECT_NE(problem(config("out"), Trainer::Start::Fresh).find("continue it with --resume"),
              std::string::npos);
    EXPECT_NE(problem(config("none"), Trainer::Start::Resume).find("no checkpoint"), std::string::npos);
    TrainingConfig other = config("out");
    other.training.learningRate = 2e-3;
    EXPECT_NE(problem(other, Trainer::Start::Resume).find("training/learning_rate = 0.001"),
              std::string::npos);
    folder.write("chain.npy", npyBytes({201, 4, 3}, wobblingChain(201, 4)));
    EXPECT_NE(problem(config("out"), Trainer::Start::Resume).find("other data"), std::string::npos);
}

TEST_F(TrainerTest, ADamagedCheckpointIsRefused) {
    train(config("out"), Trainer::Start::Fresh, 3);
    const std::string good = folder.read("out/checkpoint.safetensors");
    for (std::size_t length : {std::size_t(0), std::size_t(7), good.size() / 2, good.size() - 1}) {
        folder.write("out/checkpoint.safetensors", good.substr(0, length));
        EXPECT_NE(messageOf([&] { train(config("out"), Trainer::Start::Resume); }), "") << length;
    }
    folder.write("out/checkpoint.safetensors", folder.read("out/model.safetensors"));
    EXPECT_NE(messageOf([&] { train(config("out"), Trainer::Start::Resume); }).find("not a checkpoint"),
              std::string::npos);
}

TEST_F(TrainerTest, AMissingDeviceIsNamed) {
    TrainingConfig run = config("out");
    run.training.device = "cuda";
    const std::string message = messageOf([&] { train(run); });
    // On a machine with LibTorch's CUDA half and a device it trains.
    const bool named = message.find("use device = \"cpu\"") != std::string::npos;
    EXPECT_TRUE(message.empty() || named) << message;
}

TEST(WorkerPool, DoesEveryTaskOnceAndPassesExceptionsOn) {
    WorkerPool pool(3);
    for (int repeat = 0; repeat < 200; repeat++) {
        std::vector<int> done(17, 0);
        pool.run(17, [&](std::int64_t i) { done[i]++; });
        EXPECT_EQ(done, std::vector<int>(17, 1));
    }
    EXPECT_THROW(pool.run(5,
                          [](std::int64_t i) {
                              if (i == 3)
                                  throw std::runtime_error("three");
                          }),
                 std::runtime_error);
    int after = 0;
    pool.run(1, [&](std::int64_t) { after++; });
    EXPECT_EQ(after, 1);
}

} // namespace
} // namespace OpenMMScore::testing
