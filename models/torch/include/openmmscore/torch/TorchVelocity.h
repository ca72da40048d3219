#ifndef OPENMMSCORE_TORCH_TORCHVELOCITY_H_
#define OPENMMSCORE_TORCH_TORCHVELOCITY_H_

#include <cstdint>
#include <memory>
#include <vector>

#include <ATen/core/Tensor.h>

#include "openmmscore/models/ModelFile.h"
#include "openmmscore/sampling/ContinuousFlow.h"

namespace OpenMMScore {

/**
 * The velocity v(u, t) of a continuous flow as LibTorch operations, for training. The numbers it computes are
 * those of ContinuousFlowProposal.
 *
 * All that is trained lies in one flat tensor, one tensor after another in the order of
 * ContinuousFlowDescription::getTensors(). Location and scale, and the node features of an EGNN, are not
 * trained.
 */
class TorchVelocity {
public:
    /**
     * Make a velocity with all parameters zero.
     *
     * @param nodeFeatures  [N, F] of an EGNN, row-major; empty for other networks
     * @param options       dtype (float32 or float64) and device
     * @throws ShapeError  if the description describes no flow, or nodeFeatures have another size
     */
    static std::unique_ptr<TorchVelocity> create(const ContinuousFlowDescription& description,
                                                 const at::TensorOptions& options,
                                                 std::vector<double> nodeFeatures = {});
    virtual ~TorchVelocity();
    TorchVelocity(const TorchVelocity&) = delete;
    TorchVelocity& operator=(const TorchVelocity&) = delete;

    const ContinuousFlowDescription& getDescription() const { return description; }
    /** Fill the parameters with fresh random numbers, such that the velocity is zero: what is multiplied last
     * is zero, and what nothing depends on (the nodes behind an EGNN's last layer) stays zero. */
    virtual void initialize(std::uint64_t seed) = 0;
    at::Tensor& getFlatParameters() { return flat; }

    /**
     * @param u  shape [samples, d], normalised coordinates, in the network's dtype and on its device
     * @param t  shape [samples], float64, on the CPU
     * @return shape [samples, d]
     */
    virtual at::Tensor velocity(const at::Tensor& u, const at::Tensor& t) const = 0;
    /**
     * Compute factor times the sum over samples of the mean over coordinates of (v(u, t) - target)^2, and its
     * derivative. Different threads may do this at once.
     *
     * @param gradient  shape of getFlatParameters(); the derivative is added to it
     */
    virtual double addGradient(const at::Tensor& u, const at::Tensor& t, const at::Tensor& target,
                               double factor, at::Tensor& gradient) const = 0;

    /**
     * @param location, scale  [d] each: of the data
     * @param values           shape of getFlatParameters(): what to write instead of the parameters at hand
     * @return the tensors in the order of ContinuousFlowDescription::getTensors(), float64
     */
    std::vector<std::vector<double>> exportTensors(const std::vector<double>& location,
                                                   const std::vector<double>& scale,
                                                   const at::Tensor& values) const;
    /**
     * Take over the parameters from tensors given in that order; location and scale may be any.
     *
     * @throws ShapeError  if sizes, or the node features, differ
     */
    void importTensors(const std::vector<std::vector<double>>& values);

protected:
    struct Linear {
        at::Tensor weight, bias;
    };
    TorchVelocity(const ContinuousFlowDescription& description, const at::TensorOptions& options,
                  std::vector<double> nodeFeatures = {});
    /** @return views of a tensor like getFlatParameters(), in the order and shapes of what is trained */
    std::vector<at::Tensor> viewsOf(const at::Tensor& flatTensor) const;
    /** @return shape [samples, getNumTimeFeatures()], in the network's dtype and on its device */
    at::Tensor timeFeatures(const at::Tensor& t) const;

    ContinuousFlowDescription description;
    /** Of what is trained. */
    std::vector<TensorShape> shapes;
    std::vector<double> nodeFeatures;
    at::Tensor flat;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_TORCH_TORCHVELOCITY_H_
