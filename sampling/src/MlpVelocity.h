#ifndef OPENMMSCORE_SAMPLING_MLPVELOCITY_H_
#define OPENMMSCORE_SAMPLING_MLPVELOCITY_H_

#include "VelocityField.h"

namespace OpenMMScore {

/**
 * The velocity of a multilayer perceptron. With D_l the slopes of the activations, its divergence is
 * tr(W_L D_(L-1) ... W_1 D_0 W_0), found
 *
 *     for one hidden layer    as sum_k D_0k M_k,             M_k = (W_0 W_1)_kk
 *     for two                 as sum_kj D_1k M_kj D_0j,      M_kj = W_1kj (W_0 W_2)_jk
 *     for more                with the d columns of D_0 W_0, multiplied through
 *
 * where W_0 stands for its columns of coordinates. M is made once, so that up to two hidden layers the
 * divergence costs as much as the velocity. A circular coordinate has several inputs (Mlp), and a column of
 * W_0 d input / du that differs from sample to sample, so it is multiplied through in any case.
 */
class MlpVelocity : public VelocityField {
public:
    MlpVelocity(const ContinuousFlowDescription& flow, std::vector<std::vector<double>> tensors);

    int getDimension() const override { return d; }
    std::size_t getWorkspaceSize() const override;
    void evaluate(const bool* active, const double* t, const double* u, double* v, double* divergence,
                  double* workspace) const override;
    void multiplyJacobian(const bool* active, const double* t, const double* u, const double* direction,
                          double* product, double* workspace) const override;
    bool isTwiceDifferentiable() const override { return true; }
    void differentiate(const double* t, const double* u, const double* s, double* v, double* divergence,
                       double* gradient, double* workspace) const override;

private:
    struct Layer {
        int out, in;
        std::vector<double> weight, bias;
    };
    /** Where evaluate() keeps what: activations, slopes and curvatures of each hidden layer, inputs, a
     * direction of theirs, two rows beside. And of differentiate(), for each hidden layer: the change of what
     * enters it along that direction, and the derivative of div v by what enters it. */
    struct Places {
        double *input, *direction, *scratch[2];
        std::vector<double*> activations, slopes, curvatures, changes, adjoints;
    };

    void prepareDivergence();
    void runLayers(const Places& places, const double* t, const double* u, double* v, bool curvatures) const;
    Places place(double* workspace) const;
    void writeInputs(const double* u, double* input) const;
    void computeDivergence(const Places& places, double* divergence) const;
    /** Whether dv_i/du_i is not among what traceWeight sums. */
    bool isApart(int i) const { return layers.size() > 3 || isCircular[i]; }
    /** Add dv_i/du_i, with all layers multiplied through. */
    void addDiagonal(const Places& places, int i, double* divergence) const;
    /** The change of what enters the first layer, [H_0, lanes], along u_i; of the inputs: in
     * places.direction.
     */
    void differentiateFirst(const Places& places, int i, double* change) const;
    /** Add the part of traceWeight to the divergence and to the adjoints of its layers. */
    void differentiateTrace(const Places& places, double* divergence) const;
    /** Add dv_i/du_i, its derivative by what enters the layers, and by u_i where the inputs bend. */
    void differentiateDiagonal(const Places& places, int i, double* divergence, double* gradient) const;
    /** Take the derivative by the last activations, in scratch 0, back to u, and add it to the gradient. */
    void propagateBack(const Places& places, double* gradient) const;
    /** The change of the inputs of coordinate i, [its inputs, lanes], where u_i changes by `change`. */
    void differentiateInputs(const Places& places, int i, const double* change, double* result) const;
    /** Take a row [H_0, lanes] (before D_0) through all later layers but the last. @return where it is */
    const double* propagate(const Places& places, int from) const;

    ContinuousFlowDescription flow;
    int d, numInputs, widest = 0;
    std::vector<bool> isCircular;
    /** [d + 1]: where the inputs of each coordinate begin. */
    std::vector<int> starts;
    std::vector<Layer> layers;
    /** M, [H_0] or [H_1, H_0]; empty with more hidden layers. */
    std::vector<double> traceWeight;
    /** The transpose of M, of two hidden layers. */
    std::vector<double> traceTransposed;
    /** The transpose of each W. */
    std::vector<std::vector<double>> transposed;
    /** W_0's columns of inputs but for the time, [H_0, numInputs], and the same by columns. */
    std::vector<double> firstWeight, firstTransposed;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_SAMPLING_MLPVELOCITY_H_
