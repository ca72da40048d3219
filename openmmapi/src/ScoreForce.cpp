#include "openmmscore/ScoreForce.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include <openmm/internal/ContextImpl.h>

#include "Messages.h"
#include "openmmscore/internal/ScoreForceImpl.h"
#include "openmmscore/models/NoiseSchedule.h"

using OpenMM::OpenMMException;

namespace OpenMMScore {

ScoreForce::ScoreForce(const std::string& path)
    : model(translateErrors([&] { return ScoreModel::load(path); })) {
    modelFile = std::filesystem::absolute(path).lexically_normal().string();
    initializeFromModel();
}

ScoreForce::ScoreForce(std::shared_ptr<const ScoreModel> sharedModel, const std::string& path)
    : model(std::move(sharedModel)) {
    if (model == nullptr)
        throw OpenMMException("ScoreForce: there is no model behind the pointer");
    if (path.empty())
        modelEmbedded = true;
    else
        modelFile = std::filesystem::absolute(path).lexically_normal().string();
    initializeFromModel();
}

ScoreForce* ScoreForce::fromBytes(const std::vector<std::uint8_t>& bytes, const std::string& origin) {
    return new ScoreForce(translateErrors([&] { return ScoreModel::fromBytes(bytes, origin); }));
}

void ScoreForce::initializeFromModel() {
    setName("ScoreForce");
    scaleParameter = Scale();
    modelHash = model->getFile().computeSha256();
    setDiffusionTime(model->getDescription().defaultDiffusionTime);
}

const std::string& ScoreForce::Scale() {
    static const std::string name = "ScoreForceScale";
    return name;
}

double ScoreForce::getTemperature() const {
    return model->getDescription().temperature;
}

double ScoreForce::getLengthScale() const {
    return model->getDescription().lengthScale;
}

int ScoreForce::getNumModelParticles() const {
    return model->getDescription().getNumParticles();
}

int ScoreForce::getNumFeatures() const {
    return static_cast<int>(model->getDescription().features.size());
}

ScoreForce::Molecule ScoreForce::checkedMolecule(int index, const std::vector<int>& particles,
                                                 const std::vector<int>& features) const {
    const ModelDescription& description = model->getDescription();
    const int numParticles = static_cast<int>(particles.size());
    if (numParticles != getNumModelParticles())
        throw OpenMMException(joinText("ScoreForce: molecule ", index, " has ", numParticles,
                                       " particles, the model expects ", getNumModelParticles(),
                                       " (see getNumModelParticles())"));
    std::vector<int> sorted(particles);
    std::sort(sorted.begin(), sorted.end());
    if (sorted.front() < 0)
        throw OpenMMException(
            joinText("ScoreForce: molecule ", index, " has a particle of index ", sorted.front()));
    if (auto twice = std::adjacent_find(sorted.begin(), sorted.end()); twice != sorted.end())
        throw OpenMMException(joinText("ScoreForce: molecule ", index, " has particle ", *twice, " twice"));

    const std::size_t expected = particles.size() * description.features.size();
    if (features.size() != expected)
        throw OpenMMException(joinText("ScoreForce: molecule ", index, " has ", features.size(),
                                       " features, the model expects ", expected, ": ", getNumFeatures(),
                                       " for each of ", numParticles, " particles (see getNumFeatures())"));
    for (std::size_t i = 0; i < features.size(); i++) {
        const FeatureDescription& feature = description.features[i % description.features.size()];
        if (features[i] < 0 || features[i] >= feature.numValues)
            throw OpenMMException(joinText("ScoreForce: feature \"", feature.name, "\" of particle ",
                                           i / description.features.size(), " of molecule ", index, " is ",
                                           features[i], ", outside 0 to ", feature.numValues - 1));
    }
    return {particles, features};
}

int ScoreForce::addMolecule(const std::vector<int>& particles, const std::vector<int>& features) {
    molecules.push_back(checkedMolecule(getNumMolecules(), particles, features));
    return getNumMolecules() - 1;
}

namespace {

void checkIndex(const char* what, int index, int count) {
    if (index < 0 || index >= count)
        throw OpenMMException(
            joinText("ScoreForce: there is no ", what, " ", index, ", their number is ", count));
}

} // namespace

void ScoreForce::getMoleculeParameters(int index, std::vector<int>& particles,
                                       std::vector<int>& features) const {
    checkIndex("molecule", index, getNumMolecules());
    particles = molecules[index].particles;
    features = molecules[index].features;
}

void ScoreForce::setMoleculeParameters(int index, const std::vector<int>& particles,
                                       const std::vector<int>& features) {
    checkIndex("molecule", index, getNumMolecules());
    molecules[index] = checkedMolecule(index, particles, features);
}

void ScoreForce::setDiffusionTime(double t) {
    const ModelDescription& description = model->getDescription();
    if (!(t >= description.getLowerTime() && t <= description.getUpperTime()))
        throw OpenMMException(joinText("ScoreForce: diffusion time ", t, " lies outside ",
                                       description.getLowerTime(), " to ", description.getUpperTime(),
                                       ", the interval that the model covers"));
    if (!model->getSchedule().covers(t))
        throw OpenMMException(joinText("ScoreForce: diffusion time ", t,
                                       " is no level of the model's discrete schedule, which has n/",
                                       description.schedule.numSteps, " for whole n"));
    diffusionTime = t;
}

void ScoreForce::setScaleParameter(const std::string& name) {
    if (name.empty())
        throw OpenMMException("ScoreForce: the scale parameter needs a name");
    scaleParameter = name;
}

void ScoreForce::setDefaultScale(double scale) {
    if (!std::isfinite(scale))
        throw OpenMMException(joinText("ScoreForce: the default scale is ", scale, ", not a finite number"));
    defaultScale = scale;
}

void ScoreForce::addEnergyParameterDerivative(const std::string& name) {
    if (name != scaleParameter)
        throw OpenMMException("ScoreForce: the energy has no derivative with respect to \"" + name +
                              "\", only to its scale parameter \"" + scaleParameter + "\"");
    scaleDerivative = true;
}

const std::string& ScoreForce::getEnergyParameterDerivativeName(int index) const {
    checkIndex("energy parameter derivative", index, getNumEnergyParameterDerivatives());
    return scaleParameter;
}

void ScoreForce::setModelEmbedded(bool embed) {
    if (!embed && modelFile.empty())
        throw OpenMMException("ScoreForce: the model came from memory, so there is no file that XML could "
                              "refer to; leave it embedded");
    modelEmbedded = embed;
}

void ScoreForce::updateParametersInContext(OpenMM::Context& context) {
    dynamic_cast<ScoreForceImpl&>(getImplInContext(context))
        .updateParametersInContext(getContextImpl(context));
}

std::vector<double> ScoreForce::getMoleculeEnergies(OpenMM::Context& context) const {
    auto& impl = dynamic_cast<ScoreForceImpl&>(getImplInContext(context));
    impl.computeDirectly(getContextImpl(context), false, true);
    std::vector<double> energies(static_cast<std::size_t>(impl.getNumMolecules()));
    for (std::size_t m = 0; m < energies.size(); m++)
        energies[m] = impl.getMoleculeEnergy(static_cast<int>(m));
    return energies;
}

OpenMM::ForceImpl* ScoreForce::createImpl() const {
    return new ScoreForceImpl(*this);
}

} // namespace OpenMMScore
