#ifndef OPENMMSCORE_TORCH_TORCHMLP_H_
#define OPENMMSCORE_TORCH_TORCHMLP_H_

#include "MlpScore.h"
#include "openmmscore/torch/TorchNetwork.h"

namespace OpenMMScore {

/** Dense layers on [z, time features] with swish between them. */
class TorchMlp : public TorchNetwork {
public:
    TorchMlp(const ModelDescription& model, int expert, const at::TensorOptions& options);
    /** On the CPU with an energy head: by the sweeps of MlpScore.h. */
    std::unique_ptr<RecordedScore> recordScore(const at::Tensor& z, const at::Tensor& t,
                                               Record what = Record::Score,
                                               const at::Tensor& particleFeatures = {}) const override;

protected:
    at::Tensor forward(const at::Tensor& z, const at::Tensor& features,
                       const at::Tensor& particleFeatures) const override;

private:
    std::vector<DenseParameters> layersOf(const std::vector<at::Tensor>& tensors) const;

    std::vector<DenseParameters> layers;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_TORCH_TORCHMLP_H_
