#ifndef OPENMMSCORE_SERIALIZATION_MONTECARLOFLOWMOVEPROXY_H_
#define OPENMMSCORE_SERIALIZATION_MONTECARLOFLOWMOVEPROXY_H_

#include <openmm/serialization/SerializationProxy.h>

namespace OpenMMScore {

/**
 * Turns a MonteCarloFlowMove into XML and back. The proposal is named by path and SHA-256, or lies in the
 * XML as base64 (MonteCarloFlowMove::setProposalEmbedded()). Nothing in it is ever executed.
 */
class MonteCarloFlowMoveProxy : public OpenMM::SerializationProxy {
public:
    MonteCarloFlowMoveProxy();
    void serialize(const void* object, OpenMM::SerializationNode& node) const override;
    /**
     * @throws OpenMMException  if the version is unknown, the proposal's file is missing or damaged, or its
     *                          hash is not the one in the XML
     */
    void* deserialize(const OpenMM::SerializationNode& node) const override;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_SERIALIZATION_MONTECARLOFLOWMOVEPROXY_H_
