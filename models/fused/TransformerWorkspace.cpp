#include "TransformerWorkspace.h"

#include <algorithm>

#include "FoldedTransformer.h"

namespace OpenMMScore {

TransformerWorkspace::TransformerWorkspace(const FoldedTransformer& network, int numMolecules) {
    const int n = network.numBeads, heads = network.heads;
    const int block = heads * network.paddedWidth;
    nodeStep = padded(network.hidden);
    projectStep = padded((network.merged ? block : 3 * block) + 3 * heads);
    paddedBeads = padded(n);
    // Weights are written in whole vectors, so one more vector must fit behind the last head's.
    weightStep = padded(heads * n) + rowPadding;
    firstWeightStep = std::max(weightStep, padded(heads * n + 3 * heads + 3));
    mixedStep = padded(block + 3 * heads + 3);
    wideStep = padded(network.feedForward);
    layers.resize(network.layers.size());
    size = layOut(network, numMolecules, nullptr);
    memory = AlignedArray(size);
    layOut(network, numMolecules, memory.get());
}

std::size_t TransformerWorkspace::layOut(const FoldedTransformer& network, std::size_t numMolecules,
                                         float* base) {
    std::size_t used = 0;
    auto take = [&](std::size_t count) {
        float* p = base == nullptr ? nullptr : base + used;
        used += (count + rowPadding - 1) / rowPadding * rowPadding;
        return p;
    };
    const std::size_t rows = numMolecules * network.numBeads;
    auto takeGate = [&](GateTape& tape) {
        tape.difference = take(rows * nodeStep);
        tape.normalized = take(rows * nodeStep);
        for (float** p : {&tape.gates, &tape.complements, &tape.inverses})
            *p = take(rows);
    };
    for (std::size_t l = 0; l < layers.size(); l++) {
        LayerTape& layer = layers[l];
        if (l > 0)
            layer.project = take(rows * projectStep);
        layer.weights = take(rows * (l == 0 ? firstWeightStep : weightStep));
        takeGate(layer.attentionGate);
        layer.slopes = take(rows * wideStep);
        if (l + 1 < layers.size() || !network.hasEnergy)
            takeGate(layer.feedForwardGate);
    }
    positionRows = take(rows * 4);
    positionColumns = take(numMolecules * 3 * paddedBeads);
    dPositions = take(numMolecules * 3 * paddedBeads);
    for (float** p : {&nodes, &dNodes, &branch, &dNormalized})
        *p = take(rows * nodeStep);
    wide = take(rows * std::max({mixedStep, wideStep, firstWeightStep}));
    dProject = take(network.merged || layers.size() == 1 ? 0 : rows * projectStep);
    energies = take(rows);
    pairs = take(std::size_t(network.numBeads) * network.heads * paddedBeads);
    dLogits = take(std::size_t(network.numBeads) * firstWeightStep);
    transposed = take(std::size_t(network.paddedWidth) * paddedBeads);
    scratch = take(paddedBeads);
    return used;
}

} // namespace OpenMMScore
