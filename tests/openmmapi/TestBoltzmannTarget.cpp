#include "openmmscore/BoltzmannTarget.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <random>
#include <vector>

#include <OpenMM.h>
#include <gtest/gtest.h>

using namespace OpenMMScore;
using Status = BoltzmannTarget::Status;

namespace {

constexpr double kT = 8.31446261815324e-3 * 300.0;
constexpr double infinity = std::numeric_limits<double>::infinity();

/** A chain of charged particles with bonds and a global parameter "scale" of the bonds. */
std::unique_ptr<OpenMM::System> makeChain(int numParticles) {
    auto system = std::make_unique<OpenMM::System>();
    auto bonds = new OpenMM::CustomBondForce("scale*1000*(r-0.15)^2");
    auto nonbonded = new OpenMM::NonbondedForce();
    bonds->addGlobalParameter("scale", 1.0);
    nonbonded->setNonbondedMethod(OpenMM::NonbondedForce::CutoffNonPeriodic);
    nonbonded->setCutoffDistance(0.5);
    for (int i = 0; i < numParticles; i++) {
        system->addParticle(12.0);
        nonbonded->addParticle(i % 2 == 0 ? 0.2 : -0.2, 0.2, 0.5);
        if (i > 0)
            bonds->addBond(i - 1, i);
    }
    system->addForce(bonds);
    system->addForce(nonbonded);
    return system;
}

std::vector<double> makeFrames(int count, int numParticles) {
    std::mt19937 random(3);
    std::normal_distribution<double> normal(0.0, 0.03);
    std::vector<double> positions;
    for (int frame = 0; frame < count; frame++)
        for (int i = 0; i < numParticles; i++)
            for (double place : {0.15 * i, 0.0, 0.05 * (i % 2)})
                positions.push_back(place + normal(random));
    return positions;
}

class BoltzmannTargetTest : public testing::TestWithParam<std::string> {
protected:
    static void SetUpTestSuite() { OpenMM::Platform::loadPluginsFromDirectory(OPENMM_PLUGIN_DIR); }

    static constexpr int numParticles = 12, count = 37;
    const std::unique_ptr<OpenMM::System> system = makeChain(numParticles);
    std::vector<double> positions = makeFrames(count, numParticles);
    std::vector<double> energies = std::vector<double>(count);
    std::vector<double> forces = std::vector<double>(count * numParticles * 3);
    std::vector<std::uint8_t> statuses = std::vector<std::uint8_t>(count);

    BoltzmannTarget::Frames frames() const {
        BoltzmannTarget::Frames result;
        result.count = count;
        result.positions = positions.data();
        return result;
    }
    BoltzmannTarget::Results results(bool withForces = true) {
        return {energies.data(), statuses.data(), withForces ? forces.data() : nullptr};
    }
};

} // namespace

TEST_P(BoltzmannTargetTest, EnergiesAndForcesAreThoseOfAContext) {
    BoltzmannTarget target(*system, 300.0, 3, GetParam());
    EXPECT_EQ(target.evaluate(frames(), results()).frame, -1);
    OpenMM::VerletIntegrator integrator(0.001);
    OpenMM::Context context(*system, integrator, OpenMM::Platform::getPlatformByName("Reference"));
    std::vector<OpenMM::Vec3> place(numParticles);
    const double tolerance = GetParam() == "Reference" ? 1e-13 : 1e-5;
    for (int frame = 0; frame < count; frame++) {
        for (int i = 0; i < numParticles; i++) {
            const double* x = &positions[3 * (frame * numParticles + i)];
            place[i] = OpenMM::Vec3(x[0], x[1], x[2]);
        }
        context.setPositions(place);
        const OpenMM::State state = context.getState(OpenMM::State::Energy | OpenMM::State::Forces);
        EXPECT_NEAR(energies[frame] * kT, state.getPotentialEnergy(),
                    tolerance * (1.0 + std::abs(state.getPotentialEnergy())));
        // Single precision is relative to the largest of the terms that cancel.
        double largest = 1000.0;
        for (const OpenMM::Vec3& force : state.getForces())
            largest = std::max(largest, std::sqrt(force.dot(force)));
        for (int i = 0; i < numParticles; i++)
            for (int k = 0; k < 3; k++)
                EXPECT_NEAR(forces[3 * (frame * numParticles + i) + k] * kT, state.getForces()[i][k],
                            10.0 * tolerance * largest);
        EXPECT_EQ(statuses[frame], Status::Ok);
    }
}

TEST_P(BoltzmannTargetTest, BitsDoNotDependOnTheNumberOfContexts) {
    BoltzmannTarget(*system, 300.0, 1, GetParam()).evaluate(frames(), results());
    const auto energiesOfOne = energies, forcesOfOne = forces;
    for (int contexts : {2, 8, 50}) {
        BoltzmannTarget target(*system, 300.0, contexts, GetParam());
        target.evaluate(frames(), results());
        EXPECT_EQ(energies, energiesOfOne);
        EXPECT_EQ(forces, forcesOfOne);
        target.evaluate(frames(), results(false));
        EXPECT_EQ(energies, energiesOfOne);
    }
}

TEST_P(BoltzmannTargetTest, BrokenFramesHaveAStatusAndChangeNoOther) {
    BoltzmannTarget target(*system, 300.0, 2, GetParam());
    target.evaluate(frames(), results());
    const auto whole = energies;
    positions[3 * numParticles * 5 + 7] = NAN;
    positions[3 * numParticles * 9] = infinity;
    for (int k = 0; k < 3; k++)
        positions[3 * (numParticles * 20 + 1) + k] = positions[3 * (numParticles * 20 + 4) + k];
    target.evaluate(frames(), results());
    for (int frame = 0; frame < count; frame++) {
        if (frame != 5 && frame != 9 && frame != 20) {
            EXPECT_EQ(energies[frame], whole[frame]);
            continue;
        }
        EXPECT_EQ(statuses[frame], frame == 20 ? Status::NonFiniteEnergy : Status::NonFinitePosition);
        EXPECT_EQ(energies[frame], infinity);
        EXPECT_TRUE(std::isnan(forces[3 * numParticles * frame]));
    }
}

TEST_P(BoltzmannTargetTest, ParametersAndTemperaturesGoWithTheirFrame) {
    BoltzmannTarget target(*system, 300.0, 2, GetParam());
    target.evaluate(frames(), results());
    const auto plain = energies;
    std::vector<double> scales(count, 1.0), temperatures(count, 300.0);
    scales[3] = 0.0;
    temperatures[4] = 600.0;
    auto conditions = frames();
    conditions.parameters = {"scale"};
    conditions.parameterValues = scales.data();
    conditions.temperatures = temperatures.data();
    target.evaluate(conditions, results());
    for (int frame = 0; frame < count; frame++) {
        if (frame == 3)
            EXPECT_LT(energies[frame], plain[frame]);
        else
            EXPECT_EQ(energies[frame], plain[frame] / (frame == 4 ? 2.0 : 1.0));
    }
    target.evaluate(frames(), results());
    EXPECT_EQ(energies, plain);
}

INSTANTIATE_TEST_SUITE_P(, BoltzmannTargetTest, testing::Values("Reference", "CPU"),
                         [](const auto& instance) { return instance.param; });

TEST_F(BoltzmannTargetTest, MistakesAreRefused) {
    using OpenMM::OpenMMException;
    EXPECT_THROW(BoltzmannTarget(*system, 0.0), OpenMMException);
    EXPECT_THROW(BoltzmannTarget(*system, 300.0, -1), OpenMMException);
    EXPECT_THROW(BoltzmannTarget(*system, 300.0, 1, "Abacus"), OpenMMException);
    EXPECT_THROW(BoltzmannTarget(OpenMM::System(), 300.0), OpenMMException);
    BoltzmannTarget target(*system, 300.0, 1);
    EXPECT_THROW(target.evaluate({.count = 1}, results()), OpenMMException);
    auto wrong = frames();
    wrong.parameters = {"scale"};
    EXPECT_THROW(target.evaluate(wrong, results()), OpenMMException);
    EXPECT_THROW(target.setEnergyLimits(1.0, 1.0), OpenMMException);
    EXPECT_THROW(target.setEnergyLimits(NAN, 1.0), OpenMMException);
    EXPECT_THROW(BoltzmannTarget::getStatusName(BoltzmannTarget::NumStatuses), OpenMMException);
    EXPECT_STREQ(BoltzmannTarget::getStatusName(Status::EnergyTooLow), "EnergyTooLow");
}
