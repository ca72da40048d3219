#ifndef OPENMMSCORE_SAMPLING_PROPOSAL_H_
#define OPENMMSCORE_SAMPLING_PROPOSAL_H_

#include <cstdint>
#include <string>

namespace OpenMMScore {

/**
 * A distribution of configurations that can be drawn from independently and whose normalised density is
 * known.
 *
 * Positions are in nm, [samples, particles, 3], row-major, float64. Densities are natural logarithms, in
 * nm^-d, where d follows from the frame:
 *
 *     Absolute   d = 3 N      of the positions as they stand (a particle in an external field, a molecule
 *                             whose centre of mass is part of the distribution)
 *     Centred    d = 3 N - 3  of the positions relative to their centroid, all orientations alike included.
 *                             Volume is measured in the subspace of zero centroid with the metric of R^3N.
 *                             Samples have a centroid of zero; logDensity() ignores the centroid
 *     Vector     d numbers    that are no positions: torsions, or the coordinates of a model in any number of
 *                             dimensions. There are no particles; wherever positions are spoken of, these
 *                             are meant, [samples, d], in units of their own
 *
 * An object does not change once it is made, and all methods may be called from several threads at once.
 */
class Proposal {
public:
    enum class Frame { Absolute, Centred, Vector };

    virtual ~Proposal() = default;
    /** @return N; 0 in the frame Vector */
    virtual int getNumParticles() const = 0;
    virtual Frame getFrame() const { return Frame::Absolute; }
    /** @return how many numbers make a sample: 3 N, or d in the frame Vector */
    virtual int getNumCoordinates() const { return 3 * getNumParticles(); }
    /** @return one word for people and files, for example "gaussian-mixture" */
    virtual std::string getFamily() const = 0;
    /** @return whether logDensityGradient() works */
    virtual bool hasGradient() const { return false; }
    /**
     * Draw samples first ... first+count-1 of the sequence that the seed names. Sample i is a function of
     * (seed, i), so it does not matter in which pieces, in which order or on which thread a sequence is
     * drawn.
     *
     * @param positions   written: [count, N, 3], or [count, d] in the frame Vector; so below
     * @param logDensity  written: [count]; the density with which each was drawn
     */
    virtual void sample(std::uint64_t seed, std::int64_t first, std::int64_t count, double* positions,
                        double* logDensity) const = 0;
    /**
     * @param positions   [count, N, 3]; where one is not finite the density is NaN
     * @param logDensity  written: [count]
     */
    virtual void logDensity(std::int64_t count, const double* positions, double* logDensity) const = 0;
    /**
     * @param gradient  written: [count, N, 3], derivative of the log density with respect to positions, 1/nm
     * @throws Error  if the family has none
     */
    virtual void logDensityGradient(std::int64_t count, const double* positions, double* gradient) const;
    /**
     * @return the proposal as bytes of a safetensors file, from which makeProposal() (ProposalFile.h) makes
     * an equal one
     */
    virtual std::string encode() const = 0;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_SAMPLING_PROPOSAL_H_
