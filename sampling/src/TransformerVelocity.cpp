#include "TransformerVelocity.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace OpenMMScore {

namespace {

constexpr double step = 1e-3;

} // namespace

TransformerVelocity::TransformerVelocity(const ContinuousFlowDescription& flow,
                                         const std::vector<std::vector<double>>& tensors)
    : coordinates(flow.count, flow.frame), model(describeTransformer(flow)),
      network(Network::create(model, 0, tensors)), directions(makeDirections(coordinates)),
      workspaceSize(network->atTime(0, {})->getWorkspaceSize()) {}

std::vector<double> TransformerVelocity::gather(int lane, const double* u) const {
    std::vector<double> y(coordinates.getDimension()), r(coordinates.getNumCoordinates());
    for (std::size_t i = 0; i < y.size(); i++)
        y[i] = u[i * lanes + lane];
    coordinates.toPositions(y.data(), r.data());
    return r;
}

void TransformerVelocity::evaluateMoved(const FixedTimeNetwork& fixed, const double* r, double offset,
                                        const double* direction, double* output, double* workspace) const {
    std::vector<double> moved(r, r + coordinates.getNumCoordinates());
    for (std::size_t i = 0; i < moved.size(); i++)
        moved[i] += offset * direction[i];
    fixed.evaluate(moved.data(), output, nullptr, workspace);
}

void TransformerVelocity::addDerivative(const FixedTimeNetwork& fixed, const double* r,
                                        const double* direction, double* product, double* workspace) const {
    const std::size_t width = coordinates.getNumCoordinates();
    const double length = std::sqrt(std::inner_product(direction, direction + width, direction, 0.0));
    if (length == 0)
        return;
    std::vector<double> output(width);
    const double h = step / length, offsets[] = {h, -h, 2 * h, -2 * h};
    const double weights[] = {8 / (12 * h), -8 / (12 * h), -1 / (12 * h), 1 / (12 * h)};
    for (int k = 0; k < 4; k++) {
        evaluateMoved(fixed, r, offsets[k], direction, output.data(), workspace);
        for (std::size_t i = 0; i < width; i++)
            product[i] += weights[k] * output[i];
    }
}

void TransformerVelocity::evaluate(const bool* active, const double* t, const double* u, double* v,
                                   double* divergence, double* workspace) const {
    const std::size_t d = coordinates.getDimension(), width = coordinates.getNumCoordinates();
    std::vector<double> output(width), y(d), product(width);
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
        fixed->evaluate(r.data(), output.data(), nullptr, workspace);
        coordinates.toCoordinates(output.data(), y.data());
        for (std::size_t i = 0; i < d; i++)
            v[i * lanes + lane] = y[i];
        for (std::size_t k = 0; divergence != nullptr && k < d; k++) {
            const double* direction = &directions[k * width];
            std::fill(product.begin(), product.end(), 0.0);
            addDerivative(*fixed, r.data(), direction, product.data(), workspace);
            divergence[lane] += std::inner_product(product.begin(), product.end(), direction, 0.0);
        }
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
            std::fill(change.begin(), change.end(), 0.0);
            addDerivative(*network->atTime(t[lane], {}), gather(lane, u).data(),
                          gather(lane, direction).data(), change.data(), workspace);
            coordinates.toCoordinates(change.data(), y.data());
        }
        for (std::size_t i = 0; i < d; i++)
            product[i * lanes + lane] = y[i];
    }
}

} // namespace OpenMMScore
