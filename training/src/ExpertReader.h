#ifndef OPENMMSCORE_TRAINING_EXPERTREADER_H_
#define OPENMMSCORE_TRAINING_EXPERTREADER_H_

#include "ConfigTable.h"
#include "openmmscore/training/TrainingConfig.h"

namespace OpenMMScore {

/**
 * Read `method`, [model], [training], [fokker_planck] and [[stages]] into the model's experts, schedule,
 * length scale and default time, and into stages: a method's preset, changed by what the common tables say,
 * changed by what each stage's own table says.
 *
 * @param file  the configuration, for paths relative to it
 * @throws Error  for anything that is wrong
 */
void readExperts(ConfigTable& root, const std::string& file, TrainingConfig& config);

} // namespace OpenMMScore

#endif // OPENMMSCORE_TRAINING_EXPERTREADER_H_
