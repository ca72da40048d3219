#include "openmmscore/serialization/ScoreForceProxy.h"

#include <memory>

#include <openmm/OpenMMException.h>
#include <openmm/serialization/SerializationNode.h>

#include "openmmscore/ScoreForce.h"
#include "openmmscore/models/Error.h"
#include "openmmscore/serialization/Base64.h"

using OpenMM::OpenMMException;
using OpenMM::SerializationNode;

namespace OpenMMScore {

namespace {

constexpr int currentVersion = 1;

void writeMolecules(const ScoreForce& force, SerializationNode& parent) {
    std::vector<int> particles, features;
    for (int m = 0; m < force.getNumMolecules(); m++) {
        force.getMoleculeParameters(m, particles, features);
        SerializationNode& molecule = parent.createChildNode("Molecule");
        const std::size_t numFeatures = features.size() / particles.size();
        for (std::size_t i = 0; i < particles.size(); i++) {
            SerializationNode& particle = molecule.createChildNode("Particle");
            particle.setIntProperty("index", particles[i]);
            for (std::size_t j = 0; j < numFeatures; j++)
                particle.setIntProperty("feature" + std::to_string(j), features[i * numFeatures + j]);
        }
    }
}

void readMolecules(const SerializationNode& parent, ScoreForce& force) {
    for (const SerializationNode& molecule : parent.getChildren()) {
        std::vector<int> particles, features;
        for (const SerializationNode& particle : molecule.getChildren()) {
            particles.push_back(particle.getIntProperty("index"));
            for (int j = 0; j < force.getNumFeatures(); j++)
                features.push_back(particle.getIntProperty("feature" + std::to_string(j)));
        }
        force.addMolecule(particles, features);
    }
}

std::unique_ptr<ScoreForce> readModel(const SerializationNode& model) {
    const std::string path = model.getStringProperty("file", "");
    const std::string hash = model.getStringProperty("sha256");
    std::unique_ptr<ScoreForce> force;
    if (model.getBoolProperty("embedded")) {
        const std::string origin = path.empty() ? "embedded model" : path + " (embedded)";
        force = std::make_unique<ScoreForce>(
            ScoreModel::fromBytes(decodeBase64(model.getStringProperty("base64")), origin), path);
        force->setModelEmbedded(true);
    }
    else
        force = std::make_unique<ScoreForce>(ScoreModel::load(path), path);
    if (force->getModelHash() != hash)
        throw OpenMMException(
            "ScoreForce: the model " + (path.empty() ? "in the XML" : "file \"" + path + "\"") +
            " is not the one that was used: its SHA-256 is " + force->getModelHash() + ", expected " + hash);
    return force;
}

} // namespace

ScoreForceProxy::ScoreForceProxy() : SerializationProxy("OpenMMScoreForce") {}

void ScoreForceProxy::serialize(const void* object, SerializationNode& node) const {
    const ScoreForce& force = *static_cast<const ScoreForce*>(object);
    node.setIntProperty("version", currentVersion);
    node.setIntProperty("forceGroup", force.getForceGroup());
    node.setStringProperty("name", force.getName());
    node.setDoubleProperty("diffusionTime", force.getDiffusionTime());
    node.setStringProperty("scaleParameter", force.getScaleParameter());
    node.setDoubleProperty("defaultScale", force.getDefaultScale());
    node.setBoolProperty("scaleDerivative", force.getNumEnergyParameterDerivatives() > 0);
    node.setBoolProperty("nonConservative", force.getNonConservative());

    SerializationNode& model = node.createChildNode("Model");
    model.setStringProperty("file", force.getModelFile());
    model.setStringProperty("sha256", force.getModelHash());
    model.setBoolProperty("embedded", force.getModelEmbedded());
    if (force.getModelEmbedded())
        model.setStringProperty("base64", encodeBase64(force.getModel().getFile().getBytes()));
    writeMolecules(force, node.createChildNode("Molecules"));
}

void* ScoreForceProxy::deserialize(const SerializationNode& node) const {
    if (int version = node.getIntProperty("version"); version < 1 || version > currentVersion)
        throw OpenMMException("ScoreForce: the XML has version " + std::to_string(version) +
                              ", this program reads up to " + std::to_string(currentVersion));
    const SerializationNode& model = node.getChildNode("Model");
    std::unique_ptr<ScoreForce> force;
    try {
        force = readModel(model);
    }
    catch (const Error& error) {
        throw OpenMMException(std::string(error.what()) + "; the XML refers to \"" +
                              model.getStringProperty("file", "") + "\" with SHA-256 " +
                              model.getStringProperty("sha256", "unknown"));
    }
    force->setForceGroup(node.getIntProperty("forceGroup"));
    force->setName(node.getStringProperty("name"));
    force->setDiffusionTime(node.getDoubleProperty("diffusionTime"));
    force->setScaleParameter(node.getStringProperty("scaleParameter"));
    force->setDefaultScale(node.getDoubleProperty("defaultScale"));
    if (node.getBoolProperty("scaleDerivative"))
        force->addEnergyParameterDerivative(force->getScaleParameter());
    force->setNonConservative(node.getBoolProperty("nonConservative"));
    readMolecules(node.getChildNode("Molecules"), *force);
    return force.release();
}

} // namespace OpenMMScore
