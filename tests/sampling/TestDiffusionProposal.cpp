// What a diffusion model generates along its deterministic way, as a proposal.

#include <cmath>
#include <limits>
#include <numbers>
#include <thread>

#include <gtest/gtest.h>

#include "DiffusionModels.h"
#include "Draws.h"
#include "openmmscore/models/Error.h"
#include "openmmscore/sampling/DiffusionProposal.h"

using namespace OpenMMScore;
using namespace OpenMMScore::testing;

namespace {

using Engine = ProbabilityFlow::Engine;
using Frame = Proposal::Frame;
using Settings = DiffusionProposal::Settings;

constexpr auto particles = ModelDescription::Space::Particles;

Settings with(Frame frame, int numSteps, Engine engine = Engine::Fast) {
    Settings settings;
    settings.frame = frame;
    settings.numSteps = numSteps;
    settings.engine = engine;
    settings.numThreads = 2;
    return settings;
}

std::shared_ptr<const ScoreModel> triangle() {
    return makeModel(describe(particles, 3, {transformerExpert(8, 1, 0, 1)}), 0.4);
}

std::vector<std::shared_ptr<const Proposal>> examples() {
    const auto make = [](auto model, Settings settings) {
        return std::make_shared<DiffusionProposal>(model, settings);
    };
    // Random networks of particles are no diffusion's, so the way is short.
    Settings shortWay = with(Frame::Centred, 4);
    shortWay.time = 0.9;
    return {make(randomModel(2), with(Frame::Vector, 20)),
            make(randomModel(3, Head::Score), with(Frame::Absolute, 15)), make(triangle(), shortWay),
            make(randomModel(2), with(Frame::Vector, 10, Engine::Plain))};
}

/** @return the integral of the density over a cube, by the midpoint rule */
double integrate(const Proposal& proposal, double range, int pointsPerAxis) {
    const int d = proposal.getNumCoordinates();
    const double width = 2 * range / pointsPerAxis;
    const auto total = static_cast<int>(std::lround(std::pow(pointsPerAxis, d)));
    std::vector<double> x, density(static_cast<std::size_t>(total));
    for (int i = 0; i < total; i++)
        for (int axis = 0, rest = i; axis < d; axis++, rest /= pointsPerAxis)
            x.push_back(-range + (rest % pointsPerAxis + 0.5) * width);
    proposal.logDensity(total, x.data(), density.data());
    double sum = 0;
    for (double each : density)
        sum += std::exp(each) * std::pow(width, d);
    return sum;
}

} // namespace

TEST(DiffusionProposal, SamplesDependOnSeedAndNumberAlone) {
    for (const auto& proposal : examples()) {
        const auto width = static_cast<std::size_t>(proposal->getNumCoordinates());
        const Draw whole = draw(*proposal, 7, 100, 40);
        for (std::size_t i : {39, 5, 17}) {
            const Draw one = draw(*proposal, 7, 100 + static_cast<std::int64_t>(i), 1);
            EXPECT_EQ(one.logDensity[0], whole.logDensity[i]);
            for (std::size_t j = 0; j < width; j++)
                EXPECT_EQ(one.positions[j], whole.positions[i * width + j]);
        }
        EXPECT_NE(draw(*proposal, 8, 100, 1).positions[0], whole.positions[0]);
        EXPECT_NE(draw(*proposal, 7 + (std::uint64_t(1) << 32), 100, 1).positions[0], whole.positions[0]);
        EXPECT_NE(draw(*proposal, 7, 100 + (std::int64_t(1) << 32), 1).positions[0], whole.positions[0]);
    }
}

TEST(DiffusionProposal, ThreadsChangeNothing) {
    for (const auto& proposal : examples()) {
        const auto& diffusion = dynamic_cast<const DiffusionProposal&>(*proposal);
        Settings settings = diffusion.getSettings();
        settings.numThreads = 3;
        const auto model = ScoreModel::fromBytes({diffusion.getModel().getFile().getBytes().begin(),
                                                  diffusion.getModel().getFile().getBytes().end()},
                                                 "copy");
        const DiffusionProposal other(model, settings);
        const Draw expected = draw(*proposal, 3, 0, 50);
        EXPECT_EQ(expected.positions, draw(other, 3, 0, 50).positions);
        // Callers side by side.
        std::vector<Draw> found(4);
        {
            std::vector<std::jthread> callers;
            for (Draw& each : found)
                callers.emplace_back([&] { each = draw(*proposal, 3, 0, 50); });
        }
        for (const Draw& each : found) {
            EXPECT_EQ(expected.positions, each.positions);
            EXPECT_EQ(expected.logDensity, each.logDensity);
        }
    }
}

TEST(DiffusionProposal, SampledDensityIsTheDensityOfTheSample) {
    for (const auto& proposal : examples()) {
        const Draw drawn = draw(*proposal, 3, 0, 30);
        std::vector<double> again(30);
        proposal->logDensity(30, drawn.positions.data(), again.data());
        EXPECT_EQ(again, drawn.logDensity);
        EXPECT_FALSE(proposal->hasGradient());
        EXPECT_THROW(proposal->logDensityGradient(1, drawn.positions.data(), again.data()), Error);
    }
}

TEST(DiffusionProposal, LeadsToItsBaseAndBack) {
    for (const auto& proposal : examples()) {
        const auto& flow = dynamic_cast<const DiffusionProposal&>(*proposal);
        const int d = flow.getBaseDimension(), width = flow.getNumCoordinates(), count = 20;
        const Draw drawn = draw(flow, 3, 0, count);
        std::vector<double> y(count * d), logDet(count), x(count * width), back(count);
        flow.toBase(count, drawn.positions.data(), y.data(), logDet.data());
        flow.fromBase(count, y.data(), x.data(), back.data());
        // Few steps: their error is that of the way there and back.
        for (int i = 0; i < count * width; i++)
            EXPECT_NEAR(drawn.positions[i], x[i], 0.03);
        for (int i = 0; i < count; i++) {
            double expected = logDet[i] - 0.5 * d * std::log(2 * std::numbers::pi);
            for (int c = 0; c < d; c++)
                expected -= 0.5 * y[i * d + c] * y[i * d + c];
            EXPECT_NEAR(expected, drawn.logDensity[i], 1e-9);
            EXPECT_NEAR(logDet[i], -back[i], 0.1);
        }
    }
}

TEST(DiffusionProposal, FollowsALinearFlowExactly) {
    const std::vector<double> large = {0.9, 1.1, 0.95}, small = {1.5, 0.2, 3.0};
    const double lengthScale = 0.3;
    const auto model = quadraticModel(large, small, 0.4, lengthScale);
    for (Frame frame : {Frame::Vector, Frame::Absolute}) {
        const DiffusionProposal proposal(model, with(frame, 100, Engine::Plain));
        ASSERT_EQ(frame == Frame::Vector ? 0 : 1, proposal.getNumParticles());
        const int count = 500;
        const Draw drawn = draw(proposal, 1, 0, count);
        double expected = -1.5 * std::log(2 * std::numbers::pi);
        std::vector<double> deviations;
        for (std::size_t c = 0; c < 3; c++) {
            deviations.push_back(lengthScale *
                                 quadraticDeviation(model->getSchedule(), large[c], small[c], 0.4));
            expected -= std::log(deviations[c]);
        }
        double squares[3] = {};
        for (std::size_t i = 0; i < count; i++) {
            double logDensity = expected;
            for (std::size_t c = 0; c < 3; c++) {
                const double ratio = drawn.positions[3 * i + c] / deviations[c];
                logDensity -= 0.5 * ratio * ratio;
                squares[c] += ratio * ratio / count;
            }
            EXPECT_NEAR(logDensity, drawn.logDensity[i], 1e-5);
        }
        for (double square : squares)
            EXPECT_NEAR(1, square, 5 * std::sqrt(2.0 / count));
    }
}

TEST(DiffusionProposal, DensityIntegratesToOne) {
    // Midpoint sums of what is smooth and small at the ends are exact but for the flow's own error.
    EXPECT_NEAR(1, integrate(DiffusionProposal(randomModel(1), with(Frame::Vector, 100)), 12, 200), 1e-4);
    EXPECT_NEAR(1,
                integrate(DiffusionProposal(randomModel(1, Head::Score), with(Frame::Vector, 100)), 12, 200),
                1e-4);
    EXPECT_NEAR(1, integrate(DiffusionProposal(randomModel(2), with(Frame::Vector, 40)), 12, 60), 1e-3);
    EXPECT_NEAR(1, integrate(DiffusionProposal(randomModel(2, Head::Score), with(Frame::Vector, 40)), 12, 60),
                1e-3);
    EXPECT_NEAR(1, integrate(DiffusionProposal(randomModel(3), with(Frame::Absolute, 20)), 10, 24), 5e-3);
}

TEST(DiffusionProposal, DensityIntegratesToOneOnDiscreteSchedules) {
    for (auto kind : {ScheduleDescription::Kind::CosineDdpm, ScheduleDescription::Kind::PolynomialDdpm}) {
        ScheduleDescription schedule;
        schedule.kind = kind;
        schedule.numSteps = 100;
        const DiffusionProposal proposal(randomModel(1, Head::Energy, schedule), with(Frame::Vector, 100));
        // With an energy that grows linearly at last, tails that have more to travel reach farther out.
        EXPECT_NEAR(1, integrate(proposal, 60, 400), 5e-4);
    }
}

TEST(DiffusionProposal, MoleculesAreCentredAndTheirCentroidIsIgnored) {
    const DiffusionProposal proposal(triangle(), with(Frame::Centred, 6));
    ASSERT_EQ(3, proposal.getNumParticles());
    Draw drawn = draw(proposal, 1, 0, 1);
    for (std::size_t axis = 0; axis < 3; axis++)
        EXPECT_NEAR(0, drawn.positions[axis] + drawn.positions[3 + axis] + drawn.positions[6 + axis], 1e-14);
    for (std::size_t i = 0; i < 9; i++)
        drawn.positions[i] += 2.0 + static_cast<double>(i % 3);
    double density;
    proposal.logDensity(1, drawn.positions.data(), &density);
    EXPECT_NEAR(drawn.logDensity[0], density, 1e-4);
}

TEST(DiffusionProposal, WhatIsNotFiniteHasADensityThatIsNaN) {
    for (const auto& proposal : examples())
        for (double bad : {std::numeric_limits<double>::infinity(), std::nan("")}) {
            Draw drawn = draw(*proposal, 1, 0, 2);
            const double good = drawn.logDensity[1];
            drawn.positions[1] = bad;
            proposal->logDensity(2, drawn.positions.data(), drawn.logDensity.data());
            EXPECT_TRUE(std::isnan(drawn.logDensity[0]));
            EXPECT_EQ(good, drawn.logDensity[1]);
        }
}

TEST(DiffusionProposal, RefusesWhatDoesNotFit) {
    const auto vector = randomModel(2);
    EXPECT_THROW(DiffusionProposal(vector, with(Frame::Centred, 10)), ShapeError);
    EXPECT_THROW(DiffusionProposal(vector, with(Frame::Absolute, 10)), ShapeError);
    EXPECT_THROW(DiffusionProposal(triangle(), with(Frame::Vector, 10)), ShapeError);
    EXPECT_THROW(DiffusionProposal(vector, with(Frame::Vector, 0)), Error);
    Settings settings = with(Frame::Vector, 10);
    settings.time = 1;
    EXPECT_THROW(DiffusionProposal(vector, settings), Error);
    settings = with(Frame::Vector, 10);
    settings.features = {1};
    EXPECT_THROW(DiffusionProposal(vector, settings), ShapeError);
    settings = with(Frame::Vector, 10);
    settings.numThreads = -1;
    EXPECT_THROW(DiffusionProposal(vector, settings), Error);
    // Divided by sigma, a score is infinite where there is no noise.
    ModelDescription description =
        describe(ModelDescription::Space::Vector, 2, {mlpExpert({4}, 0, 1, Head::Score)});
    description.experts[0].scaling = Scaling::InverseSigma;
    description.defaultDiffusionTime = 0.1;
    EXPECT_THROW(DiffusionProposal(makeModel(description), with(Frame::Vector, 10)), Error);
    settings = with(Frame::Vector, 10);
    settings.time = 1e-3;
    EXPECT_NO_THROW(DiffusionProposal(makeModel(description), settings));
    EXPECT_EQ(Frame::Vector, DiffusionProposal::usualFrame(*vector));
    EXPECT_EQ(Frame::Centred, DiffusionProposal::usualFrame(*triangle()));
}
