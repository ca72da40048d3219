#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "FlaxWeights.h"
#include "Methods.h"
#include "Optimizer.h"
#include "openmmscore/training/ExponentialMovingAverage.h"
#include "openmmscore/training/FokkerPlanckLoss.h"

namespace OpenMMScore::testing {
namespace {

using Space = ModelDescription::Space;

double largest(const at::Tensor& x) {
    return x.abs().max().item<double>();
}

/** Six optimiser steps of the last of three experts, with the draws of the original program. */
class PublishedSteps : public ::testing::Test {
protected:
    PublishedSteps()
        : reference("train_steps_mb_both_last_stage", "params/models_2/"),
          network(ReferenceFile("mixture_mb_both", "params/models_2/").network(model)),
          matching(schedule, 0.0, 0.1, 0.05) {
        settings = methodPreset("both", true).stages[2];
        settings.steps = 10;
        settings.emaDecay = 0.995;
        settings.averaging = Averaging::UpstreamPerEpoch;
        settings.fokkerPlanck.timeDerivative = FokkerPlanckOptions::TimeDerivative::ClampedStencil;
        settings.fokkerPlanck.oneDimensionalDivergence = true;
    }
    NoisedBatch batchOf(int step) const {
        return {reference.tensor("in/batch")[step],
                reference.tensor("in/t")[step],
                reference.tensor("in/noise" + std::to_string(2 * step)),
                reference.tensor("in/noise" + std::to_string(2 * step + 1)),
                {}};
    }
    /** The largest difference of weights from what is recorded, but for the last bias: its gradient is
     * rounding noise, which Adam turns into steps of full size. */
    double difference(const at::Tensor& flat, const std::string& recorded) const {
        double worst = 0.0;
        std::int64_t offset = 0;
        for (const TensorShape& shape : network->getShapes()) {
            at::Tensor expected = reference.tensor("out64/" + recorded + "/params/models_2/" +
                                                   ReferenceFile::flaxName(shape.name, model.experts[0]));
            if (expected.dim() == 2)
                expected = expected.t();
            const at::Tensor ours = flat.narrow(0, offset, expected.numel()).view(expected.sizes());
            offset += expected.numel();
            if (expected.numel() > 1)
                worst = std::max(worst, largest(ours - expected));
        }
        return worst;
    }

    ModelDescription model = describe(Space::Vector, 2, {mlpExpert({64, 64, 64}, 0.0, 0.1)});
    ReferenceFile reference;
    std::unique_ptr<TorchNetwork> network;
    VariancePreserving schedule;
    DenoisingScoreMatchingLoss matching;
    StageConfig settings;
};

TEST_F(PublishedSteps, GiveThePublishedWeights) {
    const FokkerPlanckLoss fokkerPlanck(schedule, matching, settings.fokkerPlanck, false);
    at::Tensor& parameters = network->getFlatParameters();
    Optimizer optimizer(parameters, settings);
    ExponentialMovingAverage average(parameters, settings.emaDecay, 1, settings.averaging);
    const at::Tensor losses = reference.tensor("out64/losses");
    const at::Tensor start = parameters.clone();
    for (int step = 0; step < 6; step++) {
        const NoisedBatch batch = batchOf(step);
        const double scale = 1.0 / double(batch.size());
        at::Tensor gradient = at::zeros_like(parameters);
        const double scoreLoss = matching.addGradient(*network, batch, scale, gradient);
        const double fokkerPlanckLoss = fokkerPlanck.addGradient(*network, batch, scale, gradient);
        EXPECT_NEAR(scoreLoss, losses[step][0].item<double>(), 1e-8) << step;
        EXPECT_NEAR(fokkerPlanckLoss, losses[step][2].item<double>(), 1e-8) << step;
        optimizer.step(gradient, step);
        average.update(parameters, step);
    }
    // Steps of 3e-4 each. The residual divides differences by 2e-4 and 5e-4, so 1e-16 becomes 1e-12, of a
    // gradient that Adam divides by its size.
    EXPECT_GT(largest(parameters - start), 1e-3);
    EXPECT_LT(difference(parameters, "params_after"), 1e-8);
    EXPECT_LT(difference(average.getAverage(), "ema_after"), 1e-8);
}

TEST(PublishedLosses, TheFirstStageMatchesScoresAsScoreMDDoes) {
    const ModelDescription model = describe(Space::Vector, 2, {mlpExpert({54, 54}, 0.6, 1.0)});
    const ReferenceFile reference("loss_mb_both_stage0", "params/models_0/");
    const auto network = ReferenceFile("mixture_mb_both", "params/models_0/").network(model);
    const VariancePreserving schedule;
    const MethodPreset preset = methodPreset("both", true);
    EXPECT_EQ(preset.experts[0].mlp.hidden, model.experts[0].mlp.hidden);
    EXPECT_EQ(preset.stages[0].timeMidpoint, 0.8);
    const DenoisingScoreMatchingLoss loss(schedule, 0.6, 1.0, preset.stages[0].timeMidpoint);
    const NoisedBatch batch{
        reference.tensor("in/z0"), reference.tensor("in/t"), reference.tensor("in/noise0"), {}, {}};
    at::Tensor gradient = at::zeros({network->getNumParameters()}, at::kDouble);
    const double value = loss.addGradient(*network, batch, 1.0 / double(batch.size()), gradient);
    EXPECT_NEAR(value, reference.scalar("out64/loss_dsm"), 1e-10);
    const double norm = reference.scalar("out64/grad_norm_dsm_all");
    EXPECT_NEAR(gradient.norm().item<double>(), norm, 1e-9 * norm);
}

/** The tensor of a PyTorch file that holds ours, given by its name after "experts.0."; keys and values lie in
 * one. */
at::Tensor twoForOneTensor(const ReferenceFile& file, const std::string& ours) {
    const std::string kind = ours.substr(ours.rfind('.'));
    const std::string layerName = ours.substr(0, ours.rfind('.'));
    if (layerName.rfind("layers.", 0) != 0)
        return file.tensor("weights/" + (layerName == "readout" ? "node_decoder" : layerName) + kind);
    const std::size_t dot = layerName.find('.', 7);
    const std::string layer = "weights/graphtransformer." + layerName.substr(0, dot);
    const std::string part = layerName.substr(dot + 1);
    if (part == "attention.key" || part == "attention.value")
        return file.tensor(layer + ".0.0.fn.to_kv" + kind).chunk(2)[part == "attention.key" ? 0 : 1];
    const std::map<std::string, std::string> names = {
        {"attention_norm", ".0.0.norm"},           {"attention.query", ".0.0.fn.to_q"},
        {"attention.edge", ".0.0.fn.edges_to_kv"}, {"attention.output", ".0.0.fn.to_out"},
        {"attention_gate", ".0.1.proj.0"},         {"feed_forward_norm", ".1.0.norm"},
        {"feed_forward.expand", ".1.0.fn.0"},      {"feed_forward.contract", ".1.0.fn.2"},
        {"feed_forward_gate", ".1.1.proj.0"}};
    return file.tensor(layer + names.at(part) + kind);
}

TEST(PublishedLosses, TwoForOneTrainsAsTheOriginal) {
    const ReferenceFile reference("t4o_chignolin", "");
    const MethodPreset preset = methodPreset("two-for-one", false);
    ModelDescription model = describe(Space::Particles, 10, preset.experts);
    model.schedule = preset.schedule;
    GraphTransformerDescription& sizes = model.experts[0].graphTransformer;
    sizes.hidden = 64;
    sizes.layers = 3;
    sizes.feedForward = 256;
    const auto network = TorchNetwork::create(model, 0, at::kDouble);
    std::vector<std::vector<double>> values;
    for (const TensorShape& shape : network->getShapes()) {
        const at::Tensor weights = twoForOneTensor(reference, shape.name.substr(10)).contiguous();
        values.emplace_back(weights.data_ptr<double>(), weights.data_ptr<double>() + weights.numel());
    }
    network->importTensors(values);

    const at::Tensor x = reference.tensor("in/x"), noise = reference.tensor("in/loss_noise");
    const auto centred = [](const at::Tensor& y) { return (y - y.mean(1, true)).view({y.size(0), -1}); };
    const NoisedBatch batch{
        centred(x), reference.tensor("in/loss_n").to(at::kDouble) / 1000.0, centred(noise), {}, {}};
    const auto schedule = model.schedule.create();
    const DenoisingScoreMatchingLoss loss(*schedule, 0.0, 1.0, 0.5, 0.0);
    const double expected = reference.scalar("out64/ddpm_loss");
    EXPECT_NEAR(loss.value(*network, batch, 1.0 / double(batch.size())), expected, 1e-10 * expected);
}

} // namespace
} // namespace OpenMMScore::testing
