#include "openmmscore/sampling/ReverseDiffusion.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "DiffusionSamples.h"
#include "openmmscore/models/Error.h"
#include "openmmscore/models/NoiseSchedule.h"

namespace OpenMMScore {

namespace {

using Update = ReverseDiffusion::Update;

std::vector<Update> eulerMaruyama(const VariancePreserving& schedule, int numSteps) {
    const double dt = 1.0 / (numSteps - 1);
    std::vector<Update> updates;
    for (int k = numSteps - 1; k >= 0; k--) {
        const double t = static_cast<double>(k) / (numSteps - 1), beta = schedule.beta(t);
        updates.push_back({t, 1 + 0.5 * beta * dt, beta * dt, std::sqrt(beta * dt)});
    }
    return updates;
}

/** @param r  m(t)/m(s); @param kept  1 - r^2; @param ratio  sigma(s)/sigma(t) */
Update ancestralUpdate(double t, double r, double kept, double ratio) {
    return {t, 1 / r, kept / r, std::sqrt(kept) * ratio};
}

std::vector<Update> ancestral(const VariancePreserving& schedule, int numSteps) {
    std::vector<Update> updates;
    for (int k = numSteps - 1; k > 0; k--) {
        const double t = static_cast<double>(k) / (numSteps - 1), s = (k - 1.0) / (numSteps - 1);
        const double logRatio = schedule.logMeanCoefficient(t) - schedule.logMeanCoefficient(s);
        updates.push_back(ancestralUpdate(t, std::exp(logRatio), -std::expm1(2 * logRatio),
                                          schedule.sigma(s) / schedule.sigma(t)));
    }
    return updates;
}

std::vector<Update> ancestral(const CosineDdpm& schedule, int numSteps) {
    const int levels = schedule.getNumSteps();
    std::vector<Update> updates;
    for (int k = numSteps - 1; k >= 0; k--) {
        const auto time = [&](int step) {
            return std::round(static_cast<double>(step) * (levels - 1) / (numSteps - 1)) / levels;
        };
        const double t = time(k), m = schedule.meanCoefficient(t);
        const double mBelow = k == 0 ? 1 : schedule.meanCoefficient(time(k - 1));
        const double sigmaBelow = k == 0 ? 0 : schedule.sigma(time(k - 1));
        const double r = m / mBelow;
        updates.push_back(ancestralUpdate(t, r, 1 - r * r, sigmaBelow / schedule.sigma(t)));
    }
    return updates;
}

std::vector<Update> planUpdates(const ScoreModel& model, int numSteps, ReverseDiffusion::Method method) {
    const std::string origin = "ReverseDiffusion: " + model.getFile().getOrigin();
    if (numSteps < 2)
        throw Error(origin + ": expected 2 steps at least, got " + std::to_string(numSteps));
    const bool euler = method == ReverseDiffusion::Method::EulerMaruyama;
    if (const auto* vp = dynamic_cast<const VariancePreserving*>(&model.getSchedule()))
        return euler ? eulerMaruyama(*vp, numSteps) : ancestral(*vp, numSteps);
    const auto& cosine = dynamic_cast<const CosineDdpm&>(model.getSchedule());
    if (euler)
        throw Error(origin + ": its schedule is discrete, which the Euler-Maruyama method is not for; choose "
                             "the ancestral one");
    if (numSteps > cosine.getNumSteps())
        throw Error(origin + ": its schedule has " + std::to_string(cosine.getNumSteps()) +
                    " levels, so there can be no " + std::to_string(numSteps) + " steps");
    return ancestral(cosine, numSteps);
}

/** Whatever could go wrong at one of the times shall do so before the work begins. */
void checkTimes(const ScoreModel& model, const std::vector<Update>& updates) {
    const double upper = model.getDescription().getUpperTime();
    if (upper < updates.front().time - 1e-9)
        throw Error("ReverseDiffusion: " + model.getFile().getOrigin() +
                    ": sampling starts from noise at diffusion time " + std::to_string(updates.front().time) +
                    ", but the model only answers up to " + std::to_string(upper) +
                    "; it can be simulated, not sampled");
    for (const Update& update : updates) {
        const std::vector<double> weights = model.expertWeights(update.time);
        for (std::size_t k = 0; k < weights.size(); k++)
            if (weights[k] > 0)
                model.outputFactor(static_cast<int>(k), update.time);
    }
}

} // namespace

ReverseDiffusion::ReverseDiffusion(std::shared_ptr<const ScoreModel> ownModel, std::vector<int> ownFeatures,
                                   int numSteps, Method method, int numThreads, Engine engine)
    : model(std::move(ownModel)), features(std::move(ownFeatures)),
      updates(planUpdates(*model, numSteps, method)), numThreads(numThreads),
      width(model->getDescription().getNumCoordinates()),
      centred(model->getDescription().space == ModelDescription::Space::Particles), engine(engine) {
    if (numThreads < 1)
        throw Error("ReverseDiffusion: expected one thread at least, got " + std::to_string(numThreads));
    checkTimes(*model, updates);
    model->checkFeatures(features, 1);
    buffers.resize(numThreads);
}

ReverseDiffusion::~ReverseDiffusion() = default;

ReverseDiffusion::Method ReverseDiffusion::publishedMethod(const ScoreModel& model) {
    const bool continuous = dynamic_cast<const VariancePreserving*>(&model.getSchedule()) != nullptr;
    return continuous ? Method::EulerMaruyama : Method::Ancestral;
}

void ReverseDiffusion::drawStart(std::uint64_t seed, std::int64_t first, int count, double* z) const {
    drawNoise(seed, first, count, width, centred, z);
}

void ReverseDiffusion::prepare(int update, int count) {
    const double t = updates[update].time;
    if (fast != nullptr && fast->getNumMolecules() == count && fast->setTime(*model, t))
        return;
    std::vector<int> all;
    for (int i = 0; i < count && !features.empty(); i++)
        all.insert(all.end(), features.begin(), features.end());
    if (engine == Engine::Plain) {
        evaluator = model->createEvaluator(t, all, count, numThreads);
        return;
    }
    auto created = createFastEvaluator(*model, t, all, count, numThreads);
    fast = created.get();
    evaluator = std::move(created);
}

template <class FillNoise>
void ReverseDiffusion::updateRange(int thread, int k, int first, int count, double* z, FillNoise fillNoise) {
    const Update& update = updates[k];
    // Some blocks of the engine at once: few enough for the cache, enough to hide what a call costs.
    const int chunk = 4 * evaluator->getBlockSize();
    std::vector<double>& scores = buffers[thread];
    scores.resize(std::size_t(chunk + 1) * width);
    double* xi = scores.data() + std::size_t(chunk) * width;
    for (int i = first; i < first + count; i += chunk) {
        const int size = std::min(chunk, first + count - i);
        double* own = z + std::size_t(i) * width;
        evaluator->evaluate(thread, i, size, own, nullptr, scores.data());
        for (int m = 0; m < size; m++, own += width) {
            fillNoise(i + m, xi);
            const double* score = scores.data() + std::size_t(m) * width;
            for (int c = 0; c < width; c++)
                own[c] = update.positionFactor * own[c] + update.scoreFactor * score[c] +
                         update.noiseFactor * xi[c];
            if (centred)
                removeMean(width, own);
        }
    }
}

void ReverseDiffusion::advance(std::uint64_t seed, std::int64_t first, int count, double* z, int fromUpdate,
                               int toUpdate) {
    if (count == 0)
        return;
    for (int k = fromUpdate; k < toUpdate; k++) {
        prepare(k, count);
        shareOut(numThreads, count, [&](int thread, int begin, int size) {
            updateRange(thread, k, begin, size, z, [&](int i, double* xi) {
                drawNormals(seed, first + i, k, LangevinNoise::Purpose::Diffusion, width, xi);
            });
        });
    }
}

void ReverseDiffusion::replay(int update, int count, double* z, const double* noise) {
    if (count == 0)
        return;
    prepare(update, count);
    updateRange(0, update, 0, count, z,
                [&](int i, double* xi) { std::copy_n(noise + std::size_t(i) * width, width, xi); });
}

} // namespace OpenMMScore
