#ifndef OPENMMSCORE_TORCH_TORCHVELOCITY_H_
#define OPENMMSCORE_TORCH_TORCHVELOCITY_H_

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "openmmscore/models/ModelFile.h"
#include "openmmscore/sampling/ContinuousFlow.h"

namespace OpenMMScore {

/**
 * The velocity v(u, t) of a continuous flow whose network is a multilayer perceptron, for training.
 *
 * All parameters lie one after another in one flat tensor, in the order of
 * ContinuousFlowDescription::getTensors() without location and scale.
 */
class TorchVelocity {
public:
    /**
     * Make a velocity with all parameters zero.
     *
     * @param options  dtype (float32 or float64) and device
     * @throws ShapeError  if the description describes no flow, or its network is no perceptron
     */
    TorchVelocity(const ContinuousFlowDescription& description, const at::TensorOptions& options);
    TorchVelocity(const TorchVelocity&) = delete;
    TorchVelocity& operator=(const TorchVelocity&) = delete;

    const ContinuousFlowDescription& getDescription() const { return description; }
    /** Fill weights of hidden layers with fresh random numbers (normal, variance 1/inputs), all else with
     * zero: a velocity of zero. */
    void initialize(std::uint64_t seed);
    at::Tensor& getFlatParameters() { return flat; }

    /**
     * @param u  shape [samples, d], normalised coordinates, in the network's dtype and on its device
     * @param t  shape [samples], float64, on the CPU
     * @return shape [samples, d]
     */
    at::Tensor velocity(const at::Tensor& u, const at::Tensor& t) const;
    /**
     * Compute factor times the sum over samples of the mean over coordinates of (v(u, t) - target)^2, and its
     * derivative. Different threads may do this at once.
     *
     * @param gradient  shape of getFlatParameters(); the derivative is added to it
     */
    double addGradient(const at::Tensor& u, const at::Tensor& t, const at::Tensor& target, double factor,
                       at::Tensor& gradient) const;

    /**
     * @param location, scale  [d] each: of the data
     * @param values           shape of getFlatParameters(): what to write instead of the parameters at hand
     * @return the tensors in the order of ContinuousFlowDescription::getTensors(), float64
     */
    std::vector<std::vector<double>> exportTensors(const std::vector<double>& location,
                                                   const std::vector<double>& scale,
                                                   const at::Tensor& values) const;
    /** Take over the parameters from tensors given in that order. @throws ShapeError  if sizes differ */
    void importTensors(const std::vector<std::vector<double>>& values);

private:
    struct Linear {
        at::Tensor weight, bias;
    };
    struct Record;
    std::vector<Linear> viewsOf(const at::Tensor& flatTensor) const;
    at::Tensor inputs(const at::Tensor& u, const at::Tensor& t) const;
    at::Tensor run(const at::Tensor& u, const at::Tensor& t, Record* record) const;

    ContinuousFlowDescription description;
    /** Of the network alone. */
    std::vector<TensorShape> shapes;
    at::Tensor flat;
    std::vector<Linear> layers;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_TORCH_TORCHVELOCITY_H_
