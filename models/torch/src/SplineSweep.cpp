#include "SplineSweep.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/cos.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/silu_backward.h>
#include <ATen/ops/sin.h>
#include <ATen/ops/tanh.h>
#include <ATen/ops/tanh_backward.h>
#include <ATen/ops/threshold_backward.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include "Vectorized.h"

namespace OpenMMScore {

namespace {

using Kind = SplineFlowDescription::Kind;
using Activation = SplineFlowDescription::Activation;
using Input = SplineLayerPlan::Input;

at::Tensor activate(Activation kind, const at::Tensor& x) {
    if (kind == Activation::ReLU)
        return at::relu(x);
    return kind == Activation::SiLU ? at::silu(x) : at::tanh(x);
}

/** @param y  the activation of x */
at::Tensor activationAdjoint(Activation kind, const at::Tensor& x, const at::Tensor& y, const at::Tensor& g) {
    if (kind == Activation::ReLU)
        return at::threshold_backward(g, y, 0);
    return kind == Activation::SiLU ? at::silu_backward(g, x) : at::tanh_backward(g, y);
}

/** @param x  [in, samples] @return [out, samples] */
at::Tensor apply(const SplineLinear& linear, const at::Tensor& x) {
    return at::addmm(linear.bias.unsqueeze(1), linear.weight, x);
}

/** @return the adjoint of x */
at::Tensor applyAdjoint(const SplineLinear& linear, const at::Tensor& x, const at::Tensor& g,
                        SplineLinear& gradient) {
    gradient.weight.addmm_(g, x.t());
    gradient.bias.add_(g.sum(1));
    return at::mm(linear.weight.t(), g);
}

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
at::Tensor SplineSweep<T>::runConditioner(std::size_t l, Layer& record) const {
    const std::vector<SplineLinear>& linear = parameters.linear[l];
    const SplineFlowDescription::Layer& layer = description.layers[l];
    if (!linear[0].weight.defined())
        return linear[0].bias.unsqueeze(1).expand({-1, samples}).contiguous();
    const auto map = [&](std::size_t j, const at::Tensor& x) {
        record.linearInputs.push_back(x);
        return apply(linear[j], x);
    };
    const auto activated = [&](const at::Tensor& x) {
        record.arguments.push_back(x);
        return activate(layer.activation, x);
    };
    const std::size_t last = linear.size() - 1;
    at::Tensor h = record.inputs;
    if (layer.residual) {
        h = map(0, h);
        for (std::size_t j = 1; j < last; j += 2)
            h = h + map(j + 1, activated(map(j, activated(h))));
    }
    else
        for (std::size_t j = 0; j < last; j++)
            h = activated(map(j, h));
    return map(last, h);
}

template <class T>
void SplineSweep<T>::runLayer(std::size_t l, bool keep) {
    const SplineLayerPlan& plan = plans[l];
    Layer record;
    record.inputs = makeInputs(plan);
    const at::Tensor numbers = runConditioner(l, record);
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
        layers[l] = record;
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
at::Tensor SplineSweep<T>::differentiateConditioner(std::size_t l, const at::Tensor& gNumbers,
                                                    std::vector<SplineLinear>& gradient) const {
    const std::vector<SplineLinear>& linear = parameters.linear[l];
    const SplineFlowDescription::Layer& layer = description.layers[l];
    const std::vector<at::Tensor>& x = layers[l].linearInputs;
    const auto map = [&](std::size_t j, const at::Tensor& g) {
        return applyAdjoint(linear[j], x[j], g, gradient[j]);
    };
    // The argument of the activation whose result is the input of map j.
    const auto activated = [&](std::size_t j, const at::Tensor& g) {
        return activationAdjoint(layer.activation, layers[l].arguments[j - 1], x[j], g);
    };
    const std::size_t last = linear.size() - 1;
    at::Tensor g = map(last, gNumbers);
    if (!layer.residual) {
        for (std::size_t j = last; j-- > 0;)
            g = map(j, activated(j + 1, g));
        return g;
    }
    for (std::size_t j = last; j > 2; j -= 2)
        g = g + activated(j - 2, map(j - 2, activated(j - 1, map(j - 1, g))));
    return map(0, g);
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
    if (plan.inputs.empty()) {
        gradient.linear[l][0].bias.add_(gNumbers.sum(1));
        return;
    }
    const at::Tensor gInputs = differentiateConditioner(l, gNumbers, gradient.linear[l]);
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
