// Scores of a perceptron with their divergences: one pass forward that carries values, tangents in every
// coordinate's direction and Laplacians (models/src/Mlp.cpp does the same in float64).
// This file is compiled once for each instruction set; what is outside HWY_ONCE knows only its own.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "FusedMlpDivergence.cpp"
#include "InstructionSets.h"
// After the choice of targets.
#include "hwy/foreach_target.h"

#include "FusedMlp.h"
#include "MlpDivergenceWorkspace.h"
#include "products-inl.h"
#include "rows-inl.h"

HWY_BEFORE_NAMESPACE();
namespace OpenMMScore {
namespace HWY_NAMESPACE {

/** x <- swish(x), with its first and second derivatives. */
HWY_NOINLINE void activateTwice(int m, int width, float* x, float* slopes, float* curvatures, int step) {
    for (int r = 0; r < m; r++, x += step, slopes += step, curvatures += step)
        for (int c = 0; c < width; c += lanes) {
            Vector s, complement;
            const Vector v = load(x + c);
            sigmoid(v, s, complement);
            const Vector y = hn::Mul(v, s);
            store(y, x + c);
            store(hn::MulAdd(y, complement, s), slopes + c);
            // s (1-s) (2 + v (1 - 2 s))
            const Vector bend = hn::MulAdd(v, hn::Sub(complement, s), constant(2.0f));
            store(hn::Mul(hn::Mul(s, complement), bend), curvatures + c);
        }
}

/** Tangents and Laplacians behind the first activation. */
HWY_NOINLINE void beginTangents(const MlpDivergenceWorkspace& w, int m, int d, int width) {
    for (int r = 0; r < m; r++) {
        const float *slopes = w.slopes + r * w.step, *curvatures = w.curvatures + r * w.step;
        float *tangents = w.tangents[0] + r * d * w.step, *laplacian = w.laplacians[0] + r * w.step;
        for (int c = 0; c < width; c += lanes) {
            const Vector slope = load(slopes + c);
            for (int k = 0; k < d; k++)
                store(hn::Mul(slope, load(w.firstTangents.get() + k * w.step + c)),
                      tangents + k * w.step + c);
            store(hn::Mul(load(curvatures + c), load(w.firstSquares.get() + c)), laplacian + c);
        }
    }
}

/** The same behind another one; what went into the activation is overwritten. */
HWY_NOINLINE void bendTangents(const MlpDivergenceWorkspace& w, int side, int m, int d, int width) {
    for (int r = 0; r < m; r++) {
        const float *slopes = w.slopes + r * w.step, *curvatures = w.curvatures + r * w.step;
        float *tangents = w.tangents[side] + r * d * w.step, *laplacian = w.laplacians[side] + r * w.step;
        for (int c = 0; c < width; c += lanes) {
            const Vector slope = load(slopes + c);
            Vector squares = zero();
            for (int k = 0; k < d; k++) {
                const Vector a = load(tangents + k * w.step + c);
                squares = hn::MulAdd(a, a, squares);
                store(hn::Mul(slope, a), tangents + k * w.step + c);
            }
            const Vector straight = hn::Mul(slope, load(laplacian + c));
            store(hn::MulAdd(load(curvatures + c), squares, straight), laplacian + c);
        }
    }
}

/** Gradients and Laplacians of energies out of those of the last layer. */
void readOutEnergyDerivatives(const FoldedMlp& network, const MlpDivergenceWorkspace& w, int side, int m,
                              double* gradients, double* divergences) {
    const int d = network.numInputs, width = network.layers.back().matrix.getNumColumns();
    for (int r = 0; r < m * d; r++)
        gradients[r] = dotRows(width, network.readout.get(), w.tangents[side] + r * w.step);
    for (int r = 0; r < m; r++)
        divergences[r] = dotRows(width, network.readout.get(), w.laplacians[side] + r * w.step);
}

/** Scores of a score head, whose coordinates the divergence is summed over unless it is known already. */
void readOutScores(const FoldedMlp& network, const MlpDivergenceWorkspace& w, int side, int m, double* scores,
                   double* divergences) {
    const int d = network.numInputs, width = network.layers.back().matrix.getNumColumns();
    float* out = w.values[1 - side];
    multiply(m, w.values[side], w.step, network.scoreReadout, {network.scoreBias.get(), 0}, out, w.step);
    for (int r = 0; r < m; r++) {
        for (int c = 0; c < d; c++)
            scores[r * d + c] = out[r * w.step + c];
        if (w.bilinear)
            continue;
        divergences[r] = 0;
        for (int c = 0; c < d; c++)
            divergences[r] +=
                dotRows(width, w.readoutRows.get() + c * w.step, w.tangents[side] + (r * d + c) * w.step);
    }
}

void differentiateMlp(const FoldedMlp& network, const MlpDivergenceWorkspace& w, int m, const double* z,
                      double* gradients, double* divergences) {
    const int d = network.numInputs, last = static_cast<int>(network.layers.size()) - 1;
    int side = 0;
    for (int r = 0; r < m; r++)
        for (int c = 0; c < d; c++)
            w.values[1][r * w.step + c] = static_cast<float>(z[r * d + c]);
    for (int l = 0; l <= last; l++, side = l % 2) {
        const FoldedMlp::Layer& layer = network.layers[l];
        const int width = layer.matrix.getNumColumns();
        multiply(m, w.values[1 - side], w.step, layer.matrix, {layer.bias.get(), 0}, w.values[side], w.step);
        if (w.bilinear && l == 1)
            multiply(m, w.slopes, w.step, w.coupling, {nullptr, 0}, w.laplacians[side], w.step);
        else if (!w.bilinear && l > 0) {
            multiply(m * d, w.tangents[1 - side], w.step, layer.matrix, {nullptr, 0}, w.tangents[side],
                     w.step);
            multiply(m, w.laplacians[1 - side], w.step, layer.matrix, {nullptr, 0}, w.laplacians[side],
                     w.step);
        }
        activateTwice(m, width, w.values[side], w.slopes, w.curvatures, w.step);
        if (w.bilinear && l == 1)
            for (int r = 0; r < m; r++)
                divergences[r] = dotRows(width, w.slopes + r * w.step, w.laplacians[side] + r * w.step);
        else if (!w.bilinear && l == 0)
            beginTangents(w, m, d, width);
        else if (!w.bilinear)
            bendTangents(w, side, m, d, width);
    }
    side = last % 2;
    if (network.hasEnergy)
        readOutEnergyDerivatives(network, w, side, m, gradients, divergences);
    else
        readOutScores(network, w, side, m, gradients, divergences);
}

} // namespace HWY_NAMESPACE
} // namespace OpenMMScore
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <algorithm>

namespace OpenMMScore {

HWY_EXPORT(differentiateMlp);

MlpDivergenceWorkspace::MlpDivergenceWorkspace(const FoldedMlp& network, int numMolecules) {
    const int d = network.numInputs;
    const PackedMatrix& first = network.layers[0].matrix;
    step = padded(d);
    for (const FoldedMlp::Layer& layer : network.layers)
        step = std::max(step, layer.matrix.getNumColumns());
    bilinear = !network.hasEnergy && network.layers.size() == 2;
    if (bilinear) {
        const PackedMatrix& second = network.layers[1].matrix;
        Matrix product(second.getNumRows(), second.getNumColumns());
        for (int j = 0; j < second.getNumRows(); j++)
            for (int c = 0; c < d; c++)
                for (int i = 0; i < network.scoreReadout.getNumRows(); i++)
                    product(j, i) +=
                        double(first.get(c, j)) * second.get(j, i) * network.scoreReadout.get(i, c);
        coupling = PackedMatrix(product);
    }
    else {
        firstTangents = AlignedArray(std::size_t(d) * step);
        firstSquares = AlignedArray(step);
        readoutRows = AlignedArray(network.hasEnergy ? 0 : std::size_t(d) * step);
        for (int c = 0; c < d; c++) {
            for (int j = 0; j < first.getNumColumns(); j++) {
                firstTangents.get()[c * step + j] = first.get(c, j);
                firstSquares.get()[j] += first.get(c, j) * first.get(c, j);
            }
            for (int i = 0; !network.hasEnergy && i < network.scoreReadout.getNumRows(); i++)
                readoutRows.get()[c * step + i] = network.scoreReadout.get(i, c);
        }
    }
    const std::size_t rows = std::size_t(numMolecules) * step, wide = bilinear ? 0 : rows * d;
    size = 6 * rows + 2 * wide;
    memory = AlignedArray(size);
    float* next = memory.get();
    for (int side = 0; side < 2; side++) {
        values[side] = next;
        laplacians[side] = next + rows;
        tangents[side] = next + 2 * rows;
        next += 2 * rows + wide;
    }
    slopes = next;
    curvatures = next + rows;
}

int FusedMlp::getDivergenceBlockSize() const {
    // About as many rows as a block has otherwise, tangents included.
    const bool bilinear = !network.hasEnergy && network.layers.size() == 2;
    return bilinear ? getBlockSize() : std::max(1, getBlockSize() / (network.numInputs + 2));
}

std::unique_ptr<FusedWorkspace> FusedMlp::createDivergenceWorkspace(int numMolecules) const {
    return std::make_unique<MlpDivergenceWorkspace>(network, numMolecules);
}

void FusedMlp::evaluateDivergence(FusedWorkspace& workspace, int count, const double* z, double* gradients,
                                  double* divergences) const {
    HWY_DYNAMIC_DISPATCH(differentiateMlp)
    (network, static_cast<MlpDivergenceWorkspace&>(workspace), count, z, gradients, divergences);
}

} // namespace OpenMMScore
#endif // HWY_ONCE
