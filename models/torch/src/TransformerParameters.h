#ifndef OPENMMSCORE_TORCH_TRANSFORMERPARAMETERS_H_
#define OPENMMSCORE_TORCH_TRANSFORMERPARAMETERS_H_

#include <vector>

#include <ATen/core/Tensor.h>

namespace OpenMMScore {

/** The tensors of a graph transformer, or of anything shaped like them such as their gradients, by their
 * roles. */
struct TransformerParameters {
    struct Linear {
        at::Tensor weight, bias;
    };
    struct Layer {
        Linear attentionNorm, query, key, value, edge, output;
        at::Tensor attentionGate;
        Linear feedForwardNorm, expand, contract;
        at::Tensor feedForwardGate;
    };
    /** [values, width] for each feature of particles. */
    std::vector<at::Tensor> featureEmbeddings;
    Linear edgeEmbedding, nodeEmbedding;
    std::vector<Layer> layers;
    Linear readout;

    /** @param tensors  in the order of expertTensors() */
    TransformerParameters(const std::vector<at::Tensor>& tensors, int numLayers, int numFeatures);
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_TORCH_TRANSFORMERPARAMETERS_H_
