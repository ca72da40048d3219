// The updates of each method that takes noise back to data; the formulas are in ReverseDiffusion.h.

#include "DiffusionUpdates.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string>

#include "openmmscore/models/Error.h"
#include "openmmscore/models/NoiseSchedule.h"

namespace OpenMMScore {

namespace {

using Method = ReverseDiffusion::Method;
using Tuning = ReverseDiffusion::Tuning;
using Update = ReverseDiffusion::Update;

/** One of the places that a sampler visits. */
struct Place {
    double time, m, sigma;
    /** -ln m^2 */
    double decay;

    /** sigma/m, the noise beside clean data: the variable in which the way is y = z/m, dy/dratio = -sigma
     * score. */
    double ratio() const { return sigma / m; }
};

/** The end without noise; its time is never asked for. */
constexpr Place clean{0, 1, 0, 0};

Place placeAt(const NoiseSchedule& schedule, double decay) {
    return {schedule.timeOf(decay), std::exp(-0.5 * decay), std::sqrt(-std::expm1(-decay)), decay};
}

/** Evenly spaced times from 1 to 0: what stochastic methods are published with. */
std::vector<Place> evenTimes(const VariancePreserving& schedule, int numSteps) {
    std::vector<Place> places;
    for (int k = numSteps - 1; k > 0; k--) {
        const double t = static_cast<double>(k) / (numSteps - 1);
        places.push_back({t, schedule.meanCoefficient(t), schedule.sigma(t), schedule.logDecay(t)});
    }
    places.push_back(clean);
    return places;
}

/** Even in L^(1/5), as ProbabilityFlow's: few steps at large times, where nothing is decided. */
std::vector<Place> evenDecays(const VariancePreserving& schedule, int numSteps) {
    const double first = std::pow(schedule.logDecay(1), 0.2);
    std::vector<Place> places;
    for (int k = numSteps - 1; k > 0; k--)
        places.push_back(placeAt(schedule, std::pow(first * k / (numSteps - 1), 5)));
    places.push_back(clean);
    return places;
}

/** Evenly spaced levels and, unless the published sampler is wanted, the clean data below them. */
std::vector<Place> evenLevels(const LevelSchedule& schedule, int numSteps, bool stopAtLowest) {
    const int levels = schedule.getNumSteps();
    std::vector<Place> places;
    for (int k = numSteps - 1; k >= 0; k--) {
        const double t = std::round(static_cast<double>(k) * (levels - 1) / (numSteps - 1)) / levels;
        places.push_back({t, schedule.meanCoefficient(t), schedule.sigma(t), schedule.logDecay(t)});
    }
    if (!stopAtLowest)
        places.push_back(clean);
    return places;
}

std::vector<Update> eulerMaruyama(const VariancePreserving& schedule, int numSteps) {
    const double dt = 1.0 / (numSteps - 1);
    std::vector<Update> updates;
    for (int k = numSteps - 1; k >= 0; k--) {
        const double t = static_cast<double>(k) / (numSteps - 1), beta = schedule.beta(t);
        updates.push_back({t, 1 + 0.5 * beta * dt, beta * dt, std::sqrt(beta * dt), {}});
    }
    return updates;
}

Update ancestral(const Place& from, const Place& to) {
    const double r = from.m / to.m, kept = -std::expm1(to.decay - from.decay);
    return {from.time, 1 / r, kept / r, std::sqrt(kept) * to.sigma / from.sigma, {}};
}

Update ddim(const Place& from, const Place& to, double eta) {
    const double kept = -std::expm1(to.decay - from.decay);
    const double noise = eta * std::sqrt(kept) * to.sigma / from.sigma;
    const double rest = std::sqrt(std::max(0.0, to.sigma * to.sigma - noise * noise));
    return {from.time, to.m / from.m, from.sigma * (from.sigma * to.m / from.m - rest), noise, {}};
}

Update heun(const Place& from, const Place& to) {
    const double a = to.m / from.m, step = to.m * (from.ratio() - to.ratio());
    if (to.sigma == 0)
        return {from.time, a, step * from.sigma, 0, {}};
    return {from.time, a, 0.5 * step * from.sigma, 0,
            Update::Second{to.time, a, step * from.sigma, 0.5 * step * to.sigma}};
}

Update exponential(const NoiseSchedule& schedule, const Place& from, const Place& to) {
    const double a = to.m / from.m, step = to.m * (from.ratio() - to.ratio());
    if (to.sigma == 0)
        return {from.time, a, step * from.sigma, 0, {}};
    const double ratio = std::sqrt(from.ratio() * to.ratio());
    const Place middle = placeAt(schedule, std::log1p(ratio * ratio));
    return {from.time, a, 0, 0,
            Update::Second{middle.time, middle.m / from.m, middle.m * (from.ratio() - ratio) * from.sigma,
                           step * middle.sigma}};
}

std::vector<Update> stochasticHeun(const NoiseSchedule& schedule, const std::vector<Place>& places,
                                   double churn) {
    const double steps = static_cast<double>(places.size() - 1);
    const double growth = 1 + std::min(churn / steps, std::numbers::sqrt2 - 1);
    std::vector<Update> updates;
    Place from = places[0];
    for (std::size_t i = 1; i < places.size(); i++) {
        const Place& to = places[i];
        Update update = heun(from, to);
        from = to;
        if (i + 1 < places.size()) {
            // Back to more noise, as the end of this update.
            const double ratio = std::min(growth * to.ratio(), places[0].ratio());
            from = placeAt(schedule, std::log1p(ratio * ratio));
            const double kept = from.m / to.m;
            update.positionFactor *= kept;
            update.scoreFactor *= kept;
            update.second->scoreFactor *= kept;
            update.noiseFactor = from.m * std::sqrt(ratio * ratio - to.ratio() * to.ratio());
        }
        updates.push_back(update);
    }
    return updates;
}

void checkTuning(const Tuning& tuning, const std::string& origin) {
    if (!(tuning.eta >= 0 && tuning.eta <= 1))
        throw Error(origin + ": expected eta between 0 and 1, got " + std::to_string(tuning.eta));
    if (!(tuning.signalToNoise > 0 && tuning.signalToNoise <= 1))
        throw Error(origin + ": expected a signal-to-noise ratio above 0 and up to 1, got " +
                    std::to_string(tuning.signalToNoise));
    if (!(tuning.churn >= 0 && std::isfinite(tuning.churn)))
        throw Error(origin + ": expected a churn of 0 at least, got " + std::to_string(tuning.churn));
    if (tuning.correctorSteps < 0)
        throw Error(origin + ": expected 0 corrector steps at least, got " +
                    std::to_string(tuning.correctorSteps));
}

std::vector<Place> planPlaces(const ScoreModel& model, int numSteps, Method method, const Tuning& tuning,
                              const std::string& origin) {
    if (const auto* vp = dynamic_cast<const VariancePreserving*>(&model.getSchedule())) {
        if (tuning.upstreamStopAtLowestLevel)
            throw Error(origin + ": its schedule has no levels to stop at");
        const bool stochastic = method == Method::Ancestral || method == Method::PredictorCorrector;
        return stochastic ? evenTimes(*vp, numSteps) : evenDecays(*vp, numSteps);
    }
    const auto& levels = dynamic_cast<const LevelSchedule&>(model.getSchedule());
    if (numSteps > levels.getNumSteps())
        throw Error(origin + ": its schedule has " + std::to_string(levels.getNumSteps()) +
                    " levels, so there can be no " + std::to_string(numSteps) + " steps");
    return evenLevels(levels, numSteps, tuning.upstreamStopAtLowestLevel);
}

} // namespace

std::vector<Update> planUpdates(const ScoreModel& model, int numSteps, Method method, const Tuning& tuning) {
    const std::string origin = "ReverseDiffusion: " + model.getFile().getOrigin();
    if (numSteps < 2)
        throw Error(origin + ": expected 2 steps at least, got " + std::to_string(numSteps));
    checkTuning(tuning, origin);
    if (method == Method::EulerMaruyama) {
        if (const auto* vp = dynamic_cast<const VariancePreserving*>(&model.getSchedule()))
            return eulerMaruyama(*vp, numSteps);
        throw Error(origin + ": its schedule is discrete, which the Euler-Maruyama method is not for; choose "
                             "the ancestral one");
    }
    const std::vector<Place> places = planPlaces(model, numSteps, method, tuning, origin);
    if (method == Method::StochasticHeun)
        return stochasticHeun(model.getSchedule(), places, tuning.churn);
    std::vector<Update> updates;
    for (std::size_t i = 0; i + 1 < places.size(); i++) {
        const Place &from = places[i], &to = places[i + 1];
        if (method == Method::Ddim)
            updates.push_back(ddim(from, to, tuning.eta));
        else if (method == Method::Heun)
            updates.push_back(heun(from, to));
        else if (method == Method::Exponential)
            updates.push_back(exponential(model.getSchedule(), from, to));
        else
            updates.push_back(ancestral(from, to));
        if (method != Method::PredictorCorrector || to.sigma == 0)
            continue;
        const double step = 2 * std::pow(tuning.signalToNoise * to.sigma, 2);
        updates.insert(updates.end(), static_cast<std::size_t>(tuning.correctorSteps),
                       {to.time, 1, step, std::sqrt(2 * step), {}});
    }
    return updates;
}

} // namespace OpenMMScore
