// The part of SplineConditioner that computes gradients, in reverse.

#include <cmath>

#include "SplineConditioner.h"

namespace OpenMMScore {

namespace {

using Activation = SplineFlowDescription::Activation;

double derivative(Activation activation, double x) {
    if (activation == Activation::ReLU)
        return x > 0 ? 1 : 0;
    if (activation == Activation::Tanh) {
        const double y = std::tanh(x);
        return 1 - y * y;
    }
    const double sigmoid = 1 / (1 + std::exp(-x));
    return sigmoid * (1 + x * (1 - sigmoid));
}

/** y = W^T x for a block, making room for y. */
void multiply(int rows, const std::vector<double>& x, int step, const PackedLayer& back,
              std::vector<double>& y) {
    y.resize(static_cast<std::size_t>(rows) * static_cast<std::size_t>(back.getNumOutputs()));
    multiplyBlock(rows, x.data(), step, back, y.data(), back.getNumOutputs());
}

} // namespace

void SplineConditioner::multiplyDerivative(int rows, int count, const double* x, double* gradient) const {
    for (int i = 0; i < rows * count; i++)
        gradient[i] *= derivative(activation, x[i]);
}

void SplineConditioner::propagate(int rows, Workspace& w) const {
    for (std::size_t j = linears.size(); j-- > 0;) {
        const int step = linears[j].getNumOutputs();
        if (residual && j > 0) {
            // byHidden belongs to the sum; one round for both matrices of a block.
            multiply(rows, w.byHidden, step, linearsBack[j], w.byInner);
            multiplyDerivative(rows, step, w.before[j - 1].data(), w.byInner.data());
            multiply(rows, w.byInner, step, linearsBack[j - 1], w.byInput);
            multiplyDerivative(rows, step, w.before[j - 2].data(), w.byInput.data());
            for (std::size_t i = 0; i < w.byInput.size(); i++)
                w.byHidden[i] += w.byInput[i];
            j--;
            continue;
        }
        if (!residual)
            multiplyDerivative(rows, step, w.before[j].data(), w.byHidden.data());
        multiply(rows, w.byHidden, step, linearsBack[j], w.byInput);
        std::swap(w.byHidden, w.byInput);
    }
}

void SplineConditioner::addGradient(int rows, Workspace& w, double* byV) const {
    if (numInputs == 0)
        return;
    multiply(rows, w.byNumbers, static_cast<int>(numNumbers), outputsBack, w.byHidden);
    propagate(rows, w);
    const int step = (numInputs + PackedLayer::padding - 1) / PackedLayer::padding * PackedLayer::padding;
    const double* input = w.input.data();
    for (int r = 0; r < rows; r++, byV += dimension) {
        const double* gradient = w.byHidden.data() + static_cast<std::ptrdiff_t>(r) * step;
        for (const Input& each : inputs) {
            if (each.angle) {
                byV[each.coordinate] += gradient[1] * input[0] - gradient[0] * input[1];
                input += 2;
                gradient += 2;
            }
            else {
                byV[each.coordinate] += *gradient++;
                input++;
            }
        }
    }
}

} // namespace OpenMMScore
