#include "TorchTransformerVelocity.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>

namespace OpenMMScore {

TorchTransformerVelocity::TorchTransformerVelocity(const ContinuousFlowDescription& flow,
                                                   const at::TensorOptions& options)
    : TorchVelocity(flow, options), directions(flow, options),
      network(TorchNetwork::create(describeTransformer(flow), 0, options)) {
    flat = network->getFlatParameters();
}

void TorchTransformerVelocity::initialize(std::uint64_t seed) {
    network->initialize(seed);
    const std::vector<at::Tensor> views = viewsOf(flat);
    for (std::size_t k = 0; k < views.size(); k++)
        if (shapes[k].name.starts_with("network.readout."))
            views[k].zero_();
}

at::Tensor TorchTransformerVelocity::velocity(const at::Tensor& u, const at::Tensor& t) const {
    // A score head with the sign 1 gives the network's output itself.
    return directions.toCoordinates(network->recordScore(directions.toPositions(u), t)->getScore());
}

double TorchTransformerVelocity::addGradient(const at::Tensor& u, const at::Tensor& t,
                                             const at::Tensor& target, double factor,
                                             at::Tensor& gradient) const {
    const auto output = network->recordScore(directions.toPositions(u), t);
    const at::NoGradGuard noGrad;
    const at::Tensor difference = directions.toCoordinates(output->getScore()) - target;
    const double share = factor / double(u.size(1));
    output->addGradient({directions.toPositions(difference * (2.0 * share)), {}, {}}, gradient);
    return share * (difference * difference).sum(at::kDouble).item<double>();
}

} // namespace OpenMMScore
