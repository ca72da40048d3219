#ifndef OPENMMSCORE_SAMPLING_PARETOSMOOTHING_H_
#define OPENMMSCORE_SAMPLING_PARETOSMOOTHING_H_

#include <cstddef>
#include <span>
#include <vector>

namespace OpenMMScore {

/**
 * A generalised Pareto distribution fitted to the largest weights: where w > threshold,
 *
 *     P(w > threshold + y | w > threshold) = (1 + k y / scale)^(-1/k).
 *
 * Weights are relative to the largest one.
 */
struct ParetoTail {
    /** Shape k-hat. +infinity if fewer than 5 weights are in the tail; -infinity if all weights are equal. */
    double k;
    double scale;
    double threshold;
    /** Samples in the tail, of the smallest weight first. */
    std::vector<std::size_t> samples;
};

/**
 * Fit the tail of importance weights, the M = ceil(min(n/5, 3 sqrt n)) largest ones. The variance of the
 * weights is finite for k < 1/2; estimates are usable up to about k = 0.7, see the reference.
 *
 * Source: Vehtari, Simpson, Gelman, Yao & Gabry, Pareto smoothed importance sampling, JMLR 25 (2024),
 * arXiv:1507.02646; the fit is that of Zhang & Stephens, Technometrics 51 (2009), with a weak prior that
 * draws k towards 1/2. Numbers agree with psislw() of ArviZ.
 *
 * @param logWeights  shape [n], none NaN or +infinity, at least one finite
 */
ParetoTail fitParetoTail(std::span<const double> logWeights);

/** @return k-hat alone */
double computeParetoK(std::span<const double> logWeights);

/**
 * Replace the largest weights by the quantiles of the distribution fitted to them, none above the largest
 * weight there was. Where there is no fit, nothing changes.
 *
 * @param logWeights  shape [n], as above; smoothed in place, not normalised
 * @return k-hat of the weights as they were
 */
double paretoSmooth(std::span<double> logWeights);

} // namespace OpenMMScore

#endif // OPENMMSCORE_SAMPLING_PARETOSMOOTHING_H_
