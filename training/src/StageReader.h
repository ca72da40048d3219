#ifndef OPENMMSCORE_TRAINING_STAGEREADER_H_
#define OPENMMSCORE_TRAINING_STAGEREADER_H_

#include <string>

#include "ConfigTable.h"
#include "openmmscore/training/TrainingConfig.h"

namespace OpenMMScore {

/**
 * Change a stage by what [training] or one of [[stages]] says about steps, optimiser and average, and about
 * the file to start from: whatever does not depend on what is trained.
 *
 * @param file                  the configuration, for paths relative to it
 * @param hasFinalLearningRate  whether a table has named one; otherwise it never exceeds the first
 * @throws Error  for anything that is wrong
 */
void readOptimization(ConfigTable& table, const std::string& file, StageConfig& stage,
                      bool& hasFinalLearningRate);

/** Read what [training] says about where and in what arithmetic the work is done. */
ExecutionConfig readExecution(ConfigTable& training);

} // namespace OpenMMScore

#endif // OPENMMSCORE_TRAINING_STAGEREADER_H_
