#include <cmath>
#include <functional>
#include <numeric>
#include <ostream>

#include <ATen/ops/empty.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/zeros_like.h>
#include <gtest/gtest.h>

#include "TrainingFiles.h"
#include "openmmscore/models/CounterRandom.h"
#include "openmmscore/models/Error.h"
#include "openmmscore/sampling/ContinuousFlowProposal.h"
#include "openmmscore/torch/TorchVelocity.h"

namespace OpenMMScore::testing {
namespace {

using Network = ContinuousFlowDescription::Network;
using Frame = Proposal::Frame;

struct Case {
    const char* name;
    ContinuousFlowDescription flow;
    std::vector<double> nodeFeatures;
};

void PrintTo(const Case& each, std::ostream* stream) {
    *stream << each.name;
}

std::vector<Case> allCases() {
    using Activation = ContinuousFlowDescription::Activation;
    ContinuousFlowDescription swish;
    swish.count = 3;
    swish.frame = Frame::Vector;
    swish.mlp = {{5, 4}, Activation::Swish};
    swish.timeFrequencies = 2;
    ContinuousFlowDescription tanh = swish;
    tanh.mlp.activation = Activation::Tanh;
    ContinuousFlowDescription angles = swish;
    angles.count = 4;
    angles.circular = {1, 3};
    angles.angleFrequencies = 2;

    ContinuousFlowDescription egnn;
    egnn.count = 4;
    egnn.frame = Frame::Centred;
    egnn.network = Network::Egnn;
    egnn.egnn = {5, 2, 3, 7.0};
    egnn.timeFrequencies = 1;
    ContinuousFlowDescription pair = egnn;
    pair.count = 2;
    pair.egnn = {4, 1, 1, 15.0};
    pair.timeFrequencies = 0;

    ContinuousFlowDescription transformer;
    transformer.count = 3;
    transformer.frame = Frame::Centred;
    transformer.network = Network::GraphTransformer;
    transformer.graphTransformer = {6, 2, 2, 4, 9, 1e-6, Gelu::Tanh, 0};
    ContinuousFlowDescription erf = transformer;
    erf.graphTransformer.gelu = Gelu::Erf;
    return {{"MlpSwish", swish, {}},         {"MlpTanh", tanh, {}},
            {"MlpCircular", angles, {}},     {"Egnn", egnn, {1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 1, 0}},
            {"EgnnOfTwo", pair, {1, 1}},     {"GraphTransformer", transformer, {}},
            {"GraphTransformerErf", erf, {}}};
}

/** A network with random weights, and samples for it. */
class TorchVelocityTest : public ::testing::TestWithParam<Case> {
protected:
    TorchVelocityTest() : network(TorchVelocity::create(flow, at::kDouble, GetParam().nodeFeatures)) {
        draw(network->getFlatParameters(), 0.5);
        t.data_ptr<double>()[0] = 0.0;
        t.data_ptr<double>()[1] = 1.0;
    }
    at::Tensor draw(at::Tensor tensor, double deviation = 1.0) {
        for (std::int64_t i = 0; i < tensor.numel(); i++)
            tensor.data_ptr<double>()[i] = deviation * random.normal();
        return tensor;
    }
    /** Call f for each trained tensor with its name, and where its numbers begin and end. */
    void forTensors(const std::function<void(const std::string&, std::int64_t, std::int64_t)>& f) const {
        std::int64_t begin = 0;
        for (const TensorShape& tensor : flow.getTensors()) {
            if (tensor.name == "location" || tensor.name == "scale" || tensor.name == "network.node_features")
                continue;
            const std::int64_t size = std::accumulate(tensor.shape.begin(), tensor.shape.end(),
                                                      std::int64_t(1), std::multiplies<>());
            f(tensor.name, begin, begin + size);
            begin += size;
        }
    }
    CounterRandom random{1, CounterRandom::Stream::Sample, 0};
    const ContinuousFlowDescription flow = GetParam().flow;
    const int d = flow.getDimension();
    static constexpr int samples = 6;
    const at::Tensor u = draw(at::empty({samples, d}, at::kDouble)),
                     target = draw(at::empty({samples, d}, at::kDouble));
    const at::Tensor t = draw(at::empty({samples}, at::kDouble)).sigmoid();
    const std::unique_ptr<TorchVelocity> network;
};

TEST_P(TorchVelocityTest, IsThatOfTheInference) {
    const std::vector<double> zeros(d, 0.0), ones(d, 1.0);
    const ContinuousFlowProposal proposal(
        {flow, network->exportTensors(zeros, ones, network->getFlatParameters()), {}, {}});
    std::vector<double> velocity(samples * d), divergence(samples);
    proposal.computeVelocity(samples, u.data_ptr<double>(), t.data_ptr<double>(), velocity.data(),
                             divergence.data());
    const at::Tensor found = network->velocity(u, t);
    double largest = 0.0;
    for (int i = 0; i < samples * d; i++) {
        EXPECT_NEAR(velocity[i], found.data_ptr<double>()[i], 1e-10);
        largest = std::max(largest, std::abs(velocity[i]));
    }
    EXPECT_GT(largest, 0.1);
    // In single precision it is the same to its rounding.
    const auto single = TorchVelocity::create(flow, at::kFloat, GetParam().nodeFeatures);
    single->getFlatParameters().copy_(network->getFlatParameters());
    const at::Tensor rounded = single->velocity(u.to(at::kFloat), t);
    EXPECT_LT(rounded.to(at::kDouble).sub(found).abs().max().item<double>(), 1e-4);
}

TEST_P(TorchVelocityTest, GradientsAreThoseOfFiniteDifferences) {
    at::Tensor gradient = at::zeros_like(network->getFlatParameters()), ignored = gradient.clone();
    const double loss = network->addGradient(u, t, target, 0.5, gradient);
    const at::Tensor difference = network->velocity(u, t).sub(target);
    EXPECT_NEAR(loss, 0.5 * difference.mul(difference).sum().item<double>() / d, 1e-12);
    for (std::int64_t k = 0; k < gradient.numel(); k++) {
        double& value = network->getFlatParameters().data_ptr<double>()[k];
        const double before = value, step = 1e-5;
        value = before + step;
        const double above = network->addGradient(u, t, target, 0.5, ignored);
        value = before - step;
        const double below = network->addGradient(u, t, target, 0.5, ignored);
        value = before;
        EXPECT_NEAR(gradient[k].item<double>(), (above - below) / (2.0 * step), 2e-7) << k;
    }
    // Gradients are added to what is there.
    at::Tensor twice = gradient.clone();
    network->addGradient(u, t, target, 0.5, twice);
    EXPECT_LT(twice.sub(gradient, 2.0).abs().max().item<double>(), 1e-12);
}

TEST_P(TorchVelocityTest, GradientsReachAllThatTheVelocityDependsOn) {
    at::Tensor gradient = at::zeros_like(network->getFlatParameters());
    network->addGradient(u, t, target, 1.0, gradient);
    const std::string behind = "network.layers." + std::to_string(flow.egnn.layers - 1) + ".node.";
    forTensors([&](const std::string& name, std::int64_t begin, std::int64_t end) {
        const double largest = gradient.narrow(0, begin, end - begin).abs().max().item<double>();
        if (flow.network == Network::Egnn && name.starts_with(behind)) {
            EXPECT_EQ(largest, 0.0) << name;
        }
        else if (flow.network == Network::GraphTransformer && name.ends_with("key.bias")) {
            // What is added to all keys of a query alike cancels in its softmax.
            EXPECT_LT(largest, 1e-14) << name;
        }
        else {
            EXPECT_GT(largest, 1e-8) << name;
        }
    });
}

TEST_P(TorchVelocityTest, BeginsWithAVelocityOfZeroAndLearnsAllTheSame) {
    network->initialize(2);
    EXPECT_EQ(network->velocity(u, t).abs().max().item<double>(), 0.0);
    const auto other = TorchVelocity::create(flow, at::kDouble, GetParam().nodeFeatures);
    other->initialize(2);
    EXPECT_TRUE(other->getFlatParameters().equal(network->getFlatParameters()));
    other->initialize(3);
    EXPECT_FALSE(other->getFlatParameters().equal(network->getFlatParameters()));
    // A few steps downhill: then all have learnt something.
    double first = 0.0, last = 0.0;
    for (int step = 0; step < 60; step++) {
        at::Tensor gradient = at::zeros_like(network->getFlatParameters());
        last = network->addGradient(u, t, target, 1.0 / samples, gradient);
        first = step == 0 ? last : first;
        network->getFlatParameters().sub_(gradient, 0.05);
    }
    EXPECT_LT(last, 0.97 * first);
}

TEST_P(TorchVelocityTest, TensorsGoOutAndComeBack) {
    const std::vector<double> zeros(d, 0.0), ones(d, 1.0);
    std::vector<std::vector<double>> tensors =
        network->exportTensors(zeros, ones, network->getFlatParameters());
    const auto other = TorchVelocity::create(flow, at::kDouble, GetParam().nodeFeatures);
    other->importTensors(tensors);
    EXPECT_TRUE(other->getFlatParameters().equal(network->getFlatParameters()));
    if (flow.network == Network::Egnn) {
        tensors[2][0] += 1.0;
        EXPECT_THROW(other->importTensors(tensors), ShapeError);
        EXPECT_THROW(TorchVelocity::create(flow, at::kDouble, {1.0}), ShapeError);
        tensors[2][0] -= 1.0;
    }
    tensors.back().push_back(0.0);
    EXPECT_THROW(other->importTensors(tensors), ShapeError);
}

INSTANTIATE_TEST_SUITE_P(All, TorchVelocityTest, ::testing::ValuesIn(allCases()),
                         [](const auto& each) { return each.param.name; });

} // namespace
} // namespace OpenMMScore::testing
