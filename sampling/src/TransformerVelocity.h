#ifndef OPENMMSCORE_SAMPLING_TRANSFORMERVELOCITY_H_
#define OPENMMSCORE_SAMPLING_TRANSFORMERVELOCITY_H_

#include "VelocityField.h"
#include "openmmscore/models/Network.h"
#include "openmmscore/sampling/FrameCoordinates.h"

namespace OpenMMScore {

/**
 * The velocity of the graph transformer of score models, in the plain float64 engine. That has no derivatives
 * of its outputs, so they are differences of fourth order: 4 d + 1 evaluations for a divergence. With
 * steps of 1e-3, of coordinates of order 1, both truncation and rounding are near 1e-12 of the velocity.
 */
class TransformerVelocity : public VelocityField {
public:
    TransformerVelocity(const ContinuousFlowDescription& flow,
                        const std::vector<std::vector<double>>& tensors);

    int getDimension() const override { return coordinates.getDimension(); }
    std::size_t getWorkspaceSize() const override { return workspaceSize; }
    void evaluate(const bool* active, const double* t, const double* u, double* v, double* divergence,
                  double* workspace) const override;
    void multiplyJacobian(const bool* active, const double* t, const double* u, const double* direction,
                          double* product, double* workspace) const override;

private:
    /** The output at positions r + offset direction, [3N]. */
    void evaluateMoved(const FixedTimeNetwork& network, const double* r, double offset,
                       const double* direction, double* output, double* workspace) const;
    /** product += the network's Jacobian times a direction, both [3N]. */
    void addDerivative(const FixedTimeNetwork& network, const double* r, const double* direction,
                       double* product, double* workspace) const;
    std::vector<double> gather(int lane, const double* u) const;

    FrameCoordinates coordinates;
    ModelDescription model;
    std::unique_ptr<const Network> network;
    /** [d, 3N]: the directions of R^3N that coordinates belong to. */
    std::vector<double> directions;
    std::size_t workspaceSize;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_SAMPLING_TRANSFORMERVELOCITY_H_
