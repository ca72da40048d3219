#ifndef OPENMMSCORE_SAMPLING_RESAMPLING_H_
#define OPENMMSCORE_SAMPLING_RESAMPLING_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace OpenMMScore {

/**
 * How samples of equal weight are chosen among weighted ones. For all, sample i is chosen count * w_i times
 * on average. Source: Douc, Cappe & Moulines, Comparison of resampling schemes for particle filtering, ISPA
 * 2005, arXiv:cs/0507025.
 */
enum class ResamplingScheme {
    Multinomial, ///< independent draws; the largest variance
    Stratified,  ///< one uniform number in each of count equal strata
    Systematic,  ///< one uniform number for all strata; sample i is chosen floor or ceil of count * w_i times
    Residual     ///< floor(count * w_i) copies each, the rest multinomial
};

/** @throws Error  if the name is none of multinomial, stratified, systematic, residual */
ResamplingScheme resamplingSchemeFromName(const std::string& name);

/**
 * @param weights  shape [n]: none negative or NaN, some above zero; they need not sum to 1
 * @param count    how many to choose
 * @return shape [count]: indices from 0 to n-1, in ascending order but for the multinomial part. A sample of
 *         weight zero is never chosen. A function of the arguments alone
 * @throws Error  if the weights are not as they must be
 */
std::vector<std::int64_t> resample(std::span<const double> weights, std::size_t count,
                                   ResamplingScheme scheme, std::uint64_t seed);

/**
 * Systematic resampling with a given uniform number: for k = 0 ... count-1 the first sample whose cumulative
 * share of the weights reaches (k + u) / count, at most the last one that has a weight.
 *
 * @param u  from 0 to 1
 */
std::vector<std::int64_t> resampleSystematic(std::span<const double> weights, std::size_t count, double u);

/**
 * Find the sample of each of some numbers in the way described above.
 *
 * @param points  from 0 to 1, in ascending order
 */
std::vector<std::int64_t> findSamples(std::span<const double> weights, std::span<const double> points);

} // namespace OpenMMScore

#endif // OPENMMSCORE_SAMPLING_RESAMPLING_H_
