#ifndef OPENMMSCORE_TRAINING_PROPOSALREADER_H_
#define OPENMMSCORE_TRAINING_PROPOSALREADER_H_

#include "ConfigTable.h"
#include "openmmscore/training/TrainingConfig.h"

namespace OpenMMScore {

/**
 * Read [proposal], [coordinates] and [training] into a proposal and one stage.
 *
 * @param file  the configuration, for paths relative to it
 * @throws Error  for anything that is wrong
 */
void readProposalConfig(ConfigTable& root, const std::string& file, TrainingConfig& config);

} // namespace OpenMMScore

#endif // OPENMMSCORE_TRAINING_PROPOSALREADER_H_
