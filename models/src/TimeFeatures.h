#ifndef OPENMMSCORE_MODELS_TIMEFEATURES_H_
#define OPENMMSCORE_MODELS_TIMEFEATURES_H_

#include <vector>

#include "openmmscore/models/ModelDescription.h"

namespace OpenMMScore {

/**
 * @param t  diffusion time; clamped to the expert's interval first
 * @return the numbers that the expert's network is told about t (docs/model-format.md)
 */
std::vector<double> computeTimeFeatures(const ExpertDescription& expert, double t);

} // namespace OpenMMScore

#endif // OPENMMSCORE_MODELS_TIMEFEATURES_H_
