#include "ReferenceScoreKernels.h"

#include <openmm/reference/ReferencePlatform.h>

#include "openmmscore/ScoreForce.h"

using OpenMM::ContextImpl;
using OpenMM::ReferencePlatform;

namespace OpenMMScore {

void ReferenceCalcScoreForceKernel::initialize(const OpenMM::System& system, const ScoreForce& force) {
    initialize(system, force, MoleculeBatch::Engine::Plain, 1);
}

void ReferenceCalcScoreForceKernel::initialize(const OpenMM::System& system, const ScoreForce& force,
                                               MoleculeBatch::Engine engine, int numThreads) {
    scaleParameter = force.getScaleParameter();
    scaleDerivative = force.getNumEnergyParameterDerivatives() > 0;
    batch = std::make_unique<MoleculeBatch>(system, force, engine, numThreads);
}

double ReferenceCalcScoreForceKernel::execute(ContextImpl& context, bool includeForces, bool includeEnergy) {
    auto& data = *static_cast<ReferencePlatform::PlatformData*>(context.getPlatformData());
    const double scale = context.getParameter(scaleParameter);
    // Nothing tells a kernel that derivatives are wanted now, so they are computed whenever it runs.
    const MoleculeBatch::Request request{*data.positions, data.periodicBoxVectors, scale,
                                         includeForces ? data.forces : nullptr,
                                         includeEnergy || scaleDerivative};
    batch->begin();
    evaluateBlocks(request);
    const double energy = batch->finish(request);
    if (scaleDerivative)
        (*data.energyParameterDerivatives)[scaleParameter] += energy;
    lastScale = scale;
    return scale * energy;
}

double ReferenceCalcScoreForceKernel::getMoleculeEnergy(int molecule) const {
    return lastScale * batch->getEnergy(molecule);
}

void ReferenceCalcScoreForceKernel::evaluateBlocks(const MoleculeBatch::Request& request) {
    for (int block = 0; block < batch->getNumBlocks(); block++)
        batch->evaluateBlock(0, block, request);
}

void ReferenceCalcScoreForceKernel::copyParametersToContext(ContextImpl&, const ScoreForce& force) {
    batch->updateParameters(force);
}

} // namespace OpenMMScore
