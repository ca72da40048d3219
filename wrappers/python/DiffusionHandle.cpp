#include "DiffusionHandle.h"

#include "openmmscore/models/Error.h"

namespace OpenMMScore {

namespace {

using Method = ReverseDiffusion::Method;

Method methodNamed(const std::string& name, const ScoreModel& model) {
    if (name.empty())
        return ReverseDiffusion::publishedMethod(model);
    if (name == "euler-maruyama")
        return Method::EulerMaruyama;
    if (name == "ancestral")
        return Method::Ancestral;
    throw Error("DiffusionSampler: expected the method \"euler-maruyama\" or \"ancestral\", got \"" + name +
                "\"");
}

} // namespace

DiffusionHandle::DiffusionHandle(const ModelHandle& model, const std::vector<int>& features, int numSteps,
                                 const std::string& name, int numThreads, bool plain)
    : method(methodNamed(name, *model.getModel())),
      sampler(model.getModel(), features, numSteps, method, numThreads,
              plain ? ReverseDiffusion::Engine::Plain : ReverseDiffusion::Engine::Fast) {}

std::string DiffusionHandle::getMethod() const {
    return method == Method::EulerMaruyama ? "euler-maruyama" : "ancestral";
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
