#include "TransformerParameters.h"

namespace OpenMMScore {

TransformerParameters::TransformerParameters(const std::vector<at::Tensor>& tensors, int numLayers,
                                             int numFeatures) {
    std::size_t next = 0;
    const auto take = [&] { return tensors.at(next++); };
    const auto linear = [&] {
        Linear result;
        result.weight = take();
        result.bias = take();
        return result;
    };
    for (int f = 0; f < numFeatures; f++)
        featureEmbeddings.push_back(take());
    edgeEmbedding = linear();
    nodeEmbedding = linear();
    for (int l = 0; l < numLayers; l++) {
        Layer layer;
        for (Linear* part :
             {&layer.attentionNorm, &layer.query, &layer.key, &layer.value, &layer.edge, &layer.output})
            *part = linear();
        layer.attentionGate = take();
        for (Linear* part : {&layer.feedForwardNorm, &layer.expand, &layer.contract})
            *part = linear();
        layer.feedForwardGate = take();
        layers.push_back(layer);
    }
    readout = linear();
}

} // namespace OpenMMScore
