#include "FixedTimeTransformer.h"

#include <algorithm>
#include <array>

namespace OpenMMScore {

namespace {
constexpr int maxLayers = 64;
}

FixedTimeTransformer::FixedTimeTransformer(const GraphTransformer& network, double t,
                                           std::span<const int> features)
    : network(network), n(network.model.count), hidden(network.sizes.hidden),
      inner(network.sizes.heads * network.sizes.headSize), wide(network.sizes.feedForward),
      nodes0(network.computeNodes(t, features)), q0(n * inner), k0(n * inner), v0(n * inner) {
    std::vector<double> normalized(n * hidden), inverseStd(n), y(n * hidden);
    const TransformerLayer& first = network.layers[0];
    first.attentionNorm.forward(n, nodes0.data(), normalized.data(), inverseStd.data(), y.data());
    projectToHeads(first, y.data(), q0.data(), k0.data(), v0.data());
}

void FixedTimeTransformer::projectToHeads(const TransformerLayer& layer, const double* y, double* q,
                                          double* k, double* v) const {
    layer.query.forward(n, y, q);
    layer.key.forward(n, y, k);
    layer.value.forward(n, y, v);
}

std::size_t FixedTimeTransformer::layOut(double* workspace, Tape* tapes, Scratch& scratch) const {
    std::size_t used = 0;
    auto take = [&](std::size_t size) {
        double* p = workspace == nullptr ? nullptr : workspace + used;
        used += size;
        return p;
    };
    const std::size_t rows = n;
    for (std::size_t l = 0; l < network.layers.size(); l++) {
        Tape tape;
        for (double** p : {&tape.q, &tape.k, &tape.v, &tape.m})
            *p = take(rows * inner);
        tape.weights = take(network.sizes.heads * rows * rows);
        for (double** p : {&tape.attended, &tape.normalized1, &tape.normalized2, &tape.nodes1,
                           &tape.contracted, &tape.nodes2})
            *p = take(rows * hidden);
        for (double** p : {&tape.expanded, &tape.slopes})
            *p = take(rows * wide);
        for (double** p :
             {&tape.attentionGates, &tape.feedForwardGates, &tape.inverseStd1, &tape.inverseStd2})
            *p = take(rows);
        if (tapes != nullptr)
            tapes[l] = tape;
    }
    for (double** p : {&scratch.nodesGradient, &scratch.branchGradient, &scratch.y})
        *p = take(rows * hidden);
    for (double** p : {&scratch.dq, &scratch.dk, &scratch.dv, &scratch.dm})
        *p = take(rows * inner);
    scratch.wide = take(rows * wide);
    scratch.row = take(rows);
    return used;
}

std::size_t FixedTimeTransformer::getWorkspaceSize() const {
    Scratch scratch{};
    return layOut(nullptr, nullptr, scratch);
}

void FixedTimeTransformer::evaluate(const double* z, double* output, double* gradient,
                                    double* workspace) const {
    const int numLayers = static_cast<int>(network.layers.size());
    std::array<Tape, maxLayers> tapes;
    Scratch scratch{};
    layOut(workspace, tapes.data(), scratch);

    const double* nodes = nodes0.data();
    for (int l = 0; l < numLayers; l++) {
        forwardLayer(l, z, nodes, tapes[l], scratch.y);
        nodes = tapes[l].nodes2;
    }
    if (network.expert.head == Head::Score) {
        network.readout.forward(1, nodes, output);
        return;
    }
    network.readout.forward(n, nodes, scratch.row);
    output[0] = 0;
    for (int i = 0; i < n; i++)
        output[0] += scratch.row[i];
    if (gradient == nullptr)
        return;

    std::fill_n(gradient, 3 * n, 0.0);
    std::fill_n(scratch.row, n, 1.0);
    std::fill_n(scratch.nodesGradient, n * hidden, 0.0);
    network.readout.addBackward(n, scratch.row, scratch.nodesGradient);
    for (int l = numLayers - 1; l >= 0; l--)
        backwardLayer(l, l == 0 ? nodes0.data() : tapes[l - 1].nodes2, tapes[l], scratch, gradient);
}

void FixedTimeTransformer::forwardLayer(int l, const double* z, const double* nodes, const Tape& tape,
                                        double* y) const {
    const TransformerLayer& layer = network.layers[l];
    // Attention.
    if (l == 0) {
        std::copy(q0.begin(), q0.end(), tape.q);
        std::copy(k0.begin(), k0.end(), tape.k);
        std::copy(v0.begin(), v0.end(), tape.v);
    }
    else {
        layer.attentionNorm.forward(n, nodes, tape.normalized1, tape.inverseStd1, y);
        projectToHeads(layer, y, tape.q, tape.k, tape.v);
    }
    layer.attention.forward(n, z, tape.q, tape.k, tape.v, tape.weights, tape.m);
    layer.output.forward(n, tape.m, tape.attended);
    layer.attentionGate.forward(n, tape.attended, nodes, tape.attentionGates, tape.nodes1);
    // Feed-forward.
    layer.feedForwardNorm.forward(n, tape.nodes1, tape.normalized2, tape.inverseStd2, y);
    layer.expand.forward(n, y, tape.expanded);
    gelu(network.sizes.gelu, n * wide, tape.expanded, tape.slopes);
    layer.contract.forward(n, tape.expanded, tape.contracted);
    layer.feedForwardGate.forward(n, tape.contracted, tape.nodes1, tape.feedForwardGates, tape.nodes2);
}

void FixedTimeTransformer::backwardLayer(int l, const double* nodes, const Tape& tape, const Scratch& s,
                                         double* dz) const {
    const TransformerLayer& layer = network.layers[l];
    // Feed-forward.
    layer.feedForwardGate.backward(n, tape.contracted, tape.nodes1, tape.feedForwardGates, s.nodesGradient,
                                   s.branchGradient, s.nodesGradient);
    std::fill_n(s.wide, n * wide, 0.0);
    layer.contract.addBackward(n, s.branchGradient, s.wide);
    for (int i = 0; i < n * wide; i++)
        s.wide[i] *= tape.slopes[i];
    std::fill_n(s.y, n * hidden, 0.0);
    layer.expand.addBackward(n, s.wide, s.y);
    layer.feedForwardNorm.addBackward(n, tape.normalized2, tape.inverseStd2, s.y, s.nodesGradient);
    // Attention.
    layer.attentionGate.backward(n, tape.attended, nodes, tape.attentionGates, s.nodesGradient,
                                 s.branchGradient, s.nodesGradient);
    std::fill_n(s.dm, n * inner, 0.0);
    layer.output.addBackward(n, s.branchGradient, s.dm);
    layer.attention.addBackward(n, tape.q, tape.k, tape.v, tape.weights, s.dm, s.dq, s.dk, s.dv, dz, s.row);
    if (l == 0)
        return; // the first layer's nodes do not depend on positions
    std::fill_n(s.y, n * hidden, 0.0);
    layer.query.addBackward(n, s.dq, s.y);
    layer.key.addBackward(n, s.dk, s.y);
    layer.value.addBackward(n, s.dv, s.y);
    layer.attentionNorm.addBackward(n, tape.normalized1, tape.inverseStd1, s.y, s.nodesGradient);
}

} // namespace OpenMMScore
