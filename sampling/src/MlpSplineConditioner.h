#ifndef OPENMMSCORE_SAMPLING_MLPSPLINECONDITIONER_H_
#define OPENMMSCORE_SAMPLING_MLPSPLINECONDITIONER_H_

#include "SplineConditioner.h"

namespace OpenMMScore {

/** The perceptron, plain or residual. */
class MlpSplineConditioner : public SplineConditioner {
public:
    MlpSplineConditioner(const SplineFlowDescription& description, std::size_t layer,
                         const SplineFlow::Tensors& tensors);

    void reserve(std::size_t rows, Workspace& workspace) const override;
    void compute(int rows, const double* v, Workspace& workspace) const override;
    /** All over again for each coordinate of an autoregressive layer. */
    void computeNext(int rows, std::size_t p, const double* v, Workspace& workspace) const override;
    const double* computeNumbers(int rows, std::size_t p, Workspace& workspace,
                                 std::size_t& step) const override;
    void addGradient(int rows, Workspace& workspace, double* byV) const override;

private:
    /** Check that no knot number depends on a coordinate at or behind its own position. */
    void checkOrder(const SplineFlowDescription& description, std::size_t layer,
                    const SplineFlow::Tensors& tensors) const;
    /** Take the gradient by what the outputs see through the hidden widths, to that by the inputs. */
    void propagate(int rows, Workspace& workspace) const;
    /**
     * Of each hidden width what its activation gets, in a residual network for even ones the sum so far, and
     * what it gives; rows padded as products write them.
     */
    static std::vector<double>& before(Workspace& workspace, std::size_t j) {
        return workspace.values[2 * j];
    }
    static std::vector<double>& after(Workspace& workspace, std::size_t j) {
        return workspace.values[2 * j + 1];
    }

    bool residual, autoregressive;
    std::vector<PackedLayer> linears;
    /** One for each transformed coordinate, so that drawing may ask for one alone. */
    std::vector<PackedLayer> outputs;
    /** Transposes, for gradients: of each of linears, and of all outputs together. */
    std::vector<PackedLayer> linearsBack;
    PackedLayer outputsBack;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_SAMPLING_MLPSPLINECONDITIONER_H_
