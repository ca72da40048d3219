#include <cmath>
#include <numbers>

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <gtest/gtest.h>

#include "TrainingFiles.h"
#include "openmmscore/models/CounterRandom.h"
#include "openmmscore/sampling/SplineFlow.h"
#include "openmmscore/torch/TorchSplineFlow.h"

namespace OpenMMScore::testing {
namespace {

using Description = SplineFlowDescription;
using Layer = Description::Layer;

/** Real, circular and boxed coordinates, and layers of every sort. */
Description mixedFlow() {
    Description flow;
    flow.dimension = 5;
    flow.circular = {1, 4};
    flow.box = {3};
    flow.bins = 3;
    flow.bound = 2.5;
    flow.trainableBase = true;
    const auto silu = Description::Activation::SiLU, tanh = Description::Activation::Tanh;
    const auto plain = Description::Network::Plain, residual = Description::Network::Residual;
    flow.layers = {{Layer::Type::Coupling, {0, 1}, {6, 4}, plain, Description::Activation::ReLU, false},
                   {Layer::Type::Coupling, {4, 2, 3}, {5, 5, 5}, residual, silu, false},
                   {Layer::Type::Autoregressive, {3, 1, 4, 0, 2}, {8}, plain, tanh, false},
                   {Layer::Type::Autoregressive, {1, 0, 2}, {7, 7, 7}, residual, tanh, true},
                   {Layer::Type::Coupling, {0, 1, 2, 3, 4}, {4}, plain, tanh, false}};
    return flow;
}

void randomize(at::Tensor& values, double size, std::uint64_t seed) {
    CounterRandom random(seed, CounterRandom::Stream::Sample, 0);
    for (std::int64_t i = 0; i < values.numel(); i++)
        values.view({-1})[i] = size * random.normal();
}

/** The same with transformers: couplings, autoregressive layers of all coordinates and of some. */
Description transformerFlow() {
    Description flow = mixedFlow();
    for (Layer& layer : flow.layers) {
        layer.network = Description::Network::Transformer;
        layer.hidden = {6, 6};
        layer.heads = 2;
        layer.feedForward = 5;
    }
    flow.layers[1].hidden = {8};
    return flow;
}

/** Whether conditioners are transformers. */
class TorchSplineFlowTest : public ::testing::TestWithParam<bool> {
protected:
    TorchSplineFlowTest() {
        // As the trainer does.
        at::set_num_threads(1);
        location = {0.3, -1.0, 0.1, 0.2, 2.0};
        scale = {0.7, 1.0, 2.0, 0.5, 1.0};
    }
    Description describe() const { return GetParam() ? transformerFlow() : mixedFlow(); }
    std::unique_ptr<TorchSplineFlow> make(at::ScalarType dtype, double size = 0.4) {
        auto flow = std::make_unique<TorchSplineFlow>(describe(), location, scale, 11,
                                                      at::TensorOptions().dtype(dtype));
        at::Tensor values = at::zeros({flow->getFlatParameters().numel()}, at::kDouble);
        randomize(values, size, 3);
        flow->getFlatParameters().copy_(values * flow->getMask());
        return flow;
    }
    /** Samples inside and outside of the bound, [5, samples]. */
    at::Tensor samples(std::int64_t count, at::ScalarType dtype = at::kDouble) {
        at::Tensor v = at::zeros({5, count}, at::kDouble);
        randomize(v, 1.2, 5);
        for (int circular : {1, 4})
            v[circular].remainder_(2.0 * std::numbers::pi).sub_(std::numbers::pi);
        v[3].remainder_(4.9).sub_(2.45);
        return v.to(dtype);
    }
    std::vector<double> location, scale;
};

TEST_P(TorchSplineFlowTest, DensitiesAreThoseOfTheInference) {
    for (const at::ScalarType dtype : {at::kDouble, at::kFloat}) {
        const auto flow = make(dtype);
        SplineFlow::Tensors tensors;
        for (const NamedTensor& tensor : flow->exportTensors(flow->getFlatParameters()))
            tensors[tensor.name] = tensor.values;
        const SplineFlow inference(flow->getDescription(), tensors);
        const at::Tensor v = samples(300, dtype), exact = v.to(at::kDouble);
        std::vector<double> y(5 * 300), expected(300);
        for (int i = 0; i < 300; i++)
            for (int c = 0; c < 5; c++)
                y[5 * i + c] = location[c] + scale[c] * exact.data_ptr<double>()[300 * c + i];
        inference.logDensity(300, y.data(), expected.data());
        const at::Tensor found = flow->logDensity(v);
        // Five layers in float, whose slopes reach 10.
        const double tolerance = dtype == at::kDouble ? 1e-11 : 2e-4;
        for (int i = 0; i < 300; i++)
            EXPECT_NEAR(found.data_ptr<double>()[i], expected[i], tolerance) << i;
    }
}

TEST_P(TorchSplineFlowTest, GradientsAreThoseOfFiniteDifferences) {
    const auto flow = make(at::kDouble);
    const at::Tensor v = samples(7);
    at::Tensor gradient = at::zeros_like(flow->getFlatParameters());
    const double sum = flow->addGradient(v, 0.25, gradient);
    EXPECT_NEAR(sum, 0.25 * flow->logDensity(v).sum().item<double>(), 1e-12);
    gradient.mul_(flow->getMask());
    at::Tensor& parameters = flow->getFlatParameters();
    double* values = parameters.data_ptr<double>();
    // Of transformers, which are slower and have more, some.
    for (std::int64_t k = 0; k < parameters.numel(); k += GetParam() ? 23 : 1) {
        if (flow->getMask()[k].item<double>() == 0.0) {
            EXPECT_EQ(values[k], 0.0);
            continue;
        }
        const double before = values[k], step = 1e-5;
        values[k] = before + step;
        const double above = flow->logDensity(v).sum().item<double>();
        values[k] = before - step;
        const double below = flow->logDensity(v).sum().item<double>();
        values[k] = before;
        const double expected = 0.25 * (above - below) / (2.0 * step);
        EXPECT_NEAR(gradient[k].item<double>(), expected, 1e-7 * (1.0 + std::abs(expected))) << k;
    }
    // All but units that are off and bins that are empty for every sample.
    EXPECT_GT(gradient.ne(0.0).sum().item<double>(), 0.8 * flow->getMask().sum().item<double>());
}

TEST_P(TorchSplineFlowTest, FloatAndDoubleAgree) {
    const auto exact = make(at::kDouble), fast = make(at::kFloat);
    const at::Tensor v = samples(200);
    at::Tensor expected = at::zeros_like(exact->getFlatParameters());
    at::Tensor found = at::zeros_like(fast->getFlatParameters());
    exact->addGradient(v, 1.0 / 200.0, expected);
    fast->addGradient(v.to(at::kFloat), 1.0 / 200.0, found);
    const double error = (expected - found).norm().item<double>();
    EXPECT_LT(error, 1e-4 * expected.norm().item<double>());
}

TEST_P(TorchSplineFlowTest, SamplesDoNotKnowOfEachOther) {
    const auto flow = make(at::kDouble);
    const at::Tensor v = samples(37), all = flow->logDensity(v);
    for (int i : {0, 20, 36})
        EXPECT_NEAR(flow->logDensity(v.narrow(1, i, 1)).item<double>(), all[i].item<double>(), 1e-11);
}

TEST_P(TorchSplineFlowTest, BeginsAsTheIdentity) {
    Description description = describe();
    description.circular = {};
    description.box = {};
    TorchSplineFlow flow(description, location, scale, 11, at::kDouble);
    flow.initialize(4);
    EXPECT_GT(flow.getFlatParameters().abs().sum().item<double>(), 1.0);
    const at::Tensor v = samples(50);
    double constant = -2.5 * std::log(2.0 * std::numbers::pi);
    for (double s : scale)
        constant -= std::log(s);
    const at::Tensor expected = -0.5 * (v * v).sum(0) + constant;
    EXPECT_LT((flow.logDensity(v) - expected).abs().max().item<double>(), 1e-12);
}

TEST_P(TorchSplineFlowTest, ANumberThatIsNotFiniteShows) {
    const auto flow = make(at::kFloat);
    at::Tensor v = samples(3, at::kFloat);
    for (int c = 0; c < 5; c++) {
        at::Tensor bad = v.clone();
        bad[c][1] = std::nan("");
        EXPECT_TRUE(std::isnan(flow->logDensity(bad)[1].item<double>())) << c;
        EXPECT_TRUE(std::isfinite(flow->logDensity(bad)[0].item<double>())) << c;
    }
}

TEST_P(TorchSplineFlowTest, TensorsCanBeTakenOver) {
    const auto flow = make(at::kDouble);
    TorchSplineFlow other(describe(), location, scale, 12, at::kDouble);
    std::vector<std::vector<double>> values;
    for (const NamedTensor& tensor : flow->exportTensors(flow->getFlatParameters()))
        values.push_back(tensor.values);
    other.importTensors(values);
    const at::Tensor v = samples(20);
    EXPECT_EQ((flow->logDensity(v) - other.logDensity(v)).abs().max().item<double>(), 0.0);
    values[1][0] *= 2.0;
    EXPECT_NE(messageOf([&] { other.importTensors(values); }).find("scale differs"), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(Networks, TorchSplineFlowTest, ::testing::Bool(), [](const auto& each) {
    return std::string(each.param ? "Transformers" : "Perceptrons");
});

} // namespace
} // namespace OpenMMScore::testing
