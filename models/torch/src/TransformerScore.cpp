#include "TransformerScore.h"

#include <optional>

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/mv.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include "NodeIdentity.h"
#include "TransformerSweeps.h"

namespace OpenMMScore {

namespace {

template <class T>
class TransformerScore : public RecordedScore {
public:
    explicit TransformerScore(const TransformerInput& recorded);
    at::Tensor getScore() const override { return score; }
    at::Tensor getEnergy() const override { return energy; }
    at::Tensor getEnergyRate() const override { return rate; }
    void addGradient(const Cotangents& cotangents, at::Tensor& gradient) override;

private:
    at::Tensor perMolecule(const at::Tensor& nodes) const {
        return nodes.view({molecules, particles, hidden});
    }
    at::Tensor tangents(const Cotangents& cotangents);
    at::Tensor timeWeight() const {
        return input.parameters.nodeEmbedding.weight.narrow(1, identity.getWidth(), input.features.size(1));
    }

    TransformerInput input;
    std::int64_t molecules, particles, hidden;
    NodeIdentity identity;
    /** What each row of the nodes is multiplied by, shape [molecules, 1, 1]. */
    at::Tensor rowScale;
    std::vector<TransformerLayerSweeps<T>> layers;
    /** The nodes behind the last layer, summed over particles: shape [molecules, hidden]. */
    at::Tensor summedNodes;
    at::Tensor score, energy, rate;
};

template <class T>
TransformerScore<T>::TransformerScore(const TransformerInput& recorded)
    : input(recorded), molecules(input.positions.size(0)), particles(input.positions.size(1)),
      hidden(input.sizes.hidden), identity(input.parameters, particles, input.particleFeatures),
      rowScale(input.scale.view({molecules, 1, 1})) {
    const at::NoGradGuard noGrad;
    const TransformerParameters& p = input.parameters;
    const bool withRate = input.featureRates.defined();
    at::Tensor nodes =
        (identity.nodes() + at::addmm(p.nodeEmbedding.bias, input.features, timeWeight().t()).unsqueeze(1))
            .reshape({molecules * particles, hidden});
    layers.reserve(p.layers.size());
    for (const TransformerParameters::Layer& layer : p.layers) {
        layers.emplace_back(input.sizes, p, layer, input.positions, layers.empty() && !withRate);
        nodes = layers.back().value(nodes);
    }
    summedNodes = perMolecule(nodes).sum(1);
    energy = input.scale *
             (at::mv(summedNodes, p.readout.weight.view({hidden})) + double(particles) * p.readout.bias);
    at::Tensor gNodes = (rowScale * p.readout.weight.unsqueeze(0))
                            .expand({molecules, particles, hidden})
                            .reshape({molecules * particles, hidden});
    at::Tensor gPositions = at::zeros_like(input.positions);
    for (std::size_t l = layers.size(); l-- > 0;)
        gNodes = layers[l].adjoint(gNodes, gPositions);
    score = gPositions.neg_().view({molecules, particles * 3});
    if (withRate)
        rate = (at::mm(perMolecule(gNodes).sum(1), timeWeight()) * input.featureRates).sum(1);
}

/** @return the tangent of the nodes behind the last layer */
template <class T>
at::Tensor TransformerScore<T>::tangents(const Cotangents& cotangents) {
    at::Tensor dPositions = at::zeros_like(input.positions);
    if (cotangents.score.defined())
        dPositions.sub_(cotangents.score.view_as(dPositions));
    at::Tensor nodes = at::zeros({molecules * particles, hidden}, input.positions.options());
    if (cotangents.energyRate.defined()) {
        const at::Tensor dFeatures = cotangents.energyRate.unsqueeze(1) * input.featureRates;
        perMolecule(nodes).copy_(at::mm(dFeatures, timeWeight().t()).unsqueeze(1));
    }
    for (TransformerLayerSweeps<T>& layer : layers)
        nodes = layer.tangent(nodes, dPositions);
    return nodes;
}

template <class T>
void TransformerScore<T>::addGradient(const Cotangents& cotangents, at::Tensor& flatGradient) {
    const at::NoGradGuard noGrad;
    const TransformerParameters gradient = input.viewsOf(flatGradient);
    const TransformerParameters& p = input.parameters;
    gradient.readout.weight.add_((rowScale * perMolecule(tangents(cotangents))).sum({0, 1}));
    at::Tensor nodes = at::zeros({molecules * particles, hidden}, input.positions.options());
    if (cotangents.energy.defined()) {
        const at::Tensor ofOutput = (cotangents.energy * input.scale).unsqueeze(0);
        gradient.readout.weight.addmm_(ofOutput, summedNodes);
        gradient.readout.bias.add_(double(particles) * ofOutput.sum());
        perMolecule(nodes).copy_(at::mm(ofOutput.t(), p.readout.weight).unsqueeze(1));
    }
    for (std::size_t l = layers.size(); l-- > 0;)
        nodes = layers[l].second(nodes, gradient.layers[l], gradient.edgeEmbedding);
    const at::Tensor summed = perMolecule(nodes).sum(1);
    const at::Tensor& weight = gradient.nodeEmbedding.weight;
    at::Tensor ofTime = weight.narrow(1, identity.getWidth(), input.features.size(1));
    identity.addGradient(perMolecule(nodes), gradient);
    ofTime.addmm_(summed.t(), input.features);
    gradient.nodeEmbedding.bias.add_(summed.sum(0));
    if (cotangents.energyRate.defined())
        ofTime.addmm_(perMolecule(layers[0].getInputAdjoint()).sum(1).t(),
                      cotangents.energyRate.unsqueeze(1) * input.featureRates);
}

} // namespace

std::unique_ptr<RecordedScore> recordTransformerScore(const TransformerInput& input) {
    if (input.positions.scalar_type() == at::kDouble)
        return std::make_unique<TransformerScore<double>>(input);
    return std::make_unique<TransformerScore<float>>(input);
}

} // namespace OpenMMScore
