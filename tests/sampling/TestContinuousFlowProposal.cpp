// What single continuous flows promise beside TestContinuousFlowProperties.cpp: periods, probes, errors.

#include <algorithm>
#include <cmath>
#include <numbers>

#include <gtest/gtest.h>

#include "Draws.h"
#include "Molecules.h"
#include "Proposals.h"
#include "openmmscore/models/Error.h"
#include "openmmscore/sampling/ProposalFile.h"

using namespace OpenMMScore;
using namespace OpenMMScore::testing;

namespace {

using Frame = Proposal::Frame;
using Parameters = ContinuousFlowProposal::Parameters;
using Vector = std::vector<double>;
constexpr double pi = std::numbers::pi;

Parameters hutchinson(int numProbes, bool allow) {
    Parameters parameters = continuousFlow(4, {10, 8}, Frame::Centred);
    parameters.trace = {FlowTrace::Method::Hutchinson, numProbes, allow};
    return parameters;
}

/** A flow of the internal coordinates of ethane, of which one torsion is circular. */
Parameters internalFlow() {
    Parameters parameters;
    Vector centres(5, 0.1);
    centres[0] = std::nan("");
    const FlowCoordinates coordinates(rowsOf(ethane), centres);
    ContinuousFlowDescription flow;
    flow.count = 8;
    flow.frame = Frame::Centred;
    flow.internal = true;
    flow.circular = coordinates.getCircular();
    flow.angleFrequencies = 2;
    flow.mlp.hidden = {9, 8};
    parameters = continuousFlow(flow);
    parameters.coordinates = coordinates;
    for (std::size_t i = 0; i < 7; i++)
        parameters.tensors[0][i] = std::log(0.12);
    return parameters;
}

} // namespace

TEST(ContinuousFlowProposal, DensityIntegratesToOneInOneToThreeDimensions) {
    for (int d = 1; d <= 3; d++) {
        Parameters parameters = continuousFlow(d, {8, 8}, Frame::Vector);
        parameters.solver.absoluteTolerance = parameters.solver.relativeTolerance = 1e-5;
        const ContinuousFlowProposal proposal(parameters);
        const Draw drawn = draw(proposal, 1, 0, 2000);
        double lower = 1e9, upper = -1e9;
        for (const double x : drawn.positions) {
            lower = std::min(lower, x);
            upper = std::max(upper, x);
        }
        // A smooth density that has died away at the ends: the plain sum converges faster than any power.
        const double margin = 0.3 * (upper - lower);
        const int points = d == 1 ? 400 : d == 2 ? 100 : 34;
        const double step = (upper - lower + 2 * margin) / points;
        Vector grid;
        int total = 1;
        for (int k = 0; k < d; k++)
            total *= points;
        for (int cell = 0; cell < total; cell++)
            for (int k = 0, rest = cell; k < d; k++, rest /= points)
                grid.push_back(lower - margin + (rest % points + 0.5) * step);
        double sum = 0;
        for (const double logDensity : densities(proposal, grid))
            sum += std::exp(logDensity) * std::pow(step, d);
        EXPECT_NEAR(sum, 1, 2e-3) << d;
    }
}

TEST(ContinuousFlowProposal, CircularCoordinatesHaveThePeriodOfTheirDensity) {
    Parameters parameters = circularFlow(2, {1}, {10, 9});
    parameters.solver.absoluteTolerance = parameters.solver.relativeTolerance = 1e-6;
    const ContinuousFlowProposal proposal(parameters);
    const Draw drawn = draw(proposal, 1, 0, 300);
    double lower = 1e9, upper = -1e9;
    for (std::size_t i = 0; i < drawn.positions.size(); i += 2) {
        lower = std::min(lower, drawn.positions[i]);
        upper = std::max(upper, drawn.positions[i]);
        EXPECT_GE(drawn.positions[i + 1], -pi);
        EXPECT_LT(drawn.positions[i + 1], pi);
    }
    const double margin = 0.4 * (upper - lower), step = (upper - lower + 2 * margin) / 120, turn = pi / 24;
    Vector grid, turned;
    for (int i = 0; i < 120 * 48; i++) {
        grid.insert(grid.end(), {lower - margin + (i / 48 + 0.5) * step, (i % 48) * turn - 1});
        turned.insert(turned.end(), {grid[grid.size() - 2], grid.back() + 6 * pi});
    }
    const Vector found = densities(proposal, grid), again = densities(proposal, turned);
    double sum = 0;
    for (std::size_t i = 0; i < found.size(); i++) {
        sum += std::exp(found[i]) * step * turn;
        EXPECT_NEAR(found[i], again[i], 1e-4 * (1 + std::abs(found[i])));
    }
    EXPECT_NEAR(sum, 1, 2e-3);
}

TEST(ContinuousFlowProposal, OfInternalCoordinatesKnowsTheirVolume) {
    const Parameters parameters = internalFlow();
    const ContinuousFlowProposal proposal(parameters);
    EXPECT_EQ(18, proposal.getBaseDimension());
    const Draw drawn = draw(proposal, 3, 0, 20);
    const Vector again = densities(proposal, drawn.positions);
    // The same flow of plain vectors, and the coordinates by themselves.
    Parameters plain = parameters;
    plain.coordinates.reset();
    plain.flow.internal = false;
    plain.flow.frame = Frame::Vector;
    plain.flow.count = 18;
    const ContinuousFlowProposal inner(plain);
    Vector y(18), z(20 * 18), logDet(20), x(20 * 24), back(20);
    for (std::size_t i = 0; i < 20; i++) {
        const auto result = parameters.coordinates->toFlow(&drawn.positions[24 * i], y.data());
        ASSERT_EQ(InternalCoordinates::Status::Ok, result.status);
        EXPECT_NEAR(densities(inner, y)[0] - result.logJacobian, drawn.logDensity[i], 1e-5);
        EXPECT_NEAR(drawn.logDensity[i], again[i], 1e-5);
    }
    proposal.toBase(20, drawn.positions.data(), z.data(), logDet.data());
    proposal.fromBase(20, z.data(), x.data(), back.data());
    for (std::size_t i = 0; i < 20; i++)
        EXPECT_NEAR(logDet[i], -back[i], 1e-5);
    // Orientations are drawn: those of fromBase() are all alike.
    EXPECT_GT(std::abs(x[0] - drawn.positions[0]), 1e-3);
    const auto restored = makeProposal(proposal.encode());
    EXPECT_EQ(drawn.positions, draw(*restored, 3, 0, 20).positions);
    Vector line(24, 0.0);
    for (std::size_t i = 0; i < 8; i++)
        line[3 * i] = 0.1 * static_cast<double>(i);
    EXPECT_TRUE(std::isnan(densities(proposal, line)[0]));
}

TEST(ContinuousFlowProposal, OfInternalCoordinatesHasAGradientByPositions) {
    Parameters parameters = internalFlow();
    parameters.solver.absoluteTolerance = parameters.solver.relativeTolerance = 1e-10;
    const ContinuousFlowProposal proposal(parameters);
    ASSERT_TRUE(proposal.hasGradient());
    Vector x = draw(proposal, 6, 0, 2).positions, gradient(48);
    proposal.logDensityGradient(2, x.data(), gradient.data());
    for (std::size_t i = 0; i < 48; i++) {
        const double h = 1e-5, own = x[i];
        x[i] = own + h;
        const double above = densities(proposal, x)[i / 24];
        x[i] = own - h;
        const double difference = (above - densities(proposal, x)[i / 24]) / (2 * h);
        x[i] = own;
        // Integration's errors of 1e-9 and more make one of 1e-4 in the quotient; third derivatives of 1e6
        // one alike.
        EXPECT_NEAR(gradient[i], difference, 1e-2 + 1e-3 * std::abs(difference)) << i;
    }
    std::fill_n(x.begin(), 24, 0.0);
    proposal.logDensityGradient(2, x.data(), gradient.data());
    EXPECT_TRUE(std::isnan(gradient[0]));
    EXPECT_TRUE(std::isfinite(gradient[24]));
}

TEST(ContinuousFlowProposal, AtRestIsANormalDistribution) {
    Parameters parameters = continuousFlow(2, {4});
    for (std::size_t k = 2; k < parameters.tensors.size(); k++)
        std::fill(parameters.tensors[k].begin(), parameters.tensors[k].end(), 0.0);
    auto normal = mixture(2, 1, GaussianMixtureProposal::Covariance::Diagonal);
    normal.means = parameters.tensors[0];
    for (std::size_t i = 0; i < 6; i++)
        normal.covariances[i] = parameters.tensors[1][i] * parameters.tensors[1][i];
    const Draw drawn = draw(ContinuousFlowProposal(parameters), 1, 0, 5);
    const Vector expected = densities(GaussianMixtureProposal(normal), drawn.positions);
    for (std::size_t i = 0; i < 5; i++)
        EXPECT_NEAR(drawn.logDensity[i], expected[i], 1e-10);
}

TEST(ContinuousFlowProposal, CentredOnesIgnoreTheCentroid) {
    const ContinuousFlowProposal proposal(continuousFlow(3, {6, 6}, Frame::Centred));
    const Draw drawn = draw(proposal, 9, 0, 1);
    Vector moved = drawn.positions;
    for (std::size_t i = 0; i < 9; i++)
        moved[i] += 1.5 + static_cast<double>(i % 3);
    EXPECT_NEAR(densities(proposal, moved)[0], densities(proposal, drawn.positions)[0], 1e-8);
    for (std::size_t axis = 0; axis < 3; axis++)
        EXPECT_NEAR(drawn.positions[axis] + drawn.positions[3 + axis] + drawn.positions[6 + axis], 0, 1e-14);
}

TEST(ContinuousFlowProposal, ProbesGiveTheDensityWithTheVarianceTheySay) {
    Parameters exact = hutchinson(1, true);
    exact.trace = {};
    const ContinuousFlowProposal reference(exact);
    const ContinuousFlowProposal noisy(hutchinson(16, false));
    const int count = 400;
    const Draw drawn = draw(reference, 2, 0, count);
    Vector estimates(count), variances(count);
    noisy.estimateLogDensity(count, drawn.positions.data(), estimates.data(), variances.data());
    const Vector expected = densities(reference, drawn.positions);
    double bias = 0, squares = 0, variance = 0;
    for (std::size_t i = 0; i < count; i++) {
        bias += (estimates[i] - expected[i]) / count;
        squares += (estimates[i] - expected[i]) * (estimates[i] - expected[i]) / count;
        variance += variances[i] / count;
    }
    EXPECT_GT(variance, 1e-3);
    EXPECT_NEAR(bias, 0, 5 * std::sqrt(variance / count));
    // Squared normal deviates scatter by sqrt(2), and variances differ from sample to sample.
    EXPECT_NEAR(squares / variance, 1, 5 * 2 / std::sqrt(double(count)));
    reference.estimateLogDensity(1, drawn.positions.data(), estimates.data(), variances.data());
    EXPECT_EQ(variances[0], 0);
    EXPECT_EQ(estimates[0], expected[0]);
}

TEST(ContinuousFlowProposal, ProbesFollowFromTheSampleAlone) {
    const ContinuousFlowProposal noisy(hutchinson(2, true));
    const Draw drawn = draw(noisy, 2, 0, 20);
    const Draw part = draw(noisy, 2, 13, 1);
    EXPECT_EQ(part.logDensity[0], drawn.logDensity[13]);
    const Vector all = densities(noisy, drawn.positions);
    const Vector one = densities(noisy, {&drawn.positions[13 * 12], &drawn.positions[13 * 12] + 12});
    EXPECT_EQ(one[0], all[13]);
}

TEST(ContinuousFlowProposal, NoiseIsNoWeightUnlessAskedFor) {
    const ContinuousFlowProposal refused(hutchinson(2, false)), single(hutchinson(1, true));
    Vector x(12), q(1), variance(1);
    EXPECT_THROW(refused.sample(1, 0, 1, x.data(), q.data()), Error);
    EXPECT_THROW(refused.logDensity(1, x.data(), q.data()), Error);
    EXPECT_NO_THROW(refused.estimateLogDensity(1, x.data(), q.data(), variance.data()));
    EXPECT_NO_THROW(single.sample(1, 0, 1, x.data(), q.data()));
    EXPECT_THROW(single.estimateLogDensity(1, x.data(), q.data(), variance.data()), Error);
    const Draw one = draw(single, 1, 0, 3), other = draw(*makeProposal(single.encode()), 1, 0, 3);
    EXPECT_EQ(one.logDensity, other.logDensity);
}

TEST(ContinuousFlowProposal, SaysWhatIsWrongWithItsParameters) {
    const auto expect = [](auto change, const std::string& part) {
        Parameters parameters = continuousFlow(2, {3, 3});
        change(parameters);
        try {
            ContinuousFlowProposal proposal(parameters);
            ADD_FAILURE() << "accepted, expected: " << part;
        }
        catch (const ShapeError& error) {
            EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
        }
    };
    expect([](auto& p) { p.tensors.pop_back(); }, "got 7 tensors, expected 8");
    expect([](auto& p) { p.tensors[2].pop_back(); }, "network.layers.0.weight holds 32 numbers, expected 33");
    expect([](auto& p) { p.tensors[3][0] = std::nan(""); },
           "network.layers.0.bias holds a number that is not");
    expect([](auto& p) { p.tensors[1][2] = 0; }, "a scale is 0.000000, expected a positive number");
    expect([](auto& p) { p.solver.absoluteTolerance = 0; }, "the absolute tolerance is 0.000000");
    expect([](auto& p) { p.solver.numSteps = 0; }, "the number of steps is 0");
    expect([](auto& p) { p.trace.numProbes = 0; }, "the number of probes is 0");
    expect([](auto& p) { p.flow.count = 0; }, "the number of particles is 0");
    expect([](auto& p) { p.flow = transformerFlow(2, Frame::Centred).flow, p.flow.timeFrequencies = 1; },
           "timeFrequencies of a graph transformer is 1");
    expect([](auto& p) { p.flow = transformerFlow(2, Frame::Centred).flow, p.flow.frame = Frame::Vector; },
           "the network is one of particles");
    expect([](auto& p) { p.flow.circular = {1}, p.flow.angleFrequencies = 1; },
           "circular coordinates are of plain vectors or internal coordinates");
    expect([](auto& p) { p = circularFlow(3, {1}, {4}), p.flow.angleFrequencies = 0; },
           "angleFrequencies is 0, expected 1 to 64");
    expect(
        [](auto& p) {
            p = circularFlow(3, {0, 1}, {4}), p.flow.circular = {1, 1};
        },
        "a circular coordinate (they ascend) is 1, expected 2 to 2");
    expect([](auto& p) { p = circularFlow(3, {1}, {4}), p.tensors[1][1] = 2; },
           "the scale of the circular coordinate 1 is 2.000000, expected 1");
    expect([](auto& p) { p = internalFlow(), p.coordinates.reset(); }, "a flow of internal coordinates");
    expect([](auto& p) { p = internalFlow(), p.flow.circular = {14}, p.tensors[1][14] = 1; },
           "are not those of the internal");
    expect([](auto& p) { p.flow.internal = true; }, "internal coordinates are of three or more particles");
    expect([](auto& p) { p = egnnFlow(2000, 8, 1, Frame::Centred); }, "a workspace of more than 1 GiB");
    expect([](auto& p) { p = transformerFlow(300, Frame::Centred, 400); }, "more than 4 GiB to work in");
}
