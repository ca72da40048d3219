#ifndef OPENMMSCORE_SAMPLING_DIFFUSIONPROPOSAL_H_
#define OPENMMSCORE_SAMPLING_DIFFUSIONPROPOSAL_H_

#include <memory>
#include <vector>

#include "openmmscore/sampling/FlowProposal.h"
#include "openmmscore/sampling/FrameCoordinates.h"
#include "openmmscore/sampling/ProbabilityFlow.h"

namespace OpenMMScore {

class ProposalContents;

/**
 * What a diffusion model generates along its probability-flow ODE, whose density is known
 * (ProbabilityFlow.h): standard normal numbers z_1 are carried to z_0, and
 *
 *     x = lengthScale z_0,     ln q(x) = ln N(z_1; 0, I) + int 1/2 (D + div score) dL - D ln lengthScale.
 *
 * Frames: of a particle model Centred, D = 3N-3, in nm^-D. Of a vector model Vector, D = d; or Absolute,
 * where its d = 3N numbers are the positions of N particles.
 *
 * A sample is carried to data first, and its density is then that of the way back from x, so that sample()
 * and logDensity() agree bit by bit; both have the error of the integrator, of which ProbabilityFlow.h
 * speaks.
 *
 * Scores of particle models know neither the centre of mass nor, if their network is a function of
 * differences, the particles' absolute place; networks here are not equivariant, so orientations and mirror
 * images are as the training taught them.
 *
 * As a FlowProposal its base are D standard normal numbers y with z_1 = B^T y (FrameCoordinates.h).
 *
 * Cost of a density: 4 steps evaluations of scores with their divergences. There is no gradient of the
 * density.
 */
class DiffusionProposal : public FlowProposal {
public:
    struct Settings {
        /** Of the integrator. */
        int numSteps = 100;
        /** At the data's end; below the model's interval, its lower end. */
        double time = 0;
        Frame frame = Frame::Centred;
        ProbabilityFlow::Engine engine = ProbabilityFlow::Engine::Fast;
        /** Shape [N, features]; empty for a model without. */
        std::vector<int> features;
        /** How many each call uses; 0: one for each processor. No result depends on it, and no file holds it.
         */
        int numThreads = 0;
    };

    /**
     * @throws Error       as ProbabilityFlow does
     * @throws ShapeError  if the frame does not fit the model, or the features do not
     */
    DiffusionProposal(std::shared_ptr<const ScoreModel> model, Settings settings);
    ~DiffusionProposal() override;

    /** @return the frame that fits a model without being asked for: Centred or Vector */
    static Frame usualFrame(const ScoreModel& model);
    const ScoreModel& getModel() const { return *model; }
    const Settings& getSettings() const { return settings; }

    int getNumParticles() const override;
    int getNumCoordinates() const override { return width; }
    Frame getFrame() const override { return settings.frame; }
    std::string getFamily() const override { return "diffusion"; }
    void sample(std::uint64_t seed, std::int64_t first, std::int64_t count, double* positions,
                double* logDensity) const override;
    void logDensity(std::int64_t count, const double* positions, double* logDensity) const override;
    int getBaseDimension() const override { return coordinates.getDimension(); }
    void toBase(std::int64_t count, const double* positions, double* z, double* logDet) const override;
    void fromBase(std::int64_t count, const double* z, double* positions, double* logDet) const override;
    std::string encode() const override;

    /** Of a file; see ProposalFile.h. */
    static std::shared_ptr<const Proposal> fromContents(const ProposalContents& contents);

private:
    class Loan;
    template <class Work>
    void inShares(std::int64_t count, Work work) const;
    std::vector<double> scaled(int count, const double* positions) const;
    void computeDensities(ProbabilityFlow& flow, int count, const double* positions, double* density) const;

    std::shared_ptr<const ScoreModel> model;
    Settings settings;
    FrameCoordinates coordinates;
    int width;
    double lengthScale;
    /** What is not in use of the integrators, which serve one caller at a time. */
    struct Pool;
    std::unique_ptr<Pool> pool;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_SAMPLING_DIFFUSIONPROPOSAL_H_
