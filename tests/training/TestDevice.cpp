// Trainings on another device than the processor: a stand-in, since whoever runs this need not have a GPU, or
// the one that OPENMMSCORE_TEST_DEVICE names ("cuda"; see make test-cuda).

#include <cmath>
#include <cstdlib>

#include <ATen/TensorOperators.h>
#include <ATen/ops/ones.h>
#include <gtest/gtest.h>

#include "FlowRuns.h"
#include "StandInDevice.h"

namespace OpenMMScore::testing {
namespace {

struct Run {
    std::string name, text;
};

void PrintTo(const Run& run, std::ostream* out) {
    *out << run.text;
}

/** A run of a score network on chains, or of a perceptron on vectors. */
std::string scoreRun(const std::string& method, const std::string& model = "", const std::string& more = "") {
    const bool chains = model.find("graph") != std::string::npos;
    return "method = \"" + method + "\"\nseed = 2\n[data]\nfile = \"" + (chains ? "cartesian" : "vector") +
           ".npy\"\ntemperature = 300\n[model]\n" + model +
           "[training]\nsteps = 12\nbatch_size = 60\nema_decay = 0.5\n[output]\ndirectory = \"out\"\n"
           "checkpoint_interval = 5\nvalidation_interval = 4\nlog_interval = 2\nvalidation_samples = 32\n" +
           more;
}

const std::string perceptron = "architecture = \"mlp\"\nhidden = [8, 8]\n",
                  transformer = "architecture = \"graph-transformer\"\nhidden = 8\nlayers = 1\nheads = 2\n"
                                "head_size = 4\n",
                  score = "head = \"score\"\n";

/** Two molecules, told apart by features of their particles. */
std::string transferableRun() {
    std::string run = scoreRun("fokker-planck", transformer);
    const std::string file = "file = \"cartesian.npy\"\n";
    run.erase(run.find(file), file.size());
    return run + "[[features]]\nname = \"atom\"\nnum_values = 3\n" + "[[molecules]]\n" + file +
           "features = [[0], [1], [2], [1], [0]]\n" + "[[molecules]]\n" + file +
           "features = [[0], [1], [2], [1], [2]]\n";
}

const std::string egnnVelocity = "velocity = \"egnn\"\nhidden = 12\nlayers = 2\ntime_frequencies = 2\n"
                                 "pairing = 60\nalign = true\n",
                  transformerVelocity = "velocity = \"graph-transformer\"\nhidden = 12\nlayers = 1\n"
                                        "heads = 2\nhead_size = 6\nfeed_forward = 20\npairing = 60\n";

std::vector<Run> runs() {
    return {
        {"Transformer", scoreRun("diffusion", transformer)},
        {"TransformerScore", scoreRun("single", transformer + score)},
        {"TransformerFokkerPlanck",
         scoreRun("fokker-planck", transformer, "[fokker_planck]\nweight = 1e-3\nsamples = 20\n")},
        {"TransformerStencil",
         scoreRun("fokker-planck", transformer, "[fokker_planck]\ntime_derivative = \"stencil\"\n")},
        {"TransformerTwoForOne", scoreRun("two-for-one", transformer)},
        {"TransformerOfMolecules", transferableRun()},
        {"Perceptron", scoreRun("diffusion", perceptron)},
        {"PerceptronScore", scoreRun("single", perceptron + score)},
        {"PerceptronFokkerPlanck", scoreRun("fokker-planck", perceptron)},
        {"PerceptronMixture", scoreRun("mixture", perceptron)},
        {"PerceptronDdpm", scoreRun("ddpm", perceptron)},
        {"FlowOfVectors", matchingRun("vector")},
        {"FlowOfAngles", matchingRun("vector", "hidden = [16, 16]\ncircular = [0]\n")},
        {"FlowOfInternalCoordinates", matchingRun("internal", "paths = \"diffusion\"\n", "", "", chainBonds)},
        {"FlowByEgnn", matchingRun("cartesian", egnnVelocity, "", last)},
        {"FlowByTransformer", matchingRun("cartesian", transformerVelocity, "gradient_norm = 1.0\n", last)}};
}

class Device : public ProposalTraining, public ::testing::WithParamInterface<Run> {
protected:
    static void SetUpTestSuite() { openStandInDevice(); }
    TrainingConfig on(const std::string& device, const std::string& output, bool doublePrecision) {
        TrainingConfig run = config(GetParam().text, output);
        run.training.device = device;
        run.training.threads = 1;
        run.training.doublePrecision = doublePrecision;
        return run;
    }
    std::string modelOf(const std::string& output) {
        const bool flow = std::filesystem::exists(folder.path(output + "/proposal.safetensors"));
        return output + (flow ? "/proposal.safetensors" : "/model.safetensors");
    }
    /** Of all stages. */
    std::vector<double> validationOf(const std::string& output) {
        std::vector<double> all = validation(output);
        for (const char* log : {"/log-0.jsonl", "/log-1.jsonl", "/log-2.jsonl"})
            for (double loss : validationLosses(folder.path(output + log)))
                all.push_back(loss);
        return all;
    }
};

const std::string& testedDevice() {
    static const char* named = std::getenv("OPENMMSCORE_TEST_DEVICE");
    static const std::string device = named ? named : "standin";
    return device;
}

TEST_P(Device, GivesTheWeightsThatTheProcessorGives) {
    EXPECT_TRUE(train(on("cpu", "cpu", true)));
    const std::int64_t before = getNumStandInOperations();
    EXPECT_TRUE(train(on(testedDevice(), "device", true)));
    // In 12 steps; fewer would mean that it was not there that the networks were computed.
    if (testedDevice() == "standin")
        EXPECT_GT(getNumStandInOperations() - before, 500);
    const std::vector<double> expected = numbers(modelOf("cpu")), found = numbers(modelOf("device"));
    ASSERT_EQ(found.size(), expected.size());
    for (std::size_t i = 0; i < expected.size(); i++)
        ASSERT_NEAR(found[i], expected[i], 1e-8 * std::max(1.0, std::abs(expected[i]))) << i;
}

TEST_P(Device, GivesTheLossesOfTheProcessorInSinglePrecision) {
    EXPECT_TRUE(train(on("cpu", "cpu", false)));
    EXPECT_TRUE(train(on(testedDevice(), "device", false)));
    const std::vector<double> expected = validationOf("cpu"), found = validationOf("device");
    ASSERT_EQ(found.size(), expected.size());
    ASSERT_GE(found.size(), 3u);
    for (std::size_t i = 0; i < expected.size(); i++)
        EXPECT_NEAR(found[i], expected[i], 2e-3 * std::max(1.0, std::abs(expected[i]))) << i;
}

TEST_P(Device, AResumedRunEqualsAnUnbrokenOneBitForBit) {
    EXPECT_TRUE(train(on(testedDevice(), "whole", false)));
    EXPECT_FALSE(train(on(testedDevice(), "broken", false), Trainer::Start::Fresh, 3));
    EXPECT_TRUE(train(on(testedDevice(), "broken", false), Trainer::Start::Resume));
    EXPECT_EQ(numbers(modelOf("whole")), numbers(modelOf("broken")));
}

INSTANTIATE_TEST_SUITE_P(Runs, Device, ::testing::ValuesIn(runs()),
                         [](const auto& run) { return run.param.name; });

TEST(StandInDevice, KeepsItsNumbersFromTheProcessor) {
    openStandInDevice();
    const at::Tensor here = at::ones({2, 3}), there = here.to(c10::Device("standin"));
    EXPECT_EQ((2 * there.t()).sum().item<double>(), 12.0);
    EXPECT_THROW(there.mm(here.t()), std::exception);
    EXPECT_DEATH(EXPECT_EQ(static_cast<const float*>(there.data_ptr())[0], 1.0f), "");
}

} // namespace
} // namespace OpenMMScore::testing
