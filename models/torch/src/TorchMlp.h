#ifndef OPENMMSCORE_TORCH_TORCHMLP_H_
#define OPENMMSCORE_TORCH_TORCHMLP_H_

#include <utility>

#include "openmmscore/torch/TorchNetwork.h"

namespace OpenMMScore {

/** Dense layers on [z, time features] with swish between them. */
class TorchMlp : public TorchNetwork {
public:
    TorchMlp(const ModelDescription& model, int expert, const at::TensorOptions& options);

protected:
    at::Tensor forward(const at::Tensor& z, const at::Tensor& features) const override;

private:
    /** weight and bias of each layer */
    std::vector<std::pair<at::Tensor, at::Tensor>> layers;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_TORCH_TORCHMLP_H_
