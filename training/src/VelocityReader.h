#ifndef OPENMMSCORE_TRAINING_VELOCITYREADER_H_
#define OPENMMSCORE_TRAINING_VELOCITYREADER_H_

#include "ConfigTable.h"
#include "openmmscore/models/ModelDescription.h"
#include "openmmscore/training/ProposalConfig.h"

namespace OpenMMScore {

/**
 * Read what [proposal] says of a continuous flow.
 *
 * @param model     for the elements of particles
 * @param proposal  whose coordinates are known
 * @throws Error  for anything that is wrong
 */
void readContinuousFlow(ConfigTable& table, const ModelDescription& model, ProposalConfig& proposal);

} // namespace OpenMMScore

#endif // OPENMMSCORE_TRAINING_VELOCITYREADER_H_
