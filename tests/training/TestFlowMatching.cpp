#include <cmath>
#include <numbers>

#include <gtest/gtest.h>

#include "FlowRuns.h"
#include "openmmscore/sampling/ContinuousFlowProposal.h"

namespace OpenMMScore::testing {
namespace {

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

TEST_F(FlowMatching, LearnsAnglesAcrossTheirCut) {
    // Two clouds of an angle, and beside it a number that follows its cosine.
    constexpr double pi = std::numbers::pi;
    CounterRandom random(8, CounterRandom::Stream::Sample, 0);
    std::vector<float> frames;
    for (int f = 0; f < 3000; f++) {
        const double angle = std::remainder(3.0 + 2.5 * (f % 2) + 0.25 * random.normal(), 2.0 * pi);
        frames.insert(frames.end(), {float(angle), float(std::cos(angle) + 0.2 * random.normal())});
    }
    folder.write("vector.npy", npyBytes({3000, 2}, frames));
    for (const std::string paths : {"paths = \"diffusion\"\nangle_frequencies = 2\n", "pairing = 20\n"}) {
        TrainingConfig run =
            config(matchingRun("vector", "hidden = [48, 48]\ncircular = [0]\n" + paths, "", last), paths);
        run.output.directory = folder.path(paths.substr(0, 4));
        run.stages[0].steps = 600;
        run.stages[0].learningRate = 5e-3;
        run.stages[0].emaDecay = 0.98;
        EXPECT_TRUE(train(run));
        const auto proposal = load(paths.substr(0, 4));
        // The frames' entropy is ln 2 + ln(0.25 0.2) + 1 + ln(2 pi) = 0.535; uniform and normal give 2.9.
        EXPECT_LT(meanLoss(*proposal, frames, 300), 0.9);
        std::vector<double> x, logDensity;
        const double step = 2.0 * pi / 60, height = 0.08;
        for (int i = 0; i < 60; i++)
            for (int j = -25; j < 25; j++)
                x.insert(x.end(), {step * i - 1.0, height * j});
        logDensity.resize(x.size() / 2);
        proposal->logDensity(static_cast<std::int64_t>(logDensity.size()), x.data(), logDensity.data());
        double sum = 0.0;
        for (double value : logDensity)
            sum += std::exp(value) * step * height;
        EXPECT_NEAR(sum, 1.0, 0.01);
    }
}

TEST_F(FlowMatching, CircularCoordinatesMayBeNamedInAnyOrder) {
    EXPECT_TRUE(train(config(matchingRun("vector", "circular = [1, 0]\n"))));
    const auto flow = std::dynamic_pointer_cast<const ContinuousFlowProposal>(load());
    ASSERT_TRUE(flow);
    EXPECT_EQ((std::vector<int>{0, 1}), flow->getParameters().flow.circular);
}

TEST_F(FlowMatching, OfInternalCoordinatesKeepsTheirSettings) {
    const std::string keys = "paths = \"diffusion\"\n";
    EXPECT_TRUE(train(config(matchingRun("internal", keys, "", "", chainBonds))));
    const auto flow = std::dynamic_pointer_cast<const ContinuousFlowProposal>(load());
    ASSERT_TRUE(flow);
    EXPECT_EQ(9, flow->getBaseDimension());
    EXPECT_EQ(Proposal::Frame::Centred, flow->getFrame());
    EXPECT_EQ(3, flow->getParameters().flow.angleFrequencies);
    ASSERT_TRUE(flow->getParameters().coordinates.has_value());
    EXPECT_FALSE(flow->getParameters().flow.circular.empty());
    std::vector<double> x(3 * 15), density(3), again(3);
    flow->sample(1, 0, 3, x.data(), density.data());
    flow->logDensity(3, x.data(), again.data());
    for (int i = 0; i < 3; i++)
        EXPECT_NEAR(density[i], again[i], 1e-3);
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
    EXPECT_NE(problem(matchingRun("internal")).find("internal coordinates need the molecule's bonds"),
              std::string::npos);
    EXPECT_NE(
        problem(matchingRun("vector", "paths = \"diffusion\"\npairing = 10\n")).find("is for straight paths"),
        std::string::npos);
    EXPECT_NE(
        problem(matchingRun("internal", "velocity = \"egnn\"\nhidden = [4]\n")).find("is not \"cartesian\""),
        std::string::npos);
    EXPECT_NE(problem(matchingRun("vector", "time_frequencies = 65\n")).find("timeFrequencies is 65"),
              std::string::npos);
    EXPECT_NE(problem(matchingRun("vector", "bins = 3\n")).find("proposal.bins (line"), std::string::npos);
}

} // namespace
} // namespace OpenMMScore::testing
