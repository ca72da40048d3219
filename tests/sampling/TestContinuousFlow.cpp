#include "openmmscore/sampling/ContinuousFlow.h"

#include <cmath>
#include <numbers>

#include <gtest/gtest.h>

#include "openmmscore/models/Error.h"

namespace OpenMMScore {

namespace {

using Shape = std::vector<std::int64_t>;

TEST(ContinuousFlow, AnMlpSeesCoordinatesAndThenTheTime) {
    ContinuousFlowDescription flow;
    flow.count = 4;
    flow.frame = Proposal::Frame::Centred;
    flow.mlp.hidden = {32, 16};
    flow.timeFrequencies = 2;
    const auto tensors = flow.getTensors();
    ASSERT_EQ(tensors.size(), 8u);
    EXPECT_EQ(tensors[0].name, "location");
    EXPECT_EQ(tensors[1].shape, Shape{9});
    EXPECT_EQ(tensors[2].name, "network.layers.0.weight");
    EXPECT_EQ(tensors[2].shape, (Shape{32, 9 + 5}));
    EXPECT_EQ(tensors[4].shape, (Shape{16, 32}));
    EXPECT_EQ(tensors[6].shape, (Shape{9, 16}));
    EXPECT_EQ(tensors[7].name, "network.layers.2.bias");
}

TEST(ContinuousFlow, TimeFeaturesAreTheTimeAndItsWaves) {
    ContinuousFlowDescription flow;
    flow.timeFrequencies = 2;
    double features[5];
    computeFlowTimeFeatures(flow, 0.3, features);
    const double pi = std::numbers::pi;
    const double expected[] = {0.3, std::cos(0.3 * pi), std::sin(0.3 * pi), std::cos(0.6 * pi),
                               std::sin(0.6 * pi)};
    for (int i = 0; i < 5; i++)
        EXPECT_DOUBLE_EQ(features[i], expected[i]);
}

TEST(ContinuousFlow, RefusesWhatNoNetworkCanBe) {
    ContinuousFlowDescription flow;
    flow.count = 2;
    EXPECT_THROW(flow.check(), ShapeError);
    flow.mlp.hidden = {0};
    EXPECT_THROW(flow.check(), ShapeError);
    flow.mlp.hidden = {8};
    EXPECT_NO_THROW(flow.check());
    flow.timeFrequencies = -1;
    EXPECT_THROW(flow.check(), ShapeError);
    flow.timeFrequencies = 0;
    flow.network = ContinuousFlowDescription::Network::Egnn;
    EXPECT_THROW(flow.check(), ShapeError);
    flow.egnn = {8, 2, 3, 15.0};
    EXPECT_NO_THROW(flow.check());
    flow.egnn.coordinateRange = std::nan("");
    EXPECT_THROW(flow.check(), ShapeError);
}

} // namespace

} // namespace OpenMMScore
