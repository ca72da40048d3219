#include "TimeFeatures.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace OpenMMScore {

std::vector<double> computeTimeFeatures(const ExpertDescription& expert, double t) {
    constexpr double twoPi = 2 * std::numbers::pi;
    t = std::clamp(t, expert.lowerTime, expert.upperTime);
    if (expert.timeFeatures == TimeFeatures::Linear)
        return {t};
    // The published networks subtract half the interval's width, not its midpoint.
    double width = expert.upperTime - expert.lowerTime;
    std::vector<double> features = {t - 0.5 * width, std::cos(twoPi * t), std::sin(twoPi * t),
                                    -std::cos(2 * twoPi * t)};
    if (expert.timeFeatures == TimeFeatures::FourierRescaled) {
        double u = (t - expert.lowerTime) / width;
        features.insert(features.end(), {std::cos(twoPi * u), std::sin(twoPi * u), -std::cos(2 * twoPi * u)});
    }
    return features;
}

} // namespace OpenMMScore
