#ifndef OPENMMSCORE_SAMPLING_MBAR_H_
#define OPENMMSCORE_SAMPLING_MBAR_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "openmmscore/sampling/Estimators.h"

namespace OpenMMScore {

/**
 * Bennett's acceptance ratio: the free energy difference f_1 - f_0 = -ln(Z_1 / Z_0), in kT, from independent
 * samples of two states. For a proposal q as state 0 and a target as state 1, works are minus log weights.
 *
 * Source: C. H. Bennett, J. Comput. Phys. 22 (1976) 245, in the form of Shirts et al., Phys. Rev. Lett. 91
 * (2003) 140601; the error is Bennett's asymptotic one.
 *
 * @param forward  shape [n0]: u_1(x) - u_0(x) at samples of state 0; +infinity where state 1 forbids x
 * @param reverse  shape [n1]: u_0(x) - u_1(x) at samples of state 1
 * @throws Error           if a state has no samples, or the two do not overlap
 * @throws NumericalError  if a work is NaN or -infinity
 */
Estimate computeBar(std::span<const double> forward, std::span<const double> reverse);

/**
 * The multistate Bennett acceptance ratio: the most precise estimates of free energies and averages out of
 * samples of K states, with reduced energies of every sample in every state.
 *
 * Free energies f_k = -ln Z_k solve f_k = -ln sum_n exp(-u_k(x_n)) / sum_j N_j exp(f_j - u_j(x_n)), up to a
 * constant: f_0 = 0. Source: Shirts & Chodera, J. Chem. Phys. 129 (2008) 124105, equations 11, 9 and 15;
 * errors are the asymptotic ones of its appendix D.
 *
 * A normalised proposal is a state with u = -log q, whose f is known to be 0; then f_k of the others is -ln
 * Z_k. An object does not change once it is made.
 */
class Mbar {
public:
    /**
     * Solve the equations, by Newton's method on their convex objective with self-consistent steps where it
     * does not descend.
     *
     * @param counts    shape [K]: N_k, how many samples are of each state; each above 0
     * @param energies  shape [K, N] with N = sum N_k: u_k(x_n); samples in the order of the states that they
     *                  are of. +infinity where state k forbids x_n
     * @throws ShapeError      if there are fewer than two states, one without samples, or sizes disagree
     * @throws NumericalError  if an energy is NaN or -infinity, a sample is forbidden in all states, or
     * states do not overlap so that their free energies are unknown
     */
    Mbar(std::span<const std::int64_t> counts, std::vector<double> energies);

    std::size_t getNumStates() const { return counts.size(); }
    std::size_t getNumSamples() const { return logDenominators.size(); }
    /** @return shape [K]: f_k, f_0 = 0, in kT */
    const std::vector<double>& getFreeEnergies() const { return freeEnergies; }
    /** @return how many steps the solution took */
    int getNumIterations() const { return numIterations; }
    /** @return f_j - f_i and its error */
    Estimate computeDifference(std::size_t i, std::size_t j) const;
    /**
     * @return shape [K, K]: the share of state j's samples in what a sample of state i could be of; rows sum
     * to 1. Neighbours below about 0.03 make errors unreliable
     */
    std::vector<double> computeOverlap() const;
    /**
     * Free energy of any state, sampled or not, relative to state 0.
     *
     * @param energies  shape [N]: reduced energies of all samples in it
     */
    Estimate computePerturbed(std::span<const double> energies) const;
    /**
     * Average in any state, sampled or not.
     *
     * @param energies  shape [N], as above
     * @param values    shape [N]; not looked at where the state forbids the sample
     */
    Estimate computeAverage(std::span<const double> energies, std::span<const double> values) const;
    /**
     * @return shape [N]: normalised log weights of all samples in any state, which make weighted averages of
     * them averages of it
     */
    std::vector<double> computeLogWeights(std::span<const double> energies) const;

private:
    std::vector<double> counts, energies, freeEnergies, logDenominators;
    std::vector<double> inverseHessian; // [K, K]; row and column 0 are zero
    int numIterations = 0;

    std::span<const double> energiesOf(std::size_t k) const {
        return {energies.data() + k * getNumSamples(), getNumSamples()};
    }
    void checkEnergies() const;
    void guessFreeEnergies();
    void solve();
    /** Take a Newton step, or a self-consistent one. @return the largest change of a free energy */
    double step();
    /** ln of the mixture density of all samples: ln sum_j N_j exp(f_j - u_j(x_n)), shape [N]. */
    std::vector<double> computeDenominators(std::span<const double> f) const;
    /** The function whose minimum is the solution; convex. */
    double computeObjective(std::span<const double> f, std::span<const double> denominators) const;
    /** @return shape [K, K]: its second derivatives; @p gradient is written: [K] */
    std::vector<double> computeHessian(std::vector<double>& gradient) const;
    /** The asymptotic variance of an estimate that changes by v_n if sample n comes in once more. */
    double computeVariance(std::span<const double> v) const;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_SAMPLING_MBAR_H_
