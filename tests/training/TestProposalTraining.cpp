#include <cmath>
#include <fstream>
#include <memory>
#include <numbers>

#include <ATen/ops/empty.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/zeros_like.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "FrameOrder.h"
#include "TrainingFiles.h"
#include "openmmscore/models/CounterRandom.h"
#include "openmmscore/models/ModelFile.h"
#include "openmmscore/sampling/ContinuousFlowProposal.h"
#include "openmmscore/sampling/FlowCoordinates.h"
#include "openmmscore/sampling/ProposalFile.h"
#include "openmmscore/torch/TorchVelocity.h"
#include "openmmscore/training/Trainer.h"

namespace OpenMMScore::testing {
namespace {

constexpr double pi = std::numbers::pi;

/** A run of a few steps; the tables [coordinates] and [data] are named by their files. */
std::string flowRun(const std::string& kind, const std::string& proposal = "",
                    const std::string& training = "", const std::string& root = "",
                    const std::string& data = "") {
    return "seed = 3\n" + root + "\n[data]\nfile = \"" + kind + ".npy\"\n" + data +
           "\n[coordinates]\nkind = \"" + kind +
           "\"\n[proposal]\nfamily = \"spline-flow\"\nlayers = 4\nbins = 4\nhidden = [12, 12]\n" + proposal +
           "\n[training]\nsteps = 12\nbatch_size = 300\nlearning_rate = 2e-3\nema_decay = 0.9\n" + training +
           "\n[output]\ndirectory = \"out\"\ncheckpoint_interval = 5\nvalidation_interval = 4\n"
           "log_interval = 2\n";
}

/** Two clouds, [frames, 2]. */
std::vector<float> twoClouds(int frames) {
    CounterRandom random(1, CounterRandom::Stream::Sample, 0);
    std::vector<float> values;
    for (int f = 0; f < frames; f++) {
        const double x = random.uniform() < 0.7 ? -1.5 : 1.5;
        values.push_back(float(x + 0.3 * random.normal()));
        values.push_back(float(0.5 * x * x + 0.2 * random.normal() + 4.0));
    }
    return values;
}

/** A chain of five bonded particles whose torsions have two minima, [frames, 5, 3] in nm. */
std::vector<float> bentChain(int frames) {
    CounterRandom random(2, CounterRandom::Stream::Sample, 0);
    std::vector<ZMatrixRow> rows = {
        {0, -1, -1, -1}, {1, 0, -1, -1}, {2, 1, 0, -1}, {3, 2, 1, 0}, {4, 3, 2, 1}};
    const InternalCoordinates internal(rows);
    std::vector<float> values;
    for (int f = 0; f < frames; f++) {
        std::vector<double> u(9), x(15);
        for (int k = 0; k < 4; k++)
            u[k] = 0.15 + 0.003 * random.normal();
        for (int k = 4; k < 7; k++)
            u[k] = 1.9 + 0.05 * random.normal();
        for (int k = 7; k < 9; k++)
            u[k] = (random.uniform() < 0.5 ? 3.0 : -1.1) + 0.2 * random.normal();
        internal.toCartesian(u.data(), x.data());
        internal.orient(random, x.data());
        values.insert(values.end(), x.begin(), x.end());
    }
    return values;
}

const std::string chainBonds =
    "bonds = [[0, 1], [1, 2], [2, 3], [3, 4]]\nparticles = [{name = \"A\", mass = 12.0}, "
    "{name = \"B\", mass = 12.0}, {name = \"C\", mass = 12.0}, {name = \"D\", mass = "
    "12.0}, {name = \"E\", mass = 12.0}]\n";

class ProposalTraining : public ::testing::Test {
protected:
    ProposalTraining() {
        folder.write("vector.npy", npyBytes({3000, 2}, twoClouds(3000)));
        const std::vector<float> chain = bentChain(1000);
        folder.write("internal.npy", npyBytes({1000, 5, 3}, chain));
        folder.write("cartesian.npy", npyBytes({1000, 5, 3}, chain));
    }
    TrainingConfig config(const std::string& text, const std::string& output = "out") {
        TrainingConfig result = TrainingConfig::read(folder.write("run.toml", text));
        result.output.directory = folder.path(output);
        return result;
    }
    bool train(const TrainingConfig& run, Trainer::Start start = Trainer::Start::Fresh,
               int stopAfter = 1000000) {
        Trainer trainer(run, start);
        return trainer.run([stopAfter]() mutable { return --stopAfter == 0; });
    }
    std::shared_ptr<const Proposal> load(const std::string& output = "out") {
        return readProposal(folder.path(output + "/proposal.safetensors"));
    }
    std::vector<double> numbers(const std::string& file) {
        const ModelFile content = ModelFile::read(folder.path(file));
        std::vector<double> all;
        for (const auto& [name, info] : content.getTensors())
            for (double x : content.readTensor(name, info.shape))
                all.push_back(x);
        return all;
    }
    std::vector<double> validation(const std::string& output = "out") {
        std::ifstream file(folder.path(output + "/log.jsonl"));
        std::vector<double> result;
        for (std::string line; std::getline(file, line);) {
            const auto entry = nlohmann::json::parse(line);
            if (entry.contains("validation_loss"))
                result.push_back(entry["validation_loss"]);
        }
        return result;
    }
    /** The mean of -log q over the frames for validation, which are the last of the file. */
    double meanLoss(const Proposal& proposal, const std::vector<float>& frames, int validationFrames) {
        const std::vector<double> x(frames.end() - validationFrames * proposal.getNumCoordinates(),
                                    frames.end());
        std::vector<double> logDensity(validationFrames);
        proposal.logDensity(validationFrames, x.data(), logDensity.data());
        double sum = 0.0;
        for (double value : logDensity)
            sum -= value;
        return sum / validationFrames;
    }
    TemporaryFolder folder;
};

const std::string last = "validation_split = \"last\"\n";

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
    const auto withoutHidden = [](std::string run) { return run.erase(run.find("hidden = [12, 12]\n"), 18); };
    for (const std::string& proposal :
         {std::string("kind = \"autoregressive\"\n"), std::string("trainable_base = true\nbound = 3.0\n"),
          residual + "kind = \"autoregressive\"\n",
          std::string("activation = \"tanh\"\npermutation_seed = 7\n"), std::string("circular = [1]\n")}) {
        std::string text = flowRun("vector", proposal, "", "", last);
        if (proposal.starts_with("residual"))
            text = withoutHidden(text);
        TrainingConfig run = config(text);
        run.stages[0].steps = 60;
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

TEST_F(ProposalTraining, AResumedRunEqualsAnUnbrokenOneBitForBit) {
    for (const std::string more :
         {"noise = 0.05\ngradient_norm = 1.0\n", "early_stopping = 2\nprecision = \"float64\"\n"}) {
        const std::string text = flowRun("vector", "trainable_base = true\n", more);
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
    // There is nothing left to do.
    run.stages[0].earlyStopping = 3;
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

TEST_F(ProposalTraining, FramesThatCannotBeAreRefused) {
    const auto problem = [&](const std::string& text) {
        return messageOf([&] { train(config(text), Trainer::Start::Overwrite); });
    };
    EXPECT_NE(problem(flowRun("internal")).find("need the molecule's bonds"), std::string::npos);
    EXPECT_NE(problem(flowRun("vector", "circular = [2]\n")).find("names coordinate 2, the frames have 2"),
              std::string::npos);
    folder.write("vector.npy", npyBytes({1000, 5, 3}, bentChain(1000)));
    EXPECT_NE(problem(flowRun("vector")).find("needs coordinates.kind"), std::string::npos);
    std::vector<float> straight = bentChain(1000);
    for (int k = 0; k < 9; k++)
        straight[15 * 17 + k] = k % 3 == 0 ? 0.1f * float(k / 3) : 0.0f;
    folder.write("internal.npy", npyBytes({1000, 5, 3}, straight));
    EXPECT_NE(problem(flowRun("internal", "", "", chainBonds)).find("frame 17 has no internal coordinates"),
              std::string::npos);
    std::vector<float> frozen = twoClouds(3000);
    for (int f = 0; f < 3000; f++)
        frozen[2 * f + 1] = 1.0f;
    folder.write("vector.npy", npyBytes({3000, 2}, frozen));
    EXPECT_NE(problem(flowRun("vector")).find("coordinate 1 is the same in all"), std::string::npos);
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
    const std::vector<std::pair<std::string, std::string>> cases = {
        {flowRun("vector", "bogus = 1\n"), "proposal.bogus (line"},
        {flowRun("vector", "kind = \"planar\"\n"), "proposal.kind is \"planar\""},
        {flowRun("vector", "circular = \"some\"\n"), "proposal.circular is \"some\""},
        {flowRun("vector", "bound = -1.0\n"), "proposal.bound must be greater than zero"},
        {flowRun("vector", "residual = true\n"), "expected an odd number"},
        {flowRun("internal", "circular = [0]\n"), "proposal.circular is for plain numbers"},
        {flowRun("vector", "", "device = \"cuda\"\n"), "trained on the CPU"},
        {flowRun("vector", "", "time_midpoint = 0.5\n"), "training.time_midpoint (line"},
        {flowRun("vector", "", "noise = -0.1\n"), "training.noise must lie between"},
        {flowRun("vector", "", "early_stopping = -1\n"), "training.early_stopping must be at least 0"},
        {flowRun("vector") + "[model]\narchitecture = \"mlp\"\n", "model stands beside [proposal]"},
        {flowRun("vector", "", "", "", "validation_split = \"first\"\n"),
         "data.validation_split is \"first\""},
    };
    for (const auto& [text, expected] : cases)
        EXPECT_NE(problem(text).find(expected), std::string::npos) << problem(text);
}

/** The same runs of a continuous flow. */
std::string matchingRun(const std::string& kind, const std::string& proposal = "",
                        const std::string& training = "", const std::string& data = "") {
    std::string run = flowRun(kind, "", training, "", data);
    const std::string splines = "family = \"spline-flow\"\nlayers = 4\nbins = 4\nhidden = [12, 12]\n";
    return run.replace(run.find(splines), splines.size(),
                       "family = \"continuous-flow\"\nhidden = [16, 16]\n" + proposal);
}

using FlowMatching = ProposalTraining;

TEST_F(FlowMatching, ADensityIntegratesToOneAndBeatsANormalOne) {
    TrainingConfig run = config(matchingRun("vector", "time_frequencies = 2\npairing = 100\n", "", last));
    run.stages[0].steps = 500;
    run.stages[0].learningRate = 5e-3;
    run.stages[0].emaDecay = 0.98;
    EXPECT_TRUE(train(run));
    const auto proposal = load();
    EXPECT_EQ(proposal->getFamily(), "continuous-flow");
    const std::vector<float> frames = twoClouds(3000);
    // The normal distribution of the same mean and width, see above: 2.9.
    EXPECT_LT(meanLoss(*proposal, frames, 300), 2.3);
    double sum = 0.0;
    const double step = 0.16;
    std::vector<double> x, logDensity;
    for (int i = -22; i < 22; i++)
        for (int j = 15; j < 52; j++) {
            x.push_back(step * i);
            x.push_back(step * j);
        }
    logDensity.resize(x.size() / 2);
    proposal->logDensity(static_cast<std::int64_t>(logDensity.size()), x.data(), logDensity.data());
    for (double value : logDensity)
        sum += std::exp(value) * step * step;
    EXPECT_NEAR(sum, 1.0, 0.01);
}

TEST_F(FlowMatching, PairsMakeTheLossSmaller) {
    const auto lossWith = [&](const std::string& pairing) {
        EXPECT_TRUE(train(config(matchingRun("vector", pairing)), Trainer::Start::Overwrite));
        return validation().front();
    };
    // With a velocity that is still nearly zero it is the mean squared distance of pairs.
    const double alone = lossWith("pairing = 0\n"), paired = lossWith("pairing = 100\n");
    EXPECT_NEAR(alone, 2.0, 0.3);
    EXPECT_LT(paired, 0.3 * alone);
    EXPECT_GT(lossWith("pairing = 0\nsigma = 0.3\n"), 0.8 * alone);
}

TEST_F(FlowMatching, ResumingThreadsAndCoordinates) {
    const std::string text = matchingRun("cartesian", "activation = \"tanh\"\n", "early_stopping = 5\n");
    TrainingConfig whole = config(text, "whole"), broken = config(text, "broken");
    whole.training.threads = 1;
    broken.training.threads = 2;
    EXPECT_TRUE(train(whole));
    EXPECT_FALSE(train(broken, Trainer::Start::Fresh, 7));
    EXPECT_TRUE(train(broken, Trainer::Start::Resume));
    for (const std::string file : {"/proposal.safetensors", "/checkpoint.safetensors"})
        EXPECT_EQ(numbers("whole" + file), numbers("broken" + file)) << file;
    EXPECT_EQ(load("whole")->getFrame(), Proposal::Frame::Centred);
}

TEST_F(FlowMatching, StartsFromAnotherFlowAndRefusesWhatCannotBe) {
    train(config(matchingRun("vector"), "first"));
    const std::string start = "start_from = \"first/proposal.safetensors\"\nweight_decay = 0.0\n";
    TrainingConfig again = config(matchingRun("vector", "", start), "second");
    again.stages[0].learningRate = again.stages[0].finalLearningRate = 1e-30;
    train(again);
    EXPECT_EQ(numbers("first/proposal.safetensors").size(), numbers("second/proposal.safetensors").size());
    EXPECT_NEAR(validation("first").back(), validation("second").back(), 1e-6);
    const auto problem = [&](const std::string& text) {
        return messageOf([&] { train(config(text), Trainer::Start::Overwrite); });
    };
    EXPECT_NE(
        problem(matchingRun("vector", "time_frequencies = 3\n", start)).find("is no continuous flow like"),
        std::string::npos);
    EXPECT_NE(problem(matchingRun("internal")).find("knows no circular coordinates"), std::string::npos);
    EXPECT_NE(problem(matchingRun("vector", "time_frequencies = 65\n")).find("timeFrequencies is 65"),
              std::string::npos);
    EXPECT_NE(problem(matchingRun("vector", "bins = 3\n")).find("proposal.bins (line"), std::string::npos);
}

TEST(TorchVelocity, GradientsAreThoseOfFiniteDifferences) {
    using Activation = ContinuousFlowDescription::Activation;
    for (const Activation activation : {Activation::Swish, Activation::Tanh}) {
        ContinuousFlowDescription flow;
        flow.count = 3;
        flow.frame = Proposal::Frame::Vector;
        flow.mlp = {{5, 4}, activation};
        flow.timeFrequencies = 2;
        TorchVelocity network(flow, at::kDouble);
        network.initialize(2);
        CounterRandom random(1, CounterRandom::Stream::Sample, 0);
        const auto draw = [&](at::Tensor tensor) {
            for (std::int64_t i = 0; i < tensor.numel(); i++)
                tensor.data_ptr<double>()[i] = random.normal();
            return tensor;
        };
        draw(network.getFlatParameters());
        const at::Tensor u = draw(at::empty({6, 3}, at::kDouble)),
                         target = draw(at::empty({6, 3}, at::kDouble));
        const at::Tensor t = draw(at::empty({6}, at::kDouble)).sigmoid();
        at::Tensor gradient = at::zeros_like(network.getFlatParameters()), ignored = gradient.clone();
        network.addGradient(u, t, target, 0.5, gradient);
        for (std::int64_t k = 0; k < gradient.numel(); k++) {
            double& value = network.getFlatParameters().data_ptr<double>()[k];
            const double before = value, step = 1e-5;
            value = before + step;
            const double above = network.addGradient(u, t, target, 0.5, ignored);
            value = before - step;
            const double below = network.addGradient(u, t, target, 0.5, ignored);
            value = before;
            EXPECT_NEAR(gradient[k].item<double>(), (above - below) / (2.0 * step), 1e-7) << k;
        }
        // The inference has the same velocity.
        const std::vector<double> ones(3, 1.0);
        const ContinuousFlowProposal proposal(
            {flow, network.exportTensors({0.0, 0.0, 0.0}, ones, network.getFlatParameters()), {}, {}});
        std::vector<double> velocity(18), divergence(6);
        proposal.computeVelocity(6, u.data_ptr<double>(), t.data_ptr<double>(), velocity.data(),
                                 divergence.data());
        const at::Tensor found = network.velocity(u, t);
        for (int i = 0; i < 18; i++)
            EXPECT_NEAR(velocity[i], found.data_ptr<double>()[i], 1e-12);
    }
}

TEST(FrameOrder, TheLastFramesOfEachMoleculeAreForValidation) {
    TrainingFrames frames;
    frames.values = at::empty({30, 1}, at::kDouble);
    frames.molecules.assign(20, 0);
    frames.molecules.insert(frames.molecules.end(), 10, 1);
    DataConfig data;
    data.validationFraction = 0.2;
    data.validationSplit = DataConfig::Split::Last;
    const FrameOrder order(frames, data, 1);
    EXPECT_EQ(order.getNumTraining(), 24);
    const std::vector<std::int64_t> expected = {16, 17, 18, 19, 28, 29};
    EXPECT_EQ(std::vector<std::int64_t>(order.getFrames().begin() + 24, order.getFrames().end()), expected);
    std::vector<std::int64_t> epoch = order.draw(0, 0, 24);
    EXPECT_NE(epoch, order.draw(1, 0, 24));
    std::sort(epoch.begin(), epoch.end());
    for (int i = 0; i < 24; i++)
        EXPECT_EQ(epoch[i], i);
}

} // namespace
} // namespace OpenMMScore::testing
