#ifndef OPENMMSCORE_MODELS_NETWORK_H_
#define OPENMMSCORE_MODELS_NETWORK_H_

#include <memory>
#include <span>
#include <vector>

#include "openmmscore/models/ModelDescription.h"

namespace OpenMMScore {

/**
 * One network in the plain float64 engine, made ready for one diffusion time and one molecule's features.
 * It knows nothing of signs, noise levels or units: output and gradient are the network's own.
 */
class FixedTimeNetwork {
public:
    virtual ~FixedTimeNetwork() = default;
    /** @return how many doubles evaluate() needs to work in */
    virtual std::size_t getWorkspaceSize() const = 0;
    /**
     * Evaluate one molecule.
     *
     * @param z          shape [getNumCoordinates()] of the model
     * @param output     energy head: shape [1]; score head: shape [getNumCoordinates()]
     * @param gradient   energy head: d output / dz, or null if not wanted; score head: ignored
     * @param workspace  shape [getWorkspaceSize()], contents arbitrary
     */
    virtual void evaluate(const double* z, double* output, double* gradient, double* workspace) const = 0;
    /** @return how many doubles evaluateDivergence() needs to work in; 0 if there is no such method */
    virtual std::size_t getDivergenceWorkspaceSize() const { return 0; }
    /**
     * Evaluate what evaluate() does, and the divergence of the gradient (of a score head: of the output).
     *
     * @param divergence  one number
     * @param workspace   shape [getDivergenceWorkspaceSize()], contents arbitrary
     */
    virtual void evaluateDivergence(const double* /*z*/, double* /*output*/, double* /*gradient*/,
                                    double* /*divergence*/, double* /*workspace*/) const {}
    /**
     * Multiply a direction with the derivative of the gradient by z (of a score head: of the output). Only
     * graph transformers do.
     *
     * @param direction  shape [getNumCoordinates()] of the model, like product
     * @param workspace  shape [getDivergenceWorkspaceSize()], contents arbitrary
     */
    virtual void multiplyJacobian(const double* /*z*/, const double* /*direction*/, double* /*product*/,
                                  double* /*workspace*/) const {}
};

/**
 * A network of the plain float64 engine: the definition that every other engine is tested against. Immutable.
 */
class Network {
public:
    virtual ~Network() = default;
    /**
     * Fold everything that does not depend on coordinates.
     *
     * @param t         diffusion time; clamped to the expert's interval
     * @param features  shape [count, features], within their ranges; empty for a model without features
     * @return a network that refers to this one, which must outlive it
     */
    virtual std::unique_ptr<FixedTimeNetwork> atTime(double t, std::span<const int> features) const = 0;

    /**
     * @param tensors  of the expert, in the order of expertTensors()
     * @return the network of model.experts[index]; it keeps a reference to model
     */
    static std::unique_ptr<Network> create(const ModelDescription& model, int index,
                                           const std::vector<std::vector<double>>& tensors);
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_MODELS_NETWORK_H_
