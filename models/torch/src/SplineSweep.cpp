#include "SplineSweep.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cos.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/sin.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include "Vectorized.h"

namespace OpenMMScore {

namespace {

using Kind = SplineFlowDescription::Kind;
using Input = SplineLayerPlan::Input;

/** y = x - shift, brought back between -pi and pi. */
template <class T>
void rotate(std::int64_t n, T shift, const T* x, T* y) {
    constexpr T pi = std::numbers::pi_v<T>;
    for (std::int64_t i = 0; i < n; i++) {
        const T a = x[i] - shift;
        y[i] = a - T(2) * pi * std::floor((a + pi) / (T(2) * pi));
    }
}

} // namespace

template <class T>
SplineSweep<T>::SplineSweep(const SplineFlowDescription& flow, const std::vector<SplineLayerPlan>& layerPlans,
                            const SplineParameters& numbers, const at::Tensor& start, bool keep)
    : description(flow), plans(layerPlans), parameters(numbers), samples(start.size(1)), v(start),
      layers(plans.size()), logDensities(samples, 0.0) {
    const at::NoGradGuard noGrad;
    for (std::size_t l = 0; l < plans.size(); l++)
        runLayer(l, keep);
    runBase();
}

template <class T>
at::Tensor SplineSweep<T>::empty(std::int64_t rows) const {
    return at::empty({rows, samples}, v.options());
}

template <class T>
SplineRows<T> SplineSweep<T>::rows(std::size_t layer, std::size_t output, T* kept) const {
    using Ends = typename SplineShape<T>::Ends;
    const Kind kind = plans[layer].outputs[output].kind;
    const Ends ends = kind == Kind::Real ? Ends::Linear : kind == Kind::Circular ? Ends::Tied : Ends::Free;
    const T bound = kind == Kind::Circular ? std::numbers::pi_v<T> : T(description.bound);
    return {{ends, description.bins, bound, T(description.minimumWidth), T(description.minimumHeight),
             T(description.minimumSlope)},
            samples,
            kept};
}

template <class T>
at::Tensor SplineSweep<T>::makeInputs(const SplineLayerPlan& plan) const {
    at::Tensor x = empty(static_cast<std::int64_t>(plan.inputs.size()));
    const T* all = v.template data_ptr<T>();
    at::Tensor angles = empty(plan.numAngles);
    T* angle = angles.template data_ptr<T>();
    for (const Input& input : plan.inputs)
        if (input.kind == Input::Kind::Cosine)
            angle = std::copy_n(all + input.coordinate * samples, samples, angle);
    const at::Tensor cosines = at::cos(angles), sines = at::sin(angles);
    const T *cosine = cosines.template data_ptr<T>(), *sine = sines.template data_ptr<T>();
    T* out = x.template data_ptr<T>();
    for (const Input& input : plan.inputs) {
        const T* from = all + input.coordinate * samples;
        if (input.kind == Input::Kind::Cosine)
            cosine = (from = cosine) + samples;
        if (input.kind == Input::Kind::Sine)
            sine = (from = sine) + samples;
        out = std::copy_n(from, samples, out);
    }
    return x;
}

template <class T>
void SplineSweep<T>::runLayer(std::size_t l, bool keep) {
    const SplineLayerPlan& plan = plans[l];
    Layer record;
    record.inputs = makeInputs(plan);
    record.conditioner = ConditionerSweep::create(description, l, parameters.layers[l]);
    const at::Tensor numbers = record.conditioner->run(record.inputs, keep);
    const auto count = static_cast<std::int64_t>(plan.outputs.size());
    const std::int64_t keptSize = SplineRows<T>::keptRows(description.bins) * samples;
    record.before = empty(count);
    record.kept = at::empty({keep ? count : 1, keptSize}, v.options());
    at::Tensor after = v.clone(), logSlopes = at::zeros({samples}, v.options());
    for (std::int64_t p = 0; p < count; p++) {
        const SplineLayerPlan::Output& output = plan.outputs[p];
        const T* from = v.template data_ptr<T>() + output.coordinate * samples;
        T* x = record.before.template data_ptr<T>() + p * samples;
        if (output.kind == Kind::Circular)
            rotate(samples, T(output.shift), from, x);
        else
            std::copy_n(from, samples, x);
        rows(l, p, record.kept.template data_ptr<T>() + (keep ? p * keptSize : 0))
            .value(numbers.template data_ptr<T>() + output.firstNumber * samples, x,
                   after.template data_ptr<T>() + output.coordinate * samples,
                   logSlopes.template data_ptr<T>());
    }
    // Summed in double over layers: in float the rounding of a sum of hundreds would show.
    for (std::int64_t i = 0; i < samples; i++)
        logDensities[i] += double(logSlopes.template data_ptr<T>()[i]);
    v = after;
    if (keep)
        layers[l] = std::move(record);
}

template <class T>
void SplineSweep<T>::runBase() {
    for (int c = 0; c < description.dimension; c++) {
        if (description.getKind(c) != Kind::Real)
            continue;
        const bool trained = parameters.baseLocation.defined();
        const double location = trained ? parameters.baseLocation.template data_ptr<T>()[c] : 0.0;
        const double logScale = trained ? parameters.baseLogScale.template data_ptr<T>()[c] : 0.0;
        const double factor = std::exp(-logScale);
        const T* x = v.template data_ptr<T>() + c * samples;
        for (std::int64_t i = 0; i < samples; i++) {
            const double z = (double(x[i]) - location) * factor;
            logDensities[i] -= 0.5 * z * z + logScale;
        }
    }
    // A number that is not finite must not hide behind a uniform base.
    for (int c = 0; c < description.dimension; c++)
        if (description.getKind(c) != Kind::Real)
            for (std::int64_t i = 0; i < samples; i++)
                logDensities[i] += 0.0 * double(v.template data_ptr<T>()[c * samples + i]);
}

template <class T>
at::Tensor SplineSweep<T>::baseAdjoint(double factor, SplineParameters& gradient) const {
    at::Tensor g = at::zeros_like(v);
    for (int c = 0; c < description.dimension; c++) {
        if (description.getKind(c) != Kind::Real)
            continue;
        const bool trained = parameters.baseLocation.defined();
        const T location = trained ? parameters.baseLocation.template data_ptr<T>()[c] : T(0);
        const T inverse = trained ? std::exp(-parameters.baseLogScale.template data_ptr<T>()[c]) : T(1);
        const T* x = v.template data_ptr<T>() + c * samples;
        T* out = g.template data_ptr<T>() + c * samples;
        double ofLocation = 0.0, ofScale = 0.0;
        for (std::int64_t i = 0; i < samples; i++) {
            const T z = (x[i] - location) * inverse;
            out[i] = -T(factor) * z * inverse;
            ofLocation -= double(out[i]);
            ofScale += factor * (double(z) * double(z) - 1.0);
        }
        if (trained) {
            gradient.baseLocation.template data_ptr<T>()[c] += T(ofLocation);
            gradient.baseLogScale.template data_ptr<T>()[c] += T(ofScale);
        }
    }
    return g;
}

template <class T>
void SplineSweep<T>::addInputAdjoints(const SplineLayerPlan& plan, const at::Tensor& inputs,
                                      const at::Tensor& gInputs, at::Tensor& g) const {
    const T *x = inputs.template data_ptr<T>(), *gx = gInputs.template data_ptr<T>();
    for (const Input& input : plan.inputs) {
        T* out = g.template data_ptr<T>() + input.coordinate * samples;
        // Cosine and sine lie one after the other.
        const T* other = input.kind == Input::Kind::Cosine ? x + samples : x - samples;
        const T sign = input.kind == Input::Kind::Cosine ? T(-1) : T(1);
        for (std::int64_t i = 0; i < samples; i++)
            out[i] += input.kind == Input::Kind::Plain ? gx[i] : sign * other[i] * gx[i];
        x += samples;
        gx += samples;
    }
}

template <class T>
void SplineSweep<T>::differentiateLayer(std::size_t l, T factor, at::Tensor& g, SplineParameters& gradient) {
    const SplineLayerPlan& plan = plans[l];
    const Layer& record = layers[l];
    at::Tensor gNumbers = empty(plan.numNumbers);
    const std::int64_t keptSize = record.kept.size(1);
    for (std::size_t p = 0; p < plan.outputs.size(); p++) {
        const SplineLayerPlan::Output& output = plan.outputs[p];
        T* gRow = g.template data_ptr<T>() + output.coordinate * samples;
        rows(l, p, record.kept.template data_ptr<T>() + p * keptSize)
            .adjoint(record.before.template data_ptr<T>() + p * samples, gRow, factor, gRow,
                     gNumbers.template data_ptr<T>() + output.firstNumber * samples);
    }
    const at::Tensor gInputs = record.conditioner->differentiate(gNumbers, gradient.layers[l]);
    if (gInputs.defined())
        addInputAdjoints(plan, record.inputs, gInputs, g);
    layers[l] = {};
}

template <class T>
void SplineSweep<T>::differentiate(double factor, SplineParameters& gradient) {
    const at::NoGradGuard noGrad;
    at::Tensor g = baseAdjoint(factor, gradient);
    for (std::size_t l = plans.size(); l-- > 0;)
        differentiateLayer(l, T(factor), g, gradient);
}

template class SplineSweep<float>;
template class SplineSweep<double>;

} // namespace OpenMMScore
