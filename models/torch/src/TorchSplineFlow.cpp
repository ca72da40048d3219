#include "openmmscore/torch/TorchSplineFlow.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

#include <ATen/ops/ones_like.h>
#include <ATen/ops/zeros.h>

#include "SplineSweep.h"
#include "openmmscore/models/CounterRandom.h"
#include "openmmscore/models/Error.h"

namespace OpenMMScore {

namespace {

using Kind = SplineFlowDescription::Kind;
using Stream = CounterRandom::Stream;

SplineLayerPlan planOf(const SplineFlowDescription& description, std::size_t l) {
    using Input = SplineLayerPlan::Input;
    SplineLayerPlan plan;
    const SplineFlowDescription::Layer& layer = description.layers[l];
    for (int c : description.getInputCoordinates(l)) {
        const bool angle = description.getKind(c) == Kind::Circular && !layer.rawAngles;
        const bool second = angle && !plan.inputs.empty() && plan.inputs.back().coordinate == c;
        plan.inputs.push_back({c, !angle   ? Input::Kind::Plain
                                  : second ? Input::Kind::Sine
                                           : Input::Kind::Cosine});
        plan.numAngles += angle && !second ? 1 : 0;
    }
    for (int c : layer.transformed) {
        plan.outputs.push_back({c, description.getKind(c), 0.0, plan.numNumbers});
        plan.numNumbers += description.countKnotNumbers(description.getKind(c));
    }
    return plan;
}

std::int64_t sizeOf(const SplineFlowTensor& tensor) {
    return std::accumulate(tensor.shape.begin(), tensor.shape.end(), std::int64_t(1), std::multiplies<>());
}

/** @return of a layer's weight, the standard deviation of its first numbers; 0 for those that begin at zero
 */
double initialDeviation(const SplineFlowDescription& description, const SplineFlowTensor& tensor) {
    // layers.l.features, layers.l.linear.j.weight, layers.l.blocks.b.expand.weight ...
    const std::string& name = tensor.name;
    if (!name.starts_with("layers.") || tensor.shape.size() < 2 || name.find(".head.") != name.npos)
        return 0.0;
    const std::vector<int>& hidden = description.layers[std::stoul(name.substr(7))].hidden;
    const std::size_t linear = name.find(".linear.");
    if (linear != name.npos)
        return std::stoul(name.substr(linear + 8)) < hidden.size() ? std::sqrt(2.0 / double(tensor.shape[1]))
                                                                   : 0.0;
    if (!name.ends_with(".weight"))
        return 1.0;
    // What blocks add shall not outgrow what was there, however many they are.
    const bool adds = name.ends_with("projection.weight") || name.ends_with("contract.weight");
    return std::sqrt(1.0 / double(tensor.shape[1]) / (adds ? 2.0 * double(hidden.size()) : 1.0));
}

bool isTrained(const std::string& name) {
    return name != "location" && name != "scale" && !name.ends_with(".shift");
}

} // namespace

class TorchSplineFlow::Impl {
public:
    Impl(const SplineFlowDescription& flow, std::vector<double> means, std::vector<double> deviations,
         std::uint64_t shiftSeed, const at::TensorOptions& tensorOptions);
    SplineParameters viewsOf(const at::Tensor& flatTensor) const;
    void drawShifts(std::uint64_t seed);
    void makeMask();
    void initialize(std::uint64_t seed);
    at::Tensor logDensity(const at::Tensor& v) const;
    double addGradient(const at::Tensor& v, double factor, at::Tensor& gradient) const;
    double constant() const;
    /** Call f with each tensor and where its numbers begin among the parameters; -1 if they are not there. */
    template <class F>
    void forTensors(F f) const;
    std::vector<double> shiftsOf(std::size_t layer) const;

    SplineFlowDescription description;
    std::vector<SplineFlowTensor> shapes;
    std::vector<double> location, scale;
    std::vector<SplineLayerPlan> plans;
    at::Tensor flat, mask;
    SplineParameters parameters;
};

template <class F>
void TorchSplineFlow::Impl::forTensors(F f) const {
    std::int64_t begin = 0;
    for (const SplineFlowTensor& tensor : shapes) {
        f(tensor, isTrained(tensor.name) ? begin : -1);
        begin += isTrained(tensor.name) ? sizeOf(tensor) : 0;
    }
}

TorchSplineFlow::Impl::Impl(const SplineFlowDescription& flow, std::vector<double> means,
                            std::vector<double> deviations, std::uint64_t shiftSeed,
                            const at::TensorOptions& options)
    : description(flow), shapes(splineFlowTensors(flow)), location(std::move(means)),
      scale(std::move(deviations)) {
    const auto d = static_cast<std::size_t>(description.dimension);
    if (location.size() != d || scale.size() != d)
        throw ShapeError("TorchSplineFlow: there are " + std::to_string(location.size()) + " locations and " +
                         std::to_string(scale.size()) + " scales, expected " + std::to_string(d) +
                         " of each");
    if (description.knots != SplineFlowDescription::Knots::Softplus)
        throw ShapeError("TorchSplineFlow: only flows with softplus knots can be trained");
    for (std::size_t l = 0; l < description.layers.size(); l++)
        plans.push_back(planOf(description, l));
    std::int64_t size = 0;
    forTensors([&](const SplineFlowTensor& tensor, std::int64_t begin) {
        if (begin >= 0)
            size = begin + sizeOf(tensor);
    });
    flat = at::zeros({size}, options);
    parameters = viewsOf(flat);
    drawShifts(shiftSeed);
    makeMask();
}

SplineParameters TorchSplineFlow::Impl::viewsOf(const at::Tensor& flatTensor) const {
    SplineParameters views;
    views.layers.resize(description.layers.size());
    forTensors([&](const SplineFlowTensor& tensor, std::int64_t begin) {
        if (begin < 0)
            return;
        const at::Tensor view = flatTensor.narrow(0, begin, sizeOf(tensor)).view(tensor.shape);
        if (tensor.name == "base.location")
            views.baseLocation = view;
        else if (tensor.name == "base.log_scale")
            views.baseLogScale = view;
        else
            views.layers[std::stoul(tensor.name.substr(7))].push_back(view);
    });
    return views;
}

void TorchSplineFlow::Impl::drawShifts(std::uint64_t seed) {
    CounterRandom random(seed, Stream::Initialization, 1);
    std::vector<bool> seen(location.size(), false);
    for (SplineLayerPlan& plan : plans)
        for (SplineLayerPlan::Output& output : plan.outputs) {
            if (output.kind != Kind::Circular)
                continue;
            if (seen[output.coordinate])
                output.shift = std::numbers::pi * (2.0 * random.uniform() - 1.0);
            seen[output.coordinate] = true;
        }
}

/** Weights of autoregressive networks, and numbers of the base of coordinates that are not real. */
void TorchSplineFlow::Impl::makeMask() {
    mask = at::ones_like(flat);
    const SplineParameters views = viewsOf(mask);
    for (std::size_t l = 0; l < plans.size(); l++)
        for (std::size_t j = 0; 2 * j + 1 < views.layers[l].size(); j++) {
            const SplineFlowDescription::Layer& layer = description.layers[l];
            if (layer.type != SplineFlowDescription::Layer::Type::Autoregressive ||
                layer.network == SplineFlowDescription::Network::Transformer)
                continue;
            const std::vector<std::uint8_t> allowed = splineFlowMask(description, l, j);
            at::Tensor target = views.layers[l][2 * j].view({-1});
            for (std::size_t i = 0; i < allowed.size(); i++)
                if (allowed[i] == 0)
                    target[static_cast<std::int64_t>(i)] = 0.0;
        }
    for (int c = 0; c < description.dimension; c++)
        if (views.baseLocation.defined() && description.getKind(c) != Kind::Real) {
            views.baseLocation[c] = 0.0;
            views.baseLogScale[c] = 0.0;
        }
}

void TorchSplineFlow::Impl::initialize(std::uint64_t seed) {
    CounterRandom random(seed, Stream::Initialization, 0);
    flat.zero_();
    forTensors([&](const SplineFlowTensor& tensor, std::int64_t begin) {
        if (begin < 0)
            return;
        at::Tensor target = flat.narrow(0, begin, sizeOf(tensor));
        if (tensor.name.ends_with("norm.weight"))
            target.fill_(1.0);
        const double deviation = initialDeviation(description, tensor);
        if (deviation == 0.0)
            return;
        at::Tensor values = at::zeros({target.numel()}, at::kDouble);
        for (std::int64_t i = 0; i < values.numel(); i++)
            values.data_ptr<double>()[i] = deviation * random.normal();
        target.copy_(values);
    });
    flat.mul_(mask);
}

double TorchSplineFlow::Impl::constant() const {
    double sum = 0.0;
    for (int c = 0; c < description.dimension; c++) {
        const Kind kind = description.getKind(c);
        const double twoPi = 2.0 * std::numbers::pi;
        sum -= std::log(scale[c]);
        sum -= kind == Kind::Real       ? 0.5 * std::log(twoPi)
               : kind == Kind::Circular ? std::log(twoPi)
                                        : std::log(2.0 * description.bound);
    }
    return sum;
}

namespace {

template <class F>
auto withNumbers(const at::Tensor& v, F f) {
    return v.scalar_type() == at::kDouble ? f(double()) : f(float());
}

} // namespace

at::Tensor TorchSplineFlow::Impl::logDensity(const at::Tensor& v) const {
    at::Tensor result = at::zeros({v.size(1)}, at::kDouble);
    withNumbers(v, [&](auto zero) {
        const SplineSweep<decltype(zero)> sweep(description, plans, parameters, v.contiguous(), false);
        std::copy(sweep.getLogDensities().begin(), sweep.getLogDensities().end(), result.data_ptr<double>());
    });
    return result.add_(constant());
}

double TorchSplineFlow::Impl::addGradient(const at::Tensor& v, double factor, at::Tensor& gradient) const {
    SplineParameters views = viewsOf(gradient);
    return withNumbers(v, [&](auto zero) {
        SplineSweep<decltype(zero)> sweep(description, plans, parameters, v.contiguous(), true);
        sweep.differentiate(factor, views);
        const std::vector<double>& each = sweep.getLogDensities();
        return factor * (std::accumulate(each.begin(), each.end(), 0.0) + double(each.size()) * constant());
    });
}

std::vector<double> TorchSplineFlow::Impl::shiftsOf(std::size_t layer) const {
    std::vector<double> result;
    for (const SplineLayerPlan::Output& output : plans[layer].outputs)
        if (output.kind == Kind::Circular)
            result.push_back(output.shift);
    return result;
}

TorchSplineFlow::TorchSplineFlow(const SplineFlowDescription& description, std::vector<double> location,
                                 std::vector<double> scale, std::uint64_t shiftSeed,
                                 const at::TensorOptions& options)
    : impl(std::make_unique<Impl>(description, std::move(location), std::move(scale), shiftSeed, options)) {}
TorchSplineFlow::~TorchSplineFlow() = default;
const SplineFlowDescription& TorchSplineFlow::getDescription() const {
    return impl->description;
}
at::Tensor& TorchSplineFlow::getFlatParameters() {
    return impl->flat;
}
const at::Tensor& TorchSplineFlow::getMask() const {
    return impl->mask;
}
void TorchSplineFlow::initialize(std::uint64_t seed) {
    impl->initialize(seed);
}
at::Tensor TorchSplineFlow::logDensity(const at::Tensor& v) const {
    return impl->logDensity(v);
}
double TorchSplineFlow::addGradient(const at::Tensor& v, double factor, at::Tensor& gradient) const {
    return impl->addGradient(v, factor, gradient);
}

std::vector<NamedTensor> TorchSplineFlow::exportTensors(const at::Tensor& values) const {
    const at::Tensor numbers = values.detach().to(at::kDouble).contiguous();
    const DType dtype = values.scalar_type() == at::kDouble ? DType::Float64 : DType::Float32;
    std::vector<NamedTensor> result;
    impl->forTensors([&](const SplineFlowTensor& tensor, std::int64_t begin) {
        NamedTensor named{tensor.name, tensor.shape, {}, begin < 0 ? DType::Float64 : dtype};
        const double* data = numbers.data_ptr<double>() + begin;
        if (begin >= 0)
            named.values.assign(data, data + sizeOf(tensor));
        else if (tensor.name == "location")
            named.values = impl->location;
        else if (tensor.name == "scale")
            named.values = impl->scale;
        else
            named.values = impl->shiftsOf(std::stoul(tensor.name.substr(7)));
        result.push_back(std::move(named));
    });
    return result;
}

void TorchSplineFlow::importTensors(const std::vector<std::vector<double>>& values) {
    std::size_t next = 0;
    impl->forTensors([&](const SplineFlowTensor& tensor, std::int64_t begin) {
        const std::vector<double>& given = values.at(next++);
        if (static_cast<std::int64_t>(given.size()) != sizeOf(tensor))
            throw ShapeError("TorchSplineFlow: tensor " + tensor.name + " has " +
                             std::to_string(given.size()) + " numbers, expected " +
                             std::to_string(sizeOf(tensor)));
        if (begin >= 0)
            for (std::size_t i = 0; i < given.size(); i++)
                impl->flat[begin + static_cast<std::int64_t>(i)] = given[i];
        else if (tensor.name.ends_with(".shift")) {
            auto from = given.begin();
            for (SplineLayerPlan::Output& output : impl->plans[std::stoul(tensor.name.substr(7))].outputs)
                if (output.kind == Kind::Circular)
                    output.shift = *from++;
        }
        else if (given != (tensor.name == "scale" ? impl->scale : impl->location))
            throw ShapeError("TorchSplineFlow: " + tensor.name + " differs from that of the flow at hand");
    });
}

} // namespace OpenMMScore
