#include "openmmscore/serialization/ScoreLangevinIntegratorProxy.h"

#include <memory>

#include <openmm/OpenMMException.h>
#include <openmm/serialization/SerializationNode.h>

#include "openmmscore/ScoreLangevinIntegrator.h"

namespace OpenMMScore {

ScoreLangevinIntegratorProxy::ScoreLangevinIntegratorProxy()
    : SerializationProxy("OpenMMScoreLangevinIntegrator") {}

void ScoreLangevinIntegratorProxy::serialize(const void* object, OpenMM::SerializationNode& node) const {
    const auto& integrator = *static_cast<const ScoreLangevinIntegrator*>(object);
    node.setIntProperty("version", 1);
    node.setDoubleProperty("temperature", integrator.getTemperature());
    node.setDoubleProperty("friction", integrator.getFriction());
    node.setDoubleProperty("stepSize", integrator.getStepSize());
    node.setDoubleProperty("constraintTolerance", integrator.getConstraintTolerance());
    node.setIntProperty("randomSeed", integrator.getRandomNumberSeed());
    node.setIntProperty("integrationForceGroups", integrator.getIntegrationForceGroups());
    node.setIntProperty("scheme", integrator.getScheme());
    node.setIntProperty("moleculeOffset", integrator.getMoleculeOffset());
    node.setBoolProperty("allowTemperatureMismatch", integrator.getAllowTemperatureMismatch());
    OpenMM::SerializationNode& temperatures = node.createChildNode("MoleculeTemperatures");
    for (double t : integrator.getMoleculeTemperatures())
        temperatures.createChildNode("Molecule").setDoubleProperty("temperature", t);
}

void* ScoreLangevinIntegratorProxy::deserialize(const OpenMM::SerializationNode& node) const {
    if (node.getIntProperty("version") != 1)
        throw OpenMM::OpenMMException(
            "ScoreLangevinIntegrator: this XML was written by a newer version of OpenMM-Score (" +
            std::to_string(node.getIntProperty("version")) + "); update it");
    auto integrator = std::make_unique<ScoreLangevinIntegrator>(node.getDoubleProperty("temperature"),
                                                                node.getDoubleProperty("friction"),
                                                                node.getDoubleProperty("stepSize"));
    integrator->setConstraintTolerance(node.getDoubleProperty("constraintTolerance"));
    integrator->setRandomNumberSeed(node.getIntProperty("randomSeed"));
    integrator->setIntegrationForceGroups(node.getIntProperty("integrationForceGroups"));
    integrator->setScheme(static_cast<ScoreLangevinIntegrator::Scheme>(node.getIntProperty("scheme")));
    integrator->setMoleculeOffset(node.getIntProperty("moleculeOffset"));
    integrator->setAllowTemperatureMismatch(node.getBoolProperty("allowTemperatureMismatch"));
    std::vector<double> temperatures;
    for (const OpenMM::SerializationNode& child : node.getChildNode("MoleculeTemperatures").getChildren())
        temperatures.push_back(child.getDoubleProperty("temperature"));
    integrator->setMoleculeTemperatures(temperatures);
    return integrator.release();
}

} // namespace OpenMMScore
