// What every continuous flow promises beside TestProposals.cpp, where densities must agree to the last bit.

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include <gtest/gtest.h>

#include "Determinant.h"
#include "Draws.h"
#include "Proposals.h"
#include "openmmscore/models/Error.h"
#include "openmmscore/sampling/ProposalFile.h"

using namespace OpenMMScore;
using namespace OpenMMScore::testing;

namespace {

using Frame = Proposal::Frame;
using Parameters = ContinuousFlowProposal::Parameters;
using Vector = std::vector<double>;

/** Flows of every depth, for which divergences are found in different ways, and every frame. */
struct Case {
    const char* name;
    Parameters parameters;
    /** More than one piece of work, and a number that does not fill the last lanes; fewer of slow networks.
     */
    std::int64_t numSamples = 267;
};

std::vector<Case> allCases() {
    Case tanh{"TanhVector", continuousFlow(5, {9, 6}, Frame::Vector)};
    tanh.parameters.flow.mlp.activation = ContinuousFlowDescription::Activation::Tanh;
    Case fixed{"FixedSteps", continuousFlow(1, {8, 8})};
    fixed.parameters.solver = {FlowSolver::Method::RungeKutta4, 1, 1, 200};
    return {{"OneHiddenLayer", continuousFlow(1, {7})},
            {"TwoHiddenLayers", continuousFlow(1, {8, 6})},
            {"ThreeHiddenLayers", continuousFlow(2, {5, 9, 6})},
            {"FourHiddenLayersCentred", continuousFlow(2, {6, 5, 4, 7}, Frame::Centred)},
            {"TwoHiddenLayersCentred", continuousFlow(3, {12, 10}, Frame::Centred)},
            {"EgnnCentred", egnnFlow(3, 5, 2, Frame::Centred), 21},
            {"EgnnAbsolute", egnnFlow(2, 4, 2, Frame::Absolute), 21},
            {"TransformerCentred", transformerFlow(2, Frame::Centred), 21},
            {"OneHiddenLayerCircular", circularFlow(4, {1, 2}, {9})},
            {"TwoHiddenLayersCircular", circularFlow(4, {0, 3}, {8, 7})},
            {"ThreeHiddenLayersAllCircular", circularFlow(2, {0, 1}, {8, 7, 5})},
            tanh,
            fixed};
}

class ContinuousFlowTest : public ::testing::TestWithParam<Case> {
protected:
    const ContinuousFlowProposal proposal{GetParam().parameters};
    const int d = GetParam().parameters.flow.getDimension();
    const std::size_t width = static_cast<std::size_t>(proposal.getNumCoordinates());
};

} // namespace

TEST_P(ContinuousFlowTest, SamplesDoNotDependOnHowTheyAreCut) {
    const std::int64_t count = GetParam().numSamples;
    const Draw whole = draw(proposal, 7, 100, count);
    const Vector all = densities(proposal, whole.positions);
    for (const auto& [start, size] :
         {std::pair<std::int64_t, std::int64_t>(0, 1), {3, 11}, {count - 17, 17}}) {
        const Draw part = draw(proposal, 7, 100 + start, size);
        EXPECT_TRUE(std::equal(part.logDensity.begin(), part.logDensity.end(), &whole.logDensity[start]));
        EXPECT_TRUE(
            std::equal(part.positions.begin(), part.positions.end(), &whole.positions[start * width]));
        const Vector positions(&whole.positions[start * width], &whole.positions[(start + size) * width]);
        const Vector some = densities(proposal, positions);
        EXPECT_TRUE(std::equal(some.begin(), some.end(), &all[start]));
    }
    EXPECT_NE(draw(proposal, 8, 100, 1).positions[0], whole.positions[0]);
    EXPECT_NE(draw(proposal, 7 + (std::uint64_t(1) << 32), 100, 1).positions[0], whole.positions[0]);
    EXPECT_NE(draw(proposal, 7, 100 + (std::int64_t(1) << 32), 1).positions[0], whole.positions[0]);
}

TEST_P(ContinuousFlowTest, SampledDensityIsTheDensityOfTheSample) {
    const Draw drawn = draw(proposal, 3, 0, 50);
    const Vector again = densities(proposal, drawn.positions);
    for (std::size_t i = 0; i < 50; i++)
        // Two integrations at a tolerance of 1e-9 relative to values up to about 20.
        EXPECT_NEAR(again[i], drawn.logDensity[i], 1e-6);
}

TEST_P(ContinuousFlowTest, DivergenceIsTheTraceOfTheJacobian) {
    Filler filler;
    const std::size_t n = static_cast<std::size_t>(d), count = 11;
    const Vector u = anyNumbers(filler, count * n, 1.5), t = anyNumbers(filler, count, 0.5, 0.5);
    Vector v(count * n), divergence(count);
    proposal.computeVelocity(count, u.data(), t.data(), v.data(), divergence.data());
    const double h = 1e-3;
    for (std::size_t k = 0; k < count; k++) {
        double trace = 0;
        for (std::size_t i = 0; i < n; i++)
            for (const auto& [offset, weight] :
                 {std::pair(h, 8 / (12 * h)), std::pair(-h, -8 / (12 * h)), std::pair(2 * h, -1 / (12 * h)),
                  std::pair(-2 * h, 1 / (12 * h))}) {
                Vector moved(&u[k * n], &u[k * n] + n), rate(n);
                moved[i] += offset;
                double ignored;
                proposal.computeVelocity(1, moved.data(), &t[k], rate.data(), &ignored);
                trace += weight * rate[i];
            }
        // Differences of fourth order: h^4 times fifth derivatives of order 10, over 30.
        EXPECT_NEAR(divergence[k], trace, 1e-8) << k;
    }
}

/** log q(x) = log N(u(0)) - log |det dx/du(0)|, with the determinant from differences of whole trajectories.
 */
TEST_P(ContinuousFlowTest, DensityIsThatOfTheMap) {
    Parameters parameters = GetParam().parameters;
    std::fill(parameters.tensors[0].begin(), parameters.tensors[0].end(), 0.0);
    std::fill(parameters.tensors[1].begin(), parameters.tensors[1].end(), 1.0);
    parameters.solver.absoluteTolerance = parameters.solver.relativeTolerance = 1e-12;
    const ContinuousFlowProposal flow(parameters);
    const FrameCoordinates coordinates(parameters.flow.count, parameters.flow.frame);
    const std::size_t n = static_cast<std::size_t>(d);
    const Draw drawn = draw(flow, 5, 2, 1);
    // Sample number 2 starts from these numbers; a flow at rest shows them.
    Parameters atRest = parameters;
    for (std::size_t k = 2; k < atRest.tensors.size(); k++)
        std::fill(atRest.tensors[k].begin(), atRest.tensors[k].end(), 0.0);
    const Draw base = draw(ContinuousFlowProposal(atRest), 5, 2, 1);
    // Differences around it: a flow with another location of the base is not at hand, so follow the inverse.
    Vector y(n), jacobian(n * n);
    coordinates.toCoordinates(drawn.positions.data(), y.data());
    const double h = 1e-4;
    const auto moved = [&](std::size_t i, double step) {
        Vector at = y, x(width), v(n);
        at[i] += step;
        // RK4 of the test's own, from t = 1 to 0.
        const int steps = 400;
        for (int s = 0; s < steps; s++) {
            const double dt = -1.0 / steps;
            Vector k[4], stage = at;
            for (int r = 0; r < 4; r++) {
                const double t = 1 + dt * (s + (r == 0 ? 0.0 : r == 3 ? 1.0 : 0.5));
                double ignored;
                k[r].resize(n);
                flow.computeVelocity(1, stage.data(), &t, k[r].data(), &ignored);
                for (std::size_t j = 0; j < n; j++)
                    stage[j] = at[j] + dt * (r == 2 ? 1.0 : 0.5) * k[r][j];
            }
            for (std::size_t j = 0; j < n; j++)
                at[j] += dt / 6 * (k[0][j] + 2 * k[1][j] + 2 * k[2][j] + k[3][j]);
        }
        return at;
    };
    for (std::size_t i = 0; i < n; i++) {
        const Vector above = moved(i, h), below = moved(i, -h);
        for (std::size_t j = 0; j < n; j++)
            jacobian[j * n + i] = (above[j] - below[j]) / (2 * h);
    }
    const Vector start = moved(0, 0);
    Vector expected(n);
    coordinates.toCoordinates(base.positions.data(), expected.data());
    const std::vector<bool> circular = parameters.flow.whichAreCircular();
    for (std::size_t j = 0; j < n; j++) {
        const double difference = start[j] - expected[j];
        EXPECT_NEAR(circular[j] ? std::remainder(difference, 2 * std::numbers::pi) : difference, 0, 1e-6);
    }
    EXPECT_NEAR(drawn.logDensity[0], base.logDensity[0] + logDeterminant(jacobian, n), 1e-5);
}

TEST_P(ContinuousFlowTest, GradientIsThatOfTheDensity) {
    const std::size_t count = 3;
    const Vector x = draw(proposal, 5, 0, count).positions;
    Vector gradient(count * width);
    const auto network = GetParam().parameters.flow.network;
    EXPECT_EQ(proposal.hasGradient(), network == ContinuousFlowDescription::Network::Mlp);
    if (!proposal.hasGradient()) {
        EXPECT_THROW(proposal.logDensityGradient(count, x.data(), gradient.data()), Error);
        return;
    }
    proposal.logDensityGradient(count, x.data(), gradient.data());
    const double h = 1e-4;
    for (std::size_t i = 0; i < count * width; i++) {
        Vector moved(x);
        moved[i] += h;
        const double above = densities(proposal, moved)[i / width];
        moved[i] -= 2 * h;
        const double difference = (above - densities(proposal, moved)[i / width]) / (2 * h);
        // Densities have errors of 1e-8, and third derivatives are of the order of the cube of the first.
        EXPECT_NEAR(gradient[i], difference, 1e-3 * (1 + std::abs(difference))) << i;
    }
}

TEST_P(ContinuousFlowTest, ProbesEstimateTheSameDensity) {
    Parameters parameters = GetParam().parameters;
    parameters.solver.absoluteTolerance = parameters.solver.relativeTolerance = 1e-5;
    parameters.trace = {FlowTrace::Method::Hutchinson, 16, false};
    const std::size_t count = 16;
    const Draw drawn = draw(proposal, 4, 0, count);
    Vector estimates(count), variances(count);
    ContinuousFlowProposal(parameters)
        .estimateLogDensity(count, drawn.positions.data(), estimates.data(), variances.data());
    double bias = 0, variance = 0;
    for (std::size_t i = 0; i < count; i++) {
        bias += estimates[i] - drawn.logDensity[i];
        variance += variances[i];
    }
    EXPECT_GT(variance, 0);
    EXPECT_NEAR(bias, 0, 5 * std::sqrt(variance) + 1e-3);
}

TEST_P(ContinuousFlowTest, PositionsThatAreNotFiniteHaveADensityThatIsNaN) {
    for (const double bad :
         {std::numeric_limits<double>::infinity(), std::numeric_limits<double>::quiet_NaN()})
        for (std::size_t i = 0; i < width; i++) {
            Vector x(3 * width, 0.1);
            x[width + i] = bad;
            const Vector result = densities(proposal, x);
            EXPECT_TRUE(std::isnan(result[1]));
            EXPECT_TRUE(std::isfinite(result[0]));
            EXPECT_EQ(result[0], result[2]);
        }
}

TEST_P(ContinuousFlowTest, FilesKeepEveryBit) {
    const auto again = makeProposal(proposal.encode());
    EXPECT_EQ(again->encode(), proposal.encode());
    EXPECT_EQ(again->getFrame(), proposal.getFrame());
    const Draw one = draw(proposal, 3, 5, 9), other = draw(*again, 3, 5, 9);
    EXPECT_EQ(one.positions, other.positions);
    EXPECT_EQ(one.logDensity, other.logDensity);
}

INSTANTIATE_TEST_SUITE_P(Flows, ContinuousFlowTest, ::testing::ValuesIn(allCases()),
                         [](const auto& each) { return std::string(each.param.name); });
