#ifndef OPENMMSCORE_SAMPLING_REVERSEDIFFUSION_H_
#define OPENMMSCORE_SAMPLING_REVERSEDIFFUSION_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "openmmscore/models/FastEvaluator.h"
#include "openmmscore/models/ScoreModel.h"

namespace OpenMMScore {

/**
 * Independent samples of a diffusion model: noise is taken back through time, from t = 1 (or the last level
 * of a discrete schedule) to the data.
 *
 * Updates have the form z <- a z + b score(z, t) + c xi with standard normal numbers xi; those of second
 * order evaluate a second score on the way. With beta, m and sigma of the schedule (NoiseSchedule.h), from t
 * to the next lower time s, r = m(t)/m(s):
 *
 *     EulerMaruyama  variance-preserving schedules. Times t_k = k/(n-1), k = n-1 ... 0, dt = 1/(n-1):
 *                    a = 1 + beta dt/2, b = beta dt, c = sqrt(beta dt); noise after the last update too.
 *                    This is how published samples of such models were made (with n = 1000), and
 *                    narrows or widens a Gaussian by what TestReverseDiffusion.cpp says.
 *     Ancestral      a = 1/r, b = (1-r^2)/r, c^2 = (1-r^2) sigma(s)^2/sigma(t)^2; no noise in the last
 * update. Exact for a single point as data. Ddim           c as of Ancestral times eta, a = 1/r, b =
 * sigma(t)^2/r - sigma(t) sqrt(sigma(s)^2 - c^2). eta = 1 is Ancestral; eta = 0 (default) has no noise, and
 * is the exponential integrator of first order of the probability flow. Heun           of the probability
 * flow, in y = z/m over u = sigma/m, dy/du = -sigma score: an Euler step, then the mean of both ends' slopes.
 * Second order, two scores an update. Exponential    of the same flow, with the slope halfway in log u
 * (DPM-Solver-2). Second order, two scores an update; between the levels of a discrete schedule, too.
 *     PredictorCorrector  Ancestral, and after each update but the last `correctorSteps` Langevin steps at s:
 *                    a = 1, b = h, c = sqrt(2 h), h = 2 (signalToNoise sigma(s))^2, which is the published
 *                    2 (signalToNoise |xi|/|score|)^2 for the expected norms of noise.
 *
 *     StochasticHeun  Heun, but from more noise than there is at each place but the first: u is raised to
 *                    u' = u (1 + min(churn/(n-1), sqrt 2 - 1)), at most to where the way begins, and y <- y +
 *                    sqrt(u'^2 - u^2) xi, which corrects what went before (algorithm 2 of Karras et al.).
 *
 * Times: t_k for EulerMaruyama, Ancestral and PredictorCorrector; places even in (-ln m^2)^(1/5) for the
 * others (ProbabilityFlow.h says why). n-1 updates lead to t = 0, whose score is not needed (n for
 * EulerMaruyama). Of a discrete schedule, n evenly spaced levels, and from the lowest one to the clean data.
 *
 * Sources: Song et al., ICLR 2021, arXiv:2011.13456; Ho et al., NeurIPS 2020, arXiv:2006.11239, equation 7;
 * Song, Meng and Ermon, ICLR 2021, arXiv:2010.02502; Karras et al., NeurIPS 2022, arXiv:2206.00364; Lu et
 * al., NeurIPS 2022, arXiv:2206.00927.
 *
 * Scores of particle models do not see the centre of mass, but a > 1 would blow it up (212-fold over 1000
 * Euler steps): it is kept at the origin, which changes no internal coordinate's law.
 *
 * Random numbers are a function of (seed, sample, update, particle), so sample i is the same in whatever
 * batch it is drawn and with any number of threads. One object serves one caller at a time.
 */
class ReverseDiffusion {
public:
    enum class Method {
        EulerMaruyama,
        Ancestral,
        Ddim,
        Heun,
        Exponential,
        PredictorCorrector,
        StochasticHeun
    };
    /** Float32 with vector instructions, or the float64 definition of what that computes. */
    enum class Engine { Fast, Plain };

    /** What some methods may be told; the others do not look at it. */
    struct Tuning {
        /** Of Ddim, 0 to 1. */
        double eta = 0;
        /** Of PredictorCorrector; the default is the published one. */
        double signalToNoise = 0.16;
        int correctorSteps = 1;
        /**
         * Of discrete schedules: end at the lowest level, whose noise stays in the samples, as the program of
         * the polynomial schedule does (its last update, from the lowest level to itself, changes nothing).
         */
        bool upstreamStopAtLowestLevel = false;
        /** Of StochasticHeun, 0 or more; 0 is Heun. */
        double churn = 20;
    };

    /**
     * z <- positionFactor z + scoreFactor score(z, time) + noiseFactor xi, and with a second evaluation
     * + second.scoreFactor score(y, second.time), y = second.middlePositionFactor z +
     * second.middleScoreFactor score(z, time).
     */
    struct Update {
        struct Second {
            double time, middlePositionFactor, middleScoreFactor, scoreFactor;
        };
        double time, positionFactor, scoreFactor, noiseFactor;
        std::optional<Second> second;
    };

    /**
     * @param features    shape [count, features]: of every sample; empty for a model without features
     * @param numSteps    n above; at least 2
     * @param numThreads  how many threads advance() uses; at least 1
     * @throws Error  if the method does not fit the schedule, the model does not answer up to the start, an
     *                expert cannot be evaluated at one of the times, or an argument is out of its range
     * @throws ShapeError  if features do not fit
     */
    ReverseDiffusion(std::shared_ptr<const ScoreModel> model, std::vector<int> features, int numSteps,
                     Method method, int numThreads, Engine engine, const Tuning& tuning);
    ReverseDiffusion(std::shared_ptr<const ScoreModel> model, std::vector<int> features, int numSteps,
                     Method method, int numThreads, Engine engine = Engine::Fast)
        : ReverseDiffusion(std::move(model), std::move(features), numSteps, method, numThreads, engine,
                           Tuning()) {}
    ~ReverseDiffusion();

    /** @return the method of the model's kind of schedule as published */
    static Method publishedMethod(const ScoreModel& model);
    int getNumUpdates() const { return static_cast<int>(updates.size()); }
    const Update& getUpdate(int k) const { return updates[k]; }

    /**
     * Draw the noise that samples first ... first+count-1 start from.
     *
     * @param z  written: [count, coordinates], the network's own units
     * @throws Error  if a sample's number is negative or not below 2^32
     */
    void drawStart(std::uint64_t seed, std::int64_t first, int count, double* z) const;
    /**
     * Carry out updates fromUpdate ... toUpdate-1. A sample that is not finite stays so.
     *
     * @param z  shape [count, coordinates], in and out
     */
    void advance(std::uint64_t seed, std::int64_t first, int count, double* z, int fromUpdate, int toUpdate);
    /** One update with given noise, shape [count, coordinates]; for tests and replays. */
    void replay(int update, int count, double* z, const double* noise);

private:
    void prepare(double t, int count);
    template <class FillNoise>
    void carryOut(const Update& update, int threads, int count, double* z, FillNoise fillNoise);
    template <class Use>
    void evaluateRange(int thread, int first, int count, const double* z, Use use);

    std::shared_ptr<const ScoreModel> model;
    std::vector<int> features;
    std::vector<Update> updates;
    int numThreads, width;
    bool centred;
    Engine engine;
    std::unique_ptr<Evaluator> evaluator;
    /** The same object, if the engine is fast. */
    FastEvaluator* fast = nullptr;
    /** Scores and noise of the molecules that each thread has in hand. */
    std::vector<std::vector<double>> buffers;
    /** Where an update evaluates for the second time, [count, coordinates]. */
    std::vector<double> middle;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_SAMPLING_REVERSEDIFFUSION_H_
