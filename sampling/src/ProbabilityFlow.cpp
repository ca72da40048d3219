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

const VariancePreserving& scheduleOf(const ScoreModel& model) {
    const auto* schedule = dynamic_cast<const VariancePreserving*>(&model.getSchedule());
    if (schedule == nullptr)
        throw Error(
            "ProbabilityFlow: " + model.getFile().getOrigin() +
            ": its noise schedule is discrete; densities are known for variance-preserving ones only");
    return *schedule;
}

/** Times 1 = t_0 > t_1 > ... > end: even in sqrt(t), and where one expert gives way to the next. */
std::vector<double> planTimes(const ModelDescription& description, double end, int numSteps) {
    std::vector<double> times;
    for (int i = 0; i < numSteps; i++) {
        const double u = 1 - static_cast<double>(i) / numSteps;
        times.push_back(end + (1 - end) * u * u);
    }
    times.push_back(end);
    for (const ExpertDescription& expert : description.experts) {
        if (expert.lowerTime <= end)
            continue;
        const auto place = std::lower_bound(times.begin(), times.end(), expert.lowerTime, std::greater<>());
        if (*place != expert.lowerTime)
            times.insert(place, expert.lowerTime);
    }
    return times;
}

} // namespace

ProbabilityFlow::ProbabilityFlow(std::shared_ptr<const ScoreModel> ownModel, std::vector<int> ownFeatures,
                                 double endTime, int numSteps, int numThreads)
    : model(std::move(ownModel)), features(std::move(ownFeatures)), numThreads(numThreads),
      width(model->getDescription().getNumCoordinates()) {
    const ModelDescription& description = model->getDescription();
    const std::string origin = "ProbabilityFlow: " + model->getFile().getOrigin();
    scheduleOf(*model);
    if (description.getUpperTime() < 1 - 1e-9)
        throw Error(origin +
                    ": the way to noise leads to diffusion time 1, but the model only answers up to " +
                    std::to_string(description.getUpperTime()));
    if (!(endTime >= 0 && endTime < 1))
        throw Error(origin + ": expected an end between diffusion times 0 and 1, got " +
                    std::to_string(endTime));
    if (numSteps < 1 || numThreads < 1)
        throw Error(origin + ": expected one step and one thread at least, got " + std::to_string(numSteps) +
                    " and " + std::to_string(numThreads));
    model->checkFeatures(features, 1);
    dimensions = description.space == ModelDescription::Space::Particles ? width - 3 : width;
    times = planTimes(description, std::max(endTime, description.getLowerTime()), numSteps);
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
        integrate(count, z, logDensity, times[i], times[i + 1]);
}

void ProbabilityFlow::absorb(int count, double* z, double* logDensity, int fromStep, int toStep) {
    // So that zeros and addPrior() give the density of the samples: theirs is what was lost on the way, too.
    for (int m = 0; m < count; m++)
        logDensity[m] = -logDensity[m];
    for (int i = fromStep; i < toStep; i++)
        integrate(count, z, logDensity, times[getNumSteps() - i], times[getNumSteps() - i - 1]);
    for (int m = 0; m < count; m++)
        logDensity[m] = -logDensity[m];
}

/** One step of the classical Runge-Kutta method. */
void ProbabilityFlow::integrate(int count, double* z, double* logDensity, double from, double to) {
    if (count == 0)
        return;
    const std::size_t size = std::size_t(count) * width;
    const double h = to - from;
    std::vector<double> stage(z, z + size), rates(size), divergences(count), sum(size, 0.0);
    constexpr double weights[] = {1.0 / 6, 1.0 / 3, 1.0 / 3, 1.0 / 6}, places[] = {0, 0.5, 0.5, 1};
    for (int s = 0; s < 4; s++) {
        // Experts' intervals are closed: a little inside the step, its own expert answers alone.
        const double t = from + h * std::clamp(places[s], 1e-9, 1 - 1e-9);
        prepare(t);
        shareOut(numThreads, count, [&](int thread, int first, int share) {
            const std::size_t at = std::size_t(first) * width;
            computeRates(thread, first, share, t, &stage[at], &rates[at], &divergences[first]);
            const double next = s < 3 ? places[s + 1] * h : 0.0;
            for (std::size_t i = at; i < at + std::size_t(share) * width; i++) {
                sum[i] += weights[s] * rates[i];
                stage[i] = z[i] + next * rates[i];
            }
            for (int m = first; m < first + share; m++)
                logDensity[m] -= weights[s] * h * divergences[m];
        });
    }
    for (std::size_t i = 0; i < size; i++)
        z[i] += h * sum[i];
    if (dimensions < width)
        for (int m = 0; m < count; m++)
            removeMean(width, z + std::size_t(m) * width);
}

void ProbabilityFlow::prepare(double t) {
    if (evaluator != nullptr && evaluator->setTime(*model, t))
        return;
    const int stencil = 4 * width + 1;
    std::vector<int> all;
    for (int i = 0; i < stencil && !features.empty(); i++)
        all.insert(all.end(), features.begin(), features.end());
    evaluator = createFastEvaluator(*model, t, all, stencil, numThreads);
}

void ProbabilityFlow::computeRates(int thread, int, int count, double t, const double* z, double* rates,
                                   double* divergences) {
    const int stencil = 4 * width + 1;
    const double beta = scheduleOf(*model).beta(t), sigma = model->getSchedule().sigma(t);
    // Scores vary over the width of the noise, or of the data: near 0.02 in the stiffest direction. Rounding
    // of float32 scores of order 1/h costs the divergence 1e-6/h^2, a part of its own size.
    const double h = 0.1 * std::hypot(sigma, 0.02);
    const double offsets[] = {h, -h, 2 * h, -2 * h};
    const double weights[] = {8 / (12 * h), -8 / (12 * h), -1 / (12 * h), 1 / (12 * h)};
    std::vector<double>& buffer = buffers[thread];
    buffer.resize(2 * std::size_t(stencil) * width);
    double *displaced = buffer.data(), *scores = displaced + std::size_t(stencil) * width;
    for (int m = 0; m < count; m++, z += width, rates += width) {
        for (int k = 0; k < stencil; k++)
            std::copy_n(z, width, displaced + std::size_t(k) * width);
        for (int k = 0; k < 4 * width; k++)
            displaced[std::size_t(k) * width + k / 4] += offsets[k % 4];
        evaluator->evaluate(thread, 0, stencil, displaced, nullptr, scores);
        double divergence = 0;
        for (int k = 0; k < stencil; k++) {
            double* score = scores + std::size_t(k) * width;
            if (dimensions < width)
                removeMean(width, score);
            if (k < 4 * width)
                divergence += weights[k % 4] * score[k / 4];
        }
        const double* centre = scores + 4 * std::size_t(width) * width;
        for (int c = 0; c < width; c++)
            rates[c] = -0.5 * beta * (z[c] + centre[c]);
        divergences[m] = -0.5 * beta * (dimensions + divergence);
    }
}

} // namespace OpenMMScore
