// Everything that a user of ScoreForce can get wrong.
#include <fstream>
#include <limits>

#include "ScoreForceTesting.h"

using namespace OpenMMScore;
using namespace OpenMMScore::testing;

namespace {

constexpr double notANumber = std::numeric_limits<double>::quiet_NaN();
constexpr double infinity = std::numeric_limits<double>::infinity();

TEST(ScoreForceArguments, AModelFileMustExistAndBeOne) {
    expectError([] { ScoreForce("no/such/file.safetensors"); }, "no/such/file.safetensors");
    const std::string path = ::testing::TempDir() + "openmmscore-damaged.safetensors";
    std::ofstream(path) << "this is no model";
    expectError([&] { ScoreForce{path}; }, path);
    std::remove(path.c_str());
    expectError([] { ScoreForce::fromBytes({1, 2, 3}, "three bytes"); }, "three bytes");
    expectError([] { ScoreForce(std::shared_ptr<const ScoreModel>()); }, "no model");
}

TEST(ScoreForceArguments, AMoleculeMustFitTheModel) {
    ScoreForce force(makeTransformer());
    expectError([&] { force.addMolecule({0, 1, 2}); }, "molecule 0 has 3 particles, the model expects 5");
    expectError([&] { force.addMolecule({}); }, "has 0 particles");
    expectError([&] { force.addMolecule({0, 1, 2, 3, -4}); }, "index -4");
    expectError([&] { force.addMolecule({0, 1, 2, 3, 1}); }, "has particle 1 twice");
    expectError([&] { force.addMolecule({0, 1, 2, 3, 4}, {0}); }, "has 1 features, the model expects 0");
    EXPECT_EQ(force.getNumMolecules(), 0);
    EXPECT_EQ(force.addMolecule({0, 1, 2, 3, 4}), 0);
    expectError([&] { force.setMoleculeParameters(1, {0, 1, 2, 3, 4}); }, "no molecule 1");
    expectError([&] { force.setMoleculeParameters(-1, {0, 1, 2, 3, 4}); }, "no molecule -1");
    expectError([&] { force.setMoleculeParameters(0, {0}); }, "molecule 0 has 1 particles");
    std::vector<int> particles, features;
    expectError([&] { force.getMoleculeParameters(7, particles, features); }, "no molecule 7");
}

TEST(ScoreForceArguments, FeaturesMustBeInTheirRange) {
    ScoreForce force(makeTransferable());
    EXPECT_EQ(force.getNumFeatures(), 2);
    expectError([&] { force.addMolecule({0, 1, 2, 3, 4}); }, "has 0 features, the model expects 10");
    std::vector<int> features = someFeatures(0);
    features[7] = 3;
    expectError(
        [&] {
            force.addMolecule({0, 1, 2, 3, 4}, features);
        },
        "feature \"chain\" of particle 3 of molecule 0 is 3, outside 0 to 2");
    features[7] = -1;
    expectError([&] { force.addMolecule({0, 1, 2, 3, 4}, features); }, "is -1, outside 0 to 2");
}

TEST(ScoreForceArguments, DiffusionTimeMustBeCovered) {
    ModelDescription description = describeTransformer();
    description.experts[0].lowerTime = 0.1;
    description.defaultDiffusionTime = 0.15;
    ScoreForce force(makeModel(description));
    EXPECT_EQ(force.getDiffusionTime(), 0.15);
    expectError([&] { force.setDiffusionTime(0.05); }, "diffusion time 0.05 lies outside 0.1 to 1");
    expectError([&] { force.setDiffusionTime(notANumber); }, "lies outside");
    EXPECT_EQ(force.getDiffusionTime(), 0.15);
    force.setDiffusionTime(1.0);
    EXPECT_EQ(force.getDiffusionTime(), 1.0);
}

TEST(ScoreForceArguments, DiffusionTimeMustBeALevelOfADiscreteSchedule) {
    ModelDescription description = describeTransformer();
    description.schedule.kind = ScheduleDescription::Kind::CosineDdpm;
    ScoreForce force(makeModel(description));
    force.setDiffusionTime(0.012);
    expectError([&] { force.setDiffusionTime(0.0123); }, "is no level of the model's discrete schedule");
    EXPECT_EQ(force.getDiffusionTime(), 0.012);
}

TEST(ScoreForceArguments, ScaleAndDerivativeHaveNamesAndValues) {
    ScoreForce force(makeTransformer());
    EXPECT_EQ(force.getScaleParameter(), "ScoreForceScale");
    expectError([&] { force.setScaleParameter(""); }, "needs a name");
    expectError([&] { force.setDefaultScale(notANumber); }, "not a finite number");
    expectError([&] { force.addEnergyParameterDerivative("lambda"); },
                "no derivative with respect to \"lambda\"");
    expectError([&] { force.getEnergyParameterDerivativeName(0); }, "no energy parameter derivative 0");
    force.addEnergyParameterDerivative("ScoreForceScale");
    force.addEnergyParameterDerivative("ScoreForceScale");
    force.setScaleParameter("lambda");
    EXPECT_EQ(force.getNumEnergyParameterDerivatives(), 1);
    EXPECT_EQ(force.getEnergyParameterDerivativeName(0), "lambda");
}

TEST(ScoreForceArguments, AModelFromMemoryStaysEmbedded) {
    ScoreForce force(makeTransformer());
    EXPECT_EQ(force.getModelFile(), "");
    EXPECT_TRUE(force.getModelEmbedded());
    expectError([&] { force.setModelEmbedded(false); }, "came from memory");
}

class ScoreForceErrorsTest : public PlatformTest {
protected:
    void expectNoContext(const System& system, const std::string& text) {
        OpenMM::VerletIntegrator integrator(0.001);
        expectError([&] { Context(system, integrator, getPlatform()); }, text);
    }
};

TEST_P(ScoreForceErrorsTest, MoleculesMustBePartOfTheSystem) {
    System system;
    for (int i = 0; i < 7; i++)
        system.addParticle(1);
    auto* force = new ScoreForce(makeTransformer());
    system.addForce(force);
    expectNoContext(system, "call addMolecule()");
    force->addMolecule({0, 1, 2, 3, 7});
    expectNoContext(system, "molecule 0 has a particle of index 7, the System has only 7 particles");
    force->setMoleculeParameters(0, {0, 1, 2, 3, 4});
    force->addMolecule({5, 6, 2, 0, 1});
    expectNoContext(system, "particle 2 is in molecule 0 and in molecule 1");
}

TEST_P(ScoreForceErrorsTest, ANetworkWithoutEnergyIsRefusedUnlessAccepted) {
    System system;
    ScoreForce* force = addMolecules(system, makeMixture(), 1);
    force->setDiffusionTime(0.5);
    expectNoContext(system, "at diffusion time 0.5");
    force->setDiffusionTime(0.8);
    expectNoContext(system, "gives a score but no energy; its forces are no gradient");
    force->setNonConservative(true);
    Simulation simulation(system, getPlatform(), makePositions(5, 1));
    EXPECT_NE(simulation.getForces()[0], Vec3());
    expectError([&] { simulation.getEnergy(); }, "no energy to report");
    EXPECT_EQ(simulation.getEnergy(1 << 5), 0);
    expectError([&] { OpenMM::LocalEnergyMinimizer::minimize(simulation.context); }, "no energy");
    simulation.integrator.step(2);
    force->addEnergyParameterDerivative(ScoreForce::Scale());
    expectNoContext(system, "hence no derivative");
}

TEST_P(ScoreForceErrorsTest, PositionsThatAreNotFiniteAreNamed) {
    System system;
    addMolecules(system, makeTransformer(), 4);
    std::vector<Vec3> positions = makePositions(5, 4);
    Simulation simulation(system, getPlatform(), positions);
    for (double bad : {notANumber, infinity}) {
        std::vector<Vec3> broken(positions);
        broken[12][1] = bad;
        broken[17][0] = bad;
        simulation.context.setPositions(broken);
        // The CPU platform itself looks for NaN, before any Force has its turn.
        const std::string text =
            GetParam() == "CPU" && std::isnan(bad)
                ? "Particle coordinate is NaN"
                : "ScoreForce: particle 12 (molecule 2) has a position that is not finite";
        expectError([&] { simulation.getEnergy(); }, text);
        expectError([&] { simulation.getForces(); }, text);
    }
    simulation.context.setPositions(positions);
    EXPECT_TRUE(std::isfinite(simulation.getEnergy()));
}

TEST_P(ScoreForceErrorsTest, ResultsThatAreNotFiniteAreNamed) {
    // Finite, but too far away to be squared.
    System system;
    addMolecules(system, makeHarmonic(3, 1), 3);
    Simulation simulation(system, getPlatform(), {Vec3(), Vec3(1e308, 0, 0) * 1.5, Vec3()});
    try {
        simulation.getEnergy();
        ADD_FAILURE() << "no exception";
    }
    catch (const OpenMMException& error) {
        EXPECT_NE(std::string(error.what()).find("molecule 1"), std::string::npos) << error.what();
    }
}

TEST_P(ScoreForceErrorsTest, AScaleThatIsNotFiniteIsNamed) {
    System system;
    addMolecules(system, makeTransformer(), 1);
    Simulation simulation(system, getPlatform(), makePositions(5, 1));
    simulation.context.setParameter(ScoreForce::Scale(), notANumber);
    expectError([&] { simulation.getEnergy(); }, "parameter \"ScoreForceScale\" is nan");
}

TEST_P(ScoreForceErrorsTest, ForcesThatShareAScaleNeedTheSameDefault) {
    System system;
    addMolecules(system, makeTransformer(), 1);
    addMolecules(system, makeTransformer(), 1)->setDefaultScale(2);
    expectNoContext(system, ScoreForce::Scale());
}

INSTANTIATE_ON_PLATFORMS(ScoreForceErrorsTest);

} // namespace
