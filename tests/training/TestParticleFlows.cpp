// Continuous flows of molecules, trained.

#include <array>
#include <cmath>
#include <numbers>

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linalg_det.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include "BestRotations.h"
#include "FlowFrames.h"
#include "FlowRuns.h"
#include "openmmscore/sampling/ContinuousFlowProposal.h"

namespace OpenMMScore::testing {
namespace {

const std::string egnn = "velocity = \"egnn\"\nhidden = 12\nlayers = 2\ntime_frequencies = 2\npairing = 60\n",
                  transformer = "velocity = \"graph-transformer\"\nhidden = 12\nlayers = 1\nheads = 2\n"
                                "head_size = 6\nfeed_forward = 20\npairing = 60\n";

using ParticleFlows = ProposalTraining;

const ContinuousFlowDescription& flowOf(const Proposal& proposal) {
    return dynamic_cast<const ContinuousFlowProposal&>(proposal).getParameters().flow;
}

TEST_F(ParticleFlows, BeatTheNormalDistributionTheyBeginWith) {
    for (const std::string& velocity : {egnn, transformer}) {
        TrainingConfig run = config(matchingRun("cartesian", velocity, "", last));
        run.stages[0].steps = 250;
        run.stages[0].learningRate = 1e-2;
        run.stages[0].emaDecay = 0.98;
        EXPECT_TRUE(train(run, Trainer::Start::Overwrite));
        EXPECT_LT(validation().back(), 0.75 * validation().front());
        const auto proposal = load();
        EXPECT_EQ(proposal->getFrame(), Proposal::Frame::Centred);
        // Of the base, as it is stretched to the data: 12 coordinates with one variance.
        const auto& parameters = dynamic_cast<const ContinuousFlowProposal&>(*proposal).getParameters();
        const double scale = parameters.tensors[1][0];
        const double normal =
            12.0 * (0.5 * std::log(2.0 * std::numbers::pi * std::numbers::e) + std::log(scale));
        EXPECT_LT(meanLoss(*proposal, bentChain(1000), 24), normal - 3.0) << velocity;
    }
}

TEST_F(ParticleFlows, AResumedRunEqualsAnUnbrokenOneBitForBit) {
    for (const std::string& text :
         {matchingRun("cartesian", egnn, "precision = \"float64\"\nnoise = 0.02\n"),
          matchingRun("cartesian", egnn + "align = true\n", "random_rotations = false\n"),
          matchingRun("cartesian", transformer, "gradient_norm = 1.0\n"),
          matchingRun("cartesian", transformer + "align = true\n", "precision = \"float64\"\n")}) {
        TrainingConfig whole = config(text, "whole"), broken = config(text, "broken");
        whole.training.threads = 1;
        broken.training.threads = 2;
        EXPECT_TRUE(train(whole, Trainer::Start::Overwrite));
        EXPECT_FALSE(train(broken, Trainer::Start::Overwrite, 7));
        EXPECT_TRUE(train(broken, Trainer::Start::Resume));
        for (const std::string file : {"/proposal.safetensors", "/checkpoint.safetensors"})
            EXPECT_EQ(numbers("whole" + file), numbers("broken" + file)) << text << file;
        EXPECT_EQ(validation("whole"), validation("broken"));
    }
}

TEST_F(ParticleFlows, AllParticlesHaveTheSameScale) {
    for (const std::string training : {"", "random_rotations = false\n"}) {
        const FlowFrames frames(config(matchingRun("cartesian", egnn, training)), at::kDouble);
        for (int c = 0; c < 12; c++) {
            EXPECT_EQ(frames.getLocation()[c], 0.0);
            EXPECT_EQ(frames.getScale()[c], frames.getScale()[0]);
        }
        const at::Tensor v = frames.trainingBatch(0, 0, 300);
        EXPECT_NEAR(v.mul(v).mean().item<double>(), 1.0, 0.1);
    }
    // For a perceptron they differ from vector to vector.
    const FlowFrames frames(config(matchingRun("cartesian")), at::kDouble);
    EXPECT_NE(frames.getScale()[0], frames.getScale()[3]);
}

TEST_F(ParticleFlows, KindsOfParticlesAreTheNodeFeatures) {
    const std::string elements =
        "particles = [{name = \"A\", mass = 1.0, element = \"O\"}, {name = \"B\", mass = 1.0, element = "
        "\"C\"}, "
        "{name = \"C\", mass = 1.0, element = \"C\"}, {name = \"D\", mass = 1.0, element = \"O\"}, "
        "{name = \"E\", mass = 1.0, element = \"H\"}]\n";
    const auto featuresOf = [&](const std::string& keys, const std::string& root = "") {
        TrainingConfig run = config(matchingRun("cartesian", egnn + keys, "", "", root));
        run.stages[0].steps = 1;
        EXPECT_TRUE(train(run, Trainer::Start::Overwrite));
        const auto proposal = load();
        EXPECT_EQ(flowOf(*proposal).egnn.hidden, 12);
        EXPECT_EQ(flowOf(*proposal).timeFrequencies, 2);
        return dynamic_cast<const ContinuousFlowProposal&>(*proposal).getParameters().tensors[2];
    };
    const std::vector<double> expected = {1, 0, 0, 0, 1, 0, 0, 1, 0, 1, 0, 0, 0, 0, 1};
    EXPECT_EQ(featuresOf("kinds = \"element\"\n", elements), expected);
    EXPECT_EQ(featuresOf("kinds = [0, 1, 1, 0, 2]\ncoordinate_range = 9.0\n"), expected);
    EXPECT_EQ(flowOf(*load()).egnn.coordinateRange, 9.0);
    const std::vector<double> own = featuresOf("");
    for (int i = 0; i < 25; i++)
        EXPECT_EQ(own[i], i % 6 == 0 ? 1.0 : 0.0);
    // Where all are of one kind, exchanging two of them changes no density; otherwise it does.
    for (const std::string keys : {"kinds = [0, 0, 0, 0, 0]\n", ""}) {
        TrainingConfig run = config(matchingRun("cartesian", egnn + keys));
        run.stages[0].learningRate = 0.02;
        EXPECT_TRUE(train(run, Trainer::Start::Overwrite));
        std::vector<double> x;
        const std::vector<float> frame = bentChain(1);
        for (const std::array<int, 5>& order : {std::array{0, 1, 2, 3, 4}, std::array{0, 3, 2, 1, 4}})
            for (int i : order)
                x.insert(x.end(), &frame[3 * i], &frame[3 * i] + 3);
        double logDensity[2];
        load()->logDensity(2, x.data(), logDensity);
        const double difference = std::abs(logDensity[1] - logDensity[0]);
        EXPECT_EQ(difference > 1e-4, keys.empty()) << difference;
    }
}

TEST_F(ParticleFlows, AlignmentMakesPathsShorterAndTheFlowNoWorse) {
    const auto firstLoss = [&](const std::string& keys) {
        TrainingConfig run = config(matchingRun("cartesian", transformer + keys));
        run.stages[0].steps = 1;
        run.stages[0].learningRate = run.stages[0].finalLearningRate = 1e-30;
        EXPECT_TRUE(train(run, Trainer::Start::Overwrite));
        return validation().front();
    };
    // While the velocity is zero the loss is the mean squared distance of pairs.
    const double apart = firstLoss(""), aligned = firstLoss("align = true\n");
    EXPECT_LT(aligned, 0.75 * apart);
    EXPECT_GT(aligned, 0.1 * apart);
}

TEST_F(ParticleFlows, StartFromAnotherFlowOfTheSameKinds) {
    train(config(matchingRun("cartesian", egnn), "first"));
    const std::string start = "start_from = \"first/proposal.safetensors\"\nweight_decay = 0.0\n";
    TrainingConfig again = config(matchingRun("cartesian", egnn, start), "second");
    again.stages[0].learningRate = again.stages[0].finalLearningRate = 1e-30;
    train(again);
    EXPECT_NEAR(validation("first").back(), validation("second").back(), 1e-5);
    const auto problem = [&](const std::string& proposal) {
        return messageOf(
            [&] { train(config(matchingRun("cartesian", proposal, start)), Trainer::Start::Overwrite); });
    };
    EXPECT_NE(problem(transformer).find("is no continuous flow like"), std::string::npos);
    EXPECT_NE(problem(egnn + "kinds = [1, 0, 2, 3, 4]\n").find("node features differ"), std::string::npos);
}

TEST_F(ParticleFlows, WhatCannotBeIsRefused) {
    const auto problem = [&](const std::string& text) {
        return messageOf([&] { train(config(text), Trainer::Start::Overwrite); });
    };
    const std::vector<std::pair<std::string, std::string>> cases = {
        {matchingRun("vector", egnn), "a network of particles, but coordinates.kind is not \"cartesian\""},
        {matchingRun("cartesian", "velocity = \"painn\"\n"), "proposal.velocity is \"painn\""},
        {matchingRun("cartesian", egnn + "heads = 4\n"),
         "proposal.heads is a key of the velocity \"graph-transformer\", but velocity is \"egnn\""},
        {matchingRun("cartesian", transformer + "time_frequencies = 2\n"),
         "proposal.time_frequencies is a key of the velocity \"mlp\" or \"egnn\""},
        {matchingRun("cartesian", "kinds = [0, 0, 0, 0, 0]\n"),
         "proposal.kinds is a key of the velocity \"egnn\""},
        {matchingRun("cartesian", egnn + "activation = \"tanh\"\n"), "proposal.activation is a key of"},
        {matchingRun("cartesian", transformer + "bins = 3\n"), "proposal.bins (line"},
        {matchingRun("cartesian", "velocity = \"egnn\"\nhidden = [8, 8]\n"), "must be one integer"},
        {matchingRun("cartesian", "velocity = \"egnn\"\nhidden = 9000\n"), "egnn.hidden is 9000"},
        {matchingRun("cartesian", "hidden = [4294967360]\n"), "must be at most 2147483647, it is 4294967360"},
        {matchingRun("cartesian", "velocity = \"egnn\"\nangle_frequencies = 2\n"),
         "angle_frequencies is a key of the velocity \"mlp\""},
        {matchingRun("cartesian", "angle_frequencies = 2\n"),
         "is for circular coordinates, but there are none"},
        {matchingRun("cartesian", egnn + "kinds = [0, 1]\n"), "is for 2 particles, the frames have 5"},
        {matchingRun("cartesian", egnn + "kinds = [0, 1, 2, 3, 5]\n"), "has a kind 5"},
        {matchingRun("cartesian", egnn + "kinds = \"element\"\n"), "there are no tables [[particles]]"},
        {matchingRun("cartesian", egnn + "kinds = \"element\"\n", "", "", chainBonds), "\"A\" has none"},
        {matchingRun("cartesian", egnn + "kinds = \"mass\"\n"), "proposal.kinds is \"mass\""},
        {matchingRun("vector", "align = true\n"), "proposal.align is for positions"},
        {matchingRun("cartesian", transformer + "align = true\n", "random_rotations = false\n"),
         "proposal.align turns frames"},
        {matchingRun("cartesian", transformer + "layer_norm_epsilon = 2.0\ngelu = \"erf\"\n"),
         "layerNormEpsilon is 2"},
    };
    for (const auto& [text, expected] : cases)
        EXPECT_NE(problem(text).find(expected), std::string::npos) << problem(text) << "\n" << expected;
}

TEST(BestRotations, TurnBackWhatWasTurnedAndMirrorNothing) {
    CounterRandom random(1, CounterRandom::Stream::Sample, 0);
    const auto normal = [&](int count) {
        at::Tensor x = at::empty({1, count, 3}, at::kDouble);
        for (int i = 0; i < 3 * count; i++)
            x.data_ptr<double>()[i] = random.normal();
        return x;
    };
    const auto turnedAnyhow = [&](const at::Tensor& x) {
        at::Tensor turned = x.clone();
        rotate(turned.data_ptr<double>(), static_cast<int>(x.size(1)), random);
        return turned;
    };
    const auto number = [](const at::Tensor& x) { return x.sum().item<double>(); };
    for (const int count : {1, 2, 3, 6}) {
        const at::Tensor b = normal(count), a = turnedAnyhow(b);
        EXPECT_LT((turnOnto(a, b) - a).abs().max().item<double>(), 1e-12);
        EXPECT_NEAR(number(bestOverlaps(a, b)), number(a * a), 1e-12);
    }
    const at::Tensor a = normal(6), b = normal(6);
    const double best = number(bestOverlaps(a, b));
    EXPECT_NEAR(number(a * turnOnto(a, b)), best, 1e-12);
    for (int k = 0; k < 300; k++)
        EXPECT_LT(number(a * turnedAnyhow(b)), best);
    const at::Tensor mirrored = a * at::tensor({-1.0, 1.0, 1.0}, at::kDouble), turned = turnOnto(a, mirrored);
    EXPECT_GT(number((turned - a).square()), 0.1);
    // A rotation keeps the handedness of three vectors.
    const auto handedness = [](const at::Tensor& x) {
        return at::linalg_det(x.select(0, 0).narrow(0, 0, 3)).item<double>();
    };
    EXPECT_NEAR(handedness(turned), handedness(mirrored), 1e-12);
}

TEST(BestRotations, EachPairHasItsOwn) {
    CounterRandom random(2, CounterRandom::Stream::Sample, 0);
    at::Tensor x = at::empty({5, 4, 3}, at::kDouble);
    for (std::int64_t i = 0; i < x.numel(); i++)
        x.data_ptr<double>()[i] = random.normal();
    const at::Tensor a = x.narrow(0, 0, 2), b = x.narrow(0, 2, 3), all = bestOverlaps(a, b);
    ASSERT_EQ((std::vector<std::int64_t>{2, 3}), all.sizes().vec());
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < 3; j++)
            EXPECT_NEAR(all[i][j].item<double>(),
                        bestOverlaps(a.narrow(0, i, 1), b.narrow(0, j, 1)).item<double>(), 1e-12);
}

} // namespace
} // namespace OpenMMScore::testing
