#include <fstream>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "TrainerTest.h"
#include "WorkerPool.h"
#include "openmmscore/models/ModelFile.h"
#include "openmmscore/models/ScoreModel.h"

namespace OpenMMScore::testing {
namespace {

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
    one.stages[0].batchSize = three.stages[0].batchSize = 170;
    one.training.threads = 1;
    three.training.threads = 3;
    one.stages[0].steps = three.stages[0].steps = 3;
    train(one);
    train(three);
    EXPECT_EQ(numbers("one/checkpoint.safetensors"), numbers("three/checkpoint.safetensors"));
}

TEST_F(TrainerTest, TrainingLowersTheLoss) {
    TrainingConfig run = config("out");
    run.stages[0].steps = 300;
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
    run.stages[0].steps = 100;
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
    other.stages[0].learningRate = 2e-3;
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

class StagesTest : public TrainerTest {
protected:
    void SetUp() override { folder.write("plane.npy", npyBytes({1200, 2}, wobblingChain(200, 4))); }
    TrainingConfig config(const std::string& output, const std::string& more = "",
                          const std::string& method = "both") {
        const std::string run = "method = \"" + method +
                                "\"\nseed = 2\n[data]\nfile = \"plane.npy\"\ntemperature = 300\n[model]\n"
                                "architecture = \"mlp\"\nhidden = [8, 8]\n[training]\nsteps = 30\nbatch_size "
                                "= 40\nema_decay = 0.5\n[output]\ndirectory = \"" +
                                output +
                                "\"\ncheckpoint_interval = 3\nvalidation_interval = 4\nlog_interval = 2\n"
                                "validation_samples = 32\n" +
                                more;
        return TrainingConfig::read(folder.write("run.toml", run));
    }
    bool trainStage(const TrainingConfig& run, int stage) {
        return Trainer(run, Trainer::Start::Fresh, stage).run([] { return false; });
    }
};

TEST_F(StagesTest, AMixtureIsTrainedExpertByExpert) {
    EXPECT_TRUE(train(config("out")));
    const auto model = ScoreModel::load(folder.path("out/model.safetensors"));
    const ModelDescription& description = model->getDescription();
    ASSERT_EQ(description.experts.size(), 3u);
    const auto provenance = nlohmann::json::parse(description.provenance);
    EXPECT_EQ(provenance["steps"], 30);
    EXPECT_EQ(provenance["stages"][0]["steps"], 5);
    EXPECT_EQ(provenance["stages"][2]["steps"], 20);
    EXPECT_FALSE(provenance["stages"][0].contains("training_fokker_planck_loss"));
    EXPECT_TRUE(provenance["stages"][2].contains("validation_fokker_planck_loss"));
    EXPECT_EQ(provenance["data"]["file"], "plane.npy");
    // Each expert is a model by itself, and gives what it gives in the mixture.
    const std::vector<double> z = {0.3, -0.2};
    const auto scoreOf = [&](const ScoreModel& source, double t) {
        std::vector<double> score(2);
        source.evaluate(1, z, std::vector<double>{t}, {}, nullptr, score.data());
        return score;
    };
    for (int k = 0; k < 3; k++) {
        const auto expert = ScoreModel::load(folder.path("out/expert-" + std::to_string(k) + ".safetensors"));
        const ExpertDescription& part = expert->getDescription().experts.at(0);
        EXPECT_EQ(part, description.experts[k]);
        const double t = 0.5 * (part.lowerTime + part.upperTime);
        EXPECT_EQ(scoreOf(*expert, t), scoreOf(*model, t));
    }
}

TEST_F(StagesTest, ResumingAcrossStagesEqualsAnUnbrokenRunBitForBit) {
    train(config("whole"));
    // Within the first stage; between the first and the second; within the last.
    EXPECT_FALSE(train(config("broken"), Trainer::Start::Fresh, 4));
    EXPECT_FALSE(train(config("broken"), Trainer::Start::Resume, 1));
    EXPECT_FALSE(train(config("broken"), Trainer::Start::Resume, 12));
    EXPECT_TRUE(train(config("broken"), Trainer::Start::Resume));
    EXPECT_EQ(numbers("whole/model.safetensors"), numbers("broken/model.safetensors"));
    for (const std::string k : {"0", "1", "2"}) {
        EXPECT_EQ(numbers("whole/checkpoint-" + k + ".safetensors"),
                  numbers("broken/checkpoint-" + k + ".safetensors"));
        EXPECT_EQ(validation("whole/log-" + k + ".jsonl"), validation("broken/log-" + k + ".jsonl"));
    }
}

TEST_F(StagesTest, OneByOneInAnyOrderGivesTheSameModel) {
    train(config("whole"));
    for (int stage : {2, 0, 1}) {
        EXPECT_FALSE(std::filesystem::exists(folder.path("parts/model.safetensors")));
        EXPECT_TRUE(trainStage(config("parts"), stage));
    }
    EXPECT_EQ(numbers("whole/model.safetensors"), numbers("parts/model.safetensors"));
    EXPECT_NE(messageOf([&] { trainStage(config("parts"), 1); }).find("--resume"), std::string::npos);
    EXPECT_NE(messageOf([&] { trainStage(config("none"), 3); }).find("there is no stage 3"),
              std::string::npos);
}

TEST_F(StagesTest, AnExpertOfAnotherRunIsRefused) {
    trainStage(config("out"), 0);
    trainStage(config("out"), 1);
    const TrainingConfig other = config("out", "[[stages]]\nhidden = [9]\n[[stages]]\n[[stages]]\n");
    const std::string message = messageOf([&] { trainStage(other, 2); });
    EXPECT_NE(message.find("expert-0.safetensors: this expert was trained with another network"),
              std::string::npos)
        << message;
}

TEST_F(StagesTest, StartsFromAnotherModelsWeights) {
    train(config("first", "[[stages]]\n[[stages]]\n[[stages]]\n"));
    const std::string start = "start_from = \"first/model.safetensors\"\n";
    // With next to no learning rate the weights stay where they began.
    const std::string still = "learning_rate = 1e-30\nweight_decay = 0.0\nsteps = 1\n";
    const auto from = [&](const std::string& more) {
        return config("second", "[[stages]]\n" + start + still + "[[stages]]\n" + start + still +
                                    "[[stages]]\n" + start + still + more);
    };
    train(from(""));
    EXPECT_EQ(numbers("first/model.safetensors"), numbers("second/model.safetensors"));
    const auto problem = [&](const std::string& more) {
        return messageOf([&] { train(from(more), Trainer::Start::Overwrite); });
    };
    EXPECT_NE(problem("start_expert = 1\n").find("is another network than that of stage 2"),
              std::string::npos);
    EXPECT_NE(problem("start_expert = 3\n").find("the file has 3 experts"), std::string::npos);
    // The expert's own file has but one.
    train(config("third", "[[stages]]\n[[stages]]\n[[stages]]\nstart_from = "
                          "\"first/expert-2.safetensors\"\n" +
                              still));
    EXPECT_EQ(numbers("first/expert-2.safetensors"), numbers("third/expert-2.safetensors"));
}

TEST_F(TrainerTest, TheUpstreamAverageReplacesTheWeightsAtTheEndOfAnEpoch) {
    // 180 frames in batches of 40: four steps make an epoch. All memory, so that the average never moves.
    const std::string training = "ema = \"upstream-per-epoch\"\n";
    TrainingConfig run = config("out", training);
    run.stages[0].emaDecay = 0.0;
    run.stages[0].steps = 8;
    train(run);
    const ModelFile state = ModelFile::read(folder.path("out/checkpoint.safetensors"));
    const auto tensor = [&](const std::string& name) {
        return state.readTensor(name, state.getTensors().at(name).shape);
    };
    EXPECT_EQ(tensor("parameters"), tensor("average"));
    run.output.directory = folder.path("between");
    run.stages[0].steps = 7;
    train(run);
    const ModelFile between = ModelFile::read(folder.path("between/checkpoint.safetensors"));
    const auto& shape = between.getTensors().at("average").shape;
    EXPECT_NE(between.readTensor("parameters", shape), between.readTensor("average", shape));
}

TEST_F(TrainerTest, TwoForOneTrainsADiscreteDiffusion) {
    TrainingConfig run =
        TrainingConfig::read(folder.write("run.toml", smallRun("method = \"two-for-one\"\n")));
    run.stages[0].steps = 200;
    EXPECT_TRUE(train(run));
    const auto model = ScoreModel::load(folder.path("out/model.safetensors"));
    EXPECT_EQ(model->getDescription().schedule.kind, ScheduleDescription::Kind::CosineDdpm);
    const auto losses = validation("out/log.jsonl");
    EXPECT_LT(losses.back().second, 0.9 * losses.front().second);
}

TEST_F(TrainerTest, TheFokkerPlanckLossIsPartOfTheTraining) {
    TrainingConfig run =
        TrainingConfig::read(folder.write("run.toml", smallRun("[fokker_planck]\nweight = 1e-3\n")));
    EXPECT_TRUE(train(run));
    std::ifstream file(folder.path("out/log.jsonl"));
    std::string line;
    std::getline(file, line);
    const auto entry = nlohmann::json::parse(line);
    EXPECT_NE(entry["fokker_planck_loss"].get<double>(), 0.0);
    EXPECT_DOUBLE_EQ(entry["loss"].get<double>(),
                     entry["score_matching_loss"].get<double>() + entry["fokker_planck_loss"].get<double>());
    train(config("without"));
    EXPECT_NE(numbers("out/model.safetensors"), numbers("without/model.safetensors"));
}

TEST_F(TrainerTest, TheFokkerPlanckLossMayTakeSomeOfTheSamples) {
    const auto weights = [&](const std::string& name, std::int64_t samples) {
        TrainingConfig run = config(name);
        run.stages[0].fokkerPlanck.weight = 1e-3;
        run.stages[0].fokkerPlanck.samples = samples;
        train(run);
        return numbers(name + "/model.safetensors");
    };
    const std::int64_t batch = config("any").stages[0].batchSize;
    const std::vector<double> all = weights("all", 0);
    EXPECT_EQ(weights("whole", batch), all);
    EXPECT_EQ(weights("more", 10 * batch), all);
    EXPECT_NE(weights("half", batch / 2), all);
}

TEST_F(TrainerTest, AFullDiskCostsLinesOfTheLogAndNoSteps) {
    if (!std::filesystem::exists("/dev/full"))
        GTEST_SKIP() << "there is no /dev/full";
    train(config("plain"));
    std::filesystem::create_directory(folder.path("full"));
    std::filesystem::create_symlink("/dev/full", folder.path("full/log.jsonl"));
    ::testing::internal::CaptureStderr();
    EXPECT_TRUE(train(config("full")));
    const std::string said = ::testing::internal::GetCapturedStderr();
    EXPECT_EQ(said.find("the log cannot be written"), said.rfind("the log cannot be written")) << said;
    EXPECT_NE(said.find("the log cannot be written"), std::string::npos) << said;
    EXPECT_EQ(numbers("full/model.safetensors"), numbers("plain/model.safetensors"));
}

TEST_F(TrainerTest, ACheckpointThatCannotBeWrittenIsTriedAgain) {
    train(config("plain"));
    // A folder where the model should be, until after the first checkpoint is due.
    const std::string obstacle = folder.path("out/model.safetensors");
    std::filesystem::create_directories(obstacle);
    TrainingConfig run = config("out");
    run.output.checkpointInterval = 5;
    Trainer trainer(run, Trainer::Start::Fresh);
    ::testing::internal::CaptureStderr();
    EXPECT_TRUE(trainer.run([&, step = 0]() mutable {
        if (step++ == 8)
            std::filesystem::remove(obstacle);
        return false;
    }));
    const std::string said = ::testing::internal::GetCapturedStderr();
    EXPECT_NE(said.find("the training goes on, and the next checkpoint is due in 5 steps"), std::string::npos)
        << said;
    EXPECT_EQ(numbers("out/model.safetensors"), numbers("plain/model.safetensors"));
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
