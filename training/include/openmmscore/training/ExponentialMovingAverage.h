#ifndef OPENMMSCORE_TRAINING_EXPONENTIALMOVINGAVERAGE_H_
#define OPENMMSCORE_TRAINING_EXPONENTIALMOVINGAVERAGE_H_

#include <cstdint>

#include <ATen/core/Tensor.h>

#include "openmmscore/training/TrainingConfig.h"

namespace OpenMMScore {

/**
 * A running average of parameters, average <- d average + (1 - d) parameters, which is what is validated and
 * saved. So that a young average is not mostly the random start, d grows from 0.1 at the first update to the
 * decay: d = min(decay, (1 + k)/(10 + k)) at update k.
 *
 * With Averaging::UpstreamPerEpoch the average is the published one instead, average <- (1 - decay) average +
 * decay parameters, whose memory is less than a step.
 */
class ExponentialMovingAverage {
public:
    /** @param interval  updates are made at every so many calls of update() */
    ExponentialMovingAverage(const at::Tensor& parameters, double decay, std::int64_t interval = 1,
                             Averaging kind = Averaging::Running);

    /** @param step  how often this was called before */
    void update(const at::Tensor& parameters, std::int64_t step);
    at::Tensor& getAverage() { return average; }

private:
    at::Tensor average;
    double decay;
    std::int64_t interval;
    Averaging kind;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_TRAINING_EXPONENTIALMOVINGAVERAGE_H_
