#include "ReferenceScoreKernelFactory.h"

#include <openmm/OpenMMException.h>
#include <openmm/reference/ReferencePlatform.h>

#include "ReferenceScoreKernels.h"

using OpenMM::Platform;
using OpenMM::ReferencePlatform;

namespace {

/**
 * Serves every platform that is a ReferencePlatform, which the CPU platform is too, unless another plugin
 * already does. If libOpenMMScoreCPU comes later, it replaces this factory there.
 */
void registerFactories() {
    for (int i = 0; i < Platform::getNumPlatforms(); i++) {
        Platform& platform = Platform::getPlatform(i);
        const std::string name = OpenMMScore::CalcScoreForceKernel::Name();
        if (dynamic_cast<ReferencePlatform*>(&platform) != nullptr && !platform.supportsKernels({name}))
            platform.registerKernelFactory(name, new OpenMMScore::ReferenceScoreKernelFactory());
    }
}

} // namespace

extern "C" OPENMMSCORE_EXPORT void registerPlatforms() {}

extern "C" OPENMMSCORE_EXPORT void registerKernelFactories() {
    registerFactories();
}

/** For programs that link this library instead of loading it. */
extern "C" OPENMMSCORE_EXPORT void registerScoreReferenceKernelFactories() {
    registerFactories();
}

namespace OpenMMScore {

OpenMM::KernelImpl* ReferenceScoreKernelFactory::createKernelImpl(std::string name, const Platform& platform,
                                                                  OpenMM::ContextImpl&) const {
    if (name == CalcScoreForceKernel::Name())
        return new ReferenceCalcScoreForceKernel(name, platform);
    throw OpenMM::OpenMMException("ReferenceScoreKernelFactory: there is no kernel \"" + name + "\"");
}

} // namespace OpenMMScore
