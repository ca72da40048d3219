#ifndef OPENMMSCORE_REFERENCESCOREKERNELFACTORY_H_
#define OPENMMSCORE_REFERENCESCOREKERNELFACTORY_H_

#include <openmm/KernelFactory.h>

namespace OpenMMScore {

/** Creates the kernels of the Reference platform; each platform owns its factory. */
class ReferenceScoreKernelFactory : public OpenMM::KernelFactory {
public:
    OpenMM::KernelImpl* createKernelImpl(std::string name, const OpenMM::Platform& platform,
                                         OpenMM::ContextImpl& context) const override;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_REFERENCESCOREKERNELFACTORY_H_
