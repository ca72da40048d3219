#include "ReferenceScoreKernelFactory.h"

#include <openmm/OpenMMException.h>
#include <openmm/internal/ContextImpl.h>
#include <openmm/reference/ReferencePlatform.h>

#include "ReferenceScoreKernels.h"
#include "ReferenceScoreLangevinKernel.h"

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
        if (dynamic_cast<ReferencePlatform*>(&platform) == nullptr)
            continue;
        auto* factory = new OpenMMScore::ReferenceScoreKernelFactory();
        platform.registerKernelFactory(OpenMMScore::IntegrateScoreLangevinStepKernel::Name(), factory);
        const std::string name = OpenMMScore::CalcScoreForceKernel::Name();
        if (!platform.supportsKernels({name}))
            platform.registerKernelFactory(name, factory);
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
                                                                  OpenMM::ContextImpl& context) const {
    if (name == CalcScoreForceKernel::Name())
        return new ReferenceCalcScoreForceKernel(name, platform);
    if (name == IntegrateScoreLangevinStepKernel::Name()) {
        auto& data = *static_cast<ReferencePlatform::PlatformData*>(context.getPlatformData());
        return new ReferenceIntegrateScoreLangevinStepKernel(name, platform, data);
    }
    throw OpenMM::OpenMMException("ReferenceScoreKernelFactory: there is no kernel \"" + name + "\"");
}

} // namespace OpenMMScore
