#ifndef OPENMMSCORE_MODELS_GRAPHTRANSFORMER_H_
#define OPENMMSCORE_MODELS_GRAPHTRANSFORMER_H_

#include "Attention.h"
#include "TransformerMath.h"
#include "openmmscore/models/Network.h"

namespace OpenMMScore {

/** The weights of one layer: attention and feed-forward part, each normalised before and gated after. */
struct TransformerLayer {
    LayerNorm attentionNorm, feedForwardNorm;
    Dense query, key, value, output, expand, contract;
    Attention attention;
    Gate attentionGate, feedForwardGate;
};

/**
 * A graph transformer that sees a molecule as the differences of its particles' positions.
 * Layout and formulas: docs/physics.md. Sources: Kohler et al., arXiv:2302.00600; Arts et al.,
 * J. Chem. Theory Comput. 2023, doi:10.1021/acs.jctc.3c00702; Plainer et al., arXiv:2506.17139.
 */
class GraphTransformer : public Network {
public:
    GraphTransformer(const ModelDescription& model, int index,
                     const std::vector<std::vector<double>>& tensors);
    std::unique_ptr<FixedTimeNetwork> atTime(double t, std::span<const int> features) const override;

private:
    friend class FixedTimeTransformer;
    /** @return nodes before the first layer, shape [count, hidden] */
    std::vector<double> computeNodes(double t, std::span<const int> features) const;

    const ModelDescription& model;
    const ExpertDescription& expert;
    const GraphTransformerDescription& sizes;
    std::vector<std::vector<double>> featureEmbeddings;
    Dense nodeEmbedding, readout;
    std::vector<TransformerLayer> layers;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_MODELS_GRAPHTRANSFORMER_H_
