#ifndef OPENMMSCORE_MODELS_EVALUATOR_H_
#define OPENMMSCORE_MODELS_EVALUATOR_H_

namespace OpenMMScore {

/**
 * A model made ready for one diffusion time and a fixed set of molecules: everything that does not depend
 * on positions is folded. This is what a platform calls every step; each engine has its own.
 *
 * A molecule's result depends on nothing but its own coordinates and features: not on the other molecules,
 * on where it stands in a call or on the thread, bit for bit.
 */
class Evaluator {
public:
    virtual ~Evaluator() = default;
    virtual int getNumMolecules() const = 0;
    /** @return numbers per molecule in coordinates and scores: 3N or d */
    virtual int getNumCoordinates() const = 0;
    /** @return how many molecules a call had best cover, for engines that work in blocks; at least 1 */
    virtual int getBlockSize() const = 0;
    /** @return whether energies can be asked for and scores are their negative gradient */
    virtual bool hasEnergy() const = 0;
    /**
     * Evaluate molecules first ... first+count-1. Different threads may call at once with different
     * thread indices. Allocates nothing after the first call of each thread.
     *
     * @param thread       0 <= thread < the number that the evaluator was made for
     * @param coordinates  shape [count, getNumCoordinates()], the network's own units. Particles: centred on
     *                     their mean, or near it, for the sake of rounding; the result does not depend on it
     * @param energies     shape [count]: reduced energies; or null
     * @param scores       shape [count, getNumCoordinates()]; or null
     */
    virtual void evaluate(int thread, int first, int count, const double* coordinates, double* energies,
                          double* scores) = 0;
    /** @return whether evaluateDivergence() works: not with graph transformers in the fused engine */
    virtual bool hasDivergence() const { return false; }
    /**
     * Evaluate scores and their divergences, sum_c d score_c / d z_c, by differentiation; of particles, in
     * the space of centred configurations. Arguments as of evaluate(). Cost, with d coordinates: of d + 2
     * forward passes, or of two for score heads with two hidden layers; for graph transformers of about d
     * scores.
     *
     * @param scores       shape [count, getNumCoordinates()]
     * @param divergences  shape [count]
     * @throws Error  if hasDivergence() is false
     */
    virtual void evaluateDivergence(int thread, int first, int count, const double* coordinates,
                                    double* scores, double* divergences);
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_MODELS_EVALUATOR_H_
