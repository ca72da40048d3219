#include "CpuScoreKernelFactory.h"

#include <openmm/OpenMMException.h>
#include <openmm/cpu/CpuPlatform.h>

#include "CpuScoreKernels.h"

using OpenMM::CpuPlatform;
using OpenMM::Platform;

namespace {

/** Serves the CPU platform if it is registered, i.e. if OpenMM's own plugins were loaded before. */
void registerFactories() {
    for (int i = 0; i < Platform::getNumPlatforms(); i++) {
        Platform& platform = Platform::getPlatform(i);
        if (dynamic_cast<CpuPlatform*>(&platform) != nullptr)
            platform.registerKernelFactory(OpenMMScore::CalcScoreForceKernel::Name(),
                                           new OpenMMScore::CpuScoreKernelFactory());
    }
}

} // namespace

extern "C" OPENMMSCORE_EXPORT void registerPlatforms() {}

extern "C" OPENMMSCORE_EXPORT void registerKernelFactories() {
    registerFactories();
}

/** For programs that link this library instead of loading it. */
extern "C" OPENMMSCORE_EXPORT void registerScoreCpuKernelFactories() {
    registerFactories();
}

namespace OpenMMScore {

OpenMM::KernelImpl* CpuScoreKernelFactory::createKernelImpl(std::string name, const Platform& platform,
                                                            OpenMM::ContextImpl& context) const {
    if (name == CalcScoreForceKernel::Name())
        return new CpuCalcScoreForceKernel(name, platform, CpuPlatform::getPlatformData(context).threads);
    throw OpenMM::OpenMMException("CpuScoreKernelFactory: there is no kernel \"" + name + "\"");
}

} // namespace OpenMMScore
