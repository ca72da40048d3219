#ifndef OPENMMSCORE_PYTHON_PROPOSALHANDLE_H_
#define OPENMMSCORE_PYTHON_PROPOSALHANDLE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "ModelHandle.h"
#include "openmmscore/sampling/Proposal.h"

namespace OpenMMScore {

/**
 * What openmmscore.Proposal holds of C++. Arrays arrive as addresses, as with ModelHandle; the classes of
 * proposals are the only callers, and check them first.
 */
class ProposalHandle {
public:
    /** @param path  absolute path of a proposal's file */
    explicit ProposalHandle(const std::string& path);
    explicit ProposalHandle(std::shared_ptr<const Proposal> proposal) : proposal(std::move(proposal)) {}
    /** @return a new object for a proposal's file in memory */
    static ProposalHandle* fromBytes(const std::vector<std::uint8_t>& bytes, const std::string& origin);

    /**
     * @param frame       of Proposal::Frame
     * @param numThreads  0 for all processors
     * @return a new object for what a diffusion model generates, see DiffusionProposal
     */
    static ProposalHandle* ofDiffusion(const ModelHandle& model, const std::vector<int>& features,
                                       double time, int numSteps, int frame, int numThreads, bool plain);

    const std::shared_ptr<const Proposal>& getProposal() const { return proposal; }
    std::string getFamily() const { return proposal->getFamily(); }
    int getNumParticles() const { return proposal->getNumParticles(); }
    /** @return whether the frame is Centred */
    int getNumCoordinates() const { return proposal->getNumCoordinates(); }
    /** @return 0 absolute, 1 centred, 2 vector */
    int getFrame() const { return static_cast<int>(proposal->getFrame()); }
    bool hasGradient() const { return proposal->hasGradient(); }
    /** @return the dimension of the base if this is a FlowProposal, else 0 */
    int getBaseDimension() const;
    /** @return the bytes of a file that holds this proposal */
    std::vector<std::uint8_t> encode() const;
    /** Write such a file, atomically. */
    void save(const std::string& path) const;
    void sample(unsigned long long seed, long long first, long long count, double* positions,
                double* densities) const;
    void logDensity(long long count, const double* x, double* densities) const;
    void logDensityGradient(long long count, const double* x, double* gradients) const;
    /** As the function of that name. @param partners  written: [count] */
    static void optimalPairing(int count, int dimension, const double* x, const double* t, int* partners);
    /** As those of ContinuousFlowProposal. @throws Error  if the proposal is of another family */
    void estimateLogDensity(long long count, const double* x, double* densities, double* variances) const;
    void computeVelocity(long long count, const double* x, const double* t, double* velocities,
                         double* divergences) const;
    /** FlowProposal's, only for those. */
    void toBase(long long count, const double* x, double* base, double* densities) const;
    void fromBase(long long count, const double* x, double* positions, double* densities) const;
    /** @return names and shapes of splineFlowTensors() as JSON, for settings as JSON */
    static std::string describeSplineFlow(const std::string& settings);

private:
    std::shared_ptr<const Proposal> proposal;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_PYTHON_PROPOSALHANDLE_H_
