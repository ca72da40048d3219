#include "openmmscore/sampling/ProbabilityFlow.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string>

#include "DiffusionSamples.h"
#include "openmmscore/models/Error.h"
#include "openmmscore/models/NoiseSchedule.h"

namespace OpenMMScore {

namespace {

/** As many samples as are evaluated together when their divergences are differentiated. */
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
    buffers.resize(numThreads);
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
        prepare(t);
        const auto work = [&](int thread, int first, int share) {
            const std::size_t at = std::size_t(first) * width;
            double* own = logDensity == nullptr ? nullptr : &divergences[first];
            computeRates(thread, share, t, &stage[at], &rates[at], own);
            const double next = s < 3 ? places[s + 1] * h : 0.0;
            for (std::size_t i = at; i < at + std::size_t(share) * width; i++) {
                sum[i] += weights[s] * rates[i];
                stage[i] = z[i] + next * rates[i];
            }
            for (int m = first; m < first + share && logDensity != nullptr; m++)
                logDensity[m] -= weights[s] * h * divergences[m];
        };
        shareOut(numThreads, count, work, evaluator->hasDivergence() || logDensity == nullptr ? 16 : 1);
    }
    for (std::size_t i = 0; i < size; i++)
        z[i] += h * sum[i];
    if (dimensions < width)
        for (int m = 0; m < count; m++)
            removeMean(width, z + std::size_t(m) * width);
}

void ProbabilityFlow::prepare(double t) {
    if (fast != nullptr && fast->setTime(*model, t))
        return;
    // Samples have the same features, so any of them may take any place.
    const int places = std::max(chunk, 4 * width + 1);
    std::vector<int> all;
    for (int i = 0; i < places && !features.empty(); i++)
        all.insert(all.end(), features.begin(), features.end());
    if (engine == Engine::Plain) {
        evaluator = model->createEvaluator(t, all, places, numThreads);
        return;
    }
    auto created = createFastEvaluator(*model, t, all, places, numThreads);
    fast = created.get();
    evaluator = std::move(created);
}

/** @param divergences  of f without its factor; or null */
void ProbabilityFlow::computeRates(int thread, int count, double t, const double* z, double* rates,
                                   double* divergences) {
    const std::size_t size = std::size_t(count) * width;
    if (divergences != nullptr && !evaluator->hasDivergence())
        for (int m = 0; m < count; m++)
            divergences[m] = takeDifferences(buffers[thread], thread, t, z + std::size_t(m) * width,
                                             rates + std::size_t(m) * width);
    else
        differentiate(thread, count, z, rates, divergences);
    if (dimensions < width)
        for (int m = 0; m < count; m++)
            removeMean(width, rates + std::size_t(m) * width);
    for (std::size_t i = 0; i < size; i++)
        rates[i] = -0.5 * (z[i] + rates[i]);
    for (int m = 0; m < count && divergences != nullptr; m++)
        divergences[m] = -0.5 * (dimensions + divergences[m]);
}

/** Scores, and divergences unless those are null. */
void ProbabilityFlow::differentiate(int thread, int count, const double* z, double* scores,
                                    double* divergences) {
    for (int m = 0; m < count; m += chunk) {
        const std::size_t at = std::size_t(m) * width;
        const int size = std::min(chunk, count - m);
        if (divergences == nullptr)
            evaluator->evaluate(thread, 0, size, z + at, nullptr, scores + at);
        else
            evaluator->evaluateDivergence(thread, 0, size, z + at, scores + at, divergences + m);
    }
}

/** @param score  written: [width] @return its divergence in the space of samples */
double ProbabilityFlow::takeDifferences(std::vector<double>& buffer, int thread, double t, const double* z,
                                        double* score) {
    const int stencil = 4 * width + 1;
    // Scores vary over the width of the noise, or of the data: near 0.02 in the stiffest direction. Rounding
    // of float32 scores of order 1/h costs the divergence 1e-6/h^2, a part of its own size.
    const double part = engine == Engine::Fast ? 0.1 : 0.005;
    const double h = part * std::hypot(model->getSchedule().noiseLevel(t), 0.02);
    const double offsets[] = {h, -h, 2 * h, -2 * h};
    const double weights[] = {8 / (12 * h), -8 / (12 * h), -1 / (12 * h), 1 / (12 * h)};
    buffer.resize(2 * std::size_t(stencil) * width);
    double *displaced = buffer.data(), *scores = displaced + std::size_t(stencil) * width;
    for (int k = 0; k < stencil; k++)
        std::copy_n(z, width, displaced + std::size_t(k) * width);
    for (int k = 0; k < 4 * width; k++)
        displaced[std::size_t(k) * width + k / 4] += offsets[k % 4];
    evaluator->evaluate(thread, 0, stencil, displaced, nullptr, scores);
    double divergence = 0;
    for (int k = 0; k < 4 * width; k++) {
        double* own = scores + std::size_t(k) * width;
        if (dimensions < width)
            removeMean(width, own);
        divergence += weights[k % 4] * own[k / 4];
    }
    std::copy_n(scores + 4 * std::size_t(width) * width, width, score);
    return divergence;
}

} // namespace OpenMMScore
