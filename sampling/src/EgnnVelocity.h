#ifndef OPENMMSCORE_SAMPLING_EGNNVELOCITY_H_
#define OPENMMSCORE_SAMPLING_EGNNVELOCITY_H_

#include "VelocityField.h"
#include "openmmscore/sampling/FrameCoordinates.h"

namespace OpenMMScore {

/**
 * The velocity of an equivariant graph network (ContinuousFlowDescription::Egnn). Its divergence takes d
 * tangents through the network, N (N - 1) pairs each: about d times the work of the velocity.
 */
class EgnnVelocity : public VelocityField {
public:
    /** @throws ShapeError  if a workspace would take more than 1 GiB */
    EgnnVelocity(const ContinuousFlowDescription& flow, std::vector<std::vector<double>> tensors);

    int getDimension() const override { return coordinates.getDimension(); }
    std::size_t getWorkspaceSize() const override { return workspaceSize; }
    void evaluate(const bool* active, const double* t, const double* u, double* v, double* divergence,
                  double* workspace) const override;
    void multiplyJacobian(const bool* active, const double* t, const double* u, const double* direction,
                          double* product, double* workspace) const override;

private:
    struct Layer {
        /** Of the first matrix: columns of h_i, h_j and of the two squared distances come in this order. */
        std::vector<double> edgeWeight0, edgeBias0, edgeWeight1, edgeBias1;
        std::vector<double> gateWeight, gateBias;
        std::vector<double> coordinateWeight0, coordinateBias0, coordinateWeight1;
        std::vector<double> nodeWeight0, nodeBias0, nodeWeight1, nodeBias1;
        /** The columns of edgeWeight0 that belong to the present and the initial squared distance. */
        std::vector<double> nowWeight, initialWeight;
    };
    /** What tangents need of a layer's values. E = N (N - 1) pairs; a lane's numbers are 8 apart. */
    struct LayerValues {
        /** [3N], before the layer. */
        double* r;
        /** [E]: sqrt(|r_ij|^2 + 1e-8), sigmoid, tanh and its slope. */
        double *distance, *gate, *pull, *pullSlope;
        /** [E, H]: slopes of activations, and messages before they are gated. */
        double *slope0, *slope1, *message, *coordinateSlope;
        /** [N, H] */
        double* nodeSlope;
    };
    struct Values {
        std::vector<LayerValues> layers;
        /** [3N]: where particles begin, and where they end. */
        double *start, *end;
        /** [N, H] each: node states, and rows to work in. */
        double *h, *ofSource, *ofTarget, *sum;
        /** [H] each. */
        double *row0, *row1, *row2;
    };

    Values place(double* workspace, std::size_t* size = nullptr) const;
    void embed(const double* t, const Values& values) const;
    void evaluateLayer(std::size_t index, const Values& values, double* r) const;
    void evaluatePair(const Layer& layer, const LayerValues& at, const Values& values, int i, int j,
                      double* r) const;
    void updateNodes(const Layer& layer, const LayerValues& at, const Values& values, bool tangent) const;
    /** Carry a tangent dr, [3N, lanes], through all layers, in place; it becomes that of r - r(0). */
    void propagate(const Values& values, double* dr) const;
    void propagatePair(const Layer& layer, const LayerValues& at, const Values& values, int i, int j,
                       const double* dr, const double* start, double* result) const;
    void projectPairs(const Layer& layer, const Values& values, bool tangent) const;
    void toParticles(const double* u, double* r) const;
    void fromParticles(const double* r, double* u) const;
    std::size_t pairIndex(int i, int j) const {
        return std::size_t(i) * (numParticles - 1) + j - (j > i ? 1 : 0);
    }

    ContinuousFlowDescription flow;
    FrameCoordinates coordinates;
    int numParticles, hidden;
    /** The share of the node features in the embedding, [N, H], and its columns of time features. */
    std::vector<double> embeddedFeatures, timeWeight;
    std::vector<Layer> layers;
    /** [d, 3N]: the directions of R^3N that coordinates belong to. */
    std::vector<double> directions;
    std::size_t workspaceSize = 0;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_SAMPLING_EGNNVELOCITY_H_
