#ifndef OPENMMSCORE_TORCH_CONDITIONERSWEEP_H_
#define OPENMMSCORE_TORCH_CONDITIONERSWEEP_H_

#include <memory>
#include <vector>

#include <ATen/core/Tensor.h>

#include "openmmscore/sampling/SplineFlowDescription.h"

namespace OpenMMScore {

/**
 * One pass of samples through the network that gives a layer's knots, and the way back. Arrays of samples are
 * [rows, samples]; parameters, and their adjoints, come in the order of splineFlowTensors().
 */
class ConditionerSweep {
public:
    /** @param parameters  of one layer, without shifts; must outlive this object like the description */
    static std::unique_ptr<ConditionerSweep> create(const SplineFlowDescription& description,
                                                    std::size_t layer,
                                                    const std::vector<at::Tensor>& parameters);
    virtual ~ConditionerSweep() = default;

    /**
     * To be called once.
     *
     * @param keep  whether differentiate() will be called
     * @return the numbers of all transformed coordinates
     */
    virtual at::Tensor run(const at::Tensor& inputs, bool keep) = 0;
    /**
     * Add the adjoints of parameters. To be called once, after run().
     *
     * @return the adjoint of the inputs, undefined if there are none
     */
    virtual at::Tensor differentiate(const at::Tensor& gNumbers, std::vector<at::Tensor>& gradient) = 0;
};

at::Tensor activate(SplineFlowDescription::Activation kind, const at::Tensor& x);

} // namespace OpenMMScore

#endif // OPENMMSCORE_TORCH_CONDITIONERSWEEP_H_
