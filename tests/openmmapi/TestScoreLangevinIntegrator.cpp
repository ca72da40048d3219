#include "openmmscore/ScoreLangevinIntegrator.h"

#include <cmath>
#include <sstream>

#include <openmm/serialization/XmlSerializer.h>

#include "ScoreForceTesting.h"

using namespace OpenMMScore;
using namespace OpenMMScore::testing;
using Integrator = ScoreLangevinIntegrator;

namespace {

/** A Context with a ScoreLangevinIntegrator. */
struct MoleculeRun {
    MoleculeRun(const System& system, Platform& platform, const std::vector<Vec3>& positions,
                Integrator::Scheme scheme = Integrator::LFMiddle, int seed = 5,
                const std::map<std::string, std::string>& properties = {})
        : integrator(300.0, 1.0, 0.002) {
        integrator.setScheme(scheme);
        integrator.setRandomNumberSeed(seed);
        context = std::make_unique<Context>(system, integrator, platform, properties);
        context->setPositions(positions);
        std::vector<Vec3> velocities;
        for (std::size_t i = 0; i < positions.size(); i++)
            velocities.push_back(Vec3(0.1, -0.2, 0.05 * static_cast<double>(i % 5)));
        context->setVelocities(velocities);
    }
    std::vector<Vec3> getPositions() const { return context->getState(State::Positions).getPositions(); }
    std::vector<Vec3> getVelocities() const { return context->getState(State::Velocities).getVelocities(); }

    Integrator integrator;
    std::unique_ptr<Context> context;
};

class LangevinTest : public PlatformTest {};

const Integrator::Scheme allSchemes[] = {Integrator::LFMiddle, Integrator::Legacy, Integrator::Metropolized};

} // namespace

TEST_P(LangevinTest, WithoutNoiseStepsFollowTheirFormulas) {
    for (auto scheme : {Integrator::LFMiddle, Integrator::Legacy}) {
        System system;
        addMolecules(system, makePerceptron(), 1);
        const Vec3 x0(0.3, -0.2, 0.1), v0(0.5, -0.25, 0.75);
        Integrator integrator(0.0, 3.0, 0.01);
        integrator.setScheme(scheme);
        integrator.setAllowTemperatureMismatch(true);
        Context context(system, integrator, getPlatform());
        context.setPositions({x0});
        context.setVelocities({v0});
        const double dt = 0.01, a = std::exp(-3.0 * dt), m = system.getParticleMass(0);
        const Vec3 f = context.getState(State::Forces).getForces()[0];
        integrator.step(1);
        Vec3 v, x;
        if (scheme == Integrator::Legacy) {
            v = v0 * a + f * ((1 - a) / (3.0 * m));
            x = x0 + v * dt;
        }
        else {
            const Vec3 kicked = v0 + f * (dt / m);
            v = kicked * a;
            x = x0 + kicked * (dt / 2) + v * (dt / 2);
        }
        State state = context.getState(State::Positions | State::Velocities);
        expectNear({x}, state.getPositions(), 1e-14);
        expectNear({v}, state.getVelocities(), 1e-13);
        EXPECT_DOUBLE_EQ(dt, state.getTime());
        EXPECT_EQ(1, state.getStepCount());
    }
}

TEST_P(LangevinTest, MoleculeMovesAloneAsAmongMany) {
    const int copies = 23;
    const std::vector<Vec3> positions = makePositions(5, copies);
    for (auto scheme : allSchemes) {
        System many;
        addMolecules(many, makeTransformer(), copies);
        MoleculeRun together(many, getPlatform(), positions, scheme);
        together.integrator.step(20);
        for (int m : {0, 7, 22}) {
            System one;
            addMolecules(one, makeTransformer(), 1);
            MoleculeRun alone(one, getPlatform(), {positions.begin() + 5 * m, positions.begin() + 5 * m + 5},
                              scheme);
            alone.integrator.setMoleculeOffset(m);
            alone.context->reinitialize(true);
            alone.integrator.step(20);
            const std::vector<Vec3> all = together.getPositions();
            expectSame(alone.getPositions(), {all.begin() + 5 * m, all.begin() + 5 * m + 5});
        }
    }
}

TEST_P(LangevinTest, ThreadsDoNotMatter) {
    if (GetParam() == "Reference")
        GTEST_SKIP() << "the Reference platform has one thread";
    const std::vector<Vec3> positions = makePositions(5, 40);
    System system;
    addMolecules(system, makeTransformer(), 40);
    MoleculeRun one(system, getPlatform(), positions, Integrator::LFMiddle, 5, {{"Threads", "1"}});
    MoleculeRun two(system, getPlatform(), positions, Integrator::LFMiddle, 5, {{"Threads", "2"}});
    one.integrator.step(50);
    two.integrator.step(50);
    expectSame(one.getPositions(), two.getPositions());
}

TEST_P(LangevinTest, LoopEqualsTheOrdinaryPath) {
    const std::vector<Vec3> positions = makePositions(5, 3);
    for (auto scheme : {Integrator::LFMiddle, Integrator::Legacy}) {
        System bare, dressed;
        addMolecules(bare, makeTransformer(), 3);
        addMolecules(dressed, makeTransformer(), 3);
        // A force that is zero, so that only the path differs.
        dressed.addForce(new OpenMM::HarmonicBondForce());
        MoleculeRun loop(bare, getPlatform(), positions, scheme),
            ordinary(dressed, getPlatform(), positions, scheme);
        loop.integrator.step(30);
        ordinary.integrator.step(30);
        expectSame(loop.getPositions(), ordinary.getPositions());
        expectSame(loop.getVelocities(), ordinary.getVelocities());
        EXPECT_EQ(loop.context->getTime(), ordinary.context->getTime());
    }
}

TEST_P(LangevinTest, CheckpointContinuesBitForBit) {
    const std::vector<Vec3> positions = makePositions(5, 3);
    System system;
    addMolecules(system, makeTransformer(), 3);
    for (auto scheme : allSchemes) {
        MoleculeRun whole(system, getPlatform(), positions, scheme, 0),
            resumed(system, getPlatform(), positions, scheme, 0);
        std::stringstream checkpoint;
        whole.integrator.step(15);
        whole.context->createCheckpoint(checkpoint);
        whole.integrator.step(15);
        resumed.context->loadCheckpoint(checkpoint);
        resumed.integrator.step(15);
        expectSame(whole.getPositions(), resumed.getPositions());
        expectSame(whole.getVelocities(), resumed.getVelocities());
        EXPECT_EQ(whole.integrator.getAcceptanceRate(), resumed.integrator.getAcceptanceRate());
    }
}

TEST_P(LangevinTest, RejectedMoleculeTurnsRound) {
    // The step is so long that it ends far up the walls of a harmonic well.
    System system;
    addMolecules(system, makeHarmonic(2, 4.0), 1);
    Integrator integrator(300.0, 0.0, 100.0);
    integrator.setScheme(Integrator::Metropolized);
    Context context(system, integrator, getPlatform());
    const Vec3 x(0.3, -0.2, 0), v(0.5, 0.25, 0);
    context.setPositions({x});
    context.setVelocities({v});
    integrator.step(1);
    State state = context.getState(State::Positions | State::Velocities);
    expectSame({x}, state.getPositions());
    expectSame({v * -1.0}, state.getVelocities());
    EXPECT_EQ(0, integrator.getAcceptanceRate());
}

TEST_P(LangevinTest, SeedsDecideThePath) {
    System system;
    addMolecules(system, makeTransformer(), 1);
    const std::vector<Vec3> positions = makePositions(5, 1);
    MoleculeRun a(system, getPlatform(), positions, Integrator::LFMiddle, 1),
        b(system, getPlatform(), positions, Integrator::LFMiddle, 1),
        c(system, getPlatform(), positions, Integrator::LFMiddle, 2);
    for (MoleculeRun* run : {&a, &b, &c})
        run->integrator.step(10);
    expectSame(a.getPositions(), b.getPositions());
    EXPECT_NE(a.getPositions()[0][0], c.getPositions()[0][0]);
}

TEST_P(LangevinTest, MasslessParticlesStay) {
    System system;
    addMolecules(system, makeTransformer(), 2);
    system.setParticleMass(3, 0.0);
    const std::vector<Vec3> positions = makePositions(5, 2);
    for (auto scheme : allSchemes) {
        MoleculeRun run(system, getPlatform(), positions, scheme);
        run.integrator.step(10);
        expectSame({positions[3]}, {run.getPositions()[3]});
        EXPECT_NE(positions[4][0], run.getPositions()[4][0]);
    }
}

TEST_P(LangevinTest, OtherForcesAndFreeParticlesTakePart) {
    System system;
    addMolecules(system, makeTransformer(), 2);
    system.addParticle(20.0);
    auto* wall = new OpenMM::CustomExternalForce("1000*x");
    wall->addParticle(10);
    system.addForce(wall);
    std::vector<Vec3> positions = makePositions(5, 2);
    positions.push_back(Vec3(0, 0, 0));
    MoleculeRun run(system, getPlatform(), positions);
    run.integrator.step(100);
    // Friction hardly matters in 0.2 ps: x is about -(F/m) t^2/2 = -1.
    EXPECT_LT(run.getPositions()[10][0], -0.7);
}

TEST_P(LangevinTest, EnergyIsConservedWithoutFriction) {
    System system;
    addMolecules(system, makeTransformer(), 2);
    const double dt = 0.0005;
    Integrator integrator(300.0, 0.0, dt);
    Context context(system, integrator, getPlatform());
    context.setPositions(makePositions(5, 2));
    context.setVelocitiesToTemperature(300.0, 3);
    // Velocities are half a step behind positions: shift them before adding energies up.
    auto total = [&] {
        State state = context.getState(State::Energy | State::Forces | State::Velocities);
        double energy = state.getPotentialEnergy();
        for (int i = 0; i < system.getNumParticles(); i++) {
            const double m = system.getParticleMass(i);
            const Vec3 v = state.getVelocities()[i] + state.getForces()[i] * (0.5 * dt / m);
            energy += 0.5 * m * v.dot(v);
        }
        return energy;
    };
    integrator.step(1);
    const double before = total(), kinetic = context.getState(State::Energy).getKineticEnergy();
    integrator.step(4000);
    // A drift below 0.2 % of the kinetic energy in 2 ps.
    EXPECT_NEAR(before, total(), 0.002 * kinetic);
}

TEST_P(LangevinTest, NothingChangesWhenAStepFails) {
    System system;
    addMolecules(system, makeTransformer(), 2);
    for (auto scheme : allSchemes) {
        MoleculeRun run(system, getPlatform(), makePositions(5, 2), scheme);
        run.integrator.step(3);
        std::vector<Vec3> velocities = run.getVelocities();
        velocities[7] = Vec3(1e308, 0, 0) * 10;
        run.context->setVelocities(velocities);
        expectError([&] { run.integrator.step(5); }, "molecule 1");
        EXPECT_GE(4, run.context->getStepCount());
    }
}

TEST_P(LangevinTest, StatesCarryTheIntegratorsParameters) {
    System system;
    addMolecules(system, makeTransformer(), 1);
    MoleculeRun run(system, getPlatform(), makePositions(5, 1));
    run.integrator.setFriction(7.5);
    State state = run.context->getState(State::Positions | State::IntegratorParameters);
    run.integrator.setFriction(1.0);
    run.context->setState(state);
    EXPECT_EQ(7.5, run.integrator.getFriction());
}

TEST_P(LangevinTest, RefusesWhatItCannotDo) {
    const std::vector<Vec3> positions = makePositions(5, 2);
    auto expectRefused = [&](const std::function<void(System&, Integrator&)>& change,
                             const std::string& text) {
        System system;
        addMolecules(system, makeTransformer(), 2);
        Integrator integrator(300.0, 1.0, 0.001);
        change(system, integrator);
        expectError([&] { Context context(system, integrator, getPlatform()); }, text);
    };
    expectRefused([](System& s, Integrator&) { s.addConstraint(0, 1, 0.1); }, "constraints");
    expectRefused([](System& s, Integrator&) { s.addForce(new OpenMM::MonteCarloBarostat(1, 300)); },
                  "barostat");
    expectRefused([](System&, Integrator& i) { i.setTemperature(310); }, "setAllowTemperatureMismatch");
    expectRefused(
        [](System&, Integrator& i) {
            i.setMoleculeTemperatures({300, 301});
        },
        "setAllowTemperatureMismatch");
    expectRefused([](System&, Integrator& i) { i.setMoleculeTemperatures({300}); },
                  "1 molecule temperatures");
    expectRefused(
        [](System& s, Integrator& i) {
            i.setScheme(Integrator::Metropolized);
            s.addForce(new OpenMM::HarmonicBondForce());
        },
        "every force of the System must be a ScoreForce");

    Integrator integrator(300.0, 1.0, 0.001);
    expectError([&] { integrator.step(1); }, "not bound");
    expectError([&] { integrator.setTemperature(-1); }, "temperature");
    expectError([&] { integrator.setFriction(std::nan("")); }, "friction");
    expectError([&] { integrator.setScheme(static_cast<Integrator::Scheme>(9)); }, "no scheme");
    expectError([&] { Integrator(300, 1, -0.1); }, "step size");
    System system;
    addMolecules(system, makeTransformer(), 2);
    Context context(system, integrator, getPlatform());
    expectError([&] { integrator.step(1); }, "positions");
    context.setPositions(positions);
    expectError([&] { integrator.setTemperature(310); }, "trained at");
    integrator.step(1);
}

TEST_P(LangevinTest, XmlKeepsEveryField) {
    Integrator integrator(310.5, 2.5, 0.003);
    integrator.setRandomNumberSeed(17);
    integrator.setScheme(Integrator::Metropolized);
    integrator.setMoleculeOffset(4);
    integrator.setAllowTemperatureMismatch(true);
    integrator.setMoleculeTemperatures({300, 310, 320.25});
    integrator.setIntegrationForceGroups(5);
    integrator.setConstraintTolerance(1e-7);
    std::stringstream xml;
    OpenMM::XmlSerializer::serialize<OpenMM::Integrator>(&integrator, "Integrator", xml);
    std::unique_ptr<OpenMM::Integrator> copy(OpenMM::XmlSerializer::deserialize<OpenMM::Integrator>(xml));
    auto* read = dynamic_cast<Integrator*>(copy.get());
    ASSERT_NE(nullptr, read);
    EXPECT_EQ(310.5, read->getTemperature());
    EXPECT_EQ(2.5, read->getFriction());
    EXPECT_EQ(0.003, read->getStepSize());
    EXPECT_EQ(17, read->getRandomNumberSeed());
    EXPECT_EQ(Integrator::Metropolized, read->getScheme());
    EXPECT_EQ(4, read->getMoleculeOffset());
    EXPECT_TRUE(read->getAllowTemperatureMismatch());
    EXPECT_EQ((std::vector<double>{300, 310, 320.25}), read->getMoleculeTemperatures());
    EXPECT_EQ(5, read->getIntegrationForceGroups());
    EXPECT_EQ(1e-7, read->getConstraintTolerance());
}

INSTANTIATE_ON_PLATFORMS(LangevinTest);
