#ifndef OPENMMSCORE_TORCH_TORCHMLPVELOCITY_H_
#define OPENMMSCORE_TORCH_TORCHMLPVELOCITY_H_

#include "openmmscore/torch/TorchVelocity.h"

namespace OpenMMScore {

/** A perceptron, differentiated by hand: one product of matrices for each layer and direction. */
class TorchMlpVelocity : public TorchVelocity {
public:
    TorchMlpVelocity(const ContinuousFlowDescription& description, const at::TensorOptions& options);

    /** Weights of hidden layers are normal with variance 1/inputs. */
    void initialize(std::uint64_t seed) override;
    at::Tensor velocity(const at::Tensor& u, const at::Tensor& t) const override;
    double addGradient(const at::Tensor& u, const at::Tensor& t, const at::Tensor& target, double factor,
                       at::Tensor& gradient) const override;

private:
    struct Record;
    /** @return [samples, inputs]: what ContinuousFlowDescription::Mlp says, times included */
    at::Tensor inputs(const at::Tensor& u, const at::Tensor& t) const;
    std::vector<Linear> layersOf(const at::Tensor& flatTensor) const;
    at::Tensor run(const at::Tensor& u, const at::Tensor& t, Record* record) const;

    std::vector<Linear> layers;
    /** Which coordinates are circular, and where each column of inputs() is taken from among u, cos(u), ...,
     * sin(angleFrequencies u); made if there are any. */
    at::Tensor circular, order;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_TORCH_TORCHMLPVELOCITY_H_
