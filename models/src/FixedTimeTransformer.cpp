#include "FixedTimeTransformer.h"

#include "TransformerTemplates.h"

namespace OpenMMScore {

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

std::size_t FixedTimeTransformer::getWorkspaceSize() const {
    Scratch<double> scratch{};
    return layOut<double>(nullptr, nullptr, scratch);
}

int FixedTimeTransformer::getNumOutputs() const {
    return network.expert.head == Head::Score ? 3 * n : 1;
}

void FixedTimeTransformer::evaluate(const double* z, double* output, double* gradient,
                                    double* workspace) const {
    run(z, output, gradient, workspace);
}

} // namespace OpenMMScore
