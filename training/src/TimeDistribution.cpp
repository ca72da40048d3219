#include "TimeDistribution.h"

#include <algorithm>

namespace OpenMMScore {

TimeDistribution::TimeDistribution(const ScheduleDescription& schedule, const StageConfig& stage)
    : lower(stage.lowerTime), upper(stage.upperTime) {
    if (!schedule.isDiscrete())
        return;
    const int boundary = std::min(100, schedule.numSteps / 2);
    double sum = 0.0;
    for (int n = 0; n < schedule.numSteps; n++) {
        if (!stage.preferLowLevels)
            sum += 1.0 / double(schedule.numSteps);
        else
            sum += 0.5 / double(n < boundary ? boundary : schedule.numSteps - boundary);
        cumulative.push_back(sum);
    }
}

double TimeDistribution::quantile(double u) const {
    if (!isDiscrete())
        return lower + (upper - lower) * u;
    const auto found = std::upper_bound(cumulative.begin(), cumulative.end() - 1, u);
    return double(found - cumulative.begin()) / double(cumulative.size());
}

} // namespace OpenMMScore
