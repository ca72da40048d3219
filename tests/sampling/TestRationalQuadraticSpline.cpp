// The properties of one spline; the numbers of published implementations are compared in tests/python.

#include <cmath>
#include <numbers>

#include <gtest/gtest.h>

#include "Proposals.h"
#include "openmmscore/sampling/RationalQuadraticSpline.h"

using namespace OpenMMScore;
using namespace OpenMMScore::testing;

namespace {

using Kind = SplineFlowDescription::Kind;
using Knots = SplineFlowDescription::Knots;

struct Case {
    Kind kind;
    Knots knots;
    int bins;
};

class SplineTest : public ::testing::TestWithParam<Case> {
protected:
    static SplineFlowDescription makeDescription() {
        SplineFlowDescription description;
        description.bins = GetParam().bins;
        description.knots = GetParam().knots;
        description.bound = 2.5;
        return description;
    }
    std::vector<double> numbers(double scale) const {
        Filler filler;
        return anyNumbers(filler, static_cast<std::size_t>(spline.countNumbers()), scale);
    }
    const RationalQuadraticSpline spline{makeDescription(), GetParam().kind};
    const double bound = spline.getBound();
};

} // namespace

TEST_P(SplineTest, InverseUndoesForward) {
    // Numbers of 30 make neighbouring slopes and widths differ by many orders of magnitude; then what Y is
    // rounded to moves X by as much as the slope is small.
    for (double scale : {0.5, 3.0, 30.0}) {
        const std::vector<double> own = numbers(scale);
        for (int i = 0; i <= 400; i++) {
            const double x = bound * (i / 200.0 - 1);
            const SplineValue there = spline.forward(own.data(), x);
            EXPECT_LE(std::abs(there.value), bound);
            const SplineValue back = spline.inverse(own.data(), there.value);
            const double tolerance = (scale < 10 ? 4e-15 : 4e-13) * (1 + std::exp(-there.logSlope));
            EXPECT_NEAR(back.value, x, tolerance) << scale;
            if (scale < 10) {
                EXPECT_NEAR(back.logSlope, -there.logSlope, 1e-10) << scale;
            }
        }
    }
}

TEST_P(SplineTest, SlopeIsTheDerivative) {
    const std::vector<double> own = numbers(2);
    for (int i = 0; i < 200; i++) {
        const double x = bound * ((i + 0.37) / 100.0 - 1), h = 1e-6;
        const double difference =
            (spline.forward(own.data(), x + h).value - spline.forward(own.data(), x - h).value) / (2 * h);
        EXPECT_NEAR(spline.forward(own.data(), x).logSlope, std::log(difference), 2e-4);
    }
}

TEST_P(SplineTest, EndsMeetWhatLiesBeyond) {
    const std::vector<double> own = numbers(2);
    const SplineValue first = spline.forward(own.data(), -bound), last = spline.forward(own.data(), bound);
    EXPECT_DOUBLE_EQ(first.value, -bound);
    EXPECT_DOUBLE_EQ(last.value, bound);
    const bool fixed = GetParam().kind == Kind::Real || GetParam().knots == Knots::SoftClip;
    if (fixed) {
        EXPECT_NEAR(first.logSlope, 0, 1e-12);
    }
    if (fixed || GetParam().kind == Kind::Circular) {
        EXPECT_NEAR(last.logSlope, first.logSlope, 1e-12);
    }
    else {
        EXPECT_GT(std::abs(last.logSlope - first.logSlope), 1e-3);
    }
    EXPECT_EQ(spline.forward(own.data(), 1.5 * bound).value, 1.5 * bound);
    EXPECT_EQ(spline.inverse(own.data(), -1e300).value, -1e300);
    EXPECT_TRUE(std::isnan(spline.forward(own.data(), std::nan("")).value));
}

TEST_P(SplineTest, ZerosGiveTheIdentity) {
    const std::vector<double> own = numbers(0);
    for (double x : {-0.99, -0.3, 0.0, 0.41, 0.8}) {
        EXPECT_NEAR(spline.forward(own.data(), x * bound).value, x * bound, 1e-14);
        EXPECT_NEAR(spline.forward(own.data(), x * bound).logSlope, 0, 1e-13);
    }
}

TEST_P(SplineTest, SlopesHaveTheirMinimum) {
    if (GetParam().knots == Knots::SoftClip)
        return;
    std::vector<double> own = numbers(0);
    for (std::size_t i = 2 * static_cast<std::size_t>(GetParam().bins); i < own.size(); i++)
        own[i] = -1e6;
    const double knot = bound * (2.0 / GetParam().bins - 1);
    EXPECT_NEAR(std::exp(spline.forward(own.data(), knot).logSlope), 1e-3, 1e-9);
}

TEST_P(SplineTest, GradientIsThatOfValueAndSlope) {
    const std::vector<double> own = numbers(1.5);
    const auto sum = [&](const std::vector<double>& n, double x) {
        const SplineValue there = spline.forward(n.data(), x);
        return 0.7 * there.value - 1.3 * there.logSlope;
    };
    std::vector<double> gradient(own.size());
    for (double at : {-0.93, -0.41, 0.13, 0.55, 0.97}) {
        const double x = at * bound, h = 1e-6;
        const double byX = spline.differentiate(own.data(), x, 0.7, -1.3, gradient.data());
        EXPECT_NEAR(byX, (sum(own, x + h) - sum(own, x - h)) / (2 * h), 1e-6 * (1 + std::abs(byX)));
        for (std::size_t i = 0; i < own.size(); i++) {
            std::vector<double> above = own, below = own;
            above[i] += h;
            below[i] -= h;
            EXPECT_NEAR(gradient[i], (sum(above, x) - sum(below, x)) / (2 * h), 1e-7) << i;
        }
    }
    EXPECT_EQ(spline.differentiate(own.data(), 2 * bound, 0.7, -1.3, gradient.data()), 0.7);
    EXPECT_EQ(gradient, std::vector<double>(own.size(), 0.0));
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, SplineTest,
    ::testing::Values(Case{Kind::Real, Knots::Softplus, 8}, Case{Kind::Circular, Knots::Softplus, 5},
                      Case{Kind::Box, Knots::Softplus, 2}, Case{Kind::Real, Knots::SoftClip, 3},
                      Case{Kind::Circular, Knots::SoftClip, 8}, Case{Kind::Box, Knots::SoftClip, 8}));
