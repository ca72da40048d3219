#ifndef OPENMMSCORE_SAMPLING_SPLINECONDITIONER_H_
#define OPENMMSCORE_SAMPLING_SPLINECONDITIONER_H_

#include <vector>

#include "BlockProduct.h"
#include "openmmscore/sampling/SplineFlow.h"

namespace OpenMMScore {

/** The network that gives a layer's knots, for blocks of rows; see SplineFlowDescription. */
class SplineConditioner {
public:
    /** What was computed for one block; a thread uses one at a time. */
    struct Workspace {
        /** [rows, inputs], and of one coordinate [rows, its numbers]. */
        std::vector<double> input, numbers;
        /**
         * For each hidden width what its activation gets, in a residual network for even ones the sum so far,
         * and what it gives; rows padded as products write them.
         */
        std::vector<std::vector<double>> before, after;
        /** Gradients by these. */
        std::vector<double> byNumbers, byHidden, byInner, byInput;
    };

    /**
     * @param tensors  have the shapes that splineFlowTensors() asks for
     * @throws ShapeError  if the layer is autoregressive, and knots depend on what they may not depend on
     */
    SplineConditioner(const SplineFlowDescription& description, std::size_t layer,
                      const SplineFlow::Tensors& tensors);

    /** Enlarge a workspace to what blocks of these rows need. */
    void reserve(std::size_t rows, Workspace& workspace) const;
    /** Compute the last hidden width of rows v [rows, d]. */
    void computeHidden(int rows, const double* v, Workspace& workspace) const;
    /**
     * Compute the numbers of transformed[p] from what computeHidden() left.
     *
     * @param step  written: how far apart rows are
     * @return [rows, countKnotNumbers()], in the workspace
     */
    const double* computeNumbers(int rows, std::size_t p, Workspace& workspace, std::size_t& step) const;
    /** @return how many numbers all transformed coordinates have together */
    std::size_t countNumbers() const { return numNumbers; }
    /**
     * Add the gradient by v of something whose gradient by all numbers, [rows, countNumbers()], lies in the
     * workspace (byNumbers), together with what computeHidden() left.
     */
    void addGradient(int rows, Workspace& workspace, double* byV) const;

private:
    /** Check that no knot number depends on a coordinate at or behind its own position. */
    void checkOrder(const SplineFlowDescription& description, std::size_t layer,
                    const SplineFlow::Tensors& tensors) const;
    void applyActivation(int rows, int width, const double* x, double* y) const;
    /** Multiply a gradient by the activation's derivative at x. */
    void multiplyDerivative(int rows, int width, const double* x, double* gradient) const;
    /** Take the gradient in byHidden through the hidden widths into byInput. */
    void propagate(int rows, Workspace& workspace) const;

    struct Input {
        std::size_t coordinate;
        bool angle;
    };

    std::size_t dimension;
    SplineFlowDescription::Activation activation;
    bool residual;
    /** An angle among them takes two columns, cosine and sine. */
    std::vector<Input> inputs;
    int numInputs = 0, width = 0;
    std::vector<PackedLayer> linears;
    /** One for each transformed coordinate, so that drawing may ask for one alone. */
    std::vector<PackedLayer> outputs;
    std::size_t numNumbers = 0;
    /** Transposes, for gradients: of each of linears, and of all outputs together. */
    std::vector<PackedLayer> linearsBack;
    PackedLayer outputsBack;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_SAMPLING_SPLINECONDITIONER_H_
