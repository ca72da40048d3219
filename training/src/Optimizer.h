#ifndef OPENMMSCORE_TRAINING_OPTIMIZER_H_
#define OPENMMSCORE_TRAINING_OPTIMIZER_H_

#include <cstdint>

#include <ATen/core/Tensor.h>

#include "openmmscore/training/TrainingConfig.h"

namespace OpenMMScore {

/**
 * AdamW (Loshchilov and Hutter, arXiv:1711.05101) with clips of the gradient's length and
 * of its elements before it and a learning rate
 * that falls along a cosine: lr(k) = last + (first - last)/2 (1 + cos(pi k / steps)).
 */
class Optimizer {
public:
    /** @param parameters  one flat tensor, changed in place by step() */
    Optimizer(at::Tensor parameters, const StageConfig& settings);
    /** @param step  k, from 0 */
    double learningRate(std::int64_t step) const;
    /** Change the parameters against the gradient, which is clipped in place. */
    void step(at::Tensor& gradient, std::int64_t step);

    /** What a checkpoint must keep: how many updates there were, and Adam's two averages. */
    struct State {
        std::int64_t updates = 0;
        at::Tensor firstMoment, secondMoment;
    };
    const State& getState() const { return state; }
    void setState(const State& state);

private:
    at::Tensor parameters;
    StageConfig settings;
    State state;
    /** state.updates as LibTorch wants it. */
    at::Tensor numUpdates;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_TRAINING_OPTIMIZER_H_
