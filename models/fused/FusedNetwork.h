#ifndef OPENMMSCORE_FUSED_FUSEDNETWORK_H_
#define OPENMMSCORE_FUSED_FUSEDNETWORK_H_

#include <cstddef>
#include <memory>

namespace OpenMMScore {

/** What one thread works in. */
class FusedWorkspace {
public:
    virtual ~FusedWorkspace() = default;
    virtual std::size_t getNumBytes() const = 0;
};

/**
 * A network in the fused engine: float32, SIMD, folded at one diffusion time. It knows nothing of signs and
 * noise levels: energies, gradients and scores are the network's own.
 */
class FusedNetwork {
public:
    virtual ~FusedNetwork() = default;
    /** @return whether it has an energy head; else a score head */
    virtual bool hasEnergy() const = 0;
    /** Fold again what depends on the diffusion time. No other thread may be evaluating meanwhile. */
    virtual void setTime(double t) = 0;
    /** @return how many molecules to evaluate together, so that they and the weights in use stay in the cache
     */
    virtual int getBlockSize() const = 0;
    /** @return a workspace for at most that many molecules at once */
    virtual std::unique_ptr<FusedWorkspace> createWorkspace(int numMolecules) const = 0;
    /** @return floating-point operations (two for a multiply-add) of an energy with its gradient, or of a
     * score head's output, in products only */
    virtual double getOperationsPerMolecule() const = 0;
    /** @return bytes of all packed weights */
    virtual std::size_t getNumBytes() const = 0;
    /**
     * @param kinds      shape [count]: which of the kinds of molecules each is
     * @param z          shape [count, coordinates]
     * @param energies   shape [count]; not written by a score head
     * @param gradients  shape [count, coordinates], or null; of a score head: its output
     */
    virtual void evaluate(FusedWorkspace& workspace, int count, const int* kinds, const double* z,
                          double* energies, double* gradients) const = 0;
    /** @return as getBlockSize(), for evaluateDivergence(); 0 if there is no such method */
    virtual int getDivergenceBlockSize() const { return 0; }
    /** @return a workspace for evaluateDivergence() of at most that many molecules at once */
    virtual std::unique_ptr<FusedWorkspace> createDivergenceWorkspace(int) const { return nullptr; }
    /**
     * @param workspace    one of createDivergenceWorkspace()
     * @param gradients    as of evaluate()
     * @param divergences  shape [count]: sums of the derivatives of gradients by their own coordinates
     */
    virtual void evaluateDivergence(FusedWorkspace& /*workspace*/, int /*count*/, const double* /*z*/,
                                    double* /*gradients*/, double* /*divergences*/) const {}
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_FUSED_FUSEDNETWORK_H_
