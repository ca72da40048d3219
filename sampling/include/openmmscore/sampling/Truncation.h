#ifndef OPENMMSCORE_SAMPLING_TRUNCATION_H_
#define OPENMMSCORE_SAMPLING_TRUNCATION_H_

#include <span>

namespace OpenMMScore {

/**
 * Cut weights to at most sqrt(n) times their mean. The bias vanishes as n grows, the variance stays finite.
 * Source: E. L. Ionides, Truncated importance sampling, J. Comput. Graph. Stat. 17 (2008).
 *
 * @param logWeights  shape [n]; changed in place
 * @return the logarithm of the largest weight that is let through
 */
double truncateAtRootN(std::span<double> logWeights);

/**
 * Cut or drop the largest weights, those above the 1 - fraction quantile (interpolated linearly between log
 * weights). Averages are biased for any n; dropping is what some published samplers do.
 *
 * @param logWeights  shape [n]; changed in place: min(log w, quantile), or -infinity where dropped
 * @param fraction    above 0, below 1
 * @param drop        whether weights above the quantile become zero instead of the quantile
 * @return the quantile
 * @throws Error  if fraction lies outside its range or the quantile is a weight of zero
 */
double truncateAtQuantile(std::span<double> logWeights, double fraction, bool drop);

} // namespace OpenMMScore

#endif // OPENMMSCORE_SAMPLING_TRUNCATION_H_
