#include "openmmscore/torch/TorchNetwork.h"

#include <cmath>
#include <numbers>

#include <ATen/TensorOperators.h>
#include <ATen/ops/clamp.h>
#include <ATen/ops/cos.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ge.h>
#include <ATen/ops/le.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/sin.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/autograd.h>

#include "TorchGraphTransformer.h"
#include "TorchMlp.h"
#include "openmmscore/models/CounterRandom.h"
#include "openmmscore/models/Error.h"

namespace OpenMMScore {

namespace {

std::int64_t numElements(const TensorShape& shape) {
    std::int64_t product = 1;
    for (std::int64_t size : shape.shape)
        product *= size;
    return product;
}

bool endsWith(const std::string& text, const std::string& end) {
    return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

/** A standard normal number, drawn again until it lies within two standard deviations. */
double truncatedNormal(CounterRandom& random) {
    for (;;) {
        const double x = random.normal();
        if (std::abs(x) <= 2.0)
            return x;
    }
}

} // namespace

TorchNetwork::TorchNetwork(const ModelDescription& model, int index, const at::TensorOptions& options)
    : expert(model.experts.at(index)), schedule(model.schedule.create()),
      prefix("experts." + std::to_string(index) + "."), numCoordinates(model.getNumCoordinates()),
      shapes(expertTensors(model, index)) {
    std::int64_t total = 0;
    for (const TensorShape& shape : shapes)
        total += numElements(shape);
    flat = at::zeros({total}, options);
    for (const at::Tensor& view : viewsOf(flat))
        parameters.push_back(view.detach().requires_grad_());
}

TorchNetwork::~TorchNetwork() = default;

std::unique_ptr<TorchNetwork> TorchNetwork::create(const ModelDescription& model, int expert,
                                                   const at::TensorOptions& options) {
    if (model.experts.at(expert).architecture == ExpertDescription::Architecture::Mlp)
        return std::make_unique<TorchMlp>(model, expert, options);
    return std::make_unique<TorchGraphTransformer>(model, expert, options);
}

const at::Tensor& TorchNetwork::parameter(const std::string& name) const {
    for (std::size_t i = 0; i < shapes.size(); i++)
        if (shapes[i].name == prefix + name)
            return parameters[i];
    throw ShapeError("TorchNetwork: there is no tensor named " + prefix + name);
}

std::vector<at::Tensor> TorchNetwork::viewsOf(const at::Tensor& flatTensor) const {
    std::vector<at::Tensor> views;
    std::int64_t offset = 0;
    for (const TensorShape& shape : shapes) {
        const std::int64_t count = numElements(shape);
        views.push_back(flatTensor.narrow(0, offset, count).view(shape.shape));
        offset += count;
    }
    return views;
}

void TorchNetwork::initialize(std::uint64_t seed) {
    // The standard deviation of a normal distribution cut at two, by which LeCun's is enlarged.
    constexpr double truncatedDeviation = 0.87962566103423978;
    std::vector<std::vector<double>> values;
    for (std::size_t i = 0; i < shapes.size(); i++) {
        const TensorShape& shape = shapes[i];
        CounterRandom random(seed, CounterRandom::Stream::Initialization, i);
        std::vector<double> tensor(numElements(shape), 0.0);
        if (shape.name.find("feature_embeddings.") != std::string::npos)
            for (double& x : tensor)
                x = random.normal() / std::sqrt(double(shape.shape[1]));
        else if (endsWith(shape.name, "_norm.weight"))
            std::fill(tensor.begin(), tensor.end(), 1.0);
        else if (endsWith(shape.name, ".weight"))
            for (double& x : tensor)
                x = truncatedNormal(random) / (truncatedDeviation * std::sqrt(double(shape.shape[1])));
        values.push_back(std::move(tensor));
    }
    importTensors(values);
}

void TorchNetwork::importTensors(const std::vector<std::vector<double>>& values) {
    std::vector<double> all;
    all.reserve(flat.numel());
    for (std::size_t i = 0; i < shapes.size(); i++) {
        if (static_cast<std::int64_t>(values.at(i).size()) != numElements(shapes[i]))
            throw ShapeError("TorchNetwork: tensor " + shapes[i].name + " needs " +
                             std::to_string(numElements(shapes[i])) + " values, there are " +
                             std::to_string(values[i].size()));
        all.insert(all.end(), values[i].begin(), values[i].end());
    }
    flat.copy_(at::from_blob(all.data(), {flat.numel()}, at::kDouble));
}

std::vector<NamedTensor> TorchNetwork::exportTensors(const at::Tensor& flatValues) const {
    const at::Tensor values = flatValues.detach().to(at::kCPU, at::kDouble).contiguous();
    const double* next = values.data_ptr<double>();
    const DType dtype = flat.scalar_type() == at::kDouble ? DType::Float64 : DType::Float32;
    std::vector<NamedTensor> result;
    for (const TensorShape& shape : shapes) {
        const std::int64_t count = numElements(shape);
        result.push_back({shape.name, shape.shape, std::vector<double>(next, next + count), dtype});
        next += count;
    }
    return result;
}

at::Tensor TorchNetwork::timeFeatures(const at::Tensor& t) const {
    const double width = expert.upperTime - expert.lowerTime, twoPi = 2.0 * std::numbers::pi;
    const at::Tensor s = at::clamp(t, expert.lowerTime, expert.upperTime);
    if (expert.timeFeatures == TimeFeatures::Linear)
        return s.unsqueeze(1).to(flat.options());
    std::vector<at::Tensor> columns = {s - 0.5 * width, at::cos(twoPi * s), at::sin(twoPi * s),
                                       -at::cos(2.0 * twoPi * s)};
    if (expert.timeFeatures == TimeFeatures::FourierRescaled) {
        const at::Tensor u = (s - expert.lowerTime) / width;
        columns.insert(columns.end(), {at::cos(twoPi * u), at::sin(twoPi * u), -at::cos(2.0 * twoPi * u)});
    }
    return at::stack(columns, 1).to(flat.options());
}

at::Tensor TorchNetwork::timeFeatureRates(const at::Tensor& t) const {
    const double width = expert.upperTime - expert.lowerTime, twoPi = 2.0 * std::numbers::pi;
    const at::Tensor inside =
        (at::ge(t, expert.lowerTime) * at::le(t, expert.upperTime)).to(at::kDouble).unsqueeze(1);
    if (expert.timeFeatures == TimeFeatures::Linear)
        return inside.to(flat.options());
    std::vector<at::Tensor> columns = {at::ones_like(t), -twoPi * at::sin(twoPi * t),
                                       twoPi * at::cos(twoPi * t), 2.0 * twoPi * at::sin(2.0 * twoPi * t)};
    if (expert.timeFeatures == TimeFeatures::FourierRescaled) {
        const double perTime = twoPi / width;
        const at::Tensor u = perTime * (t - expert.lowerTime);
        columns.insert(columns.end(),
                       {-perTime * at::sin(u), perTime * at::cos(u), 2.0 * perTime * at::sin(2.0 * u)});
    }
    return (inside * at::stack(columns, 1)).to(flat.options());
}

void TorchNetwork::checkCanRecord(Record what) const {
    if (what != Record::Score && !hasEnergy())
        throw ShapeError("TorchNetwork: an energy was asked for, but the expert has a score head");
    if (what == Record::EnergyRate && expert.scaling != Scaling::None)
        throw ShapeError(
            "TorchNetwork: the energy's rate was asked for, but the expert's output is divided by "
            "sigma(t); it is known for outputs that are not");
}

at::Tensor TorchNetwork::outputScale(const at::Tensor& t) const {
    const at::Tensor times = t.to(at::kCPU).contiguous();
    at::Tensor factors = at::full({t.numel()}, double(expert.outputSign), at::kDouble);
    if (expert.scaling == Scaling::InverseSigma)
        for (std::int64_t i = 0; i < t.numel(); i++)
            factors.data_ptr<double>()[i] /= schedule->sigma(times.data_ptr<double>()[i]);
    if (expert.scaling == Scaling::CleanData)
        for (std::int64_t i = 0; i < t.numel(); i++) {
            const double time = times.data_ptr<double>()[i], sigma = schedule->sigma(time);
            factors.data_ptr<double>()[i] *= schedule->meanCoefficient(time) / (sigma * sigma);
        }
    return factors.to(flat.options());
}

at::Tensor TorchNetwork::positionTerm(const at::Tensor& z, const at::Tensor& t) const {
    if (expert.scaling != Scaling::CleanData)
        return at::zeros({1}, flat.options());
    const at::Tensor times = t.to(at::kCPU).contiguous();
    at::Tensor factors = at::empty({t.numel(), 1}, at::kDouble);
    for (std::int64_t i = 0; i < t.numel(); i++)
        factors.data_ptr<double>()[i] = -1 / std::pow(schedule->sigma(times.data_ptr<double>()[i]), 2);
    return z.detach() * factors.to(flat.options());
}

at::Tensor TorchNetwork::energy(const at::Tensor& z, const at::Tensor& t,
                                const at::Tensor& particleFeatures) const {
    if (!hasEnergy())
        throw ShapeError("TorchNetwork: an energy was asked for, but the expert has a score head");
    return forward(z, timeFeatures(t), particleFeatures) * outputScale(t);
}

namespace {

/** By autograd: with an energy head, through the graph of the gradient's own computation. */
class AutogradScore : public RecordedScore {
public:
    AutogradScore(Cotangents recorded, const std::vector<at::Tensor>& networkParameters)
        : outputs(std::move(recorded)), parameters(networkParameters) {}

    at::Tensor getScore() const override { return outputs.score.detach(); }
    at::Tensor getEnergy() const override { return detached(outputs.energy); }
    at::Tensor getEnergyRate() const override { return detached(outputs.energyRate); }
    void addGradient(const Cotangents& cotangents, at::Tensor& gradient) override;

private:
    static at::Tensor detached(const at::Tensor& x) { return x.defined() ? x.detach() : x; }

    /** The outputs themselves, with the graph behind them. */
    Cotangents outputs;
    const std::vector<at::Tensor>& parameters;
};

void AutogradScore::addGradient(const Cotangents& cotangents, at::Tensor& gradient) {
    std::vector<at::Tensor> of, by;
    for (const auto part : {&Cotangents::score, &Cotangents::energy, &Cotangents::energyRate})
        if ((cotangents.*part).defined()) {
            of.push_back(outputs.*part);
            by.push_back(cotangents.*part);
        }
    // Constants added to the energy have no part in the score: their gradients are undefined, that is, zero.
    const auto parts = torch::autograd::grad(of, parameters, by, false, false, true);
    std::int64_t offset = 0;
    for (std::size_t i = 0; i < parts.size(); i++) {
        const std::int64_t count = parameters[i].numel();
        if (parts[i].defined())
            gradient.narrow(0, offset, count).add_(parts[i].reshape({count}));
        offset += count;
    }
}

} // namespace

std::unique_ptr<RecordedScore> TorchNetwork::recordScore(const at::Tensor& z, const at::Tensor& t,
                                                         Record what,
                                                         const at::Tensor& particleFeatures) const {
    checkCanRecord(what);
    at::AutoGradMode enable(true);
    if (!hasEnergy())
        return std::make_unique<AutogradScore>(
            Cotangents{forward(z, timeFeatures(t), particleFeatures) * outputScale(t).unsqueeze(1) +
                           positionTerm(z, t),
                       {},
                       {}},
            parameters);
    const bool rate = what == Record::EnergyRate;
    const at::Tensor input = z.detach().requires_grad_();
    const at::Tensor features = timeFeatures(t).requires_grad_(rate);
    Cotangents outputs;
    outputs.energy = forward(input, features, particleFeatures) * outputScale(t);
    const std::vector<at::Tensor> inputs = rate ? std::vector{input, features} : std::vector{input};
    const auto derivatives = torch::autograd::grad({outputs.energy.sum()}, inputs, {}, true, true);
    outputs.score = -derivatives[0];
    if (rate)
        outputs.energyRate = (derivatives[1] * timeFeatureRates(t)).sum(1);
    if (what == Record::Score)
        outputs.energy.reset();
    return std::make_unique<AutogradScore>(std::move(outputs), parameters);
}

} // namespace OpenMMScore
