#ifndef OPENMMSCORE_SAMPLING_CONTINUOUSFLOW_H_
#define OPENMMSCORE_SAMPLING_CONTINUOUSFLOW_H_

#include <vector>

#include "openmmscore/models/ModelDescription.h"
#include "openmmscore/sampling/Proposal.h"

namespace OpenMMScore {

/**
 * A continuous normalising flow: which velocity carries a standard normal distribution into data.
 *
 * In normalised coordinates u the flow is
 *
 *     du/dt = v(u, t),    u(0) ~ N(0, I),    y = location + scale u(1),
 *
 * with t = 0 at the base and t = 1 at the data, and y the d coordinates of FrameCoordinates in nm (Vector: in
 * units of their own). In the frame Centred u(0) is what remains of 3N standard normal numbers without their
 * centroid. Or y are the 3N - 6 internal coordinates of FlowCoordinates. Circular coordinates are angles in
 * radians: u(0) of them is uniform, the velocity has the period 2 pi in them, and the flow is one of the
 * torus (Chen and Lipman, ICLR 2024, arXiv:2302.03660). Such a velocity is trained by conditional flow
 * matching: Lipman et al., ICLR 2023, arXiv:2210.02747; Tong et al., TMLR 2024, arXiv:2302.00482.
 */
struct ContinuousFlowDescription {
    enum class Network { Mlp, Egnn, GraphTransformer };
    enum class Activation { Swish, Tanh };

    /** v = the output of a multilayer perceptron on [inputs, time features], an activation after each hidden
     * layer; the inputs of a circular coordinate u are cos(u), sin(u), cos(2u), ..., sin(angleFrequencies u),
     * of others u itself. With one or two hidden layers an exact divergence costs no more than the velocity
     * itself, and that again for each circular coordinate. */
    struct Mlp {
        std::vector<int> hidden;
        Activation activation = Activation::Swish;

        bool operator==(const Mlp&) const = default;
    };
    /**
     * An equivariant graph network on the particles' normalised positions r = B^T u, of frames with
     * particles: Satorras, Hoogeboom and Welling, ICML 2021, arXiv:2102.09844, with the details of Klein and
     * Noe, arXiv:2406.14426. With h_i = E [node features of i, time features] + e, each layer does, for all
     * pairs i != j, with swish as the activation s and the difference vectors of the layer's input,
     *
     *     m_ij = s(W2 s(W1 [h_i, h_j, |r_ij|^2, |r_ij(0)|^2] + b1) + b2),
     *     m_ij <- sigmoid(a . m_ij + a0) m_ij,
     *     r_i  <- r_i + sum_j r_ij / (sqrt(|r_ij|^2 + 1e-8) + 1) (range / layers) tanh(c . s(C m_ij + c0)),
     *     h_i  <- h_i + V2 s(V1 [h_i, sum_j m_ij] + v1) + v2,
     *
     * where r_ij = r_i - r_j. The velocity is B (r - r(0)).
     */
    struct Egnn {
        int hidden = 0;
        int layers = 0;
        /** F: numbers that tell a particle's kind, for example a one-hot code of it. */
        int nodeFeatures = 0;
        double coordinateRange = 15.0;

        bool operator==(const Egnn&) const = default;
    };

    /** N, or d in a frame of plain vectors. */
    int count = 0;
    Proposal::Frame frame = Proposal::Frame::Absolute;
    Network network = Network::Mlp;
    Mlp mlp;
    Egnn egnn;
    /**
     * The graph transformer of score models (docs/physics.md) on the particles' normalised positions r = B^T
     * u, with a one-hot identity of each and a score head; the velocity is B times its output. It has time
     * features of its own, TimeFeatures::Fourier on [0, 1], so timeFrequencies must be 0.
     */
    GraphTransformerDescription graphTransformer;
    /** K, 0 to 64. The time features are t, cos(pi t), sin(pi t), ..., cos(K pi t), sin(K pi t). */
    int timeFrequencies = 0;
    /** Of perceptrons, on plain vectors or internal coordinates: which coordinates are circular, ascending.
     */
    std::vector<int> circular;
    /** 1 to maxAngleFrequencies if there are any, else 0. */
    int angleFrequencies = 0;
    static constexpr int maxAngleFrequencies = 64;
    /** Whether y are internal coordinates; the frame is Centred. */
    bool internal = false;

    /** @return d */
    int getDimension() const;
    int getNumTimeFeatures() const { return 1 + 2 * timeFrequencies; }
    /** @return how many inputs of a perceptron are made of u, see Mlp */
    int getNumInputs() const {
        return getDimension() + (2 * angleFrequencies - 1) * static_cast<int>(circular.size());
    }
    /** @return [getDimension()] */
    std::vector<bool> whichAreCircular() const;
    /** @throws ShapeError  naming the field, if one is out of its range */
    void check() const;
    /**
     * @return the tensors of the flow, in the order in which ContinuousFlowProposal takes them: location and
     *         scale [d], then the network's, of which the names begin with "network.". Matrices are
     *         [out, in]; columns for time features come after all others. Circular coordinates have the
     *         scale 1
     * @throws ShapeError  as check()
     */
    std::vector<TensorShape> getTensors() const;

    bool operator==(const ContinuousFlowDescription&) const = default;
};

/** @return the score model of one expert whose network a flow's graph transformer is */
ModelDescription describeTransformer(const ContinuousFlowDescription& description);

/** Write the features of time t, shape [description.getNumTimeFeatures()]. */
void computeFlowTimeFeatures(const ContinuousFlowDescription& description, double t, double* features);

} // namespace OpenMMScore

#endif // OPENMMSCORE_SAMPLING_CONTINUOUSFLOW_H_
