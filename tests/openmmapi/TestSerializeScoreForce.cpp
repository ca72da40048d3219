#include <cstdio>
#include <filesystem>

#include <openmm/serialization/XmlSerializer.h>

#include "ScoreForceTesting.h"
#include "SerializationTesting.h"

using namespace OpenMMScore;
using namespace OpenMMScore::testing;
using OpenMM::XmlSerializer;

namespace {

/** A model file that is removed after the case. */
class SerializeScoreForceTest : public ::testing::Test {
protected:
    SerializeScoreForceTest()
        : path(::testing::TempDir() + "openmmscore-serialize-" + std::to_string(::getpid()) +
               ".safetensors") {
        write(makeTransferable());
    }
    ~SerializeScoreForceTest() override { std::remove(path.c_str()); }

    void write(const std::shared_ptr<const ScoreModel>& model) {
        ModelFile::writeAtomically(path, model->getFile().getBytes());
    }

    /** Gives every field a value that is not its default. */
    void fill(ScoreForce& force) {
        force.addMolecule({4, 3, 2, 1, 0}, someFeatures(1));
        force.addMolecule({5, 6, 9, 8, 7}, someFeatures(2));
        force.setForceGroup(5);
        force.setName("first & <second>");
        force.setDiffusionTime(0.1 + 0.2);
        force.setScaleParameter("lambda");
        force.setDefaultScale(1.0 / 3);
        force.addEnergyParameterDerivative("lambda");
        force.setNonConservative(true);
    }

    void expectEqual(const ScoreForce& a, const ScoreForce& b) {
        EXPECT_EQ(a.getModelFile(), b.getModelFile());
        EXPECT_EQ(a.getModelHash(), b.getModelHash());
        EXPECT_EQ(a.getModelEmbedded(), b.getModelEmbedded());
        EXPECT_EQ(a.getForceGroup(), b.getForceGroup());
        EXPECT_EQ(a.getName(), b.getName());
        EXPECT_EQ(a.getDiffusionTime(), b.getDiffusionTime());
        EXPECT_EQ(a.getScaleParameter(), b.getScaleParameter());
        EXPECT_EQ(a.getDefaultScale(), b.getDefaultScale());
        EXPECT_EQ(a.getNumEnergyParameterDerivatives(), b.getNumEnergyParameterDerivatives());
        EXPECT_EQ(a.getNonConservative(), b.getNonConservative());
        ASSERT_EQ(a.getNumMolecules(), b.getNumMolecules());
        for (int m = 0; m < a.getNumMolecules(); m++) {
            std::vector<int> particlesA, featuresA, particlesB, featuresB;
            a.getMoleculeParameters(m, particlesA, featuresA);
            b.getMoleculeParameters(m, particlesB, featuresB);
            EXPECT_EQ(particlesA, particlesB);
            EXPECT_EQ(featuresA, featuresB);
        }
    }

    const std::string path;
};

TEST_F(SerializeScoreForceTest, EveryFieldSurvivesAReference) {
    ScoreForce force(path);
    fill(force);
    const std::string xml = toXml(force);
    EXPECT_EQ(xml.find("base64"), std::string::npos);
    const auto copy = fromXml<ScoreForce>(xml);
    expectEqual(force, *copy);
    EXPECT_EQ(toXml(*copy), xml);
}

TEST_F(SerializeScoreForceTest, EveryFieldSurvivesEmbedding) {
    ScoreForce force(path);
    fill(force);
    force.setModelEmbedded(true);
    std::remove(path.c_str());
    const std::string xml = toXml(force);
    const auto copy = fromXml<ScoreForce>(xml);
    expectEqual(force, *copy);
    EXPECT_EQ(toXml(*copy), xml);
}

TEST_F(SerializeScoreForceTest, DefaultsSurvive) {
    ScoreForce force(path);
    expectEqual(force, *fromXml<ScoreForce>(toXml(force)));
}

TEST_F(SerializeScoreForceTest, AModelFromMemoryIsEmbedded) {
    // Titles of different length give files of different length, hence different base64 endings.
    for (int values : {20, 21, 22, 23}) {
        ModelDescription description = describeTransformer();
        description.title = std::string(values, 'x');
        ScoreForce force(makeModel(description));
        expectEqual(force, *fromXml<ScoreForce>(toXml(force)));
    }
}

TEST_F(SerializeScoreForceTest, CloneCopies) {
    ScoreForce force(path);
    fill(force);
    std::unique_ptr<OpenMM::Force> copy(XmlSerializer::clone<OpenMM::Force>(force));
    expectEqual(force, dynamic_cast<ScoreForce&>(*copy));
}

TEST_F(SerializeScoreForceTest, ASystemSurvivesWithItsEnergy) {
    loadPlugins();
    System system;
    addMolecules(system, makeTransferable(), 3);
    std::unique_ptr<System> copy(XmlSerializer::clone<System>(system));
    const std::vector<Vec3> positions = makePositions(5, 3);
    Platform& platform = Platform::getPlatform("Reference");
    Simulation first(system, platform, positions), second(*copy, platform, positions);
    EXPECT_EQ(first.getEnergy(), second.getEnergy());
    expectSame(first.getForces(), second.getForces());
}

TEST_F(SerializeScoreForceTest, AChangedFileIsAnErrorWithBothHashes) {
    ScoreForce force(path);
    const std::string xml = toXml(force);
    write(makeTransformer());
    ScoreForce other(path);
    EXPECT_NE(force.getModelHash(), other.getModelHash());
    expectError([&] { fromXml<ScoreForce>(xml); }, path);
    expectError([&] { fromXml<ScoreForce>(xml); }, "its SHA-256 is " + other.getModelHash());
    expectError([&] { fromXml<ScoreForce>(xml); }, "expected " + force.getModelHash());
}

TEST_F(SerializeScoreForceTest, AMissingFileIsAnErrorWithPathAndHash) {
    ScoreForce force(path);
    const std::string xml = toXml(force);
    std::remove(path.c_str());
    expectError([&] { fromXml<ScoreForce>(xml); }, path);
    expectError([&] { fromXml<ScoreForce>(xml); }, force.getModelHash());
}

TEST_F(SerializeScoreForceTest, EmbeddedBytesAreChecked) {
    ScoreForce force(path);
    force.setModelEmbedded(true);
    const std::string xml = toXml(force);
    const std::size_t start = xml.find("base64=\"") + 8;
    std::string damaged(xml);
    damaged[start + 5000] = damaged[start + 5000] == 'A' ? 'B' : 'A';
    expectError([&] { fromXml<ScoreForce>(damaged); }, "");
    damaged = xml;
    damaged[start + 5000] = '!';
    expectError([&] { fromXml<ScoreForce>(damaged); }, "not valid base64");
    damaged = xml;
    damaged.erase(start + 5000, 4);
    expectError([&] { fromXml<ScoreForce>(damaged); }, "");
}

TEST_F(SerializeScoreForceTest, ANewerVersionIsRefused) {
    ScoreForce force(path);
    std::string xml = toXml(force);
    const std::size_t at = xml.rfind("version=\"1\"");
    ASSERT_NE(at, std::string::npos);
    xml.replace(at, 11, "version=\"2\"");
    expectError([&] { fromXml<ScoreForce>(xml); }, "version 2");
}

TEST_F(SerializeScoreForceTest, ARelativePathBecomesAbsolute) {
    const auto relative = std::filesystem::relative(path).string();
    ScoreForce force(relative);
    EXPECT_TRUE(std::filesystem::path(force.getModelFile()).is_absolute());
    EXPECT_TRUE(std::filesystem::equivalent(force.getModelFile(), path));
}

} // namespace
