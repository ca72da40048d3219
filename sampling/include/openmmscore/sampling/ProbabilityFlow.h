#ifndef OPENMMSCORE_SAMPLING_PROBABILITYFLOW_H_
#define OPENMMSCORE_SAMPLING_PROBABILITYFLOW_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "openmmscore/models/FastEvaluator.h"
#include "openmmscore/models/ScoreModel.h"

namespace OpenMMScore {

/**
 * The deterministic way between noise and data of a variance-preserving model, along which densities can be
 * followed:
 *
 *     dz/dt = f = -beta/2 (z + score(z, t)),     d ln p/dt = -div f = beta/2 (D + div score).
 *
 * At t = 1 the density is that of standard normal numbers. Where that is not quite the density of noised
 * data, or scores are not those of one diffusion, it still is the exact density of what generate() draws.
 * Source: Song et al., ICLR 2021, arXiv:2011.13456, equations 13 and 39.
 *
 * Of particle models it is the density of centred configurations: D = 3N-3, volume measured in the subspace
 * of zero centroid with the metric of R^3N. Of vector models D = d. Coordinates are the network's own.
 *
 * Integrated with the classical Runge-Kutta method in steps that shorten towards the data and end where
 * experts meet. The divergence is computed with differences of fourth order, 4 coordinates + 1 scores each,
 * in float32: an error of ln p of about 1e-3 with 100 steps (TestProbabilityFlow.cpp). One object serves one
 * caller at a time.
 */
class ProbabilityFlow {
public:
    /**
     * @param features    shape [count, features]: of every sample; empty for a model without features
     * @param endTime     the time at the data's end; a time below the model's interval counts as its lower
     * end
     * @param numSteps    how many steps between there and t = 1, about: each expert has one at least
     * @param numThreads  how many threads may be used
     * @throws Error  if the schedule is not variance-preserving, the model does not answer up to t = 1, or an
     *                argument is out of its range
     * @throws ShapeError  if features do not fit
     */
    ProbabilityFlow(std::shared_ptr<const ScoreModel> model, std::vector<int> features, double endTime,
                    int numSteps, int numThreads);
    ~ProbabilityFlow();

    int getNumSteps() const { return static_cast<int>(times.size()) - 1; }
    /** @return D */
    int getNumDimensions() const { return dimensions; }

    /**
     * Draw samples first ... first+count-1 of the noise at t = 1. Sample i is a function of (seed, i).
     *
     * @param z           written: [count, coordinates]
     * @param logDensity  written: [count]
     * @throws Error  if a sample's number is negative or not below 2^32
     */
    void drawStart(std::uint64_t seed, std::int64_t first, int count, double* z, double* logDensity) const;
    /** Take samples and their densities from noise towards data: steps fromStep ... toStep-1, all of them to
     * generate. */
    void generate(int count, double* z, double* logDensity, int fromStep, int toStep);
    /**
     * Take samples from data towards noise. From zeros, and with addPrior() at the end, logDensity becomes
     * that of the samples as they were. Particles must be centred.
     */
    void absorb(int count, double* z, double* logDensity, int fromStep, int toStep);
    /** Add ln N(z; 0, I). */
    void addPrior(int count, const double* z, double* logDensity) const;

private:
    void integrate(int count, double* z, double* logDensity, double from, double to);
    void prepare(double t);
    void computeRates(int thread, int first, int count, double t, const double* z, double* rates,
                      double* divergences);

    std::shared_ptr<const ScoreModel> model;
    std::vector<int> features;
    int numThreads, width, dimensions;
    /** Descending, from 1 to the end. */
    std::vector<double> times;
    std::unique_ptr<FastEvaluator> evaluator;
    /** Displaced configurations and their scores, of each thread. */
    std::vector<std::vector<double>> buffers;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_SAMPLING_PROBABILITYFLOW_H_
