#ifndef OPENMMSCORE_SAMPLING_SPLINEFLOWPROPOSAL_H_
#define OPENMMSCORE_SAMPLING_SPLINEFLOWPROPOSAL_H_

#include <memory>
#include <optional>
#include <vector>

#include "openmmscore/sampling/FlowCoordinates.h"
#include "openmmscore/sampling/FlowProposal.h"
#include "openmmscore/sampling/FrameCoordinates.h"
#include "openmmscore/sampling/SplineFlow.h"

namespace OpenMMScore {

class ProposalContents;

/**
 * A SplineFlow of one of these coordinates y:
 *
 *     those of FrameCoordinates   positions in nm, positions relative to their centroid, or plain
 *                                 numbers such as torsions
 *     those of FlowCoordinates    stretched internal coordinates of a molecule, 3 N - 6, with all
 *                                 orientations alike. The frame is Centred, log q = log q(y) - log J(y).
 *                                 Positions for which there are no internal coordinates (a straight
 *                                 angle) have a density that is NaN
 */
class SplineFlowProposal : public FlowProposal {
public:
    /**
     * @param count        N, or d in the frame Vector
     * @param description  its dimension is that of the coordinates
     * @throws ShapeError  as SplineFlow and FrameCoordinates do, or if dimensions differ
     */
    SplineFlowProposal(int count, Frame frame, SplineFlowDescription description,
                       SplineFlow::Tensors tensors);
    /**
     * @param description  has the dimension and the circular coordinates of the internal ones
     * @throws ShapeError  as SplineFlow does, or if those differ
     */
    SplineFlowProposal(FlowCoordinates internal, SplineFlowDescription description,
                       SplineFlow::Tensors tensors);

    int getNumParticles() const override { return coordinates.getNumParticles(); }
    Frame getFrame() const override { return coordinates.getFrame(); }
    int getNumCoordinates() const override { return coordinates.getNumCoordinates(); }
    std::string getFamily() const override { return "spline-flow"; }
    bool hasGradient() const override { return true; }
    int getBaseDimension() const override { return flow.getDimension(); }
    const SplineFlow& getFlow() const { return flow; }
    void sample(std::uint64_t seed, std::int64_t first, std::int64_t count, double* positions,
                double* logDensity) const override;
    void logDensity(std::int64_t count, const double* positions, double* logDensity) const override;
    /** By SplineFlow::logDensityGradient() and the chain rule; NaN where the density is zero or NaN. */
    void logDensityGradient(std::int64_t count, const double* positions, double* gradient) const override;
    void toBase(std::int64_t count, const double* positions, double* z, double* logDet) const override;
    /** Molecules of internal coordinates come oriented as FlowCoordinates::toPositions() does. */
    void fromBase(std::int64_t count, const double* z, double* positions, double* logDet) const override;
    /** Tensors whose numbers are all float32 numbers are written as such. */
    std::string encode() const override;
    /** Make one from a file whose family is getFamily(); makeProposal() is the caller. */
    static std::shared_ptr<const Proposal> fromContents(const ProposalContents& contents);

private:
    void requireDimension(int expected) const;
    /** Turn positions into the flow's coordinates. @param logJacobian  written: [count] */
    void toFlow(std::int64_t count, const double* positions, double* y, double* logJacobian) const;
    /** The way back. @param y  [count, d], changed */
    void fromFlow(std::int64_t count, double* y, double* positions, double* logJacobian) const;

    FrameCoordinates coordinates;
    std::optional<FlowCoordinates> internal;
    SplineFlow flow;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_SAMPLING_SPLINEFLOWPROPOSAL_H_
