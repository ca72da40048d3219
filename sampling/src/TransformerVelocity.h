#ifndef OPENMMSCORE_SAMPLING_TRANSFORMERVELOCITY_H_
#define OPENMMSCORE_SAMPLING_TRANSFORMERVELOCITY_H_

#include "VelocityField.h"
#include "openmmscore/models/Network.h"
#include "openmmscore/sampling/FrameCoordinates.h"

namespace OpenMMScore {

/**
 * The velocity of the graph transformer of score models, in the plain float64 engine, differentiated in
 * forward mode (FixedTimeNetwork::evaluateDivergence()).
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
    /** @return [3N]: the positions, or the direction, of one lane */
    std::vector<double> gather(int lane, const double* u) const;

    FrameCoordinates coordinates;
    ModelDescription model;
    std::unique_ptr<const Network> network;
    std::size_t workspaceSize;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_SAMPLING_TRANSFORMERVELOCITY_H_
