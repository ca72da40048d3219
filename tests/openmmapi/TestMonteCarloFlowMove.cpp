#include <sstream>

#include "FlowMoveTesting.h"
#include "openmmscore/ScoreLangevinIntegrator.h"

using namespace OpenMMScore;
using namespace OpenMMScore::testing;

namespace {

/** Two molecules of two particles among two others, held by springs. */
class MonteCarloFlowMoveTest : public PlatformTest {
protected:
    MonteCarloFlowMoveTest() {
        for (double mass : {10.0, 3.0, 12.0, 5.0, 16.0, 8.0})
            system.addParticle(mass);
        addTether(system, {0, 1, 2, 3, 4, 5}, 30);
        auto* bonds = new OpenMM::HarmonicBondForce();
        bonds->addBond(1, 3, 0.1, 300);
        bonds->addBond(4, 2, 0.1, 300);
        bonds->addBond(0, 1, 0.2, 100);
        system.addForce(bonds);
        positions = {Vec3(0.2, 0, 0),     Vec3(0.1, 0.1, 0), Vec3(-0.2, 0, 0.1),
                     Vec3(0.1, 0.2, 0.1), Vec3(-0.1, 0, 0),  Vec3(0, -0.2, 0)};
    }
    MonteCarloFlowMove* addMove(int frequency = 1, double variance = 0.01) {
        auto* move = new MonteCarloFlowMove(makeGaussian(2, Proposal::Frame::Centred, variance), temperature,
                                            frequency);
        move->addMolecule({1, 3});
        move->addMolecule({4, 2});
        move->setRandomNumberSeed(4);
        system.addForce(move);
        return move;
    }

    System system;
    std::vector<Vec3> positions;
};

INSTANTIATE_ON_PLATFORMS(MonteCarloFlowMoveTest);

TEST_P(MonteCarloFlowMoveTest, TheRestOfTheSystemIsUntouched) {
    MonteCarloFlowMove* move = addMove();
    OpenMM::BrownianIntegrator integrator(temperature, 1.0, 0.001);
    Context context(system, integrator, getPlatform());
    context.setPositions(positions);
    context.setVelocitiesToTemperature(temperature, 1);
    const std::vector<Vec3> x = getPositions(context), v = getVelocities(context);
    for (int i = 0; i < 20; i++)
        EXPECT_TRUE(makeMoves(context));
    EXPECT_GT(move->getNumAccepted(context, 0), 0);
    EXPECT_GT(move->getNumAccepted(context, 1), 0);
    const std::vector<Vec3> newX = getPositions(context), newV = getVelocities(context);
    for (int i : {0, 5}) {
        expectSame({x[i]}, {newX[i]});
        expectSame({v[i]}, {newV[i]});
    }
    for (int i : {1, 2, 3, 4}) {
        EXPECT_NE(x[i][0], newX[i][0]);
        EXPECT_NE(v[i][0], newV[i][0]);
    }
    EXPECT_EQ(move->getNumAttempted(context), 40);
    EXPECT_EQ(context.getParameter(MonteCarloFlowMove::LastStep()), 20);
}

TEST_P(MonteCarloFlowMoveTest, ARejectedMoveLeavesEverythingAsItWas) {
    // Draws 10 nm apart are never accepted.
    MonteCarloFlowMove* move = addMove(1, 100.0);
    OpenMM::LangevinMiddleIntegrator integrator(temperature, 1.0, 0.001);
    Context context(system, integrator, getPlatform());
    context.setPositions(positions);
    context.setVelocitiesToTemperature(temperature, 1);
    const std::vector<Vec3> x = getPositions(context), v = getVelocities(context);
    makeMoves(context);
    expectSame(x, getPositions(context));
    expectSame(v, getVelocities(context));
    EXPECT_EQ(move->getNumAttempted(context), 2);
    EXPECT_EQ(move->getNumAccepted(context), 0);
    EXPECT_EQ(move->getNumInvalid(context), 0);
    EXPECT_LT(move->getExpectedAcceptance(context), 1e-10);
}

TEST_P(MonteCarloFlowMoveTest, MolecularCentresOfMassStay) {
    MonteCarloFlowMove* move = addMove();
    OpenMM::VerletIntegrator integrator(0.001);
    Context context(system, integrator, getPlatform());
    context.setPositions(positions);
    for (int i = 0; i < 20; i++)
        makeMoves(context);
    EXPECT_GT(move->getNumAccepted(context), 5);
    const std::vector<Vec3> x = getPositions(context);
    const auto centre = [](const std::vector<Vec3>& r) { return (r[1] * 3.0 + r[3] * 5.0) / 8.0; };
    expectNear({centre(positions)}, {centre(x)}, getTolerance());
}

TEST_P(MonteCarloFlowMoveTest, OthersKeepTheirVelocityAtThePositionsTime) {
    MonteCarloFlowMove* move = addMove();
    const double dt = 0.02;
    OpenMM::VerletIntegrator integrator(dt);
    Context context(system, integrator, getPlatform());
    context.setPositions(positions);
    context.setVelocities(std::vector<Vec3>(6, Vec3(1, -2, 0.5)));
    const auto onStep = [&] {
        const State state = context.getState(State::Velocities | State::Forces);
        std::vector<Vec3> v = {state.getVelocities()[0], state.getVelocities()[5]};
        v[0] += state.getForces()[0] * (0.5 * dt / 10.0);
        v[1] += state.getForces()[5] * (0.5 * dt / 8.0);
        return v;
    };
    const std::vector<Vec3> before = onStep(), half = getVelocities(context);
    for (int i = 0; i < 100 && move->getNumAccepted(context, 0) == 0; i++)
        makeMoves(context);
    expectNear(before, onStep(), 10 * getTolerance());
    // Particle 0 has a bond to a particle that moved, so its velocity half a step before is another.
    EXPECT_GT(std::abs(half[0][0] - getVelocities(context)[0][0]), 1e-4);
}

TEST_P(MonteCarloFlowMoveTest, MovesAreMadeEveryFrequencySteps) {
    MonteCarloFlowMove* move = addMove(7);
    OpenMM::LangevinMiddleIntegrator integrator(temperature, 1.0, 0.001);
    Context context(system, integrator, getPlatform());
    context.setPositions(positions);
    integrator.step(6);
    EXPECT_EQ(move->getNumAttempted(context), 0);
    integrator.step(1);
    EXPECT_EQ(move->getNumAttempted(context), 2);
    integrator.step(27);
    EXPECT_EQ(move->getNumAttempted(context), 8);
    EXPECT_EQ(move->getNumAttempted(context, 1), 4);
    move->resetStatistics(context);
    EXPECT_EQ(move->getNumAttempted(context), 0);
    integrator.step(1);
    EXPECT_EQ(move->getNumAttempted(context), 2);
    expectError([&] { move->getStatistics(context, 2); }, "there is no molecule 2");
}

TEST_P(MonteCarloFlowMoveTest, AFrequencyOfZeroMeansNever) {
    MonteCarloFlowMove* move = addMove(0);
    OpenMM::VerletIntegrator integrator(0.001);
    Context context(system, integrator, getPlatform());
    context.setPositions(positions);
    integrator.step(10);
    EXPECT_EQ(move->getNumAttempted(context), 0);
}

TEST_P(MonteCarloFlowMoveTest, EqualSeedsEqualPaths) {
    addMove(3);
    const auto run = [&](int seed) {
        dynamic_cast<MonteCarloFlowMove&>(system.getForce(2)).setRandomNumberSeed(seed);
        OpenMM::VerletIntegrator integrator(0.001);
        Context context(system, integrator, getPlatform());
        context.setPositions(positions);
        integrator.step(30);
        return getPositions(context);
    };
    const std::vector<Vec3> first = run(9), second = run(9), third = run(10), fresh = run(0);
    expectSame(first, second);
    EXPECT_NE(first[1][0], third[1][0]);
    EXPECT_NE(first[1][0], fresh[1][0]);
    EXPECT_NE(run(0)[1][0], fresh[1][0]);
}

TEST_P(MonteCarloFlowMoveTest, ACheckpointContinuesWithTheSameMoves) {
    addMove(10);
    OpenMM::VerletIntegrator integrator(0.001), other(0.001);
    Context context(system, integrator, getPlatform());
    context.setPositions(positions);
    integrator.step(39);
    std::stringstream checkpoint;
    context.createCheckpoint(checkpoint);
    integrator.step(100);
    const std::vector<Vec3> expected = getPositions(context);

    Context restored(system, other, getPlatform());
    restored.loadCheckpoint(checkpoint);
    EXPECT_EQ(restored.getParameter(MonteCarloFlowMove::LastStep()), 29);
    other.step(100);
    expectSame(expected, getPositions(restored));
    // In the Context it came from, which has made the next round already.
    checkpoint.clear();
    checkpoint.seekg(0);
    context.loadCheckpoint(checkpoint);
    integrator.step(1);
    checkpoint.clear();
    checkpoint.seekg(0);
    context.loadCheckpoint(checkpoint);
    integrator.step(100);
    expectSame(expected, getPositions(context));
}

TEST_P(MonteCarloFlowMoveTest, AStateContinuesWithTheSameMoves) {
    addMove(10);
    OpenMM::VerletIntegrator integrator(0.001), other(0.001);
    Context context(system, integrator, getPlatform());
    context.setPositions(positions);
    integrator.step(35);
    const State state = context.getState(State::Positions | State::Velocities | State::Parameters);
    integrator.step(100);
    Context restored(system, other, getPlatform());
    restored.setState(state);
    other.step(100);
    expectSame(getPositions(context), getPositions(restored));
}

TEST_P(MonteCarloFlowMoveTest, AStepCountThatIsSetBackBringsNewMoves) {
    addMove(1);
    OpenMM::VerletIntegrator integrator(0.001);
    Context context(system, integrator, getPlatform());
    const auto run = [&] {
        context.setStepCount(0);
        context.setPositions(positions);
        context.setVelocities(std::vector<Vec3>(6));
        integrator.step(10);
        return getPositions(context);
    };
    const std::vector<Vec3> first = run();
    EXPECT_EQ(context.getParameter(MonteCarloFlowMove::Epoch()), 0);
    EXPECT_NE(run()[1][0], first[1][0]);
    EXPECT_EQ(context.getParameter(MonteCarloFlowMove::Epoch()), 1);
}

TEST_P(MonteCarloFlowMoveTest, ReinitializingKeepsTheLastStep) {
    addMove(5);
    OpenMM::VerletIntegrator integrator(0.001);
    Context context(system, integrator, getPlatform());
    context.setPositions(positions);
    integrator.step(23);
    context.reinitialize(true);
    EXPECT_EQ(context.getParameter(MonteCarloFlowMove::LastStep()), 19);
}

TEST_P(MonteCarloFlowMoveTest, WorksWithAnyIntegrator) {
    MonteCarloFlowMove* move = addMove(10);
    auto custom = std::make_unique<OpenMM::CustomIntegrator>(0.001);
    custom->addUpdateContextState();
    custom->addComputePerDof("v", "v+0.5*dt*f/m");
    custom->addComputePerDof("x", "x+dt*v");
    custom->addUpdateContextState();
    custom->addComputePerDof("v", "v+0.5*dt*f/m");
    auto compound = std::make_unique<OpenMM::CompoundIntegrator>();
    compound->addIntegrator(new OpenMM::VerletIntegrator(0.001));
    auto noseHoover = std::make_unique<OpenMM::NoseHooverIntegrator>(temperature, 1.0, 0.001);
    auto score = std::make_unique<ScoreLangevinIntegrator>(temperature, 1.0, 0.001);
    std::vector<std::unique_ptr<OpenMM::Integrator>> integrators;
    integrators.push_back(std::move(custom));
    integrators.push_back(std::move(compound));
    integrators.push_back(std::move(noseHoover));
    integrators.push_back(std::move(score));
    integrators.push_back(std::make_unique<OpenMM::VerletIntegrator>(0.001));
    integrators.push_back(std::make_unique<OpenMM::LangevinIntegrator>(temperature, 1.0, 0.001));
    integrators.push_back(std::make_unique<OpenMM::LangevinMiddleIntegrator>(temperature, 1.0, 0.001));
    integrators.push_back(std::make_unique<OpenMM::BrownianIntegrator>(temperature, 100.0, 0.001));
    integrators.push_back(std::make_unique<OpenMM::VariableVerletIntegrator>(1e-4));
    integrators.push_back(std::make_unique<OpenMM::VariableLangevinIntegrator>(temperature, 1.0, 1e-4));
    for (std::size_t i = 0; i < integrators.size(); i++) {
        Context context(system, *integrators[i], getPlatform());
        context.setPositions(positions);
        context.setVelocitiesToTemperature(temperature, 1);
        integrators[i]->step(200);
        EXPECT_EQ(move->getNumAttempted(context), 40) << "integrator " << i;
        EXPECT_GT(move->getNumAccepted(context), 2) << "integrator " << i;
        const double energy = context.getState(State::Energy).getPotentialEnergy();
        EXPECT_TRUE(std::isfinite(energy) && energy < 200) << "integrator " << i << ": " << energy;
    }
}

TEST_P(MonteCarloFlowMoveTest, OnlyTheIntegratorsForceGroupsCount) {
    MonteCarloFlowMove* move = addMove();
    auto* wall = new OpenMM::CustomExternalForce("1e6*(x+y+z)");
    for (int i = 0; i < 6; i++)
        wall->addParticle(i);
    wall->setForceGroup(3);
    system.addForce(wall);
    OpenMM::VerletIntegrator integrator(0.001);
    integrator.setIntegrationForceGroups(~(1 << 3));
    Context context(system, integrator, getPlatform());
    context.setPositions(positions);
    for (int i = 0; i < 20; i++)
        makeMoves(context);
    EXPECT_GT(move->getNumAccepted(context), 5);
}

TEST_P(MonteCarloFlowMoveTest, VirtualSitesFollow) {
    MonteCarloFlowMove* move = addMove(1, 0.02);
    const int site = system.addParticle(0.0);
    system.setVirtualSite(site, new OpenMM::TwoParticleAverageSite(1, 3, 0.5, 0.5));
    positions.push_back(Vec3());
    OpenMM::VerletIntegrator integrator(0.001);
    Context context(system, integrator, getPlatform());
    context.setPositions(positions);
    context.computeVirtualSites();
    for (int i = 0; i < 30; i++) {
        makeMoves(context);
        const std::vector<Vec3> x = getPositions(context);
        expectNear({(x[1] + x[3]) * 0.5}, {x[site]}, getTolerance());
    }
    EXPECT_GT(move->getNumAccepted(context, 0), 1);
    EXPECT_LT(move->getNumAccepted(context, 0), 29);
}

TEST_P(MonteCarloFlowMoveTest, EnergiesThatAreNoNumberAreRejectedAndCounted) {
    MonteCarloFlowMove* move = addMove(1, 0.05);
    auto* broken = new OpenMM::CustomExternalForce("sqrt(0.3-x)");
    broken->addParticle(1);
    system.addForce(broken);
    OpenMM::VerletIntegrator integrator(0.001);
    Context context(system, integrator, getPlatform());
    context.setPositions(positions);
    for (int i = 0; i < 200; i++) {
        makeMoves(context);
        ASSERT_LE(getPositions(context)[1][0], 0.3);
        ASSERT_TRUE(std::isfinite(context.getState(State::Energy).getPotentialEnergy()));
    }
    EXPECT_GT(move->getNumInvalid(context, 0), 0);
    EXPECT_EQ(move->getNumInvalid(context, 1), 0);
    EXPECT_GT(move->getNumAccepted(context, 0), 0);
    EXPECT_NE(move->getLastInvalidReason(context).find("energy"), std::string::npos);
    move->resetStatistics(context);
    EXPECT_EQ(move->getLastInvalidReason(context), "");
}

TEST_P(MonteCarloFlowMoveTest, AnEnergyThatIsNoNumberBeforeTheMoveIsAnError) {
    addMove();
    OpenMM::VerletIntegrator integrator(0.001);
    Context context(system, integrator, getPlatform());
    auto* broken = new OpenMM::CustomExternalForce("sqrt(0.3-x)");
    broken->addParticle(0);
    system.addForce(broken);
    positions[0] = Vec3(0.5, 0, 0);
    context.reinitialize();
    context.setPositions(positions);
    expectError([&] { integrator.step(1); }, "energy before a move");
}

TEST_P(MonteCarloFlowMoveTest, TwoForcesWithOneSeedDrawDifferently) {
    // Perfect proposals of single particles, so that all is accepted.
    System pair;
    std::vector<MonteCarloFlowMove*> moves;
    for (int i = 0; i < 2; i++) {
        pair.addParticle(10);
        moves.push_back(
            new MonteCarloFlowMove(makeGaussian(1, Proposal::Frame::Absolute, 0.01), temperature, 4));
        moves[i]->addMolecule({i});
        moves[i]->setRandomNumberSeed(4);
        pair.addForce(moves[i]);
    }
    addTether(pair, {0, 1}, kT / 0.01);
    OpenMM::VerletIntegrator integrator(0.001);
    Context context(pair, integrator, getPlatform());
    context.setPositions({Vec3(), Vec3()});
    integrator.step(20);
    for (const MonteCarloFlowMove* move : moves) {
        EXPECT_EQ(move->getNumAttempted(context), 5);
        EXPECT_EQ(move->getNumAccepted(context), 5);
    }
    const std::vector<Vec3> x = getPositions(context), v = getVelocities(context);
    EXPECT_GT(std::abs(x[0][0] - x[1][0]), 1e-3);
    EXPECT_GT(std::abs(v[0][0] - v[1][0]), 1e-3);
}

TEST_P(MonteCarloFlowMoveTest, TheTemperatureIsAParameter) {
    MonteCarloFlowMove* move = addMove();
    OpenMM::VerletIntegrator integrator(0.001);
    Context context(system, integrator, getPlatform());
    context.setPositions(positions);
    EXPECT_EQ(context.getParameter(MonteCarloFlowMove::Temperature()), temperature);
    context.setParameter(MonteCarloFlowMove::Temperature(), 1e-6);
    for (int i = 0; i < 5; i++)
        makeMoves(context);
    const double cold = move->getExpectedAcceptance(context);
    move->resetStatistics(context);
    context.setParameter(MonteCarloFlowMove::Temperature(), 1e6);
    for (int i = 0; i < 5; i++)
        makeMoves(context);
    EXPECT_LT(cold + 0.05, move->getExpectedAcceptance(context));
    for (double wrong : {0.0, -1.0, std::nan(""), 1 / 0.0}) {
        context.setParameter(MonteCarloFlowMove::Temperature(), wrong);
        expectError([&] { makeMoves(context); }, "must be positive and finite");
    }
}

} // namespace
