#ifndef OPENMMSCORE_TORCH_TORCHGRAPHTRANSFORMER_H_
#define OPENMMSCORE_TORCH_TORCHGRAPHTRANSFORMER_H_

#include "TransformerParameters.h"
#include "openmmscore/torch/TorchNetwork.h"

namespace OpenMMScore {

/**
 * The graph transformer with its edges factored out. The edge of query i and key j enters keys and values as
 * A z_j - A z_i + c, with A = W_l W_e and c = W_l b_e + b_l from that layer's edge layer (l) and the edge
 * embedding (e). What is constant in j cancels in the softmax, the rest is taken outside the sums over j:
 *
 *     q_i . (k_j + A z_j) = q_i . k_j + (A^T q_i) . z_j
 *     sum_j a_ij (v_j + A z_j) - A z_i + c = sum_j a_ij v_j + A (sum_j a_ij z_j - z_i) + c
 *
 * so that nothing larger than [batch, particles, heads, particles] depends on pairs, and positions meet the
 * network in three columns per head.
 */
class TorchGraphTransformer : public TorchNetwork {
public:
    TorchGraphTransformer(const ModelDescription& model, int expert, const at::TensorOptions& options);
    /** On the CPU with an energy head: by the sweeps of TransformerScore.h. */
    std::unique_ptr<RecordedScore> recordScore(const at::Tensor& z, const at::Tensor& t,
                                               Record what = Record::Score,
                                               const at::Tensor& particleFeatures = {}) const override;

protected:
    at::Tensor forward(const at::Tensor& z, const at::Tensor& features,
                       const at::Tensor& particleFeatures) const override;

private:
    using Linear = TransformerParameters::Linear;
    using Layer = TransformerParameters::Layer;
    at::Tensor attend(const Layer& layer, const at::Tensor& nodes, const at::Tensor& positions) const;
    at::Tensor feedForward(const Layer& layer, const at::Tensor& nodes) const;
    at::Tensor gate(const at::Tensor& weight, const at::Tensor& update, const at::Tensor& nodes) const;

    GraphTransformerDescription sizes;
    std::int64_t numParticles;
    int numFeatures;
    TransformerParameters parameters;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_TORCH_TORCHGRAPHTRANSFORMER_H_
