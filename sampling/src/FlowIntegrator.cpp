#include "FlowIntegrator.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace OpenMMScore {

/** An explicit Runge-Kutta method: stage s is at c_s, from states with weights a_s; the end has weights b. */
struct ButcherTableau {
    int numStages;
    double c[7], a[7][7];
    double b[7];
    /** Weights of the difference to a method of lower order; all zero if there is none. */
    double e[7];
    /** The last stage is at the end of the step, the first of the next one. */
    bool firstSameAsLast;
};

namespace {

constexpr ButcherTableau euler = {1, {}, {}, {1}, {}, false};
constexpr ButcherTableau rungeKutta4 = {
    4, {0, 0.5, 0.5, 1}, {{}, {0.5}, {0, 0.5}, {0, 0, 1}}, {1.0 / 6, 1.0 / 3, 1.0 / 3, 1.0 / 6}, {}, false};
// J. R. Dormand and P. J. Prince, J. Comp. Appl. Math. 6, 19 (1980), table 2.
constexpr ButcherTableau dormandPrince = {
    7,
    {0, 1.0 / 5, 3.0 / 10, 4.0 / 5, 8.0 / 9, 1, 1},
    {{},
     {1.0 / 5},
     {3.0 / 40, 9.0 / 40},
     {44.0 / 45, -56.0 / 15, 32.0 / 9},
     {19372.0 / 6561, -25360.0 / 2187, 64448.0 / 6561, -212.0 / 729},
     {9017.0 / 3168, -355.0 / 33, 46732.0 / 5247, 49.0 / 176, -5103.0 / 18656},
     {35.0 / 384, 0, 500.0 / 1113, 125.0 / 192, -2187.0 / 6784, 11.0 / 84}},
    {35.0 / 384, 0, 500.0 / 1113, 125.0 / 192, -2187.0 / 6784, 11.0 / 84, 0},
    {71.0 / 57600, 0, -71.0 / 16695, 71.0 / 1920, -17253.0 / 339200, 22.0 / 525, -1.0 / 40},
    true};

const ButcherTableau& tableauOf(FlowSolver::Method method) {
    switch (method) {
    case FlowSolver::Method::Euler:
        return euler;
    case FlowSolver::Method::RungeKutta4:
        return rungeKutta4;
    default:
        return dormandPrince;
    }
}

// A trajectory that needs more steps than this is lost: velocities of trained flows take tens.
constexpr int maxSteps = 10000;

} // namespace

FlowIntegrator::FlowIntegrator(const VelocityField& velocity, const FlowSolver& solver, int numProbes,
                               DrawProbe drawProbe)
    : velocity(velocity), solver(solver), tableau(tableauOf(solver.method)), d(velocity.getDimension()),
      numProbes(numProbes), numDensities(std::max(1, numProbes)), drawProbe(std::move(drawProbe)),
      workspace(velocity.getWorkspaceSize()) {
    const std::size_t size = std::size_t(d + numDensities) * lanes;
    // Lanes that are never used hold zeros, which every network can bear.
    for (std::vector<double>* each : {&state, &stageState, &nextState})
        each->assign(size, 0.0);
    rates.assign(tableau.numStages, std::vector<double>(size, 0.0));
    probes.assign(numProbes, std::vector<double>(std::size_t(d) * lanes, 0.0));
    product.assign(std::size_t(d) * lanes, 0.0);
}

void FlowIntegrator::integrate(std::int64_t ownCount, double ownFrom, double ownTo, double* u,
                               double* logChange) {
    count = ownCount;
    next = 0;
    from = ownFrom;
    to = ownTo;
    samples = u;
    logChanges = logChange;
    std::fill_n(active, lanes, false);
    std::fill_n(time, lanes, from);
    std::fill_n(stepSize, lanes, 0.0);
    fillLanes();
    int fromStage = 0;
    while (std::find(active, active + lanes, true) != active + lanes) {
        step(fromStage);
        bool vacant = false;
        for (int lane = 0; lane < lanes; lane++)
            if (active[lane])
                vacant |= finishStep(lane);
        fromStage = tableau.firstSameAsLast ? 1 : 0;
        if (vacant && next < count) {
            fillLanes();
            // Lanes that were busy get the same first stage again, bit by bit.
            fromStage = 0;
        }
    }
}

void FlowIntegrator::fillLanes() {
    for (int lane = 0; lane < lanes; lane++)
        while (!active[lane] && next < count)
            load(lane, next++);
}

void FlowIntegrator::load(int lane, std::int64_t number) {
    sample[lane] = number;
    const double* u = samples + number * d;
    if (!std::all_of(u, u + d, [](double value) { return std::isfinite(value); })) {
        unload(lane, false);
        return;
    }
    for (int i = 0; i < d; i++)
        state[i * lanes + lane] = u[i];
    for (int p = 0; p < numDensities; p++)
        state[(d + p) * lanes + lane] = 0;
    for (int p = 0; p < numProbes; p++) {
        std::vector<double> direction(d);
        drawProbe(number, p, direction.data());
        for (int i = 0; i < d; i++)
            probes[p][i * lanes + lane] = direction[i];
    }
    active[lane] = true;
    steps[lane] = 0;
    refused[lane] = false;
    time[lane] = from;
    // Of the adaptive method: short enough for most flows, and steps may grow fivefold.
    constexpr double firstSteps = 20;
    stepSize[lane] = (to - from) / (tableau.firstSameAsLast ? firstSteps : solver.numSteps);
}

void FlowIntegrator::unload(int lane, bool arrived) {
    constexpr double nan = std::numeric_limits<double>::quiet_NaN();
    for (int i = 0; i < d + numDensities; i++) {
        double& value = state[i * lanes + lane];
        (i < d ? samples[sample[lane] * d + i] : logChanges[sample[lane] * numDensities + i - d]) =
            arrived ? value : nan;
        // An idle lane is computed on with the others, and must not trouble them with exceptional numbers.
        value = 0;
    }
    active[lane] = false;
    stepSize[lane] = 0;
    time[lane] = from;
}

void FlowIntegrator::computeRates(const double* t, const double* at, double* rate) {
    double* divergence = rate + std::size_t(d) * lanes;
    velocity.evaluate(active, t, at, rate, numProbes == 0 ? divergence : nullptr, workspace.data());
    for (int p = 0; p < numProbes; p++) {
        velocity.multiplyJacobian(active, t, at, probes[p].data(), product.data(), workspace.data());
        for (int lane = 0; lane < lanes; lane++) {
            double sum = 0;
            for (int i = 0; i < d; i++)
                sum += probes[p][i * lanes + lane] * product[i * lanes + lane];
            divergence[p * lanes + lane] = sum;
        }
    }
    for (int i = 0; i < numDensities * lanes; i++)
        divergence[i] = -divergence[i];
}

void FlowIntegrator::step(int fromStage) {
    const std::size_t size = state.size();
    const auto advance = [&](const double* weights, int stages, std::vector<double>& result) {
        std::fill(result.begin(), result.end(), 0.0);
        for (int s = 0; s < stages; s++)
            for (std::size_t i = 0; i < size; i++)
                result[i] += weights[s] * rates[s][i];
        for (std::size_t i = 0; i < size; i++)
            result[i] = state[i] + stepSize[i % lanes] * result[i];
    };
    for (int s = fromStage; s < tableau.numStages; s++) {
        double t[lanes];
        for (int lane = 0; lane < lanes; lane++)
            t[lane] = time[lane] + tableau.c[s] * stepSize[lane];
        advance(tableau.a[s], s, stageState);
        computeRates(t, stageState.data(), rates[s].data());
    }
    advance(tableau.b, tableau.numStages, nextState);
}

bool FlowIntegrator::finishStep(int lane) {
    if (tableau.firstSameAsLast)
        return finishAdaptiveStep(lane);
    accept(lane);
    time[lane] = from + (to - from) * steps[lane] / solver.numSteps;
    if (steps[lane] < solver.numSteps)
        return false;
    bool finite = true;
    for (int i = 0; i < d + numDensities; i++)
        finite = finite && std::isfinite(state[i * lanes + lane]);
    unload(lane, finite);
    return true;
}

void FlowIntegrator::accept(int lane) {
    for (int i = 0; i < d + numDensities; i++)
        state[i * lanes + lane] = nextState[i * lanes + lane];
    steps[lane]++;
}

bool FlowIntegrator::finishAdaptiveStep(int lane) {
    const double error = computeError(lane), remaining = to - time[lane];
    const bool last = std::abs(stepSize[lane]) >= std::abs(remaining);
    if (error <= 1) {
        accept(lane);
        time[lane] += stepSize[lane];
        if (last) {
            unload(lane, true);
            return true;
        }
        for (int i = 0; i < d + numDensities; i++)
            rates[0][i * lanes + lane] = rates.back()[i * lanes + lane];
    }
    else
        steps[lane]++;
    // The usual rule for a fifth order (Hairer, Norsett and Wanner, Solving Ordinary Differential Equations
    // I, section II.4). An error that is not finite means a step far too long.
    const double factor = std::isfinite(error) ? 0.9 * std::pow(std::max(error, 1e-10), -0.2) : 0.2;
    stepSize[lane] *= std::clamp(factor, 0.2, refused[lane] || error > 1 ? 1.0 : 5.0);
    refused[lane] = !(error <= 1);
    if (steps[lane] >= maxSteps || std::abs(stepSize[lane]) < 1e-13 * std::abs(to - from)) {
        unload(lane, false);
        return true;
    }
    const double left = to - time[lane];
    if (std::abs(stepSize[lane]) >= std::abs(left))
        stepSize[lane] = left;
    return false;
}

double FlowIntegrator::computeError(int lane) const {
    double squares = 0, worst = 0;
    for (int i = 0; i < d + numDensities; i++) {
        const int at = i * lanes + lane;
        double error = 0;
        for (int s = 0; s < tableau.numStages; s++)
            error += tableau.e[s] * rates[s][at];
        const double size = std::max(std::abs(state[at]), std::abs(nextState[at]));
        error *= stepSize[lane] / (solver.absoluteTolerance + solver.relativeTolerance * size);
        if (i < d)
            squares += error * error / d;
        else
            // Written so that a NaN stays.
            worst = error * error <= worst ? worst : error * error;
    }
    return std::sqrt(squares <= worst ? worst : squares);
}

} // namespace OpenMMScore
