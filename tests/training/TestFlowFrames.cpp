// From frames to batches of proposals: noise, weights, names of particles, order, and what is refused.
#include <algorithm>
#include <cmath>

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/square.h>
#include <gtest/gtest.h>

#include "FlowFrames.h"
#include "FlowRuns.h"
#include "FrameOrder.h"

namespace OpenMMScore::testing {
namespace {

TEST_F(ProposalTraining, NoiseIsForCoordinatesThatAreNotAngles) {
    const std::string text = flowRun("vector", "circular = [1]\n", "noise = 0.1\n", "", last);
    TrainingConfig run = config(text);
    const FlowFrames noisy(run, at::kDouble);
    run.stages[0].noise = 0.0;
    const FlowFrames plain(run, at::kDouble);
    const at::Tensor difference = noisy.trainingBatch(3, 0, 300).sub(plain.trainingBatch(3, 0, 300));
    EXPECT_EQ(difference[1].abs().max().item<double>(), 0.0);
    // 300 draws: 5 sigma are 20 percent.
    EXPECT_NEAR(difference[0].square().mean().sqrt().item<double>(), 0.1, 0.02);
    EXPECT_TRUE(noisy.validationBatch(100).equal(plain.validationBatch(100)));
    // A share of a batch is a part of it.
    EXPECT_TRUE(noisy.trainingBatch(3, 100, 50).equal(noisy.trainingBatch(3, 0, 300).narrow(1, 100, 50)));
}

TEST_F(ProposalTraining, WeightsChooseAmongFrames) {
    const std::vector<float> frames = twoClouds(3000);
    std::vector<float> weights;
    double mean = 0.0, sum = 0.0;
    for (int f = 0; f < 3000; f++) {
        weights.push_back(frames[2 * f] > 0.0f ? 1.0f + float(f % 2) : 0.0f);
        if (f < 2700) {
            mean += double(weights.back()) * frames[2 * f];
            sum += weights.back();
        }
    }
    folder.write("weights.npy", npyBytes({3000}, weights));
    const TrainingConfig run = config(flowRun("vector", "", "", "", last + "weights = \"weights.npy\"\n"));
    const FlowFrames weighted(run, at::kDouble);
    EXPECT_NEAR(weighted.getLocation()[0], mean / sum, 1e-6);
    EXPECT_TRUE(weighted.getAccount().weighted);
    const at::Tensor x = weighted.trainingBatch(0, 0, 300)[0] * weighted.getScale()[0];
    EXPECT_GT(x.min().item<double>() + weighted.getLocation()[0], 0.0);
    EXPECT_TRUE(train(run));
}

TEST_F(ProposalTraining, ParticlesOfACycleAreRenamed) {
    const std::string cycles = "cycles = [[1, 3, 4]]\n[proposal]";
    std::string text = flowRun("cartesian", "", "random_rotations = false\n", "", last);
    text.replace(text.find("[proposal]"), 10, cycles);
    const TrainingConfig run = config(text);
    const FlowFrames frames(run, at::kDouble);
    TrainingConfig plain = run;
    plain.proposal.cycles.clear();
    const FlowFrames others(plain, at::kDouble);
    const at::Tensor renamed = frames.trainingBatch(5, 0, 300).t().contiguous(),
                     before = others.trainingBatch(5, 0, 300).t().contiguous();
    const FrameCoordinates coordinates(5, Proposal::Frame::Centred);
    const auto positions = [&](const at::Tensor& v, std::int64_t i) {
        std::vector<double> y(12), x(15);
        for (int c = 0; c < 12; c++)
            y[c] = frames.getLocation()[c] + frames.getScale()[c] * v.data_ptr<double>()[12 * i + c];
        coordinates.toPositions(y.data(), x.data());
        return x;
    };
    const int shifts[3][5] = {{0, 1, 2, 3, 4}, {0, 3, 2, 4, 1}, {0, 4, 2, 1, 3}};
    int seen[3] = {0, 0, 0};
    for (int i = 0; i < 300; i++) {
        const std::vector<double> x = positions(renamed, i), from = positions(before, i);
        for (int s = 0; s < 3; s++) {
            double difference = 0.0;
            for (int k = 0; k < 15; k++)
                difference = std::max(difference, std::abs(x[k] - from[3 * shifts[s][k / 3] + k % 3]));
            seen[s] += difference < 1e-6;
        }
    }
    EXPECT_EQ(seen[0] + seen[1] + seen[2], 300);
    for (int count : seen)
        EXPECT_NEAR(count, 100, 41); // 5 sigma
    // Frames for validation stay as they are.
    EXPECT_TRUE(frames.validationBatch(100).equal(others.validationBatch(100)));
    EXPECT_TRUE(train(run));
}

TEST_F(ProposalTraining, FramesThatCannotBeAreRefused) {
    const auto problem = [&](const std::string& text) {
        return messageOf([&] { train(config(text), Trainer::Start::Overwrite); });
    };
    std::string cycles = flowRun("internal", "", "", chainBonds);
    cycles.insert(cycles.find("[proposal]"), "cycles = [[1, 5]]\n");
    EXPECT_NE(problem(cycles).find("names particle 5, the frames have 5"), std::string::npos);
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
