#include "MlpScore.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/mv.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include "RowOperations.h"

namespace OpenMMScore {

namespace {

template <class T>
class MlpScore : public RecordedScore {
public:
    explicit MlpScore(const MlpInput& recorded);
    at::Tensor getScore() const override { return score; }
    at::Tensor getEnergy() const override { return energy; }
    at::Tensor getEnergyRate() const override { return rate; }
    void addGradient(const Cotangents& cotangents, at::Tensor& gradient) override;

private:
    /** What a layer y = swish(a), a = W x + b keeps: x with the tangent d_x below it, [2 batch, width], so
     * that a weight's derivative is one product; the derivatives of swish; adjoints of y and a; the tangent
     * of a. */
    struct Layer {
        at::Tensor inputs, slope, curvature, gY, gA, dA;
    };

    at::Tensor first(const at::Tensor& doubled) const { return doubled.narrow(0, 0, batch); }
    at::Tensor second(const at::Tensor& doubled) const { return doubled.narrow(0, batch, batch); }
    at::Tensor doubledRows(std::int64_t width) const {
        return at::empty({2 * batch, width}, input.positions.options());
    }
    RowOperations::Activation<T> activation(const Layer& layer) const {
        return {layer.slope.numel(), layer.slope.template data_ptr<T>(),
                layer.curvature.template data_ptr<T>()};
    }
    void tangents(const Cotangents& cotangents);

    MlpInput input;
    std::int64_t batch, coordinates;
    std::vector<Layer> layers;
    /** The last layer's input with its tangent below. */
    at::Tensor last;
    at::Tensor score, energy, rate;
};

template <class T>
MlpScore<T>::MlpScore(const MlpInput& recorded)
    : input(recorded), batch(input.positions.size(0)), coordinates(input.positions.size(1)) {
    const at::NoGradGuard noGrad;
    last = doubledRows(coordinates + input.features.size(1));
    first(last).narrow(1, 0, coordinates).copy_(input.positions);
    first(last).narrow(1, coordinates, input.features.size(1)).copy_(input.features);
    for (std::size_t l = 0; l + 1 < input.layers.size(); l++) {
        const DenseParameters& p = input.layers[l];
        const at::Tensor a = at::addmm(p.bias, first(last), p.weight.t());
        Layer& layer = layers.emplace_back(Layer{last, at::empty_like(a), at::empty_like(a), {}, {}, {}});
        last = doubledRows(a.size(1));
        activation(layer).swish(a.data_ptr<T>(), last.template data_ptr<T>());
    }
    const DenseParameters& readout = input.layers.back();
    energy = input.scale * at::addmm(readout.bias, first(last), readout.weight.t()).squeeze(1);
    at::Tensor g = at::mm(input.scale.unsqueeze(1), readout.weight);
    for (std::size_t l = layers.size(); l-- > 0;) {
        Layer& layer = layers[l];
        layer.gY = g;
        layer.gA = at::empty_like(g);
        activation(layer).adjoint(g.data_ptr<T>(), layer.gA.template data_ptr<T>());
        g = at::mm(layer.gA, input.layers[l].weight);
    }
    score = -g.narrow(1, 0, coordinates);
    if (input.featureRates.defined())
        rate = (g.narrow(1, coordinates, input.features.size(1)) * input.featureRates).sum(1);
}

/** Fill the lower halves of all inputs. */
template <class T>
void MlpScore<T>::tangents(const Cotangents& cotangents) {
    const at::Tensor& start = layers.empty() ? last : layers[0].inputs;
    at::Tensor d = second(start);
    d.zero_();
    if (cotangents.score.defined())
        d.narrow(1, 0, coordinates).sub_(cotangents.score);
    if (cotangents.energyRate.defined())
        d.narrow(1, coordinates, input.features.size(1))
            .copy_(cotangents.energyRate.unsqueeze(1) * input.featureRates);
    for (std::size_t l = 0; l < layers.size(); l++) {
        const at::Tensor& next = l + 1 < layers.size() ? layers[l + 1].inputs : last;
        layers[l].dA = at::mm(second(layers[l].inputs), input.layers[l].weight.t());
        activation(layers[l]).tangent(layers[l].dA.template data_ptr<T>(),
                                      second(next).template data_ptr<T>());
    }
}

template <class T>
void MlpScore<T>::addGradient(const Cotangents& cotangents, at::Tensor& flatGradient) {
    const at::NoGradGuard noGrad;
    std::vector<DenseParameters> gradient = input.viewsOf(flatGradient);
    tangents(cotangents);
    const at::Tensor& readout = input.layers.back().weight;
    const at::Tensor ofEnergy =
        cotangents.energy.defined() ? cotangents.energy * input.scale : at::zeros_like(input.scale);
    gradient.back().weight.addmm_(at::cat({ofEnergy, input.scale}).unsqueeze(0), last);
    gradient.back().bias.add_(ofEnergy.sum());
    at::Tensor r = at::mm(ofEnergy.unsqueeze(1), readout);
    for (std::size_t l = layers.size(); l-- > 0;) {
        const Layer& layer = layers[l];
        const at::Tensor outputs = doubledRows(r.size(1));
        activation(layer).second(layer.gY.template data_ptr<T>(), r.data_ptr<T>(),
                                 layer.dA.template data_ptr<T>(), outputs.template data_ptr<T>());
        second(outputs).copy_(layer.gA);
        gradient[l].weight.addmm_(outputs.t(), layer.inputs);
        gradient[l].bias.add_(first(outputs).sum(0));
        if (l > 0)
            r = at::mm(first(outputs), input.layers[l].weight);
    }
}

} // namespace

std::unique_ptr<RecordedScore> recordMlpScore(const MlpInput& input) {
    if (input.positions.scalar_type() == at::kDouble)
        return std::make_unique<MlpScore<double>>(input);
    return std::make_unique<MlpScore<float>>(input);
}

} // namespace OpenMMScore
