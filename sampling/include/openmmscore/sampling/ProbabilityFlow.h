#ifndef OPENMMSCORE_SAMPLING_PROBABILITYFLOW_H_
#define OPENMMSCORE_SAMPLING_PROBABILITYFLOW_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "openmmscore/models/FastEvaluator.h"
#include "openmmscore/models/ScoreModel.h"

namespace OpenMMScore {

class PlainEvaluator;

/**
 * The deterministic way between noise and data of a diffusion model, along which densities can be followed.
 * With L = -ln m(t)^2 (NoiseSchedule::logDecay(); for a variance-preserving diffusion dL = beta dt):
 *
 *     dz/dL = f = -1/2 (z + score(z, t(L))),     d ln p/dL = -div f = 1/2 (D + div score).
 *
 * At the far end (t = 1, or the last level of a discrete schedule) the density is that of standard normal
 * numbers. Where that is not quite the density of noised data, or scores are not those of one diffusion, it
 * still is the exact density of what generate() draws. Between the levels of a discrete schedule L is
 * interpolated and the network is asked for times that it was not trained on, which changes the distribution,
 * but not the fact that its density is known.
 * Source: Song et al., ICLR 2021, arXiv:2011.13456, equations 13 and 39.
 *
 * Of particle models it is the density of centred configurations: D = 3N-3, volume measured in the subspace
 * of zero centroid with the metric of R^3N. Of vector models D = d. Coordinates are the network's own.
 *
 * Integrated with the classical Runge-Kutta method in steps that are even in L^(1/5), which resolves the
 * small scales of data, and end where experts meet. The error falls with the fourth power of the steps: for
 * data whose narrowest width is 0.02 of the network's units it is 1e-4 of ln p with 100 steps.
 *
 * The divergence is exact. Perceptrons are differentiated in the engine at hand; graph transformers in
 * float64 in any case, in forward mode (models/src/Dual.h): about 3N scores of the plain engine's.
 *
 * A sample's result depends on nothing but the sample, bit by bit. One object serves one caller at a time.
 */
class ProbabilityFlow {
public:
    /** Float32 with vector instructions, or the float64 definition of what that computes. */
    enum class Engine { Fast, Plain };

    /**
     * @param features    shape [count, features]: of every sample; empty for a model without features
     * @param endTime     the time at the data's end; a time below the model's interval counts as its lower
     *                    end
     * @param numSteps    how many steps between there and the far end, about: each expert has one at least
     * @param numThreads  how many threads may be used
     * @throws Error  if the model does not answer up to the far end, its score is infinite at the data's end,
     *                or an argument is out of its range
     * @throws ShapeError  if features do not fit
     */
    ProbabilityFlow(std::shared_ptr<const ScoreModel> model, std::vector<int> features, double endTime,
                    int numSteps, int numThreads, Engine engine = Engine::Fast);
    ~ProbabilityFlow();

    int getNumSteps() const { return static_cast<int>(decays.size()) - 1; }
    /** @return D */
    int getNumDimensions() const { return dimensions; }

    /**
     * Draw samples first ... first+count-1 of the noise at the far end. Sample i is a function of (seed, i).
     *
     * @param z           written: [count, coordinates]
     * @param logDensity  written: [count]
     * @throws Error  if a sample's number is negative or not below 2^32
     */
    void drawStart(std::uint64_t seed, std::int64_t first, int count, double* z, double* logDensity) const;
    /**
     * Take samples and their densities from noise towards data: steps fromStep ... toStep-1, all of them to
     * generate.
     *
     * @param logDensity  or null, if densities are not wanted: one score a stage instead of its divergence
     */
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
    void prepare(double t, bool divergences);
    void prepareFast(double t, const std::vector<int>& all);
    void computeRates(int thread, int count, const double* z, double* rates, double* divergences);
    void evaluate(int thread, int count, const double* z, double* scores, double* divergences);

    std::shared_ptr<const ScoreModel> model;
    std::vector<int> features;
    int numThreads, width, dimensions;
    Engine engine;
    /** L, descending, from the far end to the data's. */
    std::vector<double> decays;
    std::unique_ptr<FastEvaluator> fast;
    std::unique_ptr<PlainEvaluator> plain;
    /** That of the two which serves. */
    Evaluator* evaluator = nullptr;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_SAMPLING_PROBABILITYFLOW_H_
