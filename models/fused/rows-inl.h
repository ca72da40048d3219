// The fused engine's operations on single rows (one particle each): normalisation, gates, activations and the
// readout, forward and backward, compiled once for each instruction set. All are memory-light passes over
// rows that the products just wrote; together about 5 % of the time of a step.

#if defined(OPENMMSCORE_ROWS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef OPENMMSCORE_ROWS_INL_H_
#undef OPENMMSCORE_ROWS_INL_H_
#else
#define OPENMMSCORE_ROWS_INL_H_
#endif

#include <cmath>

#include "FoldedTransformer.h"
#include "TransformerWorkspace.h"
#include "math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace OpenMMScore {
namespace HWY_NAMESPACE {

/** Rows of nodes: `width` true columns, `paddedWidth` computed, where mask is 1 and then 0. */
struct NodeRows {
    int width, paddedWidth;
    const float* mask;
    float epsilon;
};

HWY_INLINE float scalarSigmoid(float x, float& complement) {
    Vector s, c;
    sigmoid(constant(x), s, c);
    complement = hn::GetLane(c);
    return hn::GetLane(s);
}

HWY_INLINE float dotRows(int size, const float* a, const float* b) {
    Vector sum = zero();
    for (int c = 0; c < size; c += lanes)
        sum = hn::MulAdd(load(a + c), load(b + c), sum);
    return sumLanes(sum);
}

/** y = (x - mean)/deviation. @return 1/deviation */
HWY_INLINE float normalizeRow(const NodeRows& rows, const float* x, float* y) {
    const float factor = 1.0f / static_cast<float>(rows.width);
    Vector sum = zero();
    for (int c = 0; c < rows.paddedWidth; c += lanes)
        sum = hn::Add(sum, load(x + c));
    const Vector mean = constant(sumLanes(sum) * factor);
    Vector squares = zero();
    for (int c = 0; c < rows.paddedWidth; c += lanes) {
        const Vector d = hn::Mul(hn::Sub(load(x + c), mean), load(rows.mask + c));
        store(d, y + c);
        squares = hn::MulAdd(d, d, squares);
    }
    const float inverse = 1.0f / std::sqrt(sumLanes(squares) * factor + rows.epsilon);
    for (int c = 0; c < rows.paddedWidth; c += lanes)
        store(hn::Mul(load(y + c), constant(inverse)), y + c);
    return inverse;
}

/** nodes <- g branch + (1-g) nodes with g = sigmoid(gateNew . branch + gateOld . nodes), then LayerNorm. */
inline HWY_NOINLINE void gateAndNormalize(const NodeRows& rows, int m, const float* branch,
                                          const float* gateNew, const float* gateOld, float* nodes, int step,
                                          const GateTape& tape) {
    for (int r = 0; r < m; r++, branch += step, nodes += step) {
        float* difference = tape.difference + r * step;
        Vector logit = zero();
        for (int c = 0; c < rows.paddedWidth; c += lanes) {
            logit = hn::MulAdd(load(branch + c), load(gateNew + c), logit);
            logit = hn::MulAdd(load(nodes + c), load(gateOld + c), logit);
        }
        const float g = tape.gates[r] = scalarSigmoid(sumLanes(logit), tape.complements[r]);
        for (int c = 0; c < rows.paddedWidth; c += lanes) {
            const Vector old = load(nodes + c), d = hn::Sub(load(branch + c), old);
            store(d, difference + c);
            store(hn::MulAdd(constant(g), d, old), nodes + c);
        }
        tape.inverses[r] = normalizeRow(rows, nodes, tape.normalized + r * step);
    }
}

/**
 * The way back through the LayerNorm and the gate before it: dNodes += J^T dy, then dBranch and dNodes from
 * dNodes.
 */
inline HWY_NOINLINE void backThroughNormAndGate(const NodeRows& rows, int m, const float* dy,
                                                const float* gateNew, const float* gateOld, float* dNodes,
                                                float* dBranch, int step, const GateTape& tape) {
    const float factor = 1.0f / static_cast<float>(rows.width);
    for (int r = 0; r < m; r++, dy += step, dNodes += step, dBranch += step) {
        const float *y = tape.normalized + r * step, *difference = tape.difference + r * step;
        Vector sum = zero(), dot = zero();
        for (int c = 0; c < rows.paddedWidth; c += lanes) {
            sum = hn::Add(sum, load(dy + c));
            dot = hn::MulAdd(load(dy + c), load(y + c), dot);
        }
        const Vector mean = constant(sumLanes(sum) * factor), slope = constant(sumLanes(dot) * factor);
        const Vector inverse = constant(tape.inverses[r]);
        Vector dGate = zero();
        for (int c = 0; c < rows.paddedWidth; c += lanes) {
            Vector d = hn::NegMulAdd(mean, load(rows.mask + c), load(dy + c));
            d = hn::MulAdd(inverse, hn::NegMulAdd(slope, load(y + c), d), load(dNodes + c));
            store(d, dNodes + c);
            dGate = hn::MulAdd(d, load(difference + c), dGate);
        }
        const Vector g = constant(tape.gates[r]), complement = constant(tape.complements[r]);
        const Vector dLogit = constant(sumLanes(dGate) * tape.gates[r] * tape.complements[r]);
        for (int c = 0; c < rows.paddedWidth; c += lanes) {
            const Vector d = load(dNodes + c);
            store(hn::MulAdd(dLogit, load(gateNew + c), hn::Mul(g, d)), dBranch + c);
            store(hn::MulAdd(dLogit, load(gateOld + c), hn::Mul(complement, d)), dNodes + c);
        }
    }
}

/** x <- activation(x), slopes <- its derivative. */
template <class Activation>
inline HWY_NOINLINE void activate(int m, int width, float* x, float* slopes, int step) {
    for (int r = 0; r < m; r++, x += step, slopes += step)
        for (int c = 0; c < width; c += lanes) {
            Vector y, slope;
            Activation::apply(load(x + c), y, slope);
            store(y, x + c);
            store(slope, slopes + c);
        }
}

/** x <- x slopes */
inline HWY_NOINLINE void multiplyBySlopes(int m, int width, float* x, const float* slopes, int step) {
    for (int r = 0; r < m; r++, x += step, slopes += step)
        for (int c = 0; c < width; c += lanes)
            store(hn::Mul(load(x + c), load(slopes + c)), x + c);
}

/**
 * The end of the network: energies of particles from the last layer's hidden activations and nodes, and their
 * gradients.
 *
 * @param x         shape [m, step]: the last feed-forward part before its activation; comes back as the
 *                  gradient with respect to it
 * @param nodes     shape [m, nodeStep]: before the last gate
 * @param dNodes    shape [m, nodeStep], out: gradient with respect to nodes through the gate
 * @param energies  shape [m], out
 */
template <class Activation>
inline HWY_NOINLINE void readOut(const FoldedReadout& readout, int m, int width, float* x, int step,
                                 int nodeWidth, const float* nodes, float* dNodes, int nodeStep,
                                 float* energies) {
    const float *toEnergy = readout.actToEnergy.get(), *toGate = readout.actToGate.get();
    const float *nodeToEnergy = readout.nodeToEnergy.get(), *nodeToGate = readout.nodeToGate.get();
    for (int r = 0; r < m; r++, x += step, nodes += nodeStep, dNodes += nodeStep) {
        Vector energySum = zero(), gateSum = zero();
        for (int c = 0; c < width; c += lanes) {
            Vector y, slope;
            Activation::apply(load(x + c), y, slope);
            store(slope, x + c);
            energySum = hn::MulAdd(y, load(toEnergy + c), energySum);
            gateSum = hn::MulAdd(y, load(toGate + c), gateSum);
        }
        const float newEnergy = sumLanes(energySum) + readout.energyStart;
        const float oldEnergy = dotRows(nodeWidth, nodes, nodeToEnergy);
        float complement;
        const float g = scalarSigmoid(
            sumLanes(gateSum) + readout.gateStart + dotRows(nodeWidth, nodes, nodeToGate), complement);
        energies[r] = g * newEnergy + complement * oldEnergy;

        const float slope = (newEnergy - oldEnergy) * g * complement;
        const Vector alpha = constant(g), beta = constant(slope), gamma = constant(complement);
        for (int c = 0; c < width; c += lanes)
            store(
                hn::Mul(load(x + c), hn::MulAdd(alpha, load(toEnergy + c), hn::Mul(beta, load(toGate + c)))),
                x + c);
        for (int c = 0; c < nodeWidth; c += lanes)
            store(hn::MulAdd(gamma, load(nodeToEnergy + c), hn::Mul(beta, load(nodeToGate + c))), dNodes + c);
    }
}

} // namespace HWY_NAMESPACE
} // namespace OpenMMScore
HWY_AFTER_NAMESPACE();

#endif
