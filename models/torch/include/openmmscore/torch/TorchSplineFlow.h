#ifndef OPENMMSCORE_TORCH_TORCHSPLINEFLOW_H_
#define OPENMMSCORE_TORCH_TORCHSPLINEFLOW_H_

#include <cstdint>
#include <memory>
#include <vector>

#include <ATen/core/Tensor.h>

#include "openmmscore/models/ModelFile.h"
#include "openmmscore/sampling/SplineFlowDescription.h"

namespace OpenMMScore {

/**
 * A spline flow for training by maximum likelihood: log densities, and their derivatives with respect to all
 * parameters, by sweeps written out by hand. Matrix products are LibTorch's, splines are loops over samples
 * (SplineRows.h); through transformers the way back is LibTorch's autograd.
 *
 * All parameters lie one after another in one flat tensor, in the order of splineFlowTensors(). Locations,
 * scales and shifts are not among them: they follow from the data and from a seed.
 *
 * Arrays of samples are transposed, [coordinates, samples].
 */
class TorchSplineFlow {
public:
    /**
     * Make a flow with all parameters zero, which only rotates circular coordinates.
     *
     * @param location, scale  [dimension] each: of the data
     * @param shiftSeed        decides by which angles; the first layer that transforms a coordinate does not
     *                         rotate it
     * @param options          dtype (float32 or float64); the device must be the CPU
     * @throws ShapeError  if the description describes no flow or none of Knots::Softplus, or sizes differ
     */
    TorchSplineFlow(const SplineFlowDescription& description, std::vector<double> location,
                    std::vector<double> scale, std::uint64_t shiftSeed, const at::TensorOptions& options);
    ~TorchSplineFlow();
    TorchSplineFlow(const TorchSplineFlow&) = delete;
    TorchSplineFlow& operator=(const TorchSplineFlow&) = delete;

    const SplineFlowDescription& getDescription() const;
    /**
     * Fill weights of hidden layers with fresh random numbers, all else with zero, so that the flow is still
     * the identity. They are normal, of variance 2/inputs; of a transformer 1/inputs, less for what adds to
     * the stream, 1 for embeddings, and its norms begin as 1.
     */
    void initialize(std::uint64_t seed);
    at::Tensor& getFlatParameters();
    /** @return of each number of the flat tensor, 1 if it is trained, 0 if it must stay zero */
    const at::Tensor& getMask() const;

    /**
     * @param v  shape [dimension, samples]: (y - location)/scale, circular ones wrapped to [-pi, pi),
     *           in the flow's dtype
     * @return shape [samples], float64: log q(y)
     */
    at::Tensor logDensity(const at::Tensor& v) const;
    /**
     * Compute factor times the sum of log q(y) over samples, and its derivative. Different threads may do
     * this at once.
     *
     * @param gradient  shape of getFlatParameters(); the derivative is added to it
     */
    double addGradient(const at::Tensor& v, double factor, at::Tensor& gradient) const;

    /**
     * @param values  shape of getFlatParameters(): what to write instead of the parameters at hand
     * @return the tensors of a file, in the order of splineFlowTensors()
     */
    std::vector<NamedTensor> exportTensors(const at::Tensor& values) const;
    /**
     * Take over the parameters, and shifts, from tensors given in that order.
     *
     * @throws ShapeError  if locations and scales are others than this flow's
     */
    void importTensors(const std::vector<std::vector<double>>& values);

private:
    class Impl;
    std::unique_ptr<Impl> impl;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_TORCH_TORCHSPLINEFLOW_H_
