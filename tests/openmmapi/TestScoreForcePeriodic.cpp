// Molecules in a periodic System, wherever they are and however they are wrapped.
#include "ScoreForceTesting.h"

using namespace OpenMMScore;
using namespace OpenMMScore::testing;

namespace {

/** Molecules and a NonbondedForce with PME in a box that leans. */
class ScoreForcePeriodicTest : public PlatformTest {
protected:
    ScoreForcePeriodicTest() : positions(makePositions(5, copies)) {
        system.setDefaultPeriodicBoxVectors(box[0], box[1], box[2]);
        ScoreForce* force = addMolecules(system, makeTransformer(), copies);
        force->setForceGroup(1);
        auto* nonbonded = new OpenMM::NonbondedForce();
        nonbonded->setNonbondedMethod(OpenMM::NonbondedForce::PME);
        nonbonded->setCutoffDistance(0.9);
        for (int i = 0; i < system.getNumParticles(); i++)
            nonbonded->addParticle(i % 2 == 0 ? 0.1 : -0.1, 0.2, 0.1);
        system.addForce(nonbonded);
        // A network with random weights would not hold its molecule together.
        auto* springs = new OpenMM::HarmonicBondForce();
        for (int m = 0; m < copies; m++)
            for (int i = 0; i < 5; i++)
                for (int j = 0; j < i; j++) {
                    nonbonded->addException(5 * m + i, 5 * m + j, 0, 1, 0);
                    const Vec3 delta = positions[5 * m + i] - positions[5 * m + j];
                    springs->addBond(5 * m + i, 5 * m + j, std::sqrt(delta.dot(delta)), 5000);
                }
        springs->setUsesPeriodicBoundaryConditions(true);
        system.addForce(springs);
    }

    const int copies = 2;
    const Vec3 box[3] = {Vec3(2.5, 0, 0), Vec3(0.4, 2.4, 0), Vec3(-0.5, 0.3, 2.6)};
    System system;
    std::vector<Vec3> positions;
};

TEST_P(ScoreForcePeriodicTest, EnergyIsThatWithoutABox) {
    System open;
    addMolecules(open, makeTransformer(), copies);
    Simulation without(open, getPlatform(), positions), with(system, getPlatform(), positions);
    EXPECT_EQ(with.getEnergy(1 << 1), without.getEnergy());
    expectSame(with.getForces(1 << 1), without.getForces());
}

TEST_P(ScoreForcePeriodicTest, EachMoleculeMayBeInAnyBox) {
    Simulation simulation(system, getPlatform(), positions);
    const double energy = simulation.getEnergy(1 << 1);
    const std::vector<Vec3> forces = simulation.getForces(1 << 1);
    std::vector<Vec3> moved(positions);
    for (int m = 0; m < copies; m++)
        for (int i = 0; i < 5; i++)
            moved[5 * m + i] += box[0] * (m - 1) + box[1] * 2 * m - box[2] * (3 * m);
    simulation.context.setPositions(moved);
    EXPECT_NEAR(simulation.getEnergy(1 << 1), energy, getTolerance() * (1 + std::abs(energy)));
    expectNear(simulation.getForces(1 << 1), forces, getTolerance());
}

TEST_P(ScoreForcePeriodicTest, EachParticleMayBeInAnyBox) {
    Simulation simulation(system, getPlatform(), positions);
    const double energy = simulation.getEnergy(1 << 1);
    const std::vector<Vec3> forces = simulation.getForces(1 << 1);
    std::vector<Vec3> torn(positions);
    for (std::size_t i = 0; i < torn.size(); i++)
        torn[i] += box[0] * (int(i % 3) - 1) + box[1] * (int(i % 5) - 2) + box[2] * (int(i % 2));
    simulation.context.setPositions(torn);
    EXPECT_NEAR(simulation.getEnergy(1 << 1), energy, getTolerance() * (1 + std::abs(energy)));
    expectNear(simulation.getForces(1 << 1), forces, getTolerance());
}

TEST_P(ScoreForcePeriodicTest, EnergyIsSmoothWhereAMoleculeCrossesTheBoundary) {
    Simulation simulation(system, getPlatform(), positions);
    const double energy = simulation.getEnergy(1 << 1);
    for (int step = 1; step <= 40; step++) {
        std::vector<Vec3> moved(positions);
        for (int i = 0; i < 5; i++)
            moved[i] += Vec3(-0.1, 0.07, 0.08) * step;
        simulation.context.setPositions(moved);
        const State wrapped = simulation.context.getState(State::Positions, true);
        EXPECT_NEAR(simulation.getEnergy(1 << 1), energy, getTolerance() * (1 + std::abs(energy))) << step;
        simulation.context.setPositions(wrapped.getPositions());
        EXPECT_NEAR(simulation.getEnergy(1 << 1), energy, getTolerance() * (1 + std::abs(energy))) << step;
    }
}

TEST_P(ScoreForcePeriodicTest, OpenMMKeepsMoleculesWhole) {
    Simulation simulation(system, getPlatform(), positions);
    const auto& molecules = simulation.context.getMolecules();
    ASSERT_EQ(molecules.size(), static_cast<std::size_t>(copies));
    for (const std::vector<int>& molecule : molecules)
        EXPECT_EQ(molecule.size(), 5u);

    // A fast molecule that leaves the box stays in one piece in a wrapped State, and has the same energy.
    std::vector<Vec3> velocities(positions.size());
    for (int i = 0; i < 5; i++)
        velocities[i] = Vec3(0, -30, 0);
    simulation.context.setVelocities(velocities);
    simulation.integrator.step(100);
    const double energy = simulation.getEnergy(1 << 1);
    const std::vector<Vec3> raw = simulation.context.getState(State::Positions).getPositions();
    const std::vector<Vec3> wrapped = simulation.context.getState(State::Positions, true).getPositions();
    EXPECT_LT(raw[0][1], -2);
    EXPECT_GT(wrapped[0][1], -1);
    for (int i = 1; i < 5; i++) {
        const Vec3 gap = (raw[i] - raw[0]) - (wrapped[i] - wrapped[0]);
        EXPECT_LT(std::sqrt(gap.dot(gap)), 1e-9);
    }
    simulation.context.setPositions(wrapped);
    EXPECT_NEAR(simulation.getEnergy(1 << 1), energy, getTolerance() * (1 + std::abs(energy)));
}

TEST_P(ScoreForcePeriodicTest, AVectorModelKeepsItsCoordinates) {
    ScoreForce* force = addMolecules(system, makeHarmonic(3, 1), 1);
    force->setForceGroup(2);
    dynamic_cast<OpenMM::NonbondedForce&>(system.getForce(1)).addParticle(0, 1, 0);
    positions.push_back(Vec3(3, 0, 0));
    Simulation simulation(system, getPlatform(), positions);
    EXPECT_NEAR(simulation.getEnergy(1 << 2), 8.31446261815324e-3 * 300 * 4.5, 0.01);
}

TEST_P(ScoreForcePeriodicTest, ABarostatScalesMoleculesAndUsesTheEnergy) {
    system.addForce(new OpenMM::MonteCarloBarostat(1.0, 300, 1));
    Simulation simulation(system, getPlatform(), positions);
    simulation.context.setVelocitiesToTemperature(300, 1);
    simulation.integrator.step(30);
    EXPECT_TRUE(std::isfinite(simulation.getEnergy()));
}

INSTANTIATE_ON_PLATFORMS(ScoreForcePeriodicTest);

} // namespace
