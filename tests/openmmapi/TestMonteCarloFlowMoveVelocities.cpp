// After an accepted move velocities are Maxwell's, at the time that the integrator keeps them at. Tolerances
// are 5 sigma of independent runs, and seeds are fixed.
#include "FlowMoveTesting.h"
#include "openmmscore/ScoreLangevinIntegrator.h"

using namespace OpenMMScore;
using namespace OpenMMScore::testing;

namespace {

class MonteCarloFlowMoveVelocities : public ::testing::Test {
protected:
    MonteCarloFlowMoveVelocities() { loadPlugins(); }
    Platform& platform = Platform::getPlatform("Reference");
};

/** omega dt = 1: half-step velocities that were taken as on-step ones would be off by 25 % in variance. */
void expectHalfStepVelocities(OpenMM::Integrator& integrator, double dt, Platform& platform) {
    const double mass = 2.0, stiffness = mass / (dt * dt);
    System system;
    system.addParticle(mass);
    addTether(system, {0}, stiffness);
    auto* move =
        new MonteCarloFlowMove(makeGaussian(1, Proposal::Frame::Absolute, kT / stiffness), temperature, 1);
    move->addMolecule({0});
    move->setRandomNumberSeed(5);
    system.addForce(move);
    Context context(system, integrator, platform);
    context.setPositions({Vec3(0, 0, 0)});
    Average variance, shifted, correlation;
    for (int i = 0; i < 5000; i++) {
        makeMoves(context);
        const Vec3 x = getPositions(context)[0], half = getVelocities(context)[0];
        const Vec3 onStep = half - x * (stiffness * 0.5 * dt / mass);
        variance.add(mass * onStep.dot(onStep) / (3 * kT));
        shifted.add(mass * half.dot(half) / (3 * kT));
        correlation.add(onStep.dot(x));
    }
    EXPECT_EQ(move->getNumAccepted(context), 5000);
    expectMean(variance, 1.0, "velocity at the positions' time");
    expectMean(shifted, 1.25, "velocity half a step before");
    expectMean(correlation, 0.0, "velocity and position");
}

TEST_F(MonteCarloFlowMoveVelocities, HalfStepVelocitiesBelongToTheNewForces) {
    const double dt = 0.01;
    OpenMM::VerletIntegrator verlet(dt);
    expectHalfStepVelocities(verlet, dt, platform);
    OpenMM::LangevinMiddleIntegrator langevin(temperature, 1.0, dt);
    expectHalfStepVelocities(langevin, dt, platform);
    ScoreLangevinIntegrator score(temperature, 1.0, dt);
    expectHalfStepVelocities(score, dt, platform);
}

TEST_F(MonteCarloFlowMoveVelocities, ConstantEnergyDynamicsBecomesCanonical) {
    // Verlet alone would keep the total energy, here zero at the start.
    const double mass = 10.0, stiffness = 400.0;
    Average potential, kinetic;
    for (int seed = 1; seed <= 1500; seed++) {
        System system;
        system.addParticle(mass);
        addTether(system, {0}, stiffness);
        auto* move = new MonteCarloFlowMove(makeGaussian(1, Proposal::Frame::Absolute, 0.01), temperature, 3);
        move->addMolecule({0});
        move->setRandomNumberSeed(seed);
        system.addForce(move);
        OpenMM::VerletIntegrator integrator(0.002);
        Context context(system, integrator, platform);
        context.setPositions({Vec3(0, 0, 0)});
        integrator.step(50);
        const State state = context.getState(State::Energy);
        potential.add(state.getPotentialEnergy() / (1.5 * kT));
        kinetic.add(state.getKineticEnergy() / (1.5 * kT));
    }
    expectMean(potential, 1.0, "potential energy");
    expectMean(kinetic, 1.0, "kinetic energy");
}

TEST_F(MonteCarloFlowMoveVelocities, MomentumStaysAndInternalVelocitiesAreMaxwells) {
    System system;
    const std::vector<double> masses = {1.0, 12.0, 30.0};
    for (double mass : masses)
        system.addParticle(mass);
    auto* move = new MonteCarloFlowMove(makeGaussian(3, Proposal::Frame::Centred, 0.01), temperature, 1);
    move->addMolecule({0, 1, 2});
    move->setRandomNumberSeed(5);
    system.addForce(move);
    // Springs for which the proposal is perfect, so that all is accepted.
    auto* springs = new OpenMM::HarmonicBondForce();
    for (int i = 0; i < 3; i++)
        springs->addBond(i, (i + 1) % 3, 0.0, kT / (3 * 0.01));
    system.addForce(springs);
    OpenMM::BrownianIntegrator integrator(temperature, 1.0, 0.001);
    Context context(system, integrator, platform);
    context.setPositions({Vec3(), Vec3(0.1, 0, 0), Vec3(0, 0.1, 0)});
    context.setVelocities({Vec3(1, 2, 3), Vec3(-1, 0, 0), Vec3(0, 0.5, 0)});
    const auto momentum = [&] {
        Vec3 sum;
        const std::vector<Vec3> v = getVelocities(context);
        for (int i = 0; i < 3; i++)
            sum += v[i] * masses[i];
        return sum;
    };
    const Vec3 start = momentum();
    Average internal;
    for (int i = 0; i < 3000; i++) {
        makeMoves(context);
        const std::vector<Vec3> v = getVelocities(context);
        double sum = 0;
        for (int j = 0; j < 3; j++) {
            const Vec3 u = v[j] - start / 43;
            sum += masses[j] * u.dot(u);
        }
        internal.add(sum / (6 * kT));
    }
    const Vec3 drift = momentum() - start;
    EXPECT_LT(std::sqrt(drift.dot(drift)), 1e-9);
    EXPECT_EQ(move->getNumAccepted(context), 3000);
    expectMean(internal, 1.0, "internal kinetic energy");
}

} // namespace
