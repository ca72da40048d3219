#ifndef OPENMMSCORE_SCORELANGEVININTEGRATORPROXY_H_
#define OPENMMSCORE_SCORELANGEVININTEGRATORPROXY_H_

#include <openmm/serialization/SerializationProxy.h>

namespace OpenMMScore {

/** Reads and writes ScoreLangevinIntegrator as XML. */
class ScoreLangevinIntegratorProxy : public OpenMM::SerializationProxy {
public:
    ScoreLangevinIntegratorProxy();
    void serialize(const void* object, OpenMM::SerializationNode& node) const override;
    void* deserialize(const OpenMM::SerializationNode& node) const override;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_SCORELANGEVININTEGRATORPROXY_H_
