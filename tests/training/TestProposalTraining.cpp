// Training of spline flows: densities that are learnt, runs that are resumed or start from others.
#include <algorithm>
#include <cmath>
#include <numbers>

#include <gtest/gtest.h>

#include "FlowRuns.h"
#include "openmmscore/sampling/FlowCoordinates.h"

namespace OpenMMScore::testing {
namespace {

constexpr double pi = std::numbers::pi;

TEST_F(ProposalTraining, ADensityIntegratesToOneAndBeatsANormalOne) {
    TrainingConfig run = config(flowRun("vector", "", "", "", last));
    run.stages[0].steps = 400;
    run.output.validationInterval = 100;
    EXPECT_TRUE(train(run));
    const auto proposal = load();
    EXPECT_EQ(proposal->getFrame(), Proposal::Frame::Vector);
    const std::vector<float> frames = twoClouds(3000);
    // In float32 the training rounds each of some hundred operations.
    EXPECT_NEAR(validation().back(), meanLoss(*proposal, frames, 300), 1e-5);
    // -log density of the best normal distribution, whose coordinates are uncorrelated by symmetry.
    double normal = 0.0;
    for (int c = 0; c < 2; c++) {
        double mean = 0.0, square = 0.0;
        for (int f = 0; f < 3000; f++) {
            mean += frames[2 * f + c] / 3000.0;
            square += double(frames[2 * f + c]) * frames[2 * f + c] / 3000.0;
        }
        normal += 0.5 * (1.0 + std::log(2.0 * pi * (square - mean * mean)));
    }
    EXPECT_LT(validation().back(), normal - 0.3);
    double sum = 0.0;
    const double step = 0.04;
    std::vector<double> x, logDensity;
    for (int i = -200; i < 200; i++)
        for (int j = -100; j < 250; j++) {
            x.push_back(step * i);
            x.push_back(step * j);
        }
    logDensity.resize(x.size() / 2);
    proposal->logDensity(static_cast<std::int64_t>(logDensity.size()), x.data(), logDensity.data());
    for (double value : logDensity)
        sum += std::exp(value) * step * step;
    EXPECT_NEAR(sum, 1.0, 2e-3);
}

TEST_F(ProposalTraining, InternalCoordinatesOfAMolecule) {
    TrainingConfig run = config(flowRun("internal", "activation = \"silu\"", "", chainBonds, last));
    run.stages[0].steps = 150;
    EXPECT_TRUE(train(run));
    EXPECT_LT(validation().back(), validation().front() - 0.5);
    // The loss is of the flow's coordinates: what is missing is the volume.
    const auto proposal = load();
    const ModelFile file = ModelFile::read(folder.path("out/proposal.safetensors"));
    const auto document = nlohmann::json::parse(file.getDocument());
    const FlowCoordinates coordinates =
        FlowCoordinates::readSettings(document["settings"]["coordinates"].dump(), "settings");
    const std::vector<float> frames = bentChain(1000);
    double volume = 0.0;
    for (int f = 900; f < 1000; f++) {
        const std::vector<double> x(frames.begin() + 15 * f, frames.begin() + 15 * (f + 1));
        std::vector<double> y(9);
        volume += coordinates.toFlow(x.data(), y.data()).logJacobian / 100.0;
    }
    EXPECT_NEAR(validation().back() + volume, meanLoss(*proposal, frames, 100), 1e-5);
    EXPECT_EQ(document["provenance"]["config"]["proposal"]["coordinates"], "internal");
    EXPECT_EQ(document["provenance"]["data"]["training_frames"], 900);
}

TEST_F(ProposalTraining, CartesianCoordinatesWithAndWithoutTurns) {
    const std::string still = "random_rotations = false\n";
    EXPECT_TRUE(train(config(flowRun("cartesian", "", still, "", last))));
    EXPECT_NEAR(validation().back(), meanLoss(*load(), bentChain(1000), 100), 1e-5 * 30);
    EXPECT_TRUE(train(config(flowRun("cartesian", "", "", "", last), "turned")));
    EXPECT_NEAR(validation("turned").back(), meanLoss(*load("turned"), bentChain(1000), 100), 1e-5 * 30);
    // What is turned at random has a scale without a direction.
    const ModelFile file = ModelFile::read(folder.path("turned/proposal.safetensors"));
    const std::vector<double> scale = file.readTensor("scale", {12}),
                              location = file.readTensor("location", {12});
    EXPECT_EQ(scale[0], scale[1]);
    EXPECT_NE(scale[0], scale[3]);
    EXPECT_EQ(location, std::vector<double>(12, 0.0));
}

TEST_F(ProposalTraining, KindsOfLayersAndBasesAllLearn) {
    const std::string residual = "residual = true\nhidden = [8, 8, 8]\n";
    const std::string transformer =
        "conditioner = \"transformer\"\nheads = 3\nfeed_forward = 10\nactivation = \"silu\"\n";
    const auto withoutHidden = [](std::string run) { return run.erase(run.find("hidden = [12, 12]\n"), 18); };
    for (const std::string& proposal :
         {std::string("kind = \"autoregressive\"\n"), std::string("trainable_base = true\nbound = 3.0\n"),
          residual + "kind = \"autoregressive\"\n",
          std::string("activation = \"tanh\"\npermutation_seed = 7\n"), std::string("circular = [1]\n"),
          transformer, transformer + "kind = \"autoregressive\"\ncircular = [1]\n"}) {
        std::string text = flowRun("vector", proposal, "", "", last);
        if (proposal.starts_with("residual"))
            text = withoutHidden(text);
        TrainingConfig run = config(text);
        run.stages[0].steps = proposal.starts_with("conditioner") ? 20 : 60;
        EXPECT_TRUE(train(run, Trainer::Start::Overwrite)) << proposal;
        EXPECT_LT(validation().back(), validation().front()) << proposal;
        EXPECT_NEAR(validation().back(), meanLoss(*load(), twoClouds(3000), 300), 1e-5) << proposal;
    }
}

TEST_F(ProposalTraining, TheCutOfACircularCoordinateLiesWhereNobodyIs) {
    // Around pi, so that a cut there would be in the middle.
    std::vector<float> angles;
    CounterRandom random(5, CounterRandom::Stream::Sample, 0);
    for (int f = 0; f < 2000; f++)
        angles.push_back(float(std::remainder(3.0 + (f % 2) + 0.2 * random.normal(), 2.0 * pi)));
    folder.write("vector.npy", npyBytes({2000, 1}, angles));
    EXPECT_TRUE(train(config(flowRun("vector", "circular = \"all\"\n", "", "", last))));
    const ModelFile file = ModelFile::read(folder.path("out/proposal.safetensors"));
    EXPECT_NEAR(std::remainder(file.readTensor("location", {1})[0] - 3.5, 2.0 * pi), 0.0, 0.3);
    EXPECT_NEAR(validation().back(), meanLoss(*load(), angles, 200), 1e-5);
}

TEST_F(ProposalTraining, BoxedCoordinatesStayInTheirBox) {
    // Piled up against the lower end, and some frames lie upon the ends.
    std::vector<float> frames;
    CounterRandom random(6, CounterRandom::Stream::Sample, 0);
    for (int f = 0; f < 2000; f++) {
        frames.push_back(float(random.normal()));
        frames.push_back(f < 4 ? 0.25f + 1.5f * float(f % 2)
                               : float(0.25 + 1.5 * std::pow(random.uniform(), 2)));
    }
    folder.write("vector.npy", npyBytes({2000, 2}, frames));
    const std::string box = "boxed = [{coordinate = 1, interval = [0.25, 1.75]}]\n";
    for (const std::string precision : {"float32", "float64"}) {
        TrainingConfig run =
            config(flowRun("vector", box, "noise = 0.1\nprecision = \"" + precision + "\"\n", "", last));
        run.stages[0].steps = 300;
        run.output.validationInterval = 100;
        EXPECT_TRUE(train(run, Trainer::Start::Overwrite));
        const auto proposal = load();
        EXPECT_NEAR(validation().back(), meanLoss(*proposal, frames, 200), 2e-5);
        // 1.42 of the normal distribution, and log 1.5 if the other were uniform; it is 0.31 less.
        EXPECT_LT(validation().back(), 1.65);
        double sum = 0.0;
        // y = 0.25 + 1.5 s^2, even in s.
        std::vector<double> x, logDensity(100 * 300);
        const auto s = [](int j) { return (j + 0.5) / 300; };
        for (int i = 0; i < 100; i++)
            for (int j = 0; j < 300; j++) {
                x.push_back(-6.0 + 12.0 / 100 * (i + 0.5));
                x.push_back(0.25 + 1.5 * s(j) * s(j));
            }
        proposal->logDensity(100 * 300, x.data(), logDensity.data());
        for (int k = 0; k < 100 * 300; k++)
            sum += std::exp(logDensity[k]) * (12.0 / 100) * (3.0 * s(k % 300) / 300);
        EXPECT_NEAR(sum, 1.0, 0.01);
        const double outside[] = {0.0, 0.2499, 0.0, 1.7501, 0.0, 0.25, 0.0, 1.75};
        double values[4];
        proposal->logDensity(4, outside, values);
        EXPECT_FALSE(std::isfinite(values[0]) || std::isfinite(values[1]));
        EXPECT_TRUE(std::isfinite(values[2]) && std::isfinite(values[3]));
        std::vector<double> drawn(2 * 4000), ignored(4000);
        proposal->sample(1, 0, 4000, drawn.data(), ignored.data());
        for (int i = 0; i < 4000; i++) {
            EXPECT_GE(drawn[2 * i + 1], 0.25 - 1e-9);
            EXPECT_LE(drawn[2 * i + 1], 1.75 + 1e-9);
        }
    }
    const auto problem = [&](const std::string& keys) {
        return messageOf([&] { train(config(flowRun("vector", keys)), Trainer::Start::Overwrite); });
    };
    const std::vector<std::pair<std::string, std::string>> cases = {
        {"boxed = [{coordinate = 1, interval = [0.3, 1.75]}]\n",
         "coordinate 1 of frame 0 is 0.250000, outside of its interval [0.300000, 1.750000]"},
        {"boxed = [{coordinate = 2, interval = [0.0, 1.0]}]\n",
         "boxed names coordinate 2, the frames have 2"},
        {"boxed = [{coordinate = 1, interval = [1.0, 1.0]}]\n", "must be two increasing numbers"},
        {"boxed = [{coordinate = 1, interval = [0.0, 2.0]}, {coordinate = 1, interval = [0.0, 3.0]}]\n",
         "names coordinate 1 twice"},
        {"circular = [1]\n" + box, "names coordinate 1, which is circular"},
        {"boxed = [{coordinate = 1, interval = [0.0, 2.0], unit = 1}]\n", "unit (line"},
        {"boxed = [1]\n", "proposal.boxed must be tables"},
        {"circular = [1, 0, 1]\n", "proposal.circular names coordinate 1 twice"},
    };
    for (const auto& [keys, expected] : cases)
        EXPECT_NE(problem(keys).find(expected), std::string::npos) << problem(keys);
    const std::string message = messageOf([&] { config(flowRun("internal", box, "", chainBonds)); });
    EXPECT_NE(message.find("proposal.boxed is for plain numbers"), std::string::npos) << message;
}

TEST_F(ProposalTraining, AResumedRunEqualsAnUnbrokenOneBitForBit) {
    const std::string base = "trainable_base = true\n", transformer = "conditioner = \"transformer\"\n";
    for (const auto& [flow, more] : {std::pair{base, "noise = 0.05\ngradient_norm = 1.0\n"},
                                     {base, "early_stopping = 2\nprecision = \"float64\"\n"},
                                     {base + transformer, "noise = 0.05\n"}}) {
        const std::string text = flowRun("vector", flow, more);
        train(config(text, "whole"), Trainer::Start::Overwrite);
        EXPECT_FALSE(train(config(text, "broken"), Trainer::Start::Overwrite, 3));
        EXPECT_FALSE(train(config(text, "broken"), Trainer::Start::Resume, 4));
        EXPECT_TRUE(train(config(text, "broken"), Trainer::Start::Resume));
        for (const std::string file : {"/proposal.safetensors", "/checkpoint.safetensors"})
            EXPECT_EQ(numbers("whole" + file), numbers("broken" + file)) << more << file;
        EXPECT_EQ(validation("whole"), validation("broken"));
    }
}

TEST_F(ProposalTraining, ThreadsDoNotChangeTheResult) {
    // Three parts of 128 samples at most.
    TrainingConfig one = config(flowRun("vector"), "one"), two = config(flowRun("vector"), "two");
    one.training.threads = 1;
    two.training.threads = 2;
    train(one);
    train(two);
    EXPECT_EQ(numbers("one/checkpoint.safetensors"), numbers("two/checkpoint.safetensors"));
}

TEST_F(ProposalTraining, EarlyStoppingLeavesTheBestWeights) {
    // With a learning rate that soon spoils everything.
    std::string text = flowRun("vector", "", "early_stopping = 3\n");
    text.replace(text.find("learning_rate = 2e-3"), 20, "learning_rate = 0.3 ");
    TrainingConfig run = config(text);
    run.stages[0].steps = 1000;
    run.output.validationInterval = 1;
    ::testing::internal::CaptureStderr();
    EXPECT_TRUE(train(run));
    EXPECT_NE(::testing::internal::GetCapturedStderr().find("no better validation loss since step"),
              std::string::npos);
    const std::vector<double> losses = validation();
    const std::size_t best = std::min_element(losses.begin(), losses.end()) - losses.begin();
    ASSERT_EQ(losses.size(), best + 4);
    const auto document =
        nlohmann::json::parse(ModelFile::read(folder.path("out/proposal.safetensors")).getDocument());
    EXPECT_EQ(document["provenance"]["best_step"], best + 1);
    EXPECT_EQ(document["provenance"]["best_validation_loss"], losses[best]);
    // A run of just so many steps leaves the same.
    run.output.directory = folder.path("short");
    run.stages[0].earlyStopping = 0;
    int steps = static_cast<int>(best) + 1;
    EXPECT_FALSE(train(run, Trainer::Start::Fresh, steps));
    EXPECT_EQ(numbers("short/proposal.safetensors"), numbers("out/proposal.safetensors"));
    // So does one that was interrupted after the best of its validations.
    run.stages[0].earlyStopping = 3;
    run.output.directory = folder.path("broken");
    EXPECT_FALSE(train(run, Trainer::Start::Fresh, steps + 1));
    EXPECT_TRUE(train(run, Trainer::Start::Resume));
    EXPECT_EQ(validation("broken"), losses);
    for (const std::string file : {"/proposal.safetensors", "/checkpoint.safetensors"})
        EXPECT_EQ(numbers("broken" + file), numbers("out" + file)) << file;
    // There is nothing left to do.
    run.output.directory = folder.path("out");
    EXPECT_TRUE(train(run, Trainer::Start::Resume));
    EXPECT_EQ(validation(), losses);
}

TEST_F(ProposalTraining, StartsFromAnotherFlow) {
    train(config(flowRun("vector"), "first"));
    const std::string start = "start_from = \"first/proposal.safetensors\"\nweight_decay = 0.0\n";
    TrainingConfig again = config(flowRun("vector", "", start), "second");
    again.stages[0].learningRate = again.stages[0].finalLearningRate = 1e-30;
    train(again);
    const std::vector<double> before = numbers("first/proposal.safetensors"),
                              after = numbers("second/proposal.safetensors");
    ASSERT_EQ(before.size(), after.size());
    for (std::size_t i = 0; i < before.size(); i++)
        EXPECT_NEAR(before[i], after[i], 1e-6 * (1.0 + std::abs(before[i])));
    const std::string message = messageOf([&] {
        train(config(flowRun("vector", "bound = 4.0\n", start), "third"), Trainer::Start::Overwrite);
    });
    EXPECT_NE(message.find("is no spline flow like that of [proposal]"), std::string::npos) << message;
}

TEST_F(ProposalTraining, ATransformerStartsFromATransformer) {
    const std::string network = "conditioner = \"transformer\"\nheads = 2\n";
    TrainingConfig run = config(flowRun("vector", network, "", "", last), "first");
    run.stages[0].steps = 40;
    train(run);
    EXPECT_LT(validation("first").back(), validation("first").front() - 0.2);
    const std::string start = "start_from = \"first/proposal.safetensors\"\n";
    TrainingConfig again = config(flowRun("vector", network, start, "", last), "second");
    again.stages[0].learningRate = again.stages[0].finalLearningRate = 1e-30;
    train(again);
    EXPECT_NEAR(validation("first").back(), validation("second").back(), 1e-4);
    EXPECT_NE(messageOf([&] {
                  train(config(flowRun("vector", network + "feed_forward = 9\n", start), "third"));
              }).find("is no spline flow like that of [proposal]"),
              std::string::npos);
}

TEST_F(ProposalTraining, StartsFromAFlowOfOtherFrames) {
    train(config(flowRun("vector"), "first"));
    // The same clouds, moved and stretched: only normalisation differs.
    std::vector<float> moved = twoClouds(3000);
    for (float& x : moved)
        x = 3.0f * x + 7.0f;
    folder.write("vector.npy", npyBytes({3000, 2}, moved));
    const std::string start = "start_from = \"first/proposal.safetensors\"\n";
    TrainingConfig again = config(flowRun("vector", "", start), "second");
    again.stages[0].learningRate = again.stages[0].finalLearningRate = 1e-30;
    train(again);
    EXPECT_NEAR(validation("first").back(), validation("second").back() - 2.0 * std::log(3.0), 1e-3);
}

TEST_F(ProposalTraining, StepsThatAreNotFiniteAreLeftOut) {
    std::string text = flowRun("vector");
    text.replace(text.find("learning_rate = 2e-3"), 20, "learning_rate = 1e300");
    TrainingConfig run = config(text);
    run.stages[0].steps = 100;
    run.output.checkpointInterval = 1000;
    const std::string message = messageOf([&] { train(run); });
    EXPECT_NE(message.find("20 steps in a row"), std::string::npos) << message;
}

TEST_F(ProposalTraining, ConfigurationsThatCannotBeAreRefused) {
    const auto problem = [&](const std::string& text) { return messageOf([&] { config(text); }); };
    const auto inCoordinates = [](std::string text, const std::string& key) {
        return text.insert(text.find("[proposal]"), key + "\n");
    };
    const std::vector<std::pair<std::string, std::string>> cases = {
        {flowRun("vector", "bogus = 1\n"), "proposal.bogus (line"},
        {flowRun("vector", "kind = \"planar\"\n"), "proposal.kind is \"planar\""},
        {flowRun("vector", "circular = \"some\"\n"), "proposal.circular is \"some\""},
        {flowRun("vector", "bound = -1.0\n"), "proposal.bound must be greater than zero"},
        {flowRun("vector", "residual = true\n"), "expected an odd number"},
        {flowRun("vector", "conditioner = \"rnn\"\n"), "proposal.conditioner is \"rnn\""},
        {flowRun("vector", "conditioner = \"transformer\"\nresidual = true\n"), "proposal.residual (line"},
        {flowRun("vector", "conditioner = \"transformer\"\nheads = 5\n"), "a multiple of 5 heads"},
        {flowRun("vector", "conditioner = \"transformer\"\nheads = 4294967298\n"),
         "proposal.heads must be at most 2147483647"},
        {flowRun("vector", "heads = 2\n"), "proposal.heads (line"},
        {flowRun("internal", "circular = [0]\n"), "proposal.circular is for plain numbers"},
        {flowRun("vector", "", "device = \"cuda\"\n"), "trained on the CPU"},
        {flowRun("vector", "", "time_midpoint = 0.5\n"), "training.time_midpoint (line"},
        {flowRun("vector", "", "noise = -0.1\n"), "training.noise must lie between"},
        {flowRun("vector", "", "early_stopping = -1\n"), "training.early_stopping must be at least 0"},
        {flowRun("vector") + "[model]\narchitecture = \"mlp\"\n", "model stands beside [proposal]"},
        {inCoordinates(flowRun("vector"), "cycles = [[0, 1]]"), "coordinates.cycles is for particles"},
        {inCoordinates(flowRun("internal"), "cycles = [[3]]"), "must be arrays of two or more"},
        {inCoordinates(flowRun("internal"), "cycles = [[0, 1], [1, 2]]"), "names particle 1 twice"},
        {flowRun("vector", "", "", "", "validation_split = \"first\"\n"),
         "data.validation_split is \"first\""},
    };
    for (const auto& [text, expected] : cases)
        EXPECT_NE(problem(text).find(expected), std::string::npos) << problem(text);
}

} // namespace
} // namespace OpenMMScore::testing
