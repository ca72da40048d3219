// What a spline flow promises as a map; what it promises as a proposal is tested in TestProposals.cpp.

#include <cmath>
#include <limits>
#include <numbers>

#include <gtest/gtest.h>

#include "Determinant.h"
#include "SplineFlows.h"
#include "openmmscore/models/Error.h"

using namespace OpenMMScore;
using namespace OpenMMScore::testing;

namespace {

using Frame = Proposal::Frame;

struct Case {
    const char* name;
    std::shared_ptr<const SplineFlowProposal> proposal;
};

/** Autoregressive layers that leave some coordinates alone, beside a perceptron, with raw angles. */
std::shared_ptr<const SplineFlowProposal> partialTransformer() {
    SplineFlowDescription description = withTransformers(anyFlow(5, true, {1, 3}));
    description.layers[0].transformed = {4, 1, 2};
    description.layers[1].network = SplineFlowDescription::Network::Plain;
    description.layers[2].transformed = {3, 0};
    description.layers[2].rawAngles = true;
    return std::make_shared<SplineFlowProposal>(5, Frame::Vector, description, anyTensors(description, 0.7));
}

std::vector<Case> allCases() {
    const auto make = [](auto... arguments) { return splineFlow(arguments...); };
    using Indices = std::vector<int>;
    return {{"RealCouplings", make(7, Frame::Vector, false)},
            {"RealAutoregressive", make(5, Frame::Vector, true)},
            {"MixedCouplings", make(6, Frame::Vector, false, Indices{1, 2, 5}, Indices{3})},
            {"MixedAutoregressive", make(6, Frame::Vector, true, Indices{0, 4}, Indices{2})},
            {"OneAngle", make(1, Frame::Vector, false, Indices{0})},
            {"OneNumber", make(1, Frame::Vector, true)},
            {"TransformerCouplings", make(6, Frame::Vector, false, Indices{1, 2, 5}, Indices{3}, 0.7, true)},
            {"TransformerAutoregressive", make(6, Frame::Vector, true, Indices{0, 4}, Indices{2}, 0.7, true)},
            {"TransformerPartial", partialTransformer()},
            {"TransformerOfOneAngle", make(1, Frame::Vector, false, Indices{0}, Indices{}, 1.0, true)},
            {"TransformerOfOneNumber", make(1, Frame::Vector, true, Indices{}, Indices{}, 1.0, true)}};
}

class SplineFlowTest : public ::testing::TestWithParam<Case> {
protected:
    const SplineFlowProposal& proposal = *GetParam().proposal;
    const SplineFlow& flow = proposal.getFlow();
    const std::size_t d = static_cast<std::size_t>(flow.getDimension());

    std::vector<double> draw(std::int64_t count) const {
        std::vector<double> y(static_cast<std::size_t>(count) * d), q(static_cast<std::size_t>(count));
        flow.sample(3, 0, count, y.data(), q.data());
        return y;
    }
    bool isCircular(std::size_t i) const {
        return flow.getDescription().getKind(static_cast<int>(i)) == SplineFlowDescription::Kind::Circular;
    }
};

double angleBetween(double a, double b) {
    return std::remainder(a - b, 2 * std::numbers::pi);
}

} // namespace

TEST_P(SplineFlowTest, InverseUndoesForward) {
    const std::int64_t count = 200;
    const std::vector<double> y = draw(count);
    std::vector<double> z(y.size()), back(y.size()), there(count), again(count);
    flow.toBase(count, y.data(), z.data(), there.data());
    flow.fromBase(count, z.data(), back.data(), again.data());
    for (std::size_t i = 0; i < y.size(); i++)
        EXPECT_NEAR(isCircular(i % d) ? angleBetween(y[i], back[i]) : y[i] - back[i], 0, 1e-9);
    for (std::size_t i = 0; i < there.size(); i++)
        EXPECT_NEAR(there[i], -again[i], 1e-9);
    if (!flow.getDescription().circular.empty())
        return;
    // Far out, where real splines have become the identity. (Angles that depend on such numbers would have
    // splines so steep that the inverse loses digits.)
    std::vector<double> far(d), base(d), result(d);
    for (std::size_t i = 0; i < d; i++)
        far[i] = i % 2 ? 5e3 : -5e3;
    flow.toBase(1, far.data(), base.data(), there.data());
    flow.fromBase(1, base.data(), result.data(), again.data());
    for (std::size_t i = 0; i < d; i++)
        EXPECT_NEAR(far[i], result[i], 1e-8);
}

TEST_P(SplineFlowTest, LogDeterminantIsThatOfTheJacobian) {
    const std::vector<double> y = draw(5);
    for (std::size_t n = 0; n < 5; n++) {
        std::vector<double> jacobian(d * d), z(2 * d);
        double logDet[2];
        for (std::size_t j = 0; j < d; j++) {
            const double h = 1e-6;
            std::vector<double> x(2 * d);
            for (std::size_t i = 0; i < d; i++)
                x[i] = x[d + i] = y[n * d + i];
            x[j] += h;
            x[d + j] -= h;
            flow.toBase(2, x.data(), z.data(), logDet);
            for (std::size_t i = 0; i < d; i++)
                jacobian[i * d + j] =
                    (isCircular(i) ? angleBetween(z[i], z[d + i]) : z[i] - z[d + i]) / (2 * h);
        }
        flow.toBase(1, &y[n * d], z.data(), logDet);
        // Differences across a knot have errors of the first order.
        EXPECT_NEAR(logDet[0], logDeterminant(jacobian, d), 2e-4) << n;
    }
}

TEST_P(SplineFlowTest, ASampleDoesNotDependOnThoseBesideIt) {
    const std::int64_t count = 75;
    std::vector<double> y = draw(count), q(count), z(y.size()), logDet(count);
    flow.logDensity(count, y.data(), q.data());
    flow.toBase(count, y.data(), z.data(), logDet.data());
    for (std::size_t i = 0; i < count; i++) {
        double alone, one;
        std::vector<double> own(d);
        flow.logDensity(1, &y[i * d], &alone);
        EXPECT_EQ(alone, q[i]);
        flow.toBase(1, &y[i * d], own.data(), &one);
        EXPECT_EQ(one, logDet[i]);
        EXPECT_TRUE(std::equal(own.begin(), own.end(), &z[i * d]));
    }
}

TEST_P(SplineFlowTest, AnglesCountUpToWholeTurns) {
    std::vector<double> y = draw(1), turned = y;
    for (std::size_t i = 0; i < d; i++)
        if (isCircular(i)) {
            turned[i] += 2 * std::numbers::pi * (i % 2 ? 1 : -3);
            EXPECT_LT(std::abs(y[i]), std::numbers::pi * (1 + 1e-15));
        }
    double q, again;
    flow.logDensity(1, y.data(), &q);
    flow.logDensity(1, turned.data(), &again);
    EXPECT_NEAR(q, again, 1e-11);
}

TEST_P(SplineFlowTest, NothingLiesOutsideABox) {
    std::vector<double> y = draw(1);
    double q;
    flow.logDensity(1, y.data(), &q);
    EXPECT_TRUE(std::isfinite(q));
    for (std::size_t i = 0; i < d; i++)
        if (flow.getDescription().getKind(static_cast<int>(i)) == SplineFlowDescription::Kind::Box) {
            y[i] = 100;
            flow.logDensity(1, y.data(), &q);
            EXPECT_EQ(q, -std::numeric_limits<double>::infinity());
        }
}

INSTANTIATE_TEST_SUITE_P(Flows, SplineFlowTest, ::testing::ValuesIn(allCases()),
                         [](const auto& each) { return std::string(each.param.name); });

/** Of a layer that transforms 4, 1, 2: z of each depends on all that it may depend on, and on nothing else.
 */
TEST(SplineFlow, TransformersAttendToWhatComesBeforeAlone) {
    for (bool autoregressive : {true, false}) {
        SplineFlowDescription description = withTransformers(anyFlow(6, true, {1, 3}, {2}));
        description.layers.resize(1);
        description.layers[0].transformed = {4, 1, 2};
        using Type = SplineFlowDescription::Layer::Type;
        description.layers[0].type = autoregressive ? Type::Autoregressive : Type::Coupling;
        const SplineFlow flow(description, anyTensors(description));
        const std::vector<double> y = {0.1, 0.2, 0.05, -0.6, 0.15, -0.1};
        std::vector<double> z(6), moved(6);
        double logDet;
        flow.toBase(1, y.data(), z.data(), &logDet);
        const int order[] = {4, 1, 2};
        for (int i = 0; i < 6; i++) {
            std::vector<double> changed = y;
            changed[static_cast<std::size_t>(i)] += 0.02;
            flow.toBase(1, changed.data(), moved.data(), &logDet);
            const auto position = std::find(order, order + 3, i) - order;
            for (int p = 0; p < 3; p++) {
                const auto out = static_cast<std::size_t>(order[p]);
                const bool may = position == 3 || position == p || (autoregressive && position < p);
                EXPECT_EQ(moved[out] != z[out], may) << "of " << out << " by " << i;
            }
        }
    }
}

TEST(SplineFlow, WithZerosInItsLastMatricesOnlyRotates) {
    SplineFlowDescription description = anyFlow(4, false, {1}, {2});
    SplineFlow::Tensors tensors = anyTensors(description);
    for (auto& [name, values] : tensors)
        if (name.find(".linear.") != std::string::npos || name.starts_with("base.") || name == "location")
            values.assign(values.size(), 0.0);
    tensors["scale"].assign(4, 1.0);
    const SplineFlow flow(description, tensors);
    const std::vector<double> y = {0.4, 1.1, -2.2, 1.9};
    std::vector<double> z(4);
    double logDet;
    flow.toBase(1, y.data(), z.data(), &logDet);
    EXPECT_NEAR(logDet, 0, 1e-13);
    for (std::size_t i : {0, 2, 3})
        EXPECT_NEAR(z[i], y[i], 1e-14);
    const double shifts = tensors["layers.0.shift"].empty() ? 0 : tensors["layers.1.shift"][0];
    EXPECT_NEAR(angleBetween(z[1], y[1] - shifts), 0, 1e-14);
}

TEST(SplineFlow, SaysWhatIsWrongWithItsTensors) {
    const auto expect = [](auto change, const std::string& part) {
        const SplineFlowDescription description = anyFlow(5, true, {1}, {2});
        SplineFlow::Tensors tensors = anyTensors(description);
        change(tensors);
        try {
            const SplineFlow flow(description, tensors);
            ADD_FAILURE() << "accepted, expected: " << part;
        }
        catch (const ShapeError& error) {
            EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
        }
    };
    expect([](auto& t) { t.erase("layers.1.linear.0.bias"); }, "'layers.1.linear.0.bias' is missing");
    expect([](auto& t) { t["extra"] = {1}; }, "has 28 tensors, expected 27");
    expect([](auto& t) { t["location"].pop_back(); }, "'location' holds 4 numbers, expected 5");
    expect([](auto& t) { t["layers.0.linear.1.weight"][3] = std::nan(""); }, "is not finite");
    expect([](auto& t) { t["scale"][0] = 0; }, "scale 0 is 0.000000, expected a positive number");
    expect([](auto& t) { t["scale"][1] = 2; }, "scale 1 is 2.000000, expected 1 for a circular coordinate");
    expect([](auto& t) { t["base.log_scale"][2] = 1; }, "base.log_scale 2 is not zero");
    expect([](auto& t) { t["layers.0.linear.0.weight"].assign(54, 1.0); },
           "layer 0: knots of coordinate 1 depend on coordinate 4, which does not come before it");
    expect([](auto& t) { t["layers.1.linear.2.weight"].assign(49, 1.0); }, "(mask the weights)");
}

TEST(SplineFlowProposal, GradientGoesThroughEveryKindOfInternalCoordinate) {
    const auto proposal = internalFlow(5, 0.5);
    std::vector<double> x(15), gradient(15);
    double q;
    proposal->sample(3, 1, 1, x.data(), &q);
    proposal->logDensityGradient(1, x.data(), gradient.data());
    for (std::size_t i = 0; i < 15; i++) {
        const double h = 1e-7;
        double density[2];
        for (int side : {0, 1}) {
            std::vector<double> moved = x;
            moved[i] += side == 1 ? h : -h;
            proposal->logDensity(1, moved.data(), &density[side]);
        }
        EXPECT_NEAR(gradient[i], (density[1] - density[0]) / (2 * h), 1e-5 * (1 + std::abs(gradient[i])))
            << i;
    }
}

TEST(SplineFlowProposal, SaysWhatDoesNotFitItsCoordinates) {
    const auto expect = [](auto make, const std::string& part) {
        try {
            make();
            ADD_FAILURE() << "accepted, expected: " << part;
        }
        catch (const ShapeError& error) {
            EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
        }
    };
    const auto frame = [] {
        const SplineFlowDescription flow = anyFlow(9, false);
        const SplineFlowProposal proposal(3, Frame::Centred, flow, anyTensors(flow));
    };
    expect(frame, "the flow has 9 dimensions, its coordinates have 6");
    const auto internal = [](int dimension, std::vector<int> circular) {
        const SplineFlowDescription flow = anyFlow(dimension, false, circular);
        const FlowCoordinates coordinates({{0, -1, -1, -1}, {1, 0, -1, -1}, {2, 1, 0, -1}, {3, 2, 1, 0}},
                                          {std::nan("")});
        const SplineFlowProposal proposal(coordinates, flow, anyTensors(flow));
    };
    EXPECT_NO_THROW(internal(6, {5}));
    expect([&] { internal(9, {5}); }, "the flow has 9 dimensions, its coordinates have 6");
    expect([&] { internal(6, {4}); }, "are not those of the internal coordinates");
    expect([&] { internal(6, {}); }, "are not those of the internal coordinates");
}
