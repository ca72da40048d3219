#include "DiffusionHandle.h"

#include "openmmscore/models/Error.h"

namespace OpenMMScore {

namespace {

using Method = ReverseDiffusion::Method;

constexpr std::pair<const char*, Method> methods[] = {{"euler-maruyama", Method::EulerMaruyama},
                                                      {"ancestral", Method::Ancestral},
                                                      {"ddim", Method::Ddim},
                                                      {"heun", Method::Heun},
                                                      {"exponential", Method::Exponential},
                                                      {"predictor-corrector", Method::PredictorCorrector},
                                                      {"stochastic-heun", Method::StochasticHeun}};

Method methodNamed(const std::string& name, const ScoreModel& model) {
    if (name.empty())
        return ReverseDiffusion::publishedMethod(model);
    std::string known;
    for (const auto& [word, method] : methods) {
        if (name == word)
            return method;
        known += (known.empty() ? "\"" : ", \"") + std::string(word) + "\"";
    }
    throw Error("DiffusionSampler: expected one of the methods " + known + ", got \"" + name + "\"");
}

} // namespace

DiffusionHandle::DiffusionHandle(const ModelHandle& model, const std::vector<int>& features, int numSteps,
                                 const std::string& name, int numThreads, bool plain, double eta,
                                 double signalToNoise, int correctorSteps, bool stopAtLowestLevel,
                                 double churn)
    : method(methodNamed(name, *model.getModel())),
      sampler(model.getModel(), features, numSteps, method, numThreads,
              plain ? ReverseDiffusion::Engine::Plain : ReverseDiffusion::Engine::Fast,
              {eta, signalToNoise, correctorSteps, stopAtLowestLevel, churn}) {}

std::string DiffusionHandle::getMethod() const {
    for (const auto& [word, each] : methods)
        if (method == each)
            return word;
    return "";
}

int DiffusionHandle::getNumEvaluations() const {
    int sum = 0;
    for (int k = 0; k < sampler.getNumUpdates(); k++)
        sum += sampler.getUpdate(k).second ? 2 : 1;
    return sum;
}

std::vector<double> DiffusionHandle::getFactors(int update) const {
    const ReverseDiffusion::Update& own = sampler.getUpdate(update);
    return {own.positionFactor, own.scoreFactor, own.noiseFactor};
}

void DiffusionHandle::drawStart(int seed, long long first, int count, double* z) const {
    sampler.drawStart(static_cast<std::uint32_t>(seed), first, count, z);
}

void DiffusionHandle::advance(int seed, long long first, int count, double* z, int fromUpdate, int toUpdate) {
    sampler.advance(static_cast<std::uint32_t>(seed), first, count, z, fromUpdate, toUpdate);
}

void DiffusionHandle::replay(int update, int count, double* z, const double* noise) {
    sampler.replay(update, count, z, noise);
}

FlowHandle::FlowHandle(const ModelHandle& model, const std::vector<int>& features, double endTime,
                       int numSteps, int numThreads)
    : flow(model.getModel(), features, endTime, numSteps, numThreads) {}

void FlowHandle::drawStart(int seed, long long first, int count, double* z, double* logDensity) const {
    flow.drawStart(static_cast<std::uint32_t>(seed), first, count, z, logDensity);
}

void FlowHandle::generate(int count, double* z, double* logDensity, int fromStep, int toStep) {
    flow.generate(count, z, logDensity, fromStep, toStep);
}

void FlowHandle::absorb(int count, double* z, double* logDensity, int fromStep, int toStep) {
    flow.absorb(count, z, logDensity, fromStep, toStep);
}

void FlowHandle::addPrior(int count, const double* z, double* logDensity) const {
    flow.addPrior(count, z, logDensity);
}

} // namespace OpenMMScore
