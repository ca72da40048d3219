// What a ScoreForce computes: energies, forces, parameters.
#include "ScoreForceTesting.h"

using namespace OpenMMScore;
using namespace OpenMMScore::testing;

namespace {

constexpr double gasConstant = 8.31446261815324e-3;

class ScoreForceTest : public PlatformTest {
protected:
    /** Compares the force on each particle with central differences of the energy. */
    void checkFiniteDifferences(const System& system, const std::vector<Vec3>& start) {
        Simulation simulation(system, getPlatform(), start);
        const std::vector<Vec3> forces = simulation.getForces();
        // The truncation error is of second order in h; float arithmetic leaves 1e-7 of the energy over h.
        const bool isDouble = GetParam() == "Reference";
        const double h = isDouble ? 2e-5 : 1e-3;
        std::vector<Vec3> numeric(start.size());
        for (std::size_t i = 0; i < start.size(); i++)
            for (int k = 0; k < 3; k++) {
                std::vector<Vec3> moved(start);
                moved[i][k] += h;
                simulation.context.setPositions(moved);
                double above = simulation.getEnergy();
                moved[i][k] -= 2 * h;
                simulation.context.setPositions(moved);
                numeric[i][k] = -(above - simulation.getEnergy()) / (2 * h);
            }
        expectNear(forces, numeric, isDouble ? 1e-6 : 3e-3);
    }
};

TEST_P(ScoreForceTest, ForcesOfATransformerMatchFiniteDifferences) {
    System system;
    addMolecules(system, makeTransformer(), 2);
    checkFiniteDifferences(system, makePositions(5, 2));
}

TEST_P(ScoreForceTest, ForcesOfATransferableModelMatchFiniteDifferences) {
    System system;
    addMolecules(system, makeTransferable(), 2);
    checkFiniteDifferences(system, makePositions(5, 2));
}

TEST_P(ScoreForceTest, ForcesOfAPerceptronMatchFiniteDifferences) {
    System system;
    addMolecules(system, makePerceptron(), 3);
    checkFiniteDifferences(system, {Vec3(0.3, -0.5, 7), Vec3(1.5, 0.2, 0), Vec3(-0.4, 1.1, -1)});
}

TEST_P(ScoreForceTest, EnergiesOfMoleculesAddUpToTheWhole) {
    System system;
    ScoreForce* force = addMolecules(system, makeTransferable(), 4);
    Simulation simulation(system, getPlatform(), makePositions(5, 4));
    simulation.context.setParameter(ScoreForce::Scale(), 0.5);
    const std::vector<Vec3> forces = simulation.getForces();
    const std::vector<double> energies = force->getMoleculeEnergies(simulation.context);
    ASSERT_EQ(4u, energies.size());
    EXPECT_DOUBLE_EQ(simulation.getEnergy(), energies[0] + energies[1] + energies[2] + energies[3]);
    EXPECT_NE(energies[0], energies[1]);
    expectSame(forces, simulation.getForces());
}

TEST_P(ScoreForceTest, EnergyIsKTTimesTheModels) {
    auto model = makeTransformer();
    System system;
    ScoreForce* force = addMolecules(system, model, 1);
    force->setDiffusionTime(0.3);
    const std::vector<Vec3> positions = makePositions(5, 1);
    std::vector<double> z;
    for (const Vec3& position : positions)
        for (int k = 0; k < 3; k++)
            z.push_back(position[k] / force->getLengthScale());
    const double t = 0.3;
    double energy;
    model->evaluate(1, z, {&t, 1}, {}, &energy, nullptr);
    Simulation simulation(system, getPlatform(), positions);
    EXPECT_NEAR(simulation.getEnergy(), gasConstant * force->getTemperature() * energy,
                getTolerance() * (1 + std::abs(simulation.getEnergy())));
}

TEST_P(ScoreForceTest, AVectorModelActsOnTheFirstCoordinatesAsTheyAre) {
    // kT e = kT stiffness/2 |x|^2 with d = 4: x0, y0, z0, x1.
    System system;
    addMolecules(system, makeHarmonic(4, 3.0), 1);
    Simulation simulation(system, getPlatform(), {Vec3(0.1, 0.2, -0.3), Vec3(0.4, 5, 6)});
    const double kT = gasConstant * 300;
    EXPECT_NEAR(simulation.getEnergy(), kT * 1.5 * 0.3, 1e-3);
    expectNear(simulation.getForces(), {Vec3(-0.1, -0.2, 0.3) * 3 * kT, Vec3(-0.4, 0, 0) * 3 * kT}, 1e-3);
}

TEST_P(ScoreForceTest, NetForceVanishes) {
    System system;
    addMolecules(system, makeTransformer(), 3);
    Simulation simulation(system, getPlatform(), makePositions(5, 3));
    const std::vector<Vec3> forces = simulation.getForces();
    for (int m = 0; m < 3; m++) {
        Vec3 sum;
        double greatest = 0;
        for (int i = 0; i < 5; i++) {
            sum += forces[5 * m + i];
            greatest = std::max(greatest, std::sqrt(forces[5 * m + i].dot(forces[5 * m + i])));
        }
        EXPECT_GT(greatest, 0.1);
        EXPECT_LT(std::sqrt(sum.dot(sum)), getTolerance() * greatest);
    }
}

TEST_P(ScoreForceTest, EnergyDoesNotChangeUnderTranslation) {
    System system;
    addMolecules(system, makeTransformer(), 1);
    std::vector<Vec3> positions = makePositions(5, 1);
    Simulation simulation(system, getPlatform(), positions);
    const double energy = simulation.getEnergy();
    const std::vector<Vec3> forces = simulation.getForces();
    for (Vec3& position : positions)
        position += Vec3(1000, -370, 55);
    simulation.context.setPositions(positions);
    EXPECT_NEAR(simulation.getEnergy(), energy, 10 * getTolerance() * (1 + std::abs(energy)));
    expectNear(simulation.getForces(), forces, 10 * getTolerance());
}

TEST_P(ScoreForceTest, AHundredMoleculesFeelWhatEachFeelsAlone) {
    for (const auto& model : {makeTransformer(), makeTransferable()}) {
        System together;
        ScoreForce* all = addMolecules(together, model, 100);
        const std::vector<Vec3> positions = makePositions(5, 100);
        Simulation simulation(together, getPlatform(), positions);
        const std::vector<Vec3> forces = simulation.getForces();
        double sum = 0;
        System alone;
        ScoreForce* one = addMolecules(alone, model, 1);
        Simulation single(alone, getPlatform(), makePositions(5, 1));
        for (int m = 0; m < 100; m++) {
            std::vector<int> particles, features, ownParticles, own;
            all->getMoleculeParameters(m, particles, features);
            one->getMoleculeParameters(0, ownParticles, own);
            one->setMoleculeParameters(0, ownParticles, features);
            one->updateParametersInContext(single.context);
            single.context.setPositions({positions.begin() + 5 * m, positions.begin() + 5 * (m + 1)});
            expectSame(single.getForces(), {forces.begin() + 5 * m, forces.begin() + 5 * (m + 1)});
            sum += single.getEnergy();
        }
        EXPECT_NEAR(simulation.getEnergy(), sum, 1e-11 * std::abs(sum));
    }
}

TEST_P(ScoreForceTest, ScaleMultipliesEnergyAndForces) {
    System system;
    ScoreForce* force = addMolecules(system, makeTransformer(), 2);
    force->addEnergyParameterDerivative(ScoreForce::Scale());
    Simulation simulation(system, getPlatform(), makePositions(5, 2));
    const double energy = simulation.getEnergy();
    const std::vector<Vec3> forces = simulation.getForces();
    simulation.context.setParameter(ScoreForce::Scale(), 0.25);
    EXPECT_NEAR(simulation.getEnergy(), 0.25 * energy, 1e-12 * std::abs(energy));
    std::vector<Vec3> quarter;
    for (const Vec3& f : forces)
        quarter.push_back(f * 0.25);
    expectNear(simulation.getForces(), quarter, 1e-12);
    for (double scale : {0.25, 0.0, -1.0}) {
        simulation.context.setParameter(ScoreForce::Scale(), scale);
        auto derivatives =
            simulation.context.getState(State::ParameterDerivatives).getEnergyParameterDerivatives();
        ASSERT_EQ(derivatives.size(), 1u);
        EXPECT_NEAR(derivatives[ScoreForce::Scale()], energy, 1e-12 * std::abs(energy));
    }
}

TEST_P(ScoreForceTest, ForcesShareAScaleOrHaveTheirOwn) {
    System system;
    ScoreForce* first = addMolecules(system, makeTransformer(), 1);
    ScoreForce* second = addMolecules(system, makeTransformer(), 1);
    const std::vector<Vec3> positions = makePositions(5, 2);
    Simulation shared(system, getPlatform(), positions);
    EXPECT_EQ(shared.context.getParameters().size(), 1u);
    const double energy = shared.getEnergy();
    shared.context.setParameter(ScoreForce::Scale(), 2);
    EXPECT_NEAR(shared.getEnergy(), 2 * energy, 1e-12 * std::abs(energy));

    first->setForceGroup(1);
    second->setScaleParameter("other");
    second->setDefaultScale(3);
    second->addEnergyParameterDerivative("other");
    Simulation own(system, getPlatform(), positions);
    EXPECT_EQ(own.context.getParameter("other"), 3);
    EXPECT_EQ(own.context.getParameter(ScoreForce::Scale()), 1);
    EXPECT_NEAR(own.getEnergy(1 << 1) + own.getEnergy(1 << 0) / 3, energy, 1e-11 * std::abs(energy));
    auto derivatives = own.context.getState(State::ParameterDerivatives).getEnergyParameterDerivatives();
    EXPECT_NEAR(derivatives["other"], own.getEnergy(1 << 0) / 3, 1e-11 * std::abs(energy));
}

TEST_P(ScoreForceTest, ActsInItsForceGroupOnly) {
    System system;
    ScoreForce* force = addMolecules(system, makeTransformer(), 1);
    auto* bond = new OpenMM::HarmonicBondForce();
    bond->addBond(0, 1, 0.1, 1000);
    system.addForce(bond);
    force->setForceGroup(31);
    Simulation simulation(system, getPlatform(), makePositions(5, 1));
    EXPECT_NEAR(simulation.getEnergy(), simulation.getEnergy(1 << 31) + simulation.getEnergy(1 << 0), 1e-3);
    EXPECT_EQ(simulation.getEnergy(1 << 3), 0);
    EXPECT_EQ(simulation.getForces(1 << 0)[3], Vec3());
    EXPECT_NE(simulation.getForces(1 << 31)[3], Vec3());
    force->setForceGroup(3);
    EXPECT_EQ(simulation.getEnergy(1 << 3), 0) << "the Context keeps the group it was created with";
}

TEST_P(ScoreForceTest, AskingForTheEnergyLeavesForcesAlone) {
    System system;
    addMolecules(system, makeTransformer(), 2);
    Simulation simulation(system, getPlatform(), makePositions(5, 2));
    OpenMM::ContextImpl& impl = ContextAccess::getImpl(simulation.context);
    const double both = impl.calcForcesAndEnergy(true, true);
    std::vector<Vec3> before, after;
    impl.getForces(before);
    EXPECT_EQ(impl.calcForcesAndEnergy(false, true), both);
    impl.getForces(after);
    expectSame(before, after);
    EXPECT_EQ(impl.calcForcesAndEnergy(true, false), 0);
    impl.getForces(after);
    expectSame(before, after);
}

INSTANTIATE_ON_PLATFORMS(ScoreForceTest);

TEST(ScoreForce, ReferenceAndCpuAgree) {
    loadPlugins();
    for (const auto& model : {makeTransformer(), makeTransferable()}) {
        System system;
        addMolecules(system, model, 13);
        const std::vector<Vec3> positions = makePositions(5, 13);
        Simulation reference(system, Platform::getPlatform("Reference"), positions);
        Simulation cpu(system, Platform::getPlatform("CPU"), positions);
        // Each molecule's reduced energy is of the order of 1, and computed in float.
        EXPECT_NEAR(cpu.getEnergy(), reference.getEnergy(), 13 * 2.5 * 2e-6);
        expectNear(cpu.getForces(), reference.getForces(), 2e-5);
    }
}

TEST(ScoreForce, ThreadsChangeNoBit) {
    loadPlugins();
    System system;
    addMolecules(system, makeTransferable(), 37);
    const std::vector<Vec3> positions = makePositions(5, 37);
    Platform& cpu = Platform::getPlatform("CPU");
    Simulation one(system, cpu, positions, {{"Threads", "1"}});
    for (const char* threads : {"2", "3", "8"}) {
        Simulation many(system, cpu, positions, {{"Threads", threads}});
        EXPECT_EQ(one.getEnergy(), many.getEnergy());
        expectSame(one.getForces(), many.getForces());
    }
}

} // namespace
