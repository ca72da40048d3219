#ifndef OPENMMSCORE_PYTHON_WEIGHTSHANDLE_H_
#define OPENMMSCORE_PYTHON_WEIGHTSHANDLE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "openmmscore/sampling/LogWeights.h"
#include "openmmscore/sampling/Mbar.h"

namespace OpenMMScore {

/**
 * What openmmscore.sampling.Weights holds of C++. Arrays arrive as addresses of NumPy's data, which
 * weights.py has checked; shapes in brackets, n samples. An Estimate is returned as its value and error.
 */
class WeightsHandle {
public:
    /** @param status  [n], or null */
    WeightsHandle(long long n, const double* logWeights, const std::int32_t* status);

    long long getNumSamples() const { return static_cast<long long>(weights.getNumSamples()); }
    void getLogWeights(double* logWeights) const;
    void getNormalized(double* normalized) const;
    double effectiveSampleSize() const { return weights.computeEffectiveSampleSize(); }
    double perplexity() const { return weights.computePerplexity(); }
    double largestShare() const { return weights.computeLargestShare(); }
    std::string warnings() const;
    /** @return k, scale, threshold, number of samples in the tail; weights relative to the largest */
    std::vector<double> paretoTail() const;
    /** @return k; the smoothed log weights are written: [n] */
    double smooth(double* logWeights) const;
    /**
     * @param fraction    of the largest weights to cut or drop; 0 for sqrt(n) times the mean weight
     * @param logWeights  written: [n]
     * @return the logarithm of the largest weight that is let through
     */
    double truncate(double fraction, bool drop, double* logWeights) const;
    std::vector<double> logNormalization() const;
    /** @param values [quantities, n]; means, errors are written: [quantities] */
    void average(long long quantities, const double* values, double* means, double* errors) const;
    /** @param bins [n]; means, errors are written: [numBins] */
    void binProbabilities(const std::int64_t* bins, long long numBins, double* means, double* errors) const;
    std::vector<double> regionDifference(const double* values, const double* otherValues) const;
    std::vector<double> targetDifference(const WeightsHandle& other) const;
    /** logZ [replicates] and means [replicates, quantities] are written */
    void bootstrapAverages(long long quantities, const double* values, long long replicates,
                           unsigned long long seed, double* logZ, double* means) const;
    /** logZ [replicates] and means [replicates, numBins] are written */
    void bootstrapBins(const std::int64_t* bins, long long numBins, long long replicates,
                       unsigned long long seed, double* logZ, double* means) const;
    /** Log weights for other energies are written: [n] */
    void reweight(const double* values, const double* otherValues, double* logWeights) const;
    /** Indices are written: [count] */
    void resample(long long count, const std::string& scheme, unsigned long long seed,
                  std::int64_t* indices) const;

    /** Resample weights that are no logarithms; indices are written: [count]. */
    static void resampleWeights(long long n, const double* values, long long count, const std::string& scheme,
                                unsigned long long seed, std::int64_t* indices);
    static std::vector<double> bar(long long numForward, const double* values, long long numReverse,
                                   const double* otherValues);

private:
    LogWeights weights;
};

/** What openmmscore.sampling.Mbar holds of C++, likewise; K states, N samples. */
class MbarHandle {
public:
    /** @param counts [K], energies [K, N] */
    MbarHandle(long long numStates, const std::int64_t* counts, long long n, const double* energies);

    std::vector<double> getFreeEnergies() const { return mbar.getFreeEnergies(); }
    int getNumIterations() const { return mbar.getNumIterations(); }
    std::vector<double> difference(long long i, long long j) const;
    std::vector<double> overlap() const { return mbar.computeOverlap(); }
    /** @param energies [N] */
    std::vector<double> perturbed(const double* energies) const;
    std::vector<double> average(const double* energies, const double* values) const;
    void logWeights(const double* energies, double* logWeights) const;

private:
    Mbar mbar;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_PYTHON_WEIGHTSHANDLE_H_
