#include "TransformerVelocity.h"

#include <algorithm>
#include <string>

#include "openmmscore/models/Error.h"

namespace OpenMMScore {

namespace {

/** Of each thread, in numbers of 8 bytes. */
constexpr std::size_t maxWorkspaceSize = std::size_t(1) << 29;

} // namespace

TransformerVelocity::TransformerVelocity(const ContinuousFlowDescription& flow,
                                         const std::vector<std::vector<double>>& tensors)
    : coordinates(flow.count, flow.frame), model(describeTransformer(flow)),
      network(Network::create(model, 0, tensors)),
      workspaceSize(network->atTime(0, {})->getDivergenceWorkspaceSize()) {
    if (workspaceSize > maxWorkspaceSize)
        throw ShapeError("ContinuousFlow: a graph transformer of " + std::to_string(flow.count) +
                         " particles, " + std::to_string(flow.graphTransformer.layers) + " layers and " +
                         std::to_string(flow.graphTransformer.heads) +
                         " heads needs more than 4 GiB to work in, expected a smaller one");
}

std::vector<double> TransformerVelocity::gather(int lane, const double* u) const {
    std::vector<double> y(coordinates.getDimension()), r(coordinates.getNumCoordinates());
    for (std::size_t i = 0; i < y.size(); i++)
        y[i] = u[i * lanes + lane];
    coordinates.toPositions(y.data(), r.data());
    return r;
}

void TransformerVelocity::evaluate(const bool* active, const double* t, const double* u, double* v,
                                   double* divergence, double* workspace) const {
    const std::size_t d = coordinates.getDimension(), width = coordinates.getNumCoordinates();
    std::vector<double> output(width), gradient(width), y(d);
    for (int lane = 0; lane < lanes; lane++) {
        if (divergence != nullptr)
            divergence[lane] = 0;
        if (!active[lane]) {
            for (std::size_t i = 0; i < d; i++)
                v[i * lanes + lane] = 0;
            continue;
        }
        const std::vector<double> r = gather(lane, u);
        const auto fixed = network->atTime(t[lane], {});
        // A common displacement changes nothing, so the trace is that of the coordinates, centred or not.
        if (divergence == nullptr)
            fixed->evaluate(r.data(), output.data(), nullptr, workspace);
        else
            fixed->evaluateDivergence(r.data(), output.data(), gradient.data(), divergence + lane, workspace);
        coordinates.toCoordinates(output.data(), y.data());
        for (std::size_t i = 0; i < d; i++)
            v[i * lanes + lane] = y[i];
    }
}

void TransformerVelocity::multiplyJacobian(const bool* active, const double* t, const double* u,
                                           const double* direction, double* product,
                                           double* workspace) const {
    const std::size_t d = coordinates.getDimension();
    std::vector<double> change(coordinates.getNumCoordinates()), y(d);
    for (int lane = 0; lane < lanes; lane++) {
        std::fill(y.begin(), y.end(), 0.0);
        if (active[lane]) {
            network->atTime(t[lane], {})
                ->multiplyJacobian(gather(lane, u).data(), gather(lane, direction).data(), change.data(),
                                   workspace);
            coordinates.toCoordinates(change.data(), y.data());
        }
        for (std::size_t i = 0; i < d; i++)
            product[i * lanes + lane] = y[i];
    }
}

} // namespace OpenMMScore
