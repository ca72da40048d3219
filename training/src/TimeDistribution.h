#ifndef OPENMMSCORE_TRAINING_TIMEDISTRIBUTION_H_
#define OPENMMSCORE_TRAINING_TIMEDISTRIBUTION_H_

#include <vector>

#include "openmmscore/training/TrainingConfig.h"

namespace OpenMMScore {

/**
 * How diffusion times are drawn: uniformly from an interval or, of a discrete diffusion, levels n/numSteps of
 * which, if low ones are preferred, half of all draws lie below n = 100 (the weights "higheruntil_100" of
 * Arts et al., J. Chem. Theory Comput. 2023).
 */
class TimeDistribution {
public:
    TimeDistribution(const ScheduleDescription& schedule, const StageConfig& stage);
    /** @return the time below which a part u of all draws lies, 0 < u < 1 */
    double quantile(double u) const;
    bool isDiscrete() const { return !cumulative.empty(); }

private:
    double lower, upper;
    /** Of the levels; empty for continuous times. */
    std::vector<double> cumulative;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_TRAINING_TIMEDISTRIBUTION_H_
