#ifndef OPENMMSCORE_SAMPLING_FLOWINTEGRATOR_H_
#define OPENMMSCORE_SAMPLING_FLOWINTEGRATOR_H_

#include <cstdint>
#include <functional>
#include <vector>

#include "VelocityField.h"
#include "openmmscore/sampling/ContinuousFlowProposal.h"

namespace OpenMMScore {

struct ButcherTableau;

/**
 * Carries samples along a velocity field, and the change of their log densities, -integral of div v dt.
 *
 * Up to 8 samples travel side by side, each with its own time and step; when one has arrived, the next takes
 * its lane. So no sample waits for another, and none is touched by its neighbours. One object serves
 * one caller.
 */
class FlowIntegrator {
public:
    /** Write probe number p of a sample, [d], numbers +1 and -1. */
    using DrawProbe = std::function<void(std::int64_t sample, int probe, double* direction)>;

    /** @param numProbes  0: exact divergence */
    FlowIntegrator(const VelocityField& velocity, const FlowSolver& solver, int numProbes,
                   DrawProbe drawProbe = {});
    /**
     * @param u          [count, d], at time `from`; changed to that at time `to`. NaN where integration
     * fails, or a number was not finite from the start
     * @param logChange  written: [count, max(1, numProbes)]
     */
    void integrate(std::int64_t count, double from, double to, double* u, double* logChange);

private:
    static constexpr int lanes = VelocityField::lanes;

    void load(int lane, std::int64_t sample);
    void unload(int lane, bool arrived);
    void fillLanes();
    void computeRates(const double* t, const double* state, double* rates);
    /** Compute stages fromStage and later, and the state at the steps' end. */
    void step(int fromStage);
    /** Decide on a lane's step. @return whether its sample has left the lane */
    bool finishStep(int lane);
    bool finishAdaptiveStep(int lane);
    void accept(int lane);
    double computeError(int lane) const;

    const VelocityField& velocity;
    FlowSolver solver;
    const ButcherTableau& tableau;
    int d, numProbes, numDensities;
    DrawProbe drawProbe;

    /** What integrate() was asked for. */
    std::int64_t count = 0, next = 0;
    double from = 0, to = 1;
    double *samples = nullptr, *logChanges = nullptr;

    std::int64_t sample[lanes];
    bool active[lanes];
    int steps[lanes];
    double time[lanes], stepSize[lanes];
    /** Whether a lane's last step was refused: then the next may not be longer. */
    bool refused[lanes];
    /** [d + numDensities, lanes]: coordinates, then log densities. */
    std::vector<double> state, stageState, nextState;
    /** [stages] of the same. */
    std::vector<std::vector<double>> rates;
    /** [numProbes] of [d, lanes]. */
    std::vector<std::vector<double>> probes;
    std::vector<double> product, workspace;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_SAMPLING_FLOWINTEGRATOR_H_
