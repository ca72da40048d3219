#ifndef OPENMMSCORE_PYTHON_DIFFUSIONHANDLE_H_
#define OPENMMSCORE_PYTHON_DIFFUSIONHANDLE_H_

#include <string>
#include <vector>

#include "ModelHandle.h"
#include "openmmscore/sampling/ProbabilityFlow.h"
#include "openmmscore/sampling/ReverseDiffusion.h"

namespace OpenMMScore {

/** What openmmscore.DiffusionSampler holds of C++. Arrays arrive as addresses, see ModelHandle. */
class DiffusionHandle {
public:
    /**
     * @param method  a name, or empty for the method that is published for the schedule
     * @param stopAtLowestLevel, eta, signalToNoise, correctorSteps, churn  see ReverseDiffusion::Tuning
     */
    DiffusionHandle(const ModelHandle& model, const std::vector<int>& features, int numSteps,
                    const std::string& method, int numThreads, bool plain, double eta, double signalToNoise,
                    int correctorSteps, bool stopAtLowestLevel, double churn);

    std::string getMethod() const;
    int getNumUpdates() const { return sampler.getNumUpdates(); }
    double getTime(int update) const { return sampler.getUpdate(update).time; }
    /** @return how many scores one sample takes in all */
    int getNumEvaluations() const;
    /** @return an update's positionFactor, scoreFactor and noiseFactor */
    std::vector<double> getFactors(int update) const;
    /** See ReverseDiffusion; z has the shape [count, coordinates]. */
    void drawStart(int seed, long long first, int count, double* z) const;
    void advance(int seed, long long first, int count, double* z, int fromUpdate, int toUpdate);
    void replay(int update, int count, double* z, const double* noise);

private:
    ReverseDiffusion::Method method;
    ReverseDiffusion sampler;
};

/** What openmmscore.DiffusionDensity holds of C++. */
class FlowHandle {
public:
    FlowHandle(const ModelHandle& model, const std::vector<int>& features, double endTime, int numSteps,
               int numThreads);

    int getNumSteps() const { return flow.getNumSteps(); }
    /** See ProbabilityFlow; z has the shape [count, coordinates], logDensity [count]. */
    void drawStart(int seed, long long first, int count, double* z, double* logDensity) const;
    void generate(int count, double* z, double* logDensity, int fromStep, int toStep);
    void absorb(int count, double* z, double* logDensity, int fromStep, int toStep);
    void addPrior(int count, const double* z, double* logDensity) const;

private:
    ProbabilityFlow flow;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_PYTHON_DIFFUSIONHANDLE_H_
