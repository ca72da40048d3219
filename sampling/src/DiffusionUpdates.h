#ifndef OPENMMSCORE_SAMPLING_DIFFUSIONUPDATES_H_
#define OPENMMSCORE_SAMPLING_DIFFUSIONUPDATES_H_

#include <vector>

#include "openmmscore/sampling/ReverseDiffusion.h"

namespace OpenMMScore {

/**
 * @return what a ReverseDiffusion does, one update after another
 * @throws Error  if the method does not fit the schedule, or an argument is out of its range
 */
std::vector<ReverseDiffusion::Update> planUpdates(const ScoreModel& model, int numSteps,
                                                  ReverseDiffusion::Method method,
                                                  const ReverseDiffusion::Tuning& tuning);

} // namespace OpenMMScore

#endif // OPENMMSCORE_SAMPLING_DIFFUSIONUPDATES_H_
