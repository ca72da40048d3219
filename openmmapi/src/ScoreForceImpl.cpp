#include "openmmscore/internal/ScoreForceImpl.h"

#include <cmath>

#include <openmm/internal/ContextImpl.h>

#include "Messages.h"
#include "openmmscore/internal/CalcScoreForceKernel.h"
#include "openmmscore/internal/MoleculeLinks.h"

using OpenMM::ContextImpl;
using OpenMM::OpenMMException;

namespace OpenMMScore {

ScoreForceImpl::ScoreForceImpl(const ScoreForce& owner) : owner(owner) {
    forceGroup = owner.getForceGroup();
}

void ScoreForceImpl::initialize(ContextImpl& context) {
    checkParticles(context.getSystem());
    hasEnergy = checkConservative();
    scaleParameter = owner.getScaleParameter();

    const std::vector<MoleculeLink> links = moleculeLinks(owner.getModel().getDescription());
    std::vector<int> own, features;
    for (int m = 0; m < owner.getNumMolecules(); m++) {
        owner.getMoleculeParameters(m, own, features);
        particles.insert(particles.end(), own.begin(), own.end());
        for (const MoleculeLink& link : links)
            bonds.emplace_back(own[link.neighbour], own[link.particle]);
    }
    kernel = context.getPlatform().createKernel(CalcScoreForceKernel::Name(), context);
    kernel.getAs<CalcScoreForceKernel>().initialize(context.getSystem(), owner);
}

void ScoreForceImpl::checkParticles(const OpenMM::System& system) const {
    if (owner.getNumMolecules() == 0)
        throw OpenMMException(
            "ScoreForce: there is no molecule to act on; call addMolecule() before creating a Context");
    std::vector<int> moleculeOf(system.getNumParticles(), -1), own, features;
    for (int m = 0; m < owner.getNumMolecules(); m++) {
        owner.getMoleculeParameters(m, own, features);
        for (int particle : own) {
            if (particle >= system.getNumParticles())
                throw OpenMMException(joinText("ScoreForce: molecule ", m, " has a particle of index ",
                                               particle, ", the System has only ", system.getNumParticles(),
                                               " particles"));
            if (moleculeOf[particle] >= 0)
                throw OpenMMException(joinText("ScoreForce: particle ", particle, " is in molecule ",
                                               moleculeOf[particle], " and in molecule ", m));
            moleculeOf[particle] = m;
        }
    }
}

bool ScoreForceImpl::checkConservative() const {
    if (owner.getModel().hasEnergy(owner.getDiffusionTime()))
        return true;
    if (!owner.getNonConservative())
        throw OpenMMException(joinText(
            "ScoreForce: at diffusion time ", owner.getDiffusionTime(), " the model \"",
            owner.getModel().getFile().getOrigin(),
            "\" gives a score but no energy; its forces are no gradient, so energies drift and dynamics do "
            "not sample the model's density. Use a model with an energy, or setNonConservative(true)"));
    if (owner.getNumEnergyParameterDerivatives() > 0)
        throw OpenMMException(
            joinText("ScoreForce: at diffusion time ", owner.getDiffusionTime(),
                     " the model has no energy, hence no derivative of it with respect to \"",
                     owner.getScaleParameter(), "\""));
    return false;
}

double ScoreForceImpl::calcForcesAndEnergy(ContextImpl& context, bool includeForces, bool includeEnergy,
                                           int groups) {
    if ((groups & (1 << forceGroup)) == 0)
        return 0.0;
    return computeDirectly(context, includeForces, includeEnergy);
}

double ScoreForceImpl::computeDirectly(ContextImpl& context, bool includeForces, bool includeEnergy) {
    if (includeEnergy && !hasEnergy)
        throw OpenMMException("ScoreForce: the model gives a score but no energy, so there are forces, but "
                              "no energy to report, minimise or use in Monte Carlo");
    if (double scale = context.getParameter(scaleParameter); !std::isfinite(scale))
        throw OpenMMException(
            joinText("ScoreForce: parameter \"", scaleParameter, "\" is ", scale, ", not a finite number"));
    double energy = kernel.getAs<CalcScoreForceKernel>().execute(context, includeForces, includeEnergy);
    return includeEnergy ? energy : 0.0;
}

int ScoreForceImpl::getNumMolecules() const {
    return static_cast<int>(particles.size()) / owner.getNumModelParticles();
}

std::span<const int> ScoreForceImpl::getMoleculeParticles(int molecule) const {
    const int numParticles = owner.getNumModelParticles();
    return {&particles[molecule * numParticles], static_cast<std::size_t>(numParticles)};
}

double ScoreForceImpl::getMoleculeEnergy(int molecule) const {
    return kernel.getAs<const CalcScoreForceKernel>().getMoleculeEnergy(molecule);
}

std::vector<ScoreForceImpl*> ScoreForceImpl::findAll(ContextImpl& context) {
    std::vector<ScoreForceImpl*> found;
    for (OpenMM::ForceImpl* force : context.getForceImpls())
        if (auto* scoreForce = dynamic_cast<ScoreForceImpl*>(force))
            found.push_back(scoreForce);
    return found;
}

std::map<std::string, double> ScoreForceImpl::getDefaultParameters() {
    return {{owner.getScaleParameter(), owner.getDefaultScale()}};
}

std::vector<std::string> ScoreForceImpl::getKernelNames() {
    return {CalcScoreForceKernel::Name()};
}

void ScoreForceImpl::updateParametersInContext(ContextImpl& context) {
    const int numParticles = owner.getNumModelParticles();
    const int numMolecules = static_cast<int>(particles.size()) / numParticles;
    if (owner.getNumMolecules() != numMolecules)
        throw OpenMMException(joinText("ScoreForce: the Context was created with ", numMolecules,
                                       " molecules and cannot change to ", owner.getNumMolecules(),
                                       "; create a new one, or reinitialize it"));
    std::vector<int> own, features;
    for (int m = 0; m < numMolecules; m++) {
        owner.getMoleculeParameters(m, own, features);
        for (int i = 0; i < numParticles; i++)
            if (own[i] != particles[m * numParticles + i])
                throw OpenMMException(joinText("ScoreForce: particle ", i, " of molecule ", m, " is ",
                                               particles[m * numParticles + i],
                                               " in the Context and cannot change to ", own[i],
                                               "; create a new one, or reinitialize it"));
    }
    bool newHasEnergy = checkConservative();
    kernel.getAs<CalcScoreForceKernel>().copyParametersToContext(context, owner);
    hasEnergy = newHasEnergy;
    context.systemChanged();
}

} // namespace OpenMMScore
