// A graph transformer over a block of molecules, forward and backward, compiled once for each instruction
// set. Rows are particles, molecule by molecule; dense products run over all rows of the block at once, so
// that weights stream through the cache once per block, attention molecule by molecule.

#if defined(OPENMMSCORE_TRANSFORMER_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef OPENMMSCORE_TRANSFORMER_INL_H_
#undef OPENMMSCORE_TRANSFORMER_INL_H_
#else
#define OPENMMSCORE_TRANSFORMER_INL_H_
#endif

#include "FoldedTransformer.h"
#include "TransformerWorkspace.h"
#include "attention-inl.h"
#include "rows-inl.h"

HWY_BEFORE_NAMESPACE();
namespace OpenMMScore {
namespace HWY_NAMESPACE {

class TransformerPass {
public:
    TransformerPass(const FoldedTransformer& net, TransformerWorkspace& w, int molecules, const int* kinds)
        : net(net), w(w), molecules(molecules), kinds(kinds), rows(molecules * net.numBeads),
          numLayers(static_cast<int>(net.layers.size())) {
        node = {net.hidden, padded(net.hidden), net.columnMask.get(),
                static_cast<float>(net.layerNormEpsilon)};
        sizes = {net.numBeads, w.paddedBeads,   net.heads,
                 net.width,    net.paddedWidth, net.merged ? 0 : net.paddedWidth};
        block = net.heads * net.paddedWidth;
    }

    void setPositions(const double* z) {
        const int n = net.numBeads;
        for (int m = 0; m < molecules; m++, z += 3 * n) {
            double mean[3] = {0, 0, 0};
            for (int i = 0; i < 3 * n; i++)
                mean[i % 3] += z[i] / n;
            for (int i = 0; i < n; i++)
                for (int c = 0; c < 3; c++) {
                    const float x = static_cast<float>(z[3 * i + c] - mean[c]);
                    w.positionRows[4 * (m * n + i) + c] = x;
                    w.positionColumns[(3 * m + c) * w.paddedBeads + i] = x;
                }
        }
    }

    /** Up to the end of the last layer; of an energy head, up to its last activation. */
    void forward() {
        for (int l = 0; l < numLayers; l++) {
            const FoldedLayer& layer = net.layers[l];
            const TransformerWorkspace::LayerTape& tape = w.layers[l];
            if (l == 0)
                attendFirst();
            else
                attend(l);
            gateAndNormalize(node, rows, w.branch, layer.gateNew.get(), layer.gateOld.get(), w.nodes,
                             w.nodeStep, tape.attentionGate);
            const bool last = net.hasEnergy && l == numLayers - 1;
            float* hidden = last ? tape.slopes : w.wide;
            multiply(rows, tape.attentionGate.normalized, w.nodeStep, layer.expand.matrix,
                     {layer.expand.bias.get(), 0}, hidden, w.wideStep);
            if (last)
                break;
            if (net.gelu == Gelu::Tanh)
                activate<GeluTanh>(rows, net.feedForward, w.wide, tape.slopes, w.wideStep);
            else
                activate<GeluErf>(rows, net.feedForward, w.wide, tape.slopes, w.wideStep);
            multiply(rows, w.wide, w.wideStep, layer.contract.matrix, {layer.contract.bias.get(), 0},
                     w.branch, w.nodeStep);
            gateAndNormalize(node, rows, w.branch, layer.feedForwardGateNew.get(),
                             layer.feedForwardGateOld.get(), w.nodes, w.nodeStep, tape.feedForwardGate);
        }
    }

    void readEnergies(double* energies) {
        float* x = w.layers.back().slopes;
        if (net.gelu == Gelu::Tanh)
            readOut<GeluTanh>(net.readout, rows, net.feedForward, x, w.wideStep, node.paddedWidth, w.nodes,
                              w.dNodes, w.nodeStep, w.energies);
        else
            readOut<GeluErf>(net.readout, rows, net.feedForward, x, w.wideStep, node.paddedWidth, w.nodes,
                             w.dNodes, w.nodeStep, w.energies);
        for (int m = 0; m < molecules; m++) {
            energies[m] = net.numBeads * net.readout.bias;
            for (int i = 0; i < net.numBeads; i++)
                energies[m] += w.energies[m * net.numBeads + i];
        }
    }

    void readScores(double* scores) {
        const int n = net.numBeads, step = padded(3 * n);
        multiply(molecules, w.nodes, n * w.nodeStep, net.scoreReadout.matrix,
                 {net.scoreReadout.bias.get(), 0}, w.wide, step);
        for (int m = 0; m < molecules; m++)
            for (int c = 0; c < 3 * n; c++)
                scores[3 * n * m + c] = w.wide[m * step + c];
    }

    void backward(double* gradients) {
        std::fill_n(w.dPositions, molecules * 3 * w.paddedBeads, 0.0f);
        for (int l = numLayers - 1; l >= 0; l--) {
            const FoldedLayer& layer = net.layers[l];
            const TransformerWorkspace::LayerTape& tape = w.layers[l];
            float* dHidden = tape.slopes;
            if (l < numLayers - 1) {
                dHidden = w.wide;
                multiply(rows, w.branch, w.nodeStep, layer.contractBack, {nullptr, 0}, w.wide, w.wideStep);
                multiplyBySlopes(rows, net.feedForward, w.wide, tape.slopes, w.wideStep);
            }
            multiply(rows, dHidden, w.wideStep, layer.expandBack, {nullptr, 0}, w.dNormalized, w.nodeStep);
            backThroughNormAndGate(node, rows, w.dNormalized, layer.gateNew.get(), layer.gateOld.get(),
                                   w.dNodes, w.branch, w.nodeStep, tape.attentionGate);
            if (l == 0) {
                attendFirstBack();
                break;
            }
            attendBack(l);
            const FoldedLayer& below = net.layers[l - 1];
            backThroughNormAndGate(node, rows, w.dNormalized, below.feedForwardGateNew.get(),
                                   below.feedForwardGateOld.get(), w.dNodes, w.branch, w.nodeStep,
                                   w.layers[l - 1].feedForwardGate);
        }
        writeGradients(gradients);
    }

private:
    Positions positions(int m) const {
        return {w.positionRows + 4 * m * net.numBeads, w.positionColumns + 3 * m * w.paddedBeads};
    }

    /** sum_j a_ij z_j and z_i, behind whatever stands first in the left factor of the output product. */
    void appendPositions(const Rows& weights, const Positions& z, float* out, std::ptrdiff_t step) {
        mixPositions(sizes, weights, z, out, step);
        for (int i = 0; i < net.numBeads; i++)
            for (int c = 0; c < 3; c++)
                out[i * step + 3 * net.heads + c] = z.rows[4 * i + c];
    }

    /** Call f(first molecule, how many) for each run of molecules of the same kind. */
    template <class Function>
    void forEachRun(Function f) {
        for (int first = 0, m = 1; m <= molecules; m++)
            if (m == molecules || kinds[m] != kinds[first]) {
                f(first, m - first);
                first = m;
            }
    }

    void attendFirst() {
        const int n = net.numBeads, step = w.firstWeightStep;
        float* mixed = w.layers[0].weights;
        for (int m = 0; m < molecules; m++) {
            const FoldedMolecule& own = net.molecules[kinds[m]];
            float* weights = mixed + m * n * step;
            std::memcpy(w.nodes + m * n * w.nodeStep, own.nodes.get(), sizeof(float) * n * w.nodeStep);
            softmax(sizes, own.logits.get(), {own.positionQueries.get(), padded(3 * net.heads)}, positions(m),
                    weights, step, w.scratch);
            appendPositions({weights, step}, positions(m), weights + net.heads * n, step);
        }
        forEachRun([&](int first, int count) HWY_ATTR {
            const FoldedMolecule& own = net.molecules[kinds[first]];
            multiply(count * n, mixed + first * n * step, step, own.output.matrix, {own.output.bias.get(), 0},
                     w.branch + first * n * w.nodeStep, w.nodeStep);
        });
    }

    void attendFirstBack() {
        const int n = net.numBeads, step = w.firstWeightStep;
        forEachRun([&](int first, int count) HWY_ATTR {
            multiply(count * n, w.branch + first * n * w.nodeStep, w.nodeStep,
                     net.molecules[kinds[first]].outputBack, {nullptr, 0}, w.wide + first * n * step, step);
        });
        for (int m = 0; m < molecules; m++) {
            const FoldedMolecule& own = net.molecules[kinds[m]];
            const float* dMixed = w.wide + m * n * step;
            addOwnPositions(m, dMixed + net.heads * n + 3 * net.heads, step);
            softmaxBack(sizes, {w.layers[0].weights + m * n * step, step},
                        {dMixed,
                         step,
                         n,
                         {dMixed + net.heads * n, step},
                         {own.positionQueries.get(), padded(3 * net.heads)}},
                        positions(m), w.dLogits, w.dPositions + 3 * m * w.paddedBeads, w.scratch);
        }
    }

    /** Keys and values of a molecule: y itself, or two thirds of what was projected. */
    Rows keys(int l, int m) const {
        const int first = m * net.numBeads;
        return net.merged ? Rows{w.layers[l - 1].feedForwardGate.normalized + first * w.nodeStep, w.nodeStep}
                          : Rows{w.layers[l].project + first * w.projectStep + block, w.projectStep};
    }
    Rows values(int l, int m) const {
        Rows result = keys(l, m);
        result.data += net.merged ? 0 : block;
        return result;
    }
    /** Where p of each particle begins in what was projected. */
    int positionOffset() const { return net.merged ? block : 3 * block; }

    void attend(int l) {
        const FoldedLayer& layer = net.layers[l];
        const TransformerWorkspace::LayerTape& tape = w.layers[l];
        const int n = net.numBeads;
        multiply(rows, w.layers[l - 1].feedForwardGate.normalized, w.nodeStep, layer.project.matrix,
                 {layer.project.bias.get(), 0}, tape.project, w.projectStep);
        for (int m = 0; m < molecules; m++) {
            const Rows queries = {tape.project + m * n * w.projectStep, w.projectStep};
            const Rows weights = {tape.weights + m * n * w.weightStep, w.weightStep};
            float* mixed = w.wide + m * n * w.mixedStep;
            multiplyPairs(sizes, queries, keys(l, m), w.pairs, w.transposed);
            softmax(sizes, w.pairs, {queries.data + positionOffset(), w.projectStep}, positions(m),
                    tape.weights + m * n * w.weightStep, w.weightStep, w.scratch);
            mix(sizes, weights, values(l, m), mixed, w.mixedStep);
            appendPositions(weights, positions(m), mixed + block, w.mixedStep);
        }
        multiply(rows, w.wide, w.mixedStep, layer.output.matrix, {layer.output.bias.get(), 0}, w.branch,
                 w.nodeStep);
    }

    void attendBack(int l) {
        const FoldedLayer& layer = net.layers[l];
        multiply(rows, w.branch, w.nodeStep, layer.outputBack, {nullptr, 0}, w.wide, w.mixedStep);
        for (int m = 0; m < molecules; m++)
            attendBack(l, m);
        if (net.merged)
            multiply(rows, w.wide, w.mixedStep, layer.projectBack, {w.dNormalized, w.nodeStep}, w.dNormalized,
                     w.nodeStep);
        else
            multiply(rows, w.dProject, w.projectStep, layer.projectBack, {nullptr, 0}, w.dNormalized,
                     w.nodeStep);
    }

    void attendBack(int l, int m) {
        const int n = net.numBeads;
        const TransformerWorkspace::LayerTape& tape = w.layers[l];
        const Rows queries = {tape.project + m * n * w.projectStep, w.projectStep};
        const Rows weights = {tape.weights + m * n * w.weightStep, w.weightStep};
        float* dMixed = w.wide + m * n * w.mixedStep;
        const Rows dValuesMixed = {dMixed, w.mixedStep};
        multiplyPairs(sizes, dValuesMixed, values(l, m), w.pairs, w.transposed);
        addOwnPositions(m, dMixed + block + 3 * net.heads, w.mixedStep);
        softmaxBack(sizes, weights,
                    {w.pairs,
                     net.heads * w.paddedBeads,
                     w.paddedBeads,
                     {dMixed + block, w.mixedStep},
                     {queries.data + positionOffset(), w.projectStep}},
                    positions(m), w.dLogits, w.dPositions + 3 * m * w.paddedBeads, w.scratch);
        const Rows dLogits = {w.dLogits, w.weightStep};
        if (net.merged) {
            // y is key and value of all heads; gradients of queries take the place of dMixed.
            float* dy = w.dNormalized + m * n * w.nodeStep;
            mixTransposed(sizes, weights, dValuesMixed, false, dy, w.nodeStep);
            mixTransposed(sizes, dLogits, queries, true, dy, w.nodeStep);
            mix(sizes, dLogits, keys(l, m), dMixed, w.mixedStep);
            mixPositions(sizes, dLogits, positions(m), dMixed + block, w.mixedStep);
        }
        else {
            float* d = w.dProject + m * n * w.projectStep;
            mix(sizes, dLogits, keys(l, m), d, w.projectStep);
            mixTransposed(sizes, dLogits, queries, false, d + block, w.projectStep);
            mixTransposed(sizes, weights, dValuesMixed, false, d + 2 * block, w.projectStep);
            mixPositions(sizes, dLogits, positions(m), d + 3 * block, w.projectStep);
        }
    }

    /** Every particle's own position enters its output directly. */
    void addOwnPositions(int m, const float* own, std::ptrdiff_t step) {
        for (int i = 0; i < net.numBeads; i++)
            for (int c = 0; c < 3; c++)
                w.dPositions[(3 * m + c) * w.paddedBeads + i] += own[i * step + c];
    }

    /** The energy does not depend on the centre, so neither does rounding get a say in it. */
    void writeGradients(double* gradients) {
        const int n = net.numBeads;
        for (int m = 0; m < molecules; m++)
            for (int c = 0; c < 3; c++) {
                const float* d = w.dPositions + (3 * m + c) * w.paddedBeads;
                double mean = 0;
                for (int i = 0; i < n; i++)
                    mean += static_cast<double>(d[i]) / n;
                for (int i = 0; i < n; i++)
                    gradients[3 * (m * n + i) + c] = d[i] - mean;
            }
    }

    const FoldedTransformer& net;
    TransformerWorkspace& w;
    int molecules;
    const int* kinds;
    int rows, numLayers, block;
    NodeRows node;
    AttentionSizes sizes;
};

} // namespace HWY_NAMESPACE
} // namespace OpenMMScore
HWY_AFTER_NAMESPACE();

#endif
