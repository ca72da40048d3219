#ifndef OPENMMSCORE_SAMPLING_REVERSEDIFFUSION_H_
#define OPENMMSCORE_SAMPLING_REVERSEDIFFUSION_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "openmmscore/models/FastEvaluator.h"
#include "openmmscore/models/ScoreModel.h"

namespace OpenMMScore {

/**
 * Independent samples of a diffusion model: noise is taken back through time, from t = 1 to the data.
 *
 * Every update has the form z <- a z + b score(z, t) + c xi with standard normal numbers xi. With
 * beta, m and sigma of the schedule (NoiseSchedule.h), two methods differ in a, b, c:
 *
 *     EulerMaruyama  variance-preserving schedules. Times t_k = k/(n-1), k = n-1 ... 0, dt = 1/(n-1):
 *                    a = 1 + beta dt/2, b = beta dt, c = sqrt(beta dt); noise after the last update too.
 *                    This is how published samples of such models were made (with n = 1000), and
 *                    narrows or widens a Gaussian by what TestReverseDiffusion.cpp says.
 *     Ancestral      from t to the next lower time s, with r = m(t)/m(s): a = 1/r, b = (1-r^2)/r,
 *                    c^2 = (1-r^2) sigma(s)^2/sigma(t)^2; no noise in the last update. Exact for a single
 *                    point as data. Variance-preserving: n-1 updates over the same times, the score at
 *                    t = 0 is not needed. Levels of CosineDdpm: n of them, evenly spaced, to the clean data.
 *
 * Sources: Song et al., ICLR 2021, arXiv:2011.13456; Ho et al., NeurIPS 2020, arXiv:2006.11239, equation 7.
 *
 * Scores of particle models do not see the centre of mass, but a > 1 would blow it up (212-fold over 1000
 * Euler steps): it is kept at the origin, which changes no internal coordinate's law.
 *
 * Random numbers are a function of (seed, sample, update, particle), so sample i is the same in whatever
 * batch it is drawn and with any number of threads. One object serves one caller at a time.
 */
class ReverseDiffusion {
public:
    enum class Method { EulerMaruyama, Ancestral };
    /** Float32 with vector instructions, or the float64 definition of what that computes. */
    enum class Engine { Fast, Plain };

    /** z <- positionFactor z + scoreFactor score(z, time) + noiseFactor xi */
    struct Update {
        double time, positionFactor, scoreFactor, noiseFactor;
    };

    /**
     * @param features    shape [count, features]: of every sample; empty for a model without features
     * @param numSteps    n above; at least 2
     * @param numThreads  how many threads advance() uses; at least 1
     * @throws Error  if the method does not fit the schedule, the model does not answer up to t = 1, an
     *                expert cannot be evaluated at one of the times, or an argument is out of its range
     * @throws ShapeError  if features do not fit
     */
    ReverseDiffusion(std::shared_ptr<const ScoreModel> model, std::vector<int> features, int numSteps,
                     Method method, int numThreads, Engine engine = Engine::Fast);
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
    void prepare(int update, int count);
    template <class FillNoise>
    void updateRange(int thread, int update, int first, int count, double* z, FillNoise fillNoise);

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
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_SAMPLING_REVERSEDIFFUSION_H_
