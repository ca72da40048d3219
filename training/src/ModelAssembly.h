#ifndef OPENMMSCORE_TRAINING_MODELASSEMBLY_H_
#define OPENMMSCORE_TRAINING_MODELASSEMBLY_H_

#include <string>
#include <vector>

#include "openmmscore/models/ModelDescription.h"

namespace OpenMMScore {

/**
 * Put experts that were trained one by one together into one model file, whose provenance tells of each
 * stage.
 *
 * @param model    the mixture
 * @param experts  model files, each with the expert of that index alone
 * @param path     the file to write, atomically
 * @throws Error  if an expert is not the one that the mixture describes, or was trained in other units
 */
void writeMixture(const ModelDescription& model, const std::vector<std::string>& experts,
                  const std::string& path);

} // namespace OpenMMScore

#endif // OPENMMSCORE_TRAINING_MODELASSEMBLY_H_
