#ifndef OPENMMSCORE_TRAINING_EXPONENTIALMOVINGAVERAGE_H_
#define OPENMMSCORE_TRAINING_EXPONENTIALMOVINGAVERAGE_H_

#include <cstdint>

#include <ATen/core/Tensor.h>

namespace OpenMMScore {

/**
 * A running average of parameters, average <- d average + (1 - d) parameters, which is what is validated and
 * saved. So that a young average is not mostly the random start, d grows from 0.1 at the first update to the
 * decay: d = min(decay, (1 + k)/(10 + k)) at update k.
 */
class ExponentialMovingAverage {
public:
    ExponentialMovingAverage(const at::Tensor& parameters, double decay);

    /** @param step  k, from 0 */
    void update(const at::Tensor& parameters, std::int64_t step);
    at::Tensor& getAverage() { return average; }

private:
    at::Tensor average;
    double decay;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_TRAINING_EXPONENTIALMOVINGAVERAGE_H_
