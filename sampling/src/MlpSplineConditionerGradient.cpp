// The part of MlpSplineConditioner that computes gradients, in reverse.

#include <utility>

#include "MlpSplineConditioner.h"

namespace OpenMMScore {

namespace {

/** What a workspace's gradients are by: what a hidden width gives, what lies within a residual block, inputs.
 */
enum Gradient { ByHidden, ByInner, ByInput };

/** y = W^T x for a block, making room for y. */
void multiply(int rows, const std::vector<double>& x, int step, const PackedLayer& back,
              std::vector<double>& y) {
    y.resize(static_cast<std::size_t>(rows) * static_cast<std::size_t>(back.getNumOutputs()));
    multiplyBlock(rows, x.data(), step, back, y.data(), back.getNumOutputs());
}

} // namespace

void MlpSplineConditioner::propagate(int rows, Workspace& w) const {
    std::vector<double>&byHidden = w.gradients[ByHidden], &byInner = w.gradients[ByInner],
    &byInput = w.gradients[ByInput];
    for (std::size_t j = linears.size(); j-- > 0;) {
        const int step = linears[j].getNumOutputs();
        if (residual && j > 0) {
            // byHidden belongs to the sum; one round for both matrices of a block.
            multiply(rows, byHidden, step, linearsBack[j], byInner);
            multiplyDerivative(rows * step, before(w, j - 1).data(), byInner.data());
            multiply(rows, byInner, step, linearsBack[j - 1], byInput);
            multiplyDerivative(rows * step, before(w, j - 2).data(), byInput.data());
            for (std::size_t i = 0; i < byInput.size(); i++)
                byHidden[i] += byInput[i];
            j--;
            continue;
        }
        if (!residual)
            multiplyDerivative(rows * step, before(w, j).data(), byHidden.data());
        multiply(rows, byHidden, step, linearsBack[j], byInput);
        std::swap(byHidden, byInput);
    }
}

void MlpSplineConditioner::addGradient(int rows, Workspace& w, double* byV) const {
    if (numInputs == 0)
        return;
    multiply(rows, w.byNumbers, static_cast<int>(numNumbers), outputsBack, w.gradients[ByHidden]);
    propagate(rows, w);
    const int step = (numInputs + PackedLayer::padding - 1) / PackedLayer::padding * PackedLayer::padding;
    const double* input = w.input.data();
    for (int r = 0; r < rows; r++, byV += dimension) {
        const double* gradient = w.gradients[ByHidden].data() + static_cast<std::ptrdiff_t>(r) * step;
        for (const Input& each : inputs)
            addInputGradient(each, input, gradient, byV);
    }
}

} // namespace OpenMMScore
