#ifndef OPENMMSCORE_SAMPLING_SPLINECONDITIONER_H_
#define OPENMMSCORE_SAMPLING_SPLINECONDITIONER_H_

#include <memory>
#include <vector>

#include "BlockProduct.h"
#include "openmmscore/sampling/SplineFlow.h"

namespace OpenMMScore {

/** The network that gives a layer's knots, for blocks of rows; see SplineFlowDescription. */
class SplineConditioner {
public:
    /** What was computed for one block. A thread uses one at a time, for all layers of a flow in turn. */
    struct Workspace {
        /** [rows, inputs], and of one coordinate [rows, its numbers]. */
        std::vector<double> input, numbers;
        /** Gradient by all numbers, [rows, countNumbers()]. */
        std::vector<double> byNumbers;
        /** Arrays that each kind of network lays out as it likes, and those of its gradients. */
        std::vector<std::vector<double>> values, gradients;
    };

    /**
     * Make the network of a layer.
     *
     * @param tensors  have the shapes that splineFlowTensors() asks for
     * @throws ShapeError  if the layer is autoregressive, and knots depend on what they may not depend on
     */
    static std::unique_ptr<const SplineConditioner>
    create(const SplineFlowDescription& description, std::size_t layer, const SplineFlow::Tensors& tensors);
    virtual ~SplineConditioner() = default;

    /** Enlarge a workspace to what blocks of these rows need. */
    virtual void reserve(std::size_t rows, Workspace& workspace) const = 0;
    /** Compute what the numbers of all coordinates need, of rows v [rows, d]. */
    virtual void compute(int rows, const double* v, Workspace& workspace) const = 0;
    /**
     * Compute what the numbers of transformed[p] need while the flow is inverted: of v, inputs of the layer
     * are known but for transformed[p] and those behind it. To be called for p = 0, 1 ... in turn.
     */
    virtual void computeNext(int rows, std::size_t p, const double* v, Workspace& workspace) const = 0;
    /**
     * Compute the numbers of transformed[p] from what compute() or computeNext() left.
     *
     * @param step  written: how far apart rows are
     * @return [rows, countKnotNumbers()], in the workspace
     */
    virtual const double* computeNumbers(int rows, std::size_t p, Workspace& workspace,
                                         std::size_t& step) const = 0;
    /**
     * Add the gradient by v of something whose gradient by all numbers lies in the workspace (byNumbers),
     * together with what compute() left.
     */
    virtual void addGradient(int rows, Workspace& workspace, double* byV) const = 0;
    /** @return how many numbers all transformed coordinates have together */
    std::size_t countNumbers() const { return numNumbers; }

protected:
    struct Input {
        std::size_t coordinate;
        bool angle;
    };

    SplineConditioner(const SplineFlowDescription& description, std::size_t layer);

    /** Write the numbers that an input is made of; an angle has two, cosine and sine. */
    static double* writeInput(const Input& input, const double* v, double* numbers);
    /** Add to the gradient by v what the gradient by an input's numbers says; both pointers move on. */
    static void addInputGradient(const Input& input, const double*& numbers, const double*& byNumbers,
                                 double* byV);
    void applyActivation(int count, const double* x, double* y) const;
    /** Multiply a gradient by the activation's derivative at x. */
    void multiplyDerivative(int count, const double* x, double* gradient) const;
    /** @return x -> W^T x for a matrix W [out, in] */
    static PackedLayer transposed(int out, int in, const double* weight);
    /** Make room for so many numbers in each of rows. */
    static void grow(std::vector<double>& values, std::size_t rows, int size);

    std::size_t dimension;
    SplineFlowDescription::Activation activation;
    std::vector<Input> inputs;
    int numInputs = 0;
    std::size_t numNumbers = 0;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_SAMPLING_SPLINECONDITIONER_H_
