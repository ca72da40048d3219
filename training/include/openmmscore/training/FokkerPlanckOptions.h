#ifndef OPENMMSCORE_TRAINING_FOKKERPLANCKOPTIONS_H_
#define OPENMMSCORE_TRAINING_FOKKERPLANCKOPTIONS_H_

#include <cstdint>

namespace OpenMMScore {

/** Choices for FokkerPlanckLoss. */
struct FokkerPlanckOptions {
    /** What the loss is multiplied by; 0 for none. */
    double weight = 0.0;
    /** How many of a batch's samples it is estimated from; 0 for all. It costs five times as much as score
     * matching, and has the same mean with fewer. */
    std::int64_t samples = 0;
    /** Standard deviation of the displacements at which the residual is estimated, network units. */
    double perturbation = 1e-4;
    /** How the derivative of log q with respect to t is taken. */
    enum class TimeDerivative {
        /** by differentiation */
        Exact,
        /** from t - backwardStep, t and t + forwardStep; near an end of the expert's interval, on one side */
        Stencil,
        /** from the same three points even where the network is not told of them, because they lie outside
         * its interval: the derivative then comes out too small (as published) */
        ClampedStencil
    };
    TimeDerivative timeDerivative = TimeDerivative::Exact;
    double backwardStep = 1e-3, forwardStep = 5e-4;
    /** Count the divergence of the drift as that of one coordinate (as published). It changes the time
     * dependent constant of the learnt energy, not its gradient. */
    bool oneDimensionalDivergence = false;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_TRAINING_FOKKERPLANCKOPTIONS_H_
