#include "TransformerScore.h"

#include <optional>

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/zeros_like.h>

#include "TransformerSweeps.h"

namespace OpenMMScore {

namespace {

template <class T>
class TransformerScore : public RecordedScore {
public:
    explicit TransformerScore(const TransformerInput& recorded);
    at::Tensor getScore() const override { return score; }
    void addGradient(const at::Tensor& cotangent, at::Tensor& gradient) override;

private:
    TransformerInput input;
    std::int64_t molecules, particles, hidden;
    /** What each row of the nodes is multiplied by, shape [molecules, 1, 1]. */
    at::Tensor rowScale;
    std::vector<TransformerLayerSweeps<T>> layers;
    at::Tensor score;
};

template <class T>
TransformerScore<T>::TransformerScore(const TransformerInput& recorded)
    : input(recorded), molecules(input.positions.size(0)), particles(input.positions.size(1)),
      hidden(input.sizes.hidden), rowScale(input.scale.view({molecules, 1, 1})) {
    const at::NoGradGuard noGrad;
    const TransformerParameters& p = input.parameters;
    const std::int64_t numFeatures = input.features.size(1);
    const at::Tensor identity = p.nodeEmbedding.weight.narrow(1, 0, particles).t().contiguous();
    const at::Tensor time = p.nodeEmbedding.weight.narrow(1, particles, numFeatures);
    at::Tensor nodes =
        (identity.unsqueeze(0) + at::addmm(p.nodeEmbedding.bias, input.features, time.t()).unsqueeze(1))
            .reshape({molecules * particles, hidden});
    layers.reserve(p.layers.size());
    for (const TransformerParameters::Layer& layer : p.layers) {
        layers.emplace_back(input.sizes, p, layer, input.positions, layers.empty());
        nodes = layers.back().value(nodes);
    }
    // The energy itself is not needed: its readout is linear, and the adjoint begins with the readout's
    // weight.
    at::Tensor gNodes = (rowScale * p.readout.weight.unsqueeze(0))
                            .expand({molecules, particles, hidden})
                            .reshape({molecules * particles, hidden});
    at::Tensor gPositions = at::zeros_like(input.positions);
    for (std::size_t l = layers.size(); l-- > 0;)
        gNodes = layers[l].adjoint(gNodes, gPositions);
    score = gPositions.neg_().view({molecules, particles * 3});
}

template <class T>
void TransformerScore<T>::addGradient(const at::Tensor& cotangent, at::Tensor& flatGradient) {
    const at::NoGradGuard noGrad;
    const TransformerParameters gradient = input.viewsOf(flatGradient);
    const at::Tensor dPositions = (-cotangent).contiguous().view_as(input.positions);
    at::Tensor nodes = at::zeros({molecules * particles, hidden}, input.positions.options());
    for (TransformerLayerSweeps<T>& layer : layers)
        nodes = layer.tangent(nodes, dPositions);
    gradient.readout.weight.add_((rowScale * nodes.view({molecules, particles, hidden})).sum({0, 1}));
    nodes = at::zeros_like(nodes);
    for (std::size_t l = layers.size(); l-- > 0;)
        nodes = layers[l].second(nodes, gradient.layers[l], gradient.edgeEmbedding);
    const at::Tensor byMolecule = nodes.view({molecules, particles, hidden});
    const at::Tensor summed = byMolecule.sum(1);
    const at::Tensor& weight = gradient.nodeEmbedding.weight;
    weight.narrow(1, 0, particles).add_(byMolecule.sum(0).t());
    weight.narrow(1, particles, input.features.size(1)).addmm_(summed.t(), input.features);
    gradient.nodeEmbedding.bias.add_(summed.sum(0));
}

} // namespace

std::unique_ptr<RecordedScore> recordTransformerScore(const TransformerInput& input) {
    if (input.positions.scalar_type() == at::kDouble)
        return std::make_unique<TransformerScore<double>>(input);
    return std::make_unique<TransformerScore<float>>(input);
}

} // namespace OpenMMScore
