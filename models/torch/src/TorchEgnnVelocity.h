#ifndef OPENMMSCORE_TORCH_TORCHEGNNVELOCITY_H_
#define OPENMMSCORE_TORCH_TORCHEGNNVELOCITY_H_

#include "ParticleDirections.h"
#include "openmmscore/torch/TorchVelocity.h"

namespace OpenMMScore {

/**
 * The equivariant graph network of ContinuousFlowDescription::Egnn, differentiated by autograd. The first
 * layer of a pair's network is a sum of what either node adds to it, so that its products are of nodes, not
 * of pairs.
 */
class TorchEgnnVelocity : public TorchVelocity {
public:
    TorchEgnnVelocity(const ContinuousFlowDescription& description, const at::TensorOptions& options,
                      std::vector<double> nodeFeatures);

    /** Weights are normal with variance 1/inputs, of the embedding 1/(1 + time features), as one of a node's
     * features is 1 and the others are 0. */
    void initialize(std::uint64_t seed) override;
    at::Tensor velocity(const at::Tensor& u, const at::Tensor& t) const override;
    double addGradient(const at::Tensor& u, const at::Tensor& t, const at::Tensor& target, double factor,
                       at::Tensor& gradient) const override;

private:
    struct Layer {
        Linear edge0, edge1, gate, coordinate0;
        at::Tensor coordinate1;
        Linear node0, node1;
    };
    /** Of all pairs i != j, [samples, pairs, 3 or 1]. */
    struct Pairs {
        at::Tensor difference, square;
    };
    /** @param r  shape [samples, N, 3] @return the same shape: how far particles are moved */
    at::Tensor displacement(const at::Tensor& r, const at::Tensor& t) const;
    at::Tensor embed(const at::Tensor& t) const;
    /** @return what pairs tell each other, [samples, pairs, H] */
    at::Tensor messages(const Layer& layer, const at::Tensor& nodes, const at::Tensor& square,
                        const at::Tensor& initial) const;
    /** @return what is added to positions, [samples, N, 3] */
    at::Tensor pulls(const Layer& layer, const at::Tensor& messages, const Pairs& pairs) const;
    Pairs pairsOf(const at::Tensor& r) const;
    /** Sum over the second of a pair's particles. */
    at::Tensor sumPairs(const at::Tensor& ofPairs) const;

    ParticleDirections directions;
    /** Leaves of the graph that autograd builds: views of the flat tensor. */
    std::vector<at::Tensor> leaves;
    Linear embedding;
    std::vector<Layer> layers;
    at::Tensor features;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_TORCH_TORCHEGNNVELOCITY_H_
