#include <cstdio>
#include <unistd.h>

#include <openmm/serialization/XmlSerializer.h>

#include "FlowMoveTesting.h"
#include "SerializationTesting.h"
#include "openmmscore/sampling/ProposalFile.h"

using namespace OpenMMScore;
using namespace OpenMMScore::testing;
using OpenMM::XmlSerializer;

namespace {

/** A proposal's file that is removed after the case. */
class SerializeMonteCarloFlowMove : public ::testing::Test {
protected:
    SerializeMonteCarloFlowMove()
        : path(::testing::TempDir() + "openmmscore-flowmove-" + std::to_string(::getpid()) + ".safetensors") {
        writeProposal(*makeGaussian(3, Proposal::Frame::Centred, 0.01), path);
    }
    ~SerializeMonteCarloFlowMove() override { std::remove(path.c_str()); }

    /** Gives every field a value that is not its default. */
    void fill(MonteCarloFlowMove& force) {
        force.addMolecule({4, 3, 2});
        force.addMolecule({5, 9, 7});
        force.setForceGroup(5);
        force.setName("first & <second>");
        force.setDefaultTemperature(100.0 / 3);
        force.setFrequency(17);
        force.setRandomNumberSeed(-12345);
    }

    void expectEqual(const MonteCarloFlowMove& a, const MonteCarloFlowMove& b) {
        EXPECT_EQ(a.getProposalFile(), b.getProposalFile());
        EXPECT_EQ(a.getProposalHash(), b.getProposalHash());
        EXPECT_EQ(a.getProposalBytes(), b.getProposalBytes());
        EXPECT_EQ(a.getProposalEmbedded(), b.getProposalEmbedded());
        EXPECT_EQ(a.getForceGroup(), b.getForceGroup());
        EXPECT_EQ(a.getName(), b.getName());
        EXPECT_EQ(a.getDefaultTemperature(), b.getDefaultTemperature());
        EXPECT_EQ(a.getFrequency(), b.getFrequency());
        EXPECT_EQ(a.getRandomNumberSeed(), b.getRandomNumberSeed());
        ASSERT_EQ(a.getNumMolecules(), b.getNumMolecules());
        for (int m = 0; m < a.getNumMolecules(); m++)
            EXPECT_EQ(a.getMoleculeParticles(m), b.getMoleculeParticles(m));
        double first[2][9], second[2][9], logFirst[2], logSecond[2];
        a.getProposal().sample(1, 0, 2, first[0], logFirst);
        b.getProposal().sample(1, 0, 2, second[0], logSecond);
        EXPECT_EQ(logFirst[1], logSecond[1]);
        EXPECT_EQ(first[1][8], second[1][8]);
    }

    const std::string path;
};

TEST_F(SerializeMonteCarloFlowMove, EveryFieldSurvivesAReference) {
    MonteCarloFlowMove force(path, 300);
    fill(force);
    const std::string xml = toXml(force);
    EXPECT_EQ(xml.find("base64"), std::string::npos);
    const auto copy = fromXml<MonteCarloFlowMove>(xml);
    expectEqual(force, *copy);
    EXPECT_EQ(toXml(*copy), xml);
}

TEST_F(SerializeMonteCarloFlowMove, EveryFieldSurvivesEmbedding) {
    MonteCarloFlowMove force(path, 300);
    fill(force);
    force.setProposalEmbedded(true);
    std::remove(path.c_str());
    const std::string xml = toXml(force);
    const auto copy = fromXml<MonteCarloFlowMove>(xml);
    expectEqual(force, *copy);
    EXPECT_EQ(toXml(*copy), xml);
}

TEST_F(SerializeMonteCarloFlowMove, AProposalFromMemoryIsEmbedded) {
    MonteCarloFlowMove force(makeGaussian(3, Proposal::Frame::Absolute, 0.02), 300, 7);
    fill(force);
    expectEqual(force, *fromXml<MonteCarloFlowMove>(toXml(force)));
    expectError([&] { force.setProposalEmbedded(false); }, "came from memory");
}

TEST_F(SerializeMonteCarloFlowMove, ASystemSurvivesWithItsMoves) {
    loadPlugins();
    System system;
    for (int i = 0; i < 3; i++)
        system.addParticle(10);
    addTether(system, {0, 1, 2}, 200);
    auto* force = new MonteCarloFlowMove(path, 300, 2);
    force->addMolecule({0, 1, 2});
    force->setRandomNumberSeed(3);
    system.addForce(force);
    std::unique_ptr<System> copy(XmlSerializer::clone<System>(system));
    Platform& platform = Platform::getPlatform("Reference");
    const std::vector<Vec3> start = {Vec3(), Vec3(0.1, 0, 0), Vec3(0, 0.1, 0)};
    Simulation first(system, platform, start), second(*copy, platform, start);
    first.integrator.step(20);
    second.integrator.step(20);
    expectSame(getPositions(first.context), getPositions(second.context));
    EXPECT_GT(force->getNumAccepted(first.context), 0);
}

TEST_F(SerializeMonteCarloFlowMove, AChangedFileIsAnErrorWithBothHashes) {
    MonteCarloFlowMove force(path, 300);
    const std::string xml = toXml(force);
    writeProposal(*makeGaussian(3, Proposal::Frame::Centred, 0.02), path);
    MonteCarloFlowMove other(path, 300);
    expectError([&] { fromXml<MonteCarloFlowMove>(xml); }, "its SHA-256 is " + other.getProposalHash());
    expectError([&] { fromXml<MonteCarloFlowMove>(xml); }, "expected " + force.getProposalHash());
}

TEST_F(SerializeMonteCarloFlowMove, AMissingFileIsAnErrorWithPathAndHash) {
    MonteCarloFlowMove force(path, 300);
    const std::string xml = toXml(force);
    std::remove(path.c_str());
    expectError([&] { fromXml<MonteCarloFlowMove>(xml); }, path);
    expectError([&] { fromXml<MonteCarloFlowMove>(xml); }, force.getProposalHash());
}

TEST_F(SerializeMonteCarloFlowMove, EmbeddedBytesAreChecked) {
    MonteCarloFlowMove force(path, 300);
    force.setProposalEmbedded(true);
    std::string damaged = toXml(force);
    const std::size_t start = damaged.find("base64=\"") + 8;
    damaged[start + 400] = damaged[start + 400] == 'A' ? 'B' : 'A';
    expectError([&] { fromXml<MonteCarloFlowMove>(damaged); }, "");
}

TEST_F(SerializeMonteCarloFlowMove, ANewerVersionIsRefused) {
    MonteCarloFlowMove force(path, 300);
    std::string xml = toXml(force);
    const std::size_t at = xml.rfind("version=\"1\"");
    ASSERT_NE(at, std::string::npos);
    xml.replace(at, 11, "version=\"2\"");
    expectError([&] { fromXml<MonteCarloFlowMove>(xml); }, "version 2");
}

} // namespace
