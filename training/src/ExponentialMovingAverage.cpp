#include "openmmscore/training/ExponentialMovingAverage.h"

#include <algorithm>

namespace OpenMMScore {

ExponentialMovingAverage::ExponentialMovingAverage(const at::Tensor& parameters, double finalDecay,
                                                   std::int64_t updateInterval, Averaging averaging)
    : average(parameters.detach().clone()), decay(finalDecay), interval(updateInterval), kind(averaging) {}

void ExponentialMovingAverage::update(const at::Tensor& parameters, std::int64_t step) {
    if (step % interval != 0)
        return;
    const std::int64_t k = step / interval;
    const double d = std::min(decay, double(1 + k) / double(10 + k));
    average.lerp_(parameters, kind == Averaging::UpstreamPerEpoch ? decay : 1.0 - d);
}

} // namespace OpenMMScore
