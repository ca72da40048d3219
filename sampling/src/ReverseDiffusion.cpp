#include "openmmscore/sampling/ReverseDiffusion.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "DiffusionSamples.h"
#include "DiffusionUpdates.h"
#include "openmmscore/models/Error.h"
#include "openmmscore/models/NoiseSchedule.h"

namespace OpenMMScore {

namespace {

/** Whatever could go wrong at one of the times shall do so before the work begins. */
void checkTimes(const ScoreModel& model, const std::vector<ReverseDiffusion::Update>& updates) {
    const double upper = model.getDescription().getUpperTime();
    if (upper < updates.front().time - 1e-9)
        throw Error("ReverseDiffusion: " + model.getFile().getOrigin() +
                    ": sampling starts from noise at diffusion time " + std::to_string(updates.front().time) +
                    ", but the model only answers up to " + std::to_string(upper) +
                    "; it can be simulated, not sampled");
    const auto check = [&](double t) {
        const std::vector<double> weights = model.expertWeights(t);
        for (std::size_t k = 0; k < weights.size(); k++)
            if (weights[k] > 0)
                model.outputFactor(static_cast<int>(k), t);
    };
    for (const ReverseDiffusion::Update& update : updates) {
        check(update.time);
        if (update.second)
            check(update.second->time);
    }
}

} // namespace

ReverseDiffusion::ReverseDiffusion(std::shared_ptr<const ScoreModel> ownModel, std::vector<int> ownFeatures,
                                   int numSteps, Method method, int numThreads, Engine engine,
                                   const Tuning& tuning)
    : model(std::move(ownModel)), features(std::move(ownFeatures)),
      updates(planUpdates(*model, numSteps, method, tuning)), numThreads(numThreads),
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

void ReverseDiffusion::prepare(double t, int count) {
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

/** Call use(sample, score, noise) for some samples; noise is room for one sample's. */
template <class Use>
void ReverseDiffusion::evaluateRange(int thread, int first, int count, const double* z, Use use) {
    // Some blocks of the engine at once: few enough for the cache, enough to hide what a call costs.
    const int chunk = 4 * evaluator->getBlockSize();
    std::vector<double>& scores = buffers[thread];
    scores.resize(std::size_t(chunk + 1) * width);
    double* xi = scores.data() + std::size_t(chunk) * width;
    for (int i = first; i < first + count; i += chunk) {
        const int size = std::min(chunk, first + count - i);
        evaluator->evaluate(thread, i, size, z + std::size_t(i) * width, nullptr, scores.data());
        for (int m = 0; m < size; m++)
            use(i + m, scores.data() + std::size_t(m) * width, xi);
    }
}

template <class FillNoise>
void ReverseDiffusion::carryOut(const Update& update, int threads, int count, double* z,
                                FillNoise fillNoise) {
    const auto finish = [&](int i, double* own, double* xi) {
        if (update.noiseFactor > 0) {
            fillNoise(i, xi);
            for (int c = 0; c < width; c++)
                own[c] += update.noiseFactor * xi[c];
        }
        if (centred)
            removeMean(width, own);
    };
    if (update.second)
        middle.resize(std::size_t(count) * width);
    prepare(update.time, count);
    shareOut(threads, count, [&](int thread, int first, int share) {
        evaluateRange(thread, first, share, z, [&](int i, const double* score, double* xi) {
            double* own = z + std::size_t(i) * width;
            for (int c = 0; c < width && update.second; c++)
                middle[std::size_t(i) * width + c] = update.second->middlePositionFactor * own[c] +
                                                     update.second->middleScoreFactor * score[c];
            for (int c = 0; c < width; c++)
                own[c] = update.positionFactor * own[c] + update.scoreFactor * score[c];
            if (!update.second)
                finish(i, own, xi);
        });
    });
    if (!update.second)
        return;
    prepare(update.second->time, count);
    shareOut(threads, count, [&](int thread, int first, int share) {
        evaluateRange(thread, first, share, middle.data(), [&](int i, const double* score, double* xi) {
            double* own = z + std::size_t(i) * width;
            for (int c = 0; c < width; c++)
                own[c] += update.second->scoreFactor * score[c];
            finish(i, own, xi);
        });
    });
}

void ReverseDiffusion::advance(std::uint64_t seed, std::int64_t first, int count, double* z, int fromUpdate,
                               int toUpdate) {
    if (count == 0)
        return;
    for (int k = fromUpdate; k < toUpdate; k++)
        carryOut(updates[k], numThreads, count, z, [&](int i, double* xi) {
            drawNormals(seed, first + i, k, LangevinNoise::Purpose::Diffusion, width, xi);
        });
}

void ReverseDiffusion::replay(int update, int count, double* z, const double* noise) {
    if (count == 0)
        return;
    carryOut(updates[update], 1, count, z,
             [&](int i, double* xi) { std::copy_n(noise + std::size_t(i) * width, width, xi); });
}

} // namespace OpenMMScore
