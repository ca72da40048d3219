#ifndef OPENMMSCORE_TORCH_TORCHTRANSFORMERVELOCITY_H_
#define OPENMMSCORE_TORCH_TORCHTRANSFORMERVELOCITY_H_

#include <memory>

#include "ParticleDirections.h"
#include "openmmscore/torch/TorchNetwork.h"
#include "openmmscore/torch/TorchVelocity.h"

namespace OpenMMScore {

/** The graph transformer of score models, with a score head, as a velocity. */
class TorchTransformerVelocity : public TorchVelocity {
public:
    TorchTransformerVelocity(const ContinuousFlowDescription& description, const at::TensorOptions& options);

    /** In the manner of Flax, but for a readout of zero. */
    void initialize(std::uint64_t seed) override;
    at::Tensor velocity(const at::Tensor& u, const at::Tensor& t) const override;
    double addGradient(const at::Tensor& u, const at::Tensor& t, const at::Tensor& target, double factor,
                       at::Tensor& gradient) const override;

private:
    ParticleDirections directions;
    /** Its parameters are those of the velocity, in the same order; both are one tensor. */
    std::unique_ptr<TorchNetwork> network;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_TORCH_TORCHTRANSFORMERVELOCITY_H_
