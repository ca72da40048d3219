#include <openmm/serialization/SerializationProxy.h>

#include "openmmscore/MonteCarloFlowMove.h"
#include "openmmscore/ScoreForce.h"
#include "openmmscore/ScoreLangevinIntegrator.h"
#include "openmmscore/serialization/MonteCarloFlowMoveProxy.h"
#include "openmmscore/serialization/ScoreForceProxy.h"
#include "openmmscore/serialization/ScoreLangevinIntegratorProxy.h"

/** Runs when the library is loaded, so that `import openmm` and our plugins are enough to read XML. */
extern "C" __attribute__((constructor)) void registerOpenMMScoreSerializationProxies() {
    using OpenMM::SerializationProxy;
    SerializationProxy::registerProxy(typeid(OpenMMScore::ScoreForce), new OpenMMScore::ScoreForceProxy());
    SerializationProxy::registerProxy(typeid(OpenMMScore::ScoreLangevinIntegrator),
                                      new OpenMMScore::ScoreLangevinIntegratorProxy());
    SerializationProxy::registerProxy(typeid(OpenMMScore::MonteCarloFlowMove),
                                      new OpenMMScore::MonteCarloFlowMoveProxy());
}
