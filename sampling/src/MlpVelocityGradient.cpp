// The part of MlpVelocity that differentiates a second time.

#include <algorithm>
#include <utility>

#include "LaneLayers.h"
#include "MlpVelocity.h"

namespace OpenMMScore {

namespace {

constexpr int lanes = VelocityField::lanes;

/** y_i += c_i x_i with x [width, lanes], or [width] alike for all lanes. */
void addScaled(int width, bool alike, const double* c, const double* x, double* y) {
    for (int i = 0; i < width * lanes; i++)
        y[i] += c[i] * x[alike ? i / lanes : i];
}

} // namespace

void MlpVelocity::differentiate(const double* t, const double* u, const double* s, double* v,
                                double* divergence, double* gradient, double* workspace) const {
    const Places places = place(workspace);
    runLayers(places, t, u, v, true);
    std::fill_n(divergence, lanes, 0.0);
    std::fill_n(gradient, std::size_t(d) * lanes, 0.0);
    for (std::size_t l = 0; l + 1 < layers.size(); l++)
        std::fill_n(places.adjoints[l], std::size_t(layers[l].out) * lanes, 0.0);
    if (layers.size() <= 3)
        differentiateTrace(places, divergence);
    for (int i = 0; i < d; i++)
        if (isApart(i))
            differentiateDiagonal(places, i, divergence, gradient);
    multiplyLanes(layers.back().in, d, transposed.back().data(), nullptr, s, places.scratch[0]);
    propagateBack(places, gradient);
}

void MlpVelocity::differentiateTrace(const Places& places, double* divergence) const {
    const int height = layers[0].out, width = layers.back().in;
    double* product = places.scratch[0];
    if (layers.size() == 2) {
        for (int i = 0; i < height * lanes; i++)
            divergence[i % lanes] += traceWeight[i / lanes] * places.slopes[0][i];
        addScaled(height, true, places.curvatures[0], traceWeight.data(), places.adjoints[0]);
        return;
    }
    multiplyLanes(width, height, traceWeight.data(), nullptr, places.slopes[0], product);
    addLaneProducts(width, places.slopes[1], product, divergence);
    addScaled(width, false, places.curvatures[1], product, places.adjoints[1]);
    multiplyLanes(height, width, traceTransposed.data(), nullptr, places.slopes[1], product);
    addScaled(height, false, places.curvatures[0], product, places.adjoints[0]);
}

void MlpVelocity::differentiateDiagonal(const Places& places, int i, double* divergence,
                                        double* gradient) const {
    const int last = static_cast<int>(layers.size()) - 2, width = layers.back().in;
    double *g = places.scratch[0], *other = places.scratch[1];
    differentiateFirst(places, i, places.changes[0]);
    for (int l = 0; l <= last; l++) {
        std::fill_n(g, std::size_t(layers[l].out) * lanes, 0.0);
        addScaled(layers[l].out, false, places.slopes[l], places.changes[l], g);
        if (l < last)
            multiplyLanes(layers[l + 1].out, layers[l + 1].in, layers[l + 1].weight.data(), nullptr, g,
                          places.changes[l + 1]);
    }
    const double* row = &layers.back().weight[std::size_t(i) * width];
    for (int k = 0; k < width * lanes; k++) {
        divergence[k % lanes] += row[k / lanes] * g[k];
        g[k] = row[k / lanes];
    }
    // g: the derivative of dv_i/du_i by the change of what leaves each layer, then of what enters it.
    for (int l = last; l >= 0; l--) {
        for (int k = 0; k < layers[l].out * lanes; k++) {
            places.adjoints[l][k] += places.curvatures[l][k] * places.changes[l][k] * g[k];
            g[k] *= places.slopes[l][k];
        }
        if (l > 0) {
            multiplyLanes(layers[l].in, layers[l].out, transposed[l].data(), nullptr, g, other);
            std::swap(g, other);
        }
    }
    if (!isCircular[i])
        return;
    // cos(k u) and sin(k u) bend: their second derivatives are -k^2 times themselves.
    const int height = layers[0].out;
    for (int k = 0; k < 2 * flow.angleFrequencies; k++) {
        const double* input = places.input + std::size_t(starts[i] + k) * lanes;
        const double* column = &firstTransposed[std::size_t(starts[i] + k) * height];
        const int frequency = k / 2 + 1;
        const double square = frequency * frequency;
        for (int j = 0; j < height * lanes; j++)
            gradient[i * lanes + j % lanes] -= square * input[j % lanes] * column[j / lanes] * g[j];
    }
}

void MlpVelocity::propagateBack(const Places& places, double* gradient) const {
    double *g = places.scratch[0], *other = places.scratch[1];
    for (std::size_t l = layers.size() - 1; l-- > 0;) {
        for (int k = 0; k < layers[l].out * lanes; k++)
            g[k] = places.slopes[l][k] * g[k] + places.adjoints[l][k];
        if (l > 0) {
            multiplyLanes(layers[l].in, layers[l].out, transposed[l].data(), nullptr, g, other);
            std::swap(g, other);
        }
    }
    constexpr double ones[] = {1, 1, 1, 1, 1, 1, 1, 1};
    const int height = layers[0].out;
    for (int i = 0; i < d; i++) {
        const int size = starts[i + 1] - starts[i];
        differentiateInputs(places, i, ones, places.direction);
        multiplyLanes(size, height, &firstTransposed[std::size_t(starts[i]) * height], nullptr, g, other);
        addLaneProducts(size, places.direction, other, gradient + std::size_t(i) * lanes);
    }
}

} // namespace OpenMMScore
