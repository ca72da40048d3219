#include "openmmscore/training/ExponentialMovingAverage.h"

#include <algorithm>

namespace OpenMMScore {

ExponentialMovingAverage::ExponentialMovingAverage(const at::Tensor& parameters, double finalDecay)
    : average(parameters.detach().clone()), decay(finalDecay) {}

void ExponentialMovingAverage::update(const at::Tensor& parameters, std::int64_t step) {
    const double d = std::min(decay, double(1 + step) / double(10 + step));
    average.lerp_(parameters, 1.0 - d);
}

} // namespace OpenMMScore
