// A ScoreForce among whatever else a System may hold.
#include "ScoreForceTesting.h"

using namespace OpenMMScore;
using namespace OpenMMScore::testing;

namespace {

class ScoreForceSystemsTest : public PlatformTest {};

TEST_P(ScoreForceSystemsTest, ActsOnASubsetInTheModelsOrder) {
    System alone;
    addMolecules(alone, makeTransformer(), 2);
    const std::vector<Vec3> chains = makePositions(5, 2);
    Simulation reference(alone, getPlatform(), chains);

    // The same molecules scattered among 20 other particles, with a spring between two of those.
    System system;
    for (int i = 0; i < 30; i++)
        system.addParticle(10);
    auto* force = new ScoreForce(makeTransformer());
    std::vector<int> particles = {29, 3, 17, 8, 0, 5, 12, 11, 20, 1};
    force->addMolecule({particles.begin(), particles.begin() + 5});
    force->addMolecule({particles.begin() + 5, particles.end()});
    force->setForceGroup(2);
    system.addForce(force);
    auto* spring = new OpenMM::HarmonicBondForce();
    spring->addBond(2, 4, 0.3, 500);
    system.addForce(spring);
    std::vector<Vec3> positions(30);
    for (int i = 0; i < 30; i++)
        positions[i] = Vec3(0.1 * i, 3, 3);
    for (int i = 0; i < 10; i++)
        positions[particles[i]] = chains[i];
    Simulation simulation(system, getPlatform(), positions);

    EXPECT_EQ(simulation.getEnergy(1 << 2), reference.getEnergy());
    EXPECT_NE(simulation.getEnergy(1 << 0), 0);
    std::vector<Vec3> expected(30);
    for (int i = 0; i < 10; i++)
        expected[particles[i]] = reference.getForces()[i];
    expectSame(simulation.getForces(1 << 2), expected);
}

TEST_P(ScoreForceSystemsTest, ForcesOnVirtualSitesReachTheirParents) {
    // Particle 2 of the molecule lies between particles 1 and 3; particle 4 never moves.
    System system;
    addMolecules(system, makeTransformer(), 1);
    system.setVirtualSite(2, new OpenMM::TwoParticleAverageSite(1, 3, 0.4, 0.6));
    system.setParticleMass(2, 0);
    system.setParticleMass(4, 0);
    std::vector<Vec3> positions = makePositions(5, 1);
    Simulation simulation(system, getPlatform(), positions);
    simulation.context.computeVirtualSites();
    const std::vector<Vec3> forces = simulation.getForces();
    const double h = 1e-3;
    for (int i : {1, 3})
        for (int k = 0; k < 3; k++) {
            double energies[2];
            for (int side = 0; side < 2; side++) {
                std::vector<Vec3> moved(positions);
                moved[i][k] += side == 0 ? h : -h;
                simulation.context.setPositions(moved);
                simulation.context.computeVirtualSites();
                energies[side] = simulation.getEnergy();
            }
            EXPECT_NEAR(forces[i][k], -(energies[0] - energies[1]) / (2 * h),
                        0.01 + 1e-2 * std::abs(forces[i][k]));
        }
    simulation.context.setPositions(positions);
    simulation.context.computeVirtualSites();
    simulation.integrator.step(5);
    const std::vector<Vec3> after = simulation.context.getState(State::Positions).getPositions();
    EXPECT_EQ(after[4], positions[4]);
    EXPECT_NE(after[0], positions[0]);
    const Vec3 gap = after[2] - after[1] * 0.4 - after[3] * 0.6;
    EXPECT_LT(std::sqrt(gap.dot(gap)), 1e-6);
}

TEST_P(ScoreForceSystemsTest, WorksInsideACustomCVForce) {
    System inner;
    addMolecules(inner, makeTransformer(), 2);
    const std::vector<Vec3> positions = makePositions(5, 2);
    Simulation plain(inner, getPlatform(), positions);

    System system;
    for (int i = 0; i < 10; i++)
        system.addParticle(12);
    auto* cv = new OpenMM::CustomCVForce("factor*u^2");
    cv->addGlobalParameter("factor", 0.5);
    cv->addCollectiveVariable("u", new ScoreForce(dynamic_cast<const ScoreForce&>(inner.getForce(0))));
    system.addForce(cv);
    Simulation simulation(system, getPlatform(), positions);
    const double u = plain.getEnergy();
    EXPECT_NEAR(simulation.getEnergy(), 0.5 * u * u, 1e-11 * u * u);
    std::vector<Vec3> expected;
    for (const Vec3& force : plain.getForces())
        expected.push_back(force * u);
    expectNear(simulation.getForces(), expected, 1e-11);
    std::vector<double> values;
    cv->getCollectiveVariableValues(simulation.context, values);
    EXPECT_NEAR(values.at(0), u, 1e-11 * std::abs(u));
}

TEST_P(ScoreForceSystemsTest, TheMinimizerFindsTheMinimumOfAHarmonicModel) {
    System system;
    addMolecules(system, makeHarmonic(3, 20), 4);
    Simulation simulation(system, getPlatform(),
                          {Vec3(0.5, 0, 0), Vec3(0.1, -0.4, 0.2), Vec3(0, 0, 0.7), Vec3(-0.3, 0.3, 0.3)});
    OpenMM::LocalEnergyMinimizer::minimize(simulation.context, 1e-3);
    const State state = simulation.context.getState(State::Positions);
    for (const Vec3& position : state.getPositions())
        EXPECT_LT(std::sqrt(position.dot(position)), 1e-3);
}

TEST_P(ScoreForceSystemsTest, TheMinimizerLowersTheEnergyUntilForcesVanish) {
    System system;
    ScoreForce* force = addMolecules(system, makeTransformer(), 3);
    // A network with random weights need not have a minimum; springs give it one.
    auto* springs = new OpenMM::HarmonicBondForce();
    for (int m = 0; m < force->getNumMolecules(); m++)
        for (int i = 0; i < 5; i++)
            for (int j = 0; j < i; j++)
                springs->addBond(5 * m + i, 5 * m + j, 0.15, 2000);
    system.addForce(springs);
    Simulation simulation(system, getPlatform(), makePositions(5, 3));
    const double before = simulation.getEnergy();
    OpenMM::LocalEnergyMinimizer::minimize(simulation.context, 0.5);
    EXPECT_LT(simulation.getEnergy(), before);
    double sum = 0;
    for (const Vec3& f : simulation.getForces())
        sum += f.dot(f);
    EXPECT_LT(std::sqrt(sum / 45), 1.0);
}

TEST_P(ScoreForceSystemsTest, ACheckpointContinuesTheSameTrajectory) {
    System system;
    addMolecules(system, makeTransformer(), 3);
    OpenMM::LangevinMiddleIntegrator integrator(300, 5, 0.002);
    integrator.setRandomNumberSeed(4);
    Context context(system, integrator, getPlatform());
    context.setPositions(makePositions(5, 3));
    context.setVelocitiesToTemperature(300, 7);
    context.setParameter(ScoreForce::Scale(), 0.7);
    integrator.step(10);
    std::stringstream checkpoint;
    context.createCheckpoint(checkpoint);
    integrator.step(20);
    const std::vector<Vec3> first = context.getState(State::Positions).getPositions();
    context.setParameter(ScoreForce::Scale(), 1);
    context.loadCheckpoint(checkpoint);
    EXPECT_EQ(context.getParameter(ScoreForce::Scale()), 0.7);
    integrator.step(20);
    expectSame(context.getState(State::Positions).getPositions(), first);
}

TEST_P(ScoreForceSystemsTest, TwoContextsDoNotDisturbEachOther) {
    System system;
    ScoreForce* force = addMolecules(system, makeTransformer(), 2);
    const std::vector<Vec3> positions = makePositions(5, 2);
    Simulation early(system, getPlatform(), positions);
    force->setDiffusionTime(0.5);
    Simulation late(system, getPlatform(), positions);
    const double a = early.getEnergy(), b = late.getEnergy();
    EXPECT_NE(a, b);
    EXPECT_EQ(early.getEnergy(), a);
    EXPECT_EQ(late.getEnergy(), b);
}

INSTANTIATE_ON_PLATFORMS(ScoreForceSystemsTest);

} // namespace
