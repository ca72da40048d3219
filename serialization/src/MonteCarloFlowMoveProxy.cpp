#include "openmmscore/serialization/MonteCarloFlowMoveProxy.h"

#include <memory>

#include <openmm/OpenMMException.h>
#include <openmm/serialization/SerializationNode.h>

#include "openmmscore/MonteCarloFlowMove.h"
#include "openmmscore/serialization/Base64.h"

using OpenMM::OpenMMException;
using OpenMM::SerializationNode;

namespace OpenMMScore {

namespace {

constexpr int currentVersion = 1;

std::unique_ptr<MonteCarloFlowMove> readProposalNode(const SerializationNode& node, double temperature,
                                                     int frequency) {
    const std::string path = node.getStringProperty("file", "");
    const std::string hash = node.getStringProperty("sha256");
    std::unique_ptr<MonteCarloFlowMove> force;
    if (node.getBoolProperty("embedded"))
        force.reset(MonteCarloFlowMove::fromBytes(decodeBase64(node.getStringProperty("base64")),
                                                  path.empty() ? "embedded proposal" : path + " (embedded)",
                                                  temperature, frequency, path));
    else {
        try {
            force = std::make_unique<MonteCarloFlowMove>(path, temperature, frequency);
        }
        catch (const OpenMMException& error) {
            throw OpenMMException(std::string(error.what()) + "; the XML refers to \"" + path +
                                  "\" with SHA-256 " + hash);
        }
    }
    if (const std::string found = force->getProposalHash(); found != hash)
        throw OpenMMException(
            "MonteCarloFlowMove: the proposal " + (path.empty() ? "in the XML" : "file \"" + path + "\"") +
            " is not the one that was used: its SHA-256 is " + found + ", expected " + hash);
    return force;
}

} // namespace

MonteCarloFlowMoveProxy::MonteCarloFlowMoveProxy() : SerializationProxy("OpenMMScoreMonteCarloFlowMove") {}

void MonteCarloFlowMoveProxy::serialize(const void* object, SerializationNode& node) const {
    const MonteCarloFlowMove& force = *static_cast<const MonteCarloFlowMove*>(object);
    node.setIntProperty("version", currentVersion);
    node.setIntProperty("forceGroup", force.getForceGroup());
    node.setStringProperty("name", force.getName());
    node.setDoubleProperty("temperature", force.getDefaultTemperature());
    node.setIntProperty("frequency", force.getFrequency());
    node.setIntProperty("randomSeed", force.getRandomNumberSeed());

    SerializationNode& proposal = node.createChildNode("Proposal");
    proposal.setStringProperty("file", force.getProposalFile());
    proposal.setStringProperty("sha256", force.getProposalHash());
    proposal.setBoolProperty("embedded", force.getProposalEmbedded());
    if (force.getProposalEmbedded())
        proposal.setStringProperty("base64", encodeBase64(force.getProposalBytes()));
    SerializationNode& molecules = node.createChildNode("Molecules");
    for (int m = 0; m < force.getNumMolecules(); m++) {
        SerializationNode& molecule = molecules.createChildNode("Molecule");
        for (int particle : force.getMoleculeParticles(m))
            molecule.createChildNode("Particle").setIntProperty("index", particle);
    }
}

void* MonteCarloFlowMoveProxy::deserialize(const SerializationNode& node) const {
    if (int version = node.getIntProperty("version"); version < 1 || version > currentVersion)
        throw OpenMMException("MonteCarloFlowMove: the XML has version " + std::to_string(version) +
                              ", this program reads up to " + std::to_string(currentVersion));
    auto force = readProposalNode(node.getChildNode("Proposal"), node.getDoubleProperty("temperature"),
                                  node.getIntProperty("frequency"));
    force->setForceGroup(node.getIntProperty("forceGroup"));
    force->setName(node.getStringProperty("name"));
    force->setRandomNumberSeed(node.getIntProperty("randomSeed"));
    for (const SerializationNode& molecule : node.getChildNode("Molecules").getChildren()) {
        std::vector<int> particles;
        for (const SerializationNode& particle : molecule.getChildren())
            particles.push_back(particle.getIntProperty("index"));
        force->addMolecule(particles);
    }
    return force.release();
}

} // namespace OpenMMScore
