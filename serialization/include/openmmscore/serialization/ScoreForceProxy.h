#ifndef OPENMMSCORE_SERIALIZATION_SCOREFORCEPROXY_H_
#define OPENMMSCORE_SERIALIZATION_SCOREFORCEPROXY_H_

#include <openmm/serialization/SerializationProxy.h>

namespace OpenMMScore {

/**
 * Turns a ScoreForce into XML and back. The model is named by path and SHA-256, or lies in the XML as base64
 * (ScoreForce::setModelEmbedded()). Nothing in it is ever executed.
 */
class ScoreForceProxy : public OpenMM::SerializationProxy {
public:
    ScoreForceProxy();
    void serialize(const void* object, OpenMM::SerializationNode& node) const override;
    /**
     * @throws OpenMMException  if the version is unknown, the model file is missing or damaged, or its hash
     *                          is not the one in the XML
     */
    void* deserialize(const OpenMM::SerializationNode& node) const override;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_SERIALIZATION_SCOREFORCEPROXY_H_
