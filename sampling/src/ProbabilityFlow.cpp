#include "openmmscore/sampling/ProbabilityFlow.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string>

#include "DiffusionSamples.h"
#include "PlainEvaluator.h"
#include "openmmscore/models/Error.h"
#include "openmmscore/models/NoiseSchedule.h"

namespace OpenMMScore {

namespace {

/** As many samples as are evaluated together. */
constexpr int chunk = 128;

/** L from the far end down to the data's: even in L^(1/5), and where one expert gives way to the next. */
std::vector<double> planDecays(const ScoreModel& model, double farEnd, double endTime, int numSteps) {
    const NoiseSchedule& schedule = model.getSchedule();
    constexpr double power = 5;
    const double end = schedule.logDecay(endTime);
    const double first = std::pow(schedule.logDecay(farEnd), 1 / power), last = std::pow(end, 1 / power);
    std::vector<double> decays = {schedule.logDecay(farEnd)};
    for (int i = 1; i < numSteps; i++)
        decays.push_back(std::pow(std::lerp(first, last, static_cast<double>(i) / numSteps), power));
    decays.push_back(end);
    for (const ExpertDescription& expert : model.getDescription().experts) {
        const double decay = schedule.logDecay(expert.lowerTime);
        const auto place = std::lower_bound(decays.begin(), decays.end(), decay, std::greater<>());
        if (expert.lowerTime > endTime && place != decays.end() && *place != decay)
            decays.insert(place, decay);
    }
    return decays;
}

double farEndOf(const ScoreModel& model) {
    const auto* levels = dynamic_cast<const LevelSchedule*>(&model.getSchedule());
    return levels == nullptr ? 1.0 : (levels->getNumSteps() - 1.0) / levels->getNumSteps();
}

void checkScoresAt(const ScoreModel& model, double t) {
    const std::vector<double> weights = model.expertWeights(t);
    for (std::size_t k = 0; k < weights.size(); k++)
        if (weights[k] > 0)
            model.outputFactor(static_cast<int>(k), t);
}

} // namespace

ProbabilityFlow::ProbabilityFlow(std::shared_ptr<const ScoreModel> ownModel, std::vector<int> ownFeatures,
                                 double endTime, int numSteps, int numThreads, Engine engine)
    : model(std::move(ownModel)), features(std::move(ownFeatures)), numThreads(numThreads),
      width(model->getDescription().getNumCoordinates()), engine(engine) {
    const ModelDescription& description = model->getDescription();
    const std::string origin = "ProbabilityFlow: " + model->getFile().getOrigin();
    const double farEnd = farEndOf(*model);
    if (description.getUpperTime() < farEnd - 1e-9)
        throw Error(origin + ": the way to noise leads to diffusion time " + std::to_string(farEnd) +
                    ", but the model only answers up to " + std::to_string(description.getUpperTime()));
    if (!(endTime >= 0 && endTime < farEnd))
        throw Error(origin + ": expected an end between diffusion times 0 and " + std::to_string(farEnd) +
                    ", got " + std::to_string(endTime));
    if (numSteps < 1 || numThreads < 1)
        throw Error(origin + ": expected one step and one thread at least, got " + std::to_string(numSteps) +
                    " and " + std::to_string(numThreads));
    model->checkFeatures(features, 1);
    dimensions = description.space == ModelDescription::Space::Particles ? width - 3 : width;
    const double end = std::max(endTime, description.getLowerTime());
    checkScoresAt(*model, end);
    decays = planDecays(*model, farEnd, end, numSteps);
}

ProbabilityFlow::~ProbabilityFlow() = default;

void ProbabilityFlow::drawStart(std::uint64_t seed, std::int64_t first, int count, double* z,
                                double* logDensity) const {
    drawNoise(seed, first, count, width, dimensions < width, z);
    std::fill_n(logDensity, count, 0.0);
    addPrior(count, z, logDensity);
}

void ProbabilityFlow::addPrior(int count, const double* z, double* logDensity) const {
    for (int m = 0; m < count; m++, z += width) {
        double squares = 0;
        for (int c = 0; c < width; c++)
            squares += z[c] * z[c];
        logDensity[m] -= 0.5 * (squares + dimensions * std::log(2 * std::numbers::pi));
    }
}

void ProbabilityFlow::generate(int count, double* z, double* logDensity, int fromStep, int toStep) {
    for (int i = fromStep; i < toStep; i++)
        integrate(count, z, logDensity, decays[i], decays[i + 1]);
}

void ProbabilityFlow::absorb(int count, double* z, double* logDensity, int fromStep, int toStep) {
    // So that zeros and addPrior() give the density of the samples: theirs is what was lost on the way, too.
    for (int m = 0; m < count; m++)
        logDensity[m] = -logDensity[m];
    for (int i = fromStep; i < toStep; i++)
        integrate(count, z, logDensity, decays[getNumSteps() - i], decays[getNumSteps() - i - 1]);
    for (int m = 0; m < count; m++)
        logDensity[m] = -logDensity[m];
}

/** One step of the classical Runge-Kutta method. */
void ProbabilityFlow::integrate(int count, double* z, double* logDensity, double from, double to) {
    if (count == 0)
        return;
    const std::size_t size = std::size_t(count) * width;
    const double h = to - from;
    std::vector<double> stage(z, z + size), rates(size), sum(size, 0.0);
    std::vector<double> divergences(logDensity == nullptr ? 0 : count);
    constexpr double weights[] = {1.0 / 6, 1.0 / 3, 1.0 / 3, 1.0 / 6}, places[] = {0, 0.5, 0.5, 1};
    for (int s = 0; s < 4; s++) {
        // Experts' intervals are closed: a little inside the step, its own expert answers alone.
        const double t = model->getSchedule().timeOf(from + h * std::clamp(places[s], 1e-9, 1 - 1e-9));
        prepare(t, logDensity != nullptr);
        const auto work = [&](int thread, int first, int share) {
            const std::size_t at = std::size_t(first) * width;
            double* own = logDensity == nullptr ? nullptr : &divergences[first];
            computeRates(thread, share, &stage[at], &rates[at], own);
            const double next = s < 3 ? places[s + 1] * h : 0.0;
            for (std::size_t i = at; i < at + std::size_t(share) * width; i++) {
                sum[i] += weights[s] * rates[i];
                stage[i] = z[i] + next * rates[i];
            }
            for (int m = first; m < first + share && logDensity != nullptr; m++)
                logDensity[m] -= weights[s] * h * divergences[m];
        };
        shareOut(numThreads, count, work, evaluator == fast.get() || logDensity == nullptr ? 16 : 1);
    }
    for (std::size_t i = 0; i < size; i++)
        z[i] += h * sum[i];
    if (dimensions < width)
        for (int m = 0; m < count; m++)
            removeMean(width, z + std::size_t(m) * width);
}

void ProbabilityFlow::prepare(double t, bool divergences) {
    // Samples have the same features, so any of them may take any place.
    std::vector<int> all;
    for (int i = 0; i < chunk && !features.empty(); i++)
        all.insert(all.end(), features.begin(), features.end());
    if (engine == Engine::Fast) {
        prepareFast(t, all);
        evaluator = fast.get();
        if (!divergences || fast->hasDivergence())
            return;
    }
    if (plain)
        plain->setTime(*model, t);
    else
        plain = std::make_unique<PlainEvaluator>(*model, t, all, chunk, numThreads);
    evaluator = plain.get();
}

void ProbabilityFlow::prepareFast(double t, const std::vector<int>& all) {
    if (!fast || !fast->setTime(*model, t))
        fast = createFastEvaluator(*model, t, all, chunk, numThreads);
}

/** @param divergences  of f without its factor; or null */
void ProbabilityFlow::computeRates(int thread, int count, const double* z, double* rates,
                                   double* divergences) {
    const std::size_t size = std::size_t(count) * width;
    evaluate(thread, count, z, rates, divergences);
    if (dimensions < width)
        for (int m = 0; m < count; m++)
            removeMean(width, rates + std::size_t(m) * width);
    for (std::size_t i = 0; i < size; i++)
        rates[i] = -0.5 * (z[i] + rates[i]);
    for (int m = 0; m < count && divergences != nullptr; m++)
        divergences[m] = -0.5 * (dimensions + divergences[m]);
}

/** Scores, and divergences unless those are null. */
void ProbabilityFlow::evaluate(int thread, int count, const double* z, double* scores, double* divergences) {
    for (int m = 0; m < count; m += chunk) {
        const std::size_t at = std::size_t(m) * width;
        const int size = std::min(chunk, count - m);
        if (divergences == nullptr)
            evaluator->evaluate(thread, 0, size, z + at, nullptr, scores + at);
        else
            evaluator->evaluateDivergence(thread, 0, size, z + at, scores + at, divergences + m);
    }
}

} // namespace OpenMMScore
