#ifndef OPENMMSCORE_SAMPLING_ESTIMATORS_H_
#define OPENMMSCORE_SAMPLING_ESTIMATORS_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "openmmscore/sampling/LogWeights.h"

namespace OpenMMScore {

/** A number and its standard error; NaN where there are too few samples for one. */
struct Estimate {
    double value, error;
};

/**
 * Estimates by self-normalised importance sampling. With p_i the normalised weights,
 *
 *     <f> = sum p_i f_i,    error^2 = n/(n-1) sum p_i^2 (f_i - <f>)^2,
 *
 * and likewise for every other quantity, with the f_i that it depends on to first order (delta method). The
 * factor makes the error that of a plain mean when all weights are equal. Source: A. B. Owen, Monte Carlo
 * theory, methods and examples, section 9.2, equation 9.9. Errors hold for independent samples and weights
 * whose variance is finite; where an estimate rests on few large weights they are too small, of which
 * LogWeights::computeWarnings() warns. Values of samples of weight zero are not looked at.
 *
 * @param values  shape [n]
 * @throws ShapeError      if there is not one value for each sample
 * @throws NumericalError  if the value of a sample that has a weight is not finite
 */
Estimate computeAverage(const LogWeights& weights, std::span<const double> values);

/**
 * @return ln Z of the target exp(-u), the logarithm of the mean weight over all n draws, and its error
 *         sqrt((n / ESS - 1) / (n - 1)). For finite n it is below ln Z on average, by about error^2 / 2
 */
Estimate computeLogNormalization(const LogWeights& weights);

/**
 * Free energy of region B less that of region A, -ln(P(B) / P(A)), in kT. Both are estimated from the same
 * samples: their covariance is accounted for, and they may overlap.
 *
 * @param regionA, regionB  shape [n]: 1 where a sample is inside, 0 where not, or the value of a smooth
 *                          indicator function
 * @throws ShapeError, NumericalError  as computeAverage()
 * @throws Error  if no weight lies within a region
 */
Estimate computeRegionDifference(const LogWeights& weights, std::span<const double> regionA,
                                 std::span<const double> regionB);

/**
 * Free energy of another target less that of this one, -ln(Z_other / Z_this), in kT, where both weights are
 * of the same draws, so that fluctuations that they share cancel.
 *
 * @throws ShapeError  if the numbers of samples differ
 */
Estimate computeTargetDifference(const LogWeights& weights, const LogWeights& other);

/** Probabilities of the bins of a histogram, and their standard errors. */
struct BinProbabilities {
    std::vector<double> values, errors;
};

/**
 * @param bins  shape [n]: from 0 to numBins-1, or -1 for a sample that is in none of them
 * @throws ShapeError  if there is not one for each sample, or one is out of range
 */
BinProbabilities computeBinProbabilities(const LogWeights& weights, std::span<const std::int64_t> bins,
                                         std::size_t numBins);

/**
 * Log weights for another target out of those for an old one: log w_new = log w_old + u_old - u_new, where u
 * are reduced energies U / kT. A sample of weight zero keeps it, whatever its energies: if the old target
 * vanishes where the new one does not, the new weights do not see it.
 *
 * @param newEnergies  shape [n]; +infinity makes a weight zero
 * @return shape [n]
 * @throws ShapeError      if the lengths differ
 * @throws NumericalError  if a sample that has a weight has an old energy that is not finite, or a new one
 *                         that is NaN or -infinity
 */
std::vector<double> reweight(std::span<const double> logWeights, std::span<const double> oldEnergies,
                             std::span<const double> newEnergies);

} // namespace OpenMMScore

#endif // OPENMMSCORE_SAMPLING_ESTIMATORS_H_
