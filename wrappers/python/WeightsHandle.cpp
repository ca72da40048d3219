#include "WeightsHandle.h"

#include <algorithm>
#include <span>

#include "openmmscore/sampling/Bootstrap.h"
#include "openmmscore/sampling/Estimators.h"
#include "openmmscore/sampling/ParetoSmoothing.h"
#include "openmmscore/sampling/Resampling.h"
#include "openmmscore/sampling/Truncation.h"

namespace OpenMMScore {

namespace {

template <class T>
std::span<const T> view(const T* data, std::size_t size) {
    return {data, data == nullptr ? 0 : size};
}

std::vector<double> toVector(const Estimate& estimate) {
    return {estimate.value, estimate.error};
}

void copyOut(const BootstrapReplicates& replicates, double* logZ, double* means) {
    std::ranges::copy(replicates.logNormalization, logZ);
    std::ranges::copy(replicates.averages, means);
}

} // namespace

WeightsHandle::WeightsHandle(long long n, const double* logWeights, const std::int32_t* status)
    : weights(std::vector<double>(logWeights, logWeights + n), view(status, n)) {}

void WeightsHandle::getLogWeights(double* logWeights) const {
    std::ranges::copy(weights.getLogarithms(), logWeights);
}

void WeightsHandle::getNormalized(double* normalized) const {
    std::ranges::copy(weights.getNormalized(), normalized);
}

std::string WeightsHandle::warnings() const {
    std::string lines;
    for (const std::string& sentence : weights.computeWarnings())
        lines += sentence + "\n";
    return lines;
}

std::vector<double> WeightsHandle::paretoTail() const {
    const ParetoTail tail = fitParetoTail(weights.getLogarithms());
    return {tail.k, tail.scale, tail.threshold, static_cast<double>(tail.samples.size())};
}

double WeightsHandle::smooth(double* logWeights) const {
    getLogWeights(logWeights);
    return paretoSmooth({logWeights, weights.getNumSamples()});
}

double WeightsHandle::truncate(double fraction, bool drop, double* logWeights) const {
    getLogWeights(logWeights);
    const std::span<double> all(logWeights, weights.getNumSamples());
    return fraction == 0 ? truncateAtRootN(all) : truncateAtQuantile(all, fraction, drop);
}

std::vector<double> WeightsHandle::logNormalization() const {
    return toVector(computeLogNormalization(weights));
}

void WeightsHandle::average(long long quantities, const double* values, double* means, double* errors) const {
    const std::size_t n = weights.getNumSamples();
    for (long long k = 0; k < quantities; k++) {
        const Estimate estimate = computeAverage(weights, {values + k * n, n});
        means[k] = estimate.value;
        errors[k] = estimate.error;
    }
}

void WeightsHandle::binProbabilities(const std::int64_t* bins, long long numBins, double* means,
                                     double* errors) const {
    const BinProbabilities result =
        computeBinProbabilities(weights, {bins, weights.getNumSamples()}, numBins);
    std::ranges::copy(result.values, means);
    std::ranges::copy(result.errors, errors);
}

std::vector<double> WeightsHandle::regionDifference(const double* values, const double* otherValues) const {
    const std::size_t n = weights.getNumSamples();
    return toVector(computeRegionDifference(weights, {values, n}, {otherValues, n}));
}

std::vector<double> WeightsHandle::targetDifference(const WeightsHandle& other) const {
    return toVector(computeTargetDifference(weights, other.weights));
}

void WeightsHandle::bootstrapAverages(long long quantities, const double* values, long long replicates,
                                      unsigned long long seed, double* logZ, double* means) const {
    const std::span<const double> all(values, quantities * weights.getNumSamples());
    copyOut(OpenMMScore::bootstrapAverages(weights, all, replicates, seed), logZ, means);
}

void WeightsHandle::bootstrapBins(const std::int64_t* bins, long long numBins, long long replicates,
                                  unsigned long long seed, double* logZ, double* means) const {
    const std::span<const std::int64_t> all(bins, weights.getNumSamples());
    copyOut(OpenMMScore::bootstrapBins(weights, all, numBins, replicates, seed), logZ, means);
}

void WeightsHandle::reweight(const double* values, const double* otherValues, double* logWeights) const {
    const std::size_t n = weights.getNumSamples();
    std::ranges::copy(OpenMMScore::reweight(weights.getLogarithms(), {values, n}, {otherValues, n}),
                      logWeights);
}

void WeightsHandle::resample(long long count, const std::string& scheme, unsigned long long seed,
                             std::int64_t* indices) const {
    resampleWeights(getNumSamples(), weights.getNormalized().data(), count, scheme, seed, indices);
}

void WeightsHandle::resampleWeights(long long n, const double* values, long long count,
                                    const std::string& scheme, unsigned long long seed,
                                    std::int64_t* indices) {
    const std::span<const double> all(values, n);
    std::ranges::copy(OpenMMScore::resample(all, count, resamplingSchemeFromName(scheme), seed), indices);
}

std::vector<double> WeightsHandle::bar(long long numForward, const double* values, long long numReverse,
                                       const double* otherValues) {
    return toVector(computeBar(view(values, numForward), view(otherValues, numReverse)));
}

MbarHandle::MbarHandle(long long numStates, const std::int64_t* counts, long long n, const double* energies)
    : mbar(view(counts, numStates), std::vector<double>(energies, energies + numStates * n)) {}

std::vector<double> MbarHandle::difference(long long i, long long j) const {
    return toVector(mbar.computeDifference(i, j));
}

std::vector<double> MbarHandle::perturbed(const double* energies) const {
    return toVector(mbar.computePerturbed({energies, mbar.getNumSamples()}));
}

std::vector<double> MbarHandle::average(const double* energies, const double* values) const {
    const std::size_t n = mbar.getNumSamples();
    return toVector(mbar.computeAverage({energies, n}, {values, n}));
}

void MbarHandle::logWeights(const double* energies, double* logWeights) const {
    std::ranges::copy(mbar.computeLogWeights({energies, mbar.getNumSamples()}), logWeights);
}

} // namespace OpenMMScore
