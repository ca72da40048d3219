#ifndef OPENMMSCORE_CPUSCOREKERNELFACTORY_H_
#define OPENMMSCORE_CPUSCOREKERNELFACTORY_H_

#include <openmm/KernelFactory.h>

namespace OpenMMScore {

/** Creates the kernels of the CPU platform; each platform owns its factory. */
class CpuScoreKernelFactory : public OpenMM::KernelFactory {
public:
    OpenMM::KernelImpl* createKernelImpl(std::string name, const OpenMM::Platform& platform,
                                         OpenMM::ContextImpl& context) const override;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_CPUSCOREKERNELFACTORY_H_
