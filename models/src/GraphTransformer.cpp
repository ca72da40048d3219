#include "GraphTransformer.h"

#include "FixedTimeTransformer.h"
#include "TimeFeatures.h"

namespace OpenMMScore {

GraphTransformer::GraphTransformer(const ModelDescription& model, int index,
                                   const std::vector<std::vector<double>>& tensors)
    : model(model), expert(model.experts[index]), sizes(expert.graphTransformer) {
    // Tensors come in the order of expertTensors(), weight before bias.
    auto next = tensors.begin();
    const int hidden = sizes.hidden, inner = sizes.heads * sizes.headSize;
    auto dense = [&](int out, int in) {
        const auto& weight = *next++;
        return Dense(out, in, weight, *next++);
    };
    auto norm = [&] {
        const auto& scale = *next++;
        return LayerNorm(scale, *next++, sizes.layerNormEpsilon);
    };
    for (std::size_t f = 0; f < model.features.size(); f++)
        featureEmbeddings.push_back(*next++);
    const auto &edgeEmbedding = *next++, &edgeEmbeddingBias = *next++;
    int identity =
        model.features.empty() ? model.count : sizes.embeddingWidth * static_cast<int>(model.features.size());
    nodeEmbedding = dense(hidden, identity + numTimeFeatures(expert.timeFeatures));
    for (int l = 0; l < sizes.layers; l++) {
        TransformerLayer layer;
        layer.attentionNorm = norm();
        layer.query = dense(inner, hidden);
        layer.key = dense(inner, hidden);
        layer.value = dense(inner, hidden);
        const auto &edge = *next++, &edgeBias = *next++;
        layer.attention =
            Attention(sizes.heads, sizes.headSize, hidden, edge, edgeBias, edgeEmbedding, edgeEmbeddingBias);
        layer.output = dense(hidden, inner);
        layer.attentionGate = Gate(hidden, *next++);
        layer.feedForwardNorm = norm();
        layer.expand = dense(sizes.feedForward, hidden);
        layer.contract = dense(hidden, sizes.feedForward);
        layer.feedForwardGate = Gate(hidden, *next++);
        layers.push_back(std::move(layer));
    }
    readout = expert.head == Head::Energy ? dense(1, hidden) : dense(3 * model.count, model.count * hidden);
}

std::vector<double> GraphTransformer::computeNodes(double t, std::span<const int> features) const {
    const std::vector<double> time = computeTimeFeatures(expert, t);
    const int numFeatures = static_cast<int>(model.features.size()), width = sizes.embeddingWidth;
    std::vector<double> nodes(model.count * sizes.hidden);
    for (int i = 0; i < model.count; i++) {
        std::vector<double> input(numFeatures == 0 ? model.count : 0, 0.0);
        if (numFeatures == 0)
            input[i] = 1;
        for (int f = 0; f < numFeatures; f++) {
            const double* row = &featureEmbeddings[f][features[i * numFeatures + f] * width];
            input.insert(input.end(), row, row + width);
        }
        input.insert(input.end(), time.begin(), time.end());
        nodeEmbedding.forward(1, input.data(), &nodes[i * sizes.hidden]);
    }
    return nodes;
}

std::unique_ptr<FixedTimeNetwork> GraphTransformer::atTime(double t, std::span<const int> features) const {
    return std::make_unique<FixedTimeTransformer>(*this, t, features);
}

} // namespace OpenMMScore
