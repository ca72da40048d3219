#ifndef OPENMMSCORE_TORCH_PERCEPTRONCONDITIONER_H_
#define OPENMMSCORE_TORCH_PERCEPTRONCONDITIONER_H_

#include "ConditionerSweep.h"

namespace OpenMMScore {

/** A perceptron, plain or residual, whose way back is written out by hand. */
class PerceptronConditioner : public ConditionerSweep {
public:
    /** @param parameters  weight and bias of each linear map; must outlive this object like the layer */
    PerceptronConditioner(const SplineFlowDescription::Layer& layer,
                          const std::vector<at::Tensor>& parameters);

    at::Tensor run(const at::Tensor& inputs, bool keep) override;
    at::Tensor differentiate(const at::Tensor& gNumbers, std::vector<at::Tensor>& gradient) override;

private:
    const SplineFlowDescription::Layer& layer;
    const std::vector<at::Tensor>& parameters;
    bool residual;
    /** Which linear map is the last. */
    std::size_t last;
    /** The input of each linear map, and the argument of each activation. */
    std::vector<at::Tensor> linearInputs, arguments;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_TORCH_PERCEPTRONCONDITIONER_H_
