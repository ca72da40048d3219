// What a Context takes over from a ScoreForce after it was created, and what it refuses.
#include "ScoreForceTesting.h"

using namespace OpenMMScore;
using namespace OpenMMScore::testing;

namespace {

class ScoreForceUpdatesTest : public PlatformTest {
protected:
    std::vector<int> getParticles(const ScoreForce& force, int molecule) {
        std::vector<int> particles, features;
        force.getMoleculeParameters(molecule, particles, features);
        return particles;
    }
};

TEST_P(ScoreForceUpdatesTest, AContextTakesNewFeatures) {
    System system;
    ScoreForce* force = addMolecules(system, makeTransferable(), 3);
    const std::vector<Vec3> positions = makePositions(5, 3);
    Simulation simulation(system, getPlatform(), positions);
    const double before = simulation.getEnergy();
    force->setMoleculeParameters(1, getParticles(*force, 1), someFeatures(8));
    EXPECT_EQ(simulation.getEnergy(), before);
    force->updateParametersInContext(simulation.context);
    EXPECT_NE(simulation.getEnergy(), before);
    Simulation fresh(system, getPlatform(), positions);
    EXPECT_EQ(simulation.getEnergy(), fresh.getEnergy());
    expectSame(simulation.getForces(), fresh.getForces());
}

TEST_P(ScoreForceUpdatesTest, AContextTakesANewDiffusionTime) {
    System system;
    ScoreForce* force = addMolecules(system, makeTransformer(), 3);
    const std::vector<Vec3> positions = makePositions(5, 3);
    Simulation simulation(system, getPlatform(), positions);
    const double before = simulation.getEnergy();
    force->setDiffusionTime(0.4);
    force->updateParametersInContext(simulation.context);
    EXPECT_NE(simulation.getEnergy(), before);
    Simulation fresh(system, getPlatform(), positions);
    EXPECT_EQ(simulation.getEnergy(), fresh.getEnergy());
}

TEST_P(ScoreForceUpdatesTest, ForcesOfTheNextStepAreNew) {
    System system;
    ScoreForce* force = addMolecules(system, makeTransformer(), 1);
    const std::vector<Vec3> positions = makePositions(5, 1);
    Simulation simulation(system, getPlatform(), positions);
    simulation.integrator.step(3);
    const State state = simulation.context.getState(State::Positions | State::Velocities);
    force->setDiffusionTime(0.9);
    force->updateParametersInContext(simulation.context);
    Simulation fresh(system, getPlatform(), state.getPositions());
    fresh.context.setVelocities(state.getVelocities());
    simulation.integrator.step(1);
    fresh.integrator.step(1);
    expectSame(simulation.context.getState(State::Positions).getPositions(),
               fresh.context.getState(State::Positions).getPositions());
}

TEST_P(ScoreForceUpdatesTest, AContextRefusesOtherMolecules) {
    System system;
    ScoreForce* force = addMolecules(system, makeTransformer(), 2);
    for (int i = 0; i < 5; i++)
        system.addParticle(1);
    Simulation simulation(system, getPlatform(), makePositions(5, 3));
    const double before = simulation.getEnergy();
    const std::vector<int> original = getParticles(*force, 1);
    force->setMoleculeParameters(1, {10, 11, 12, 13, 14});
    expectError([&] { force->updateParametersInContext(simulation.context); },
                "particle 0 of molecule 1 is 5 in the Context and cannot change to 10");
    force->setMoleculeParameters(1, original);
    force->addMolecule({10, 11, 12, 13, 14});
    expectError([&] { force->updateParametersInContext(simulation.context); },
                "created with 2 molecules and cannot change to 3");
    EXPECT_EQ(simulation.getEnergy(), before);
    simulation.context.reinitialize(true);
    EXPECT_NE(simulation.getEnergy(), before);
}

TEST_P(ScoreForceUpdatesTest, AContextRefusesATimeWithoutEnergy) {
    System system;
    ScoreForce* force = addMolecules(system, makeMixture(), 1);
    force->setDiffusionTime(0.2);
    Simulation simulation(system, getPlatform(), makePositions(5, 1));
    const double before = simulation.getEnergy();
    force->setDiffusionTime(0.7);
    expectError([&] { force->updateParametersInContext(simulation.context); }, "a score but no energy");
    EXPECT_EQ(simulation.getEnergy(), before);
    force->setNonConservative(true);
    force->updateParametersInContext(simulation.context);
    expectError([&] { simulation.getEnergy(); }, "no energy to report");
    force->setDiffusionTime(0.2);
    force->updateParametersInContext(simulation.context);
    EXPECT_EQ(simulation.getEnergy(), before);
}

TEST_P(ScoreForceUpdatesTest, TheScaleInAContextIsNotTheDefault) {
    System system;
    ScoreForce* force = addMolecules(system, makeTransformer(), 1);
    Simulation simulation(system, getPlatform(), makePositions(5, 1));
    force->setDefaultScale(5);
    force->updateParametersInContext(simulation.context);
    EXPECT_EQ(simulation.context.getParameter(ScoreForce::Scale()), 1);
}

INSTANTIATE_ON_PLATFORMS(ScoreForceUpdatesTest);

} // namespace
