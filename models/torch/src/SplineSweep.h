#ifndef OPENMMSCORE_TORCH_SPLINESWEEP_H_
#define OPENMMSCORE_TORCH_SPLINESWEEP_H_

#include <cstdint>
#include <memory>
#include <vector>

#include <ATen/core/Tensor.h>

#include "ConditionerSweep.h"
#include "SplineRows.h"
#include "openmmscore/sampling/SplineFlowDescription.h"

namespace OpenMMScore {

/** Views of a flat tensor of a flow's parameters, or of their derivatives. */
struct SplineParameters {
    /** Undefined if the base has none. */
    at::Tensor baseLocation, baseLogScale;
    /** Of each layer's conditioner, in the order of splineFlowTensors(). */
    std::vector<std::vector<at::Tensor>> layers;
};

/** What a layer does with its samples, in terms of rows. */
struct SplineLayerPlan {
    /** Where an input of the conditioner comes from: a number, or cosine or sine of an angle. */
    struct Input {
        enum class Kind { Plain, Cosine, Sine };
        int coordinate;
        Kind kind;
    };
    struct Output {
        int coordinate;
        SplineFlowDescription::Kind kind;
        double shift;
        /** The first of its knot numbers. */
        std::int64_t firstNumber;
    };
    std::vector<Input> inputs;
    std::vector<Output> outputs;
    std::int64_t numNumbers = 0, numAngles = 0;
};

/**
 * One pass of samples through a flow, from data to base, which keeps what the way back needs.
 *
 * T is float or double, and so are all tensors; arrays of samples are [rows, samples].
 */
template <class T>
class SplineSweep {
public:
    /** @param keep  whether differentiate() will be called. All references must outlive this object */
    SplineSweep(const SplineFlowDescription& description, const std::vector<SplineLayerPlan>& plans,
                const SplineParameters& parameters, const at::Tensor& v, bool keep);

    /** @return for each sample log |det dz/dv| and the base's terms that depend on the sample */
    const std::vector<double>& getLogDensities() const { return logDensities; }
    /** Add the derivative of factor times the sum of them. To be called once. */
    void differentiate(double factor, SplineParameters& gradient);

private:
    struct Layer {
        /** What entered: inputs of the conditioner, and transformed coordinates after their rotation. */
        at::Tensor inputs, before;
        /** SplineRows::kept of each transformed coordinate. */
        at::Tensor kept;
        std::unique_ptr<ConditionerSweep> conditioner;
    };
    at::Tensor empty(std::int64_t rows) const;
    SplineRows<T> rows(std::size_t layer, std::size_t output, T* kept) const;
    at::Tensor makeInputs(const SplineLayerPlan& plan) const;
    void runLayer(std::size_t layer, bool keep);
    void runBase();
    at::Tensor baseAdjoint(double factor, SplineParameters& gradient) const;
    void differentiateLayer(std::size_t layer, T factor, at::Tensor& g, SplineParameters& gradient);
    void addInputAdjoints(const SplineLayerPlan& plan, const at::Tensor& inputs, const at::Tensor& gInputs,
                          at::Tensor& g) const;

    const SplineFlowDescription& description;
    const std::vector<SplineLayerPlan>& plans;
    const SplineParameters& parameters;
    std::int64_t samples;
    /** The samples on their way. */
    at::Tensor v;
    std::vector<Layer> layers;
    std::vector<double> logDensities;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_TORCH_SPLINESWEEP_H_
