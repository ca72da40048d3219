#ifndef OPENMMSCORE_SAMPLING_LOGWEIGHTS_H_
#define OPENMMSCORE_SAMPLING_LOGWEIGHTS_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace OpenMMScore {

/** @return ln sum exp(x), without overflow; -infinity if x is empty or all of it is -infinity */
double logSumExp(std::span<const double> x);

/**
 * Importance weights of n independent draws x_i of a proposal q, for a target exp(-u): their natural
 * logarithms
 *
 *     log w_i = -u(x_i) - log q(x_i)
 *
 * with all constants, so that the mean weight estimates the target's normalisation Z. A draw whose status is
 * not zero (a broken configuration, a non-finite energy) has weight zero. It remains one of the n draws, as
 * it must for Z to be right: the target's density there is zero.
 *
 * An object does not change once it is made.
 */
class LogWeights {
public:
    /**
     * @param logWeights  shape [n]; -infinity is a weight of zero. Where status is not zero, any value
     * @param status      shape [n], or empty if all are 0
     * @throws ShapeError      if there are no draws, or the lengths differ
     * @throws NumericalError  if a log weight is NaN or +infinity at status 0, or no weight is above zero
     */
    explicit LogWeights(std::vector<double> logWeights, std::span<const std::int32_t> status = {});
    /** @return n, draws without weight included */
    std::size_t getNumSamples() const { return logarithms.size(); }
    /** @return how many draws have a status other than 0 */
    std::size_t getNumRejected() const { return numRejected; }
    /** @return how many draws have weight zero, rejected ones included */
    std::size_t getNumZero() const { return numZero; }
    /** @return shape [n]: log weights, -infinity for weight zero */
    const std::vector<double>& getLogarithms() const { return logarithms; }
    /** @return shape [n]: weights that sum to 1 */
    const std::vector<double>& getNormalized() const { return normalized; }
    /** @return ln sum w_i */
    double getLogSum() const { return logSum; }
    /**
     * @return Kish's effective sample size (sum w)^2 / sum w^2, from 1 to n. Source: L. Kish, Survey
     * Sampling, Wiley 1965, section 11.7
     */
    double computeEffectiveSampleSize() const;
    /** @return exp of the entropy of the normalised weights, from 1 to n; less swayed by one large weight */
    double computePerplexity() const;
    /** @return the largest normalised weight */
    double computeLargestShare() const;
    /**
     * @return sentences for people on what is wrong with the weights: k-hat above 0.7, or an effective sample
     * size below 100. Empty if averages can be trusted
     */
    std::vector<std::string> computeWarnings() const;

private:
    std::vector<double> logarithms, normalized;
    double logSum = 0.0;
    std::size_t numRejected = 0, numZero = 0;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_SAMPLING_LOGWEIGHTS_H_
