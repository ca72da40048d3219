#ifndef OPENMMSCORE_TRAINING_DATACONFIGREADER_H_
#define OPENMMSCORE_TRAINING_DATACONFIGREADER_H_

#include <string>

#include "ConfigTable.h"
#include "openmmscore/training/TrainingConfig.h"

namespace OpenMMScore {

/**
 * Read [data], [[molecules]], [[features]], [[particles]] and bonds of a configuration into data, model
 * (temperature, features, particles, bonds).
 *
 * @param file       the configuration, for paths relative to it
 * @param prepared   a file in which `openmmscore train` has put what it made of trajectories, or "". What
 *                   such a file says about frames, weights, features and particles takes the place of the
 *                   configuration's own words
 * @throws Error  for anything that is wrong; without `prepared` also if the configuration names what only
 *                `openmmscore train` can read
 */
void readDataConfig(ConfigTable& root, const std::string& file, const std::string& prepared,
                    TrainingConfig& config);

} // namespace OpenMMScore

#endif // OPENMMSCORE_TRAINING_DATACONFIGREADER_H_
