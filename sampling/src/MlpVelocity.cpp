#include "MlpVelocity.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <utility>

#include "LaneLayers.h"

namespace OpenMMScore {

namespace {

constexpr int lanes = VelocityField::lanes;

/** y_i = s_i x_i with x [width, lanes], or [width] alike for all lanes. */
void scale(int width, bool alike, const double* x, const double* slopes, double* y) {
    for (int i = 0; i < width * lanes; i++)
        y[i] = x[alike ? i / lanes : i] * slopes[i];
}

std::vector<double> transpose(std::size_t rows, std::size_t columns, const std::vector<double>& matrix) {
    std::vector<double> result(matrix.size());
    for (std::size_t i = 0; i < rows; i++)
        for (std::size_t j = 0; j < columns; j++)
            result[j * rows + i] = matrix[i * columns + j];
    return result;
}

} // namespace

MlpVelocity::MlpVelocity(const ContinuousFlowDescription& flow, std::vector<std::vector<double>> tensors)
    : flow(flow), d(flow.getDimension()), numInputs(flow.getNumInputs()), isCircular(flow.whichAreCircular()),
      starts(1, 0) {
    for (int i = 0; i < d; i++)
        starts.push_back(starts.back() + (isCircular[i] ? 2 * flow.angleFrequencies : 1));
    int in = numInputs + flow.getNumTimeFeatures();
    for (std::size_t l = 0; 2 * l < tensors.size(); l++) {
        const int out = static_cast<int>(tensors[2 * l + 1].size());
        layers.push_back({out, in, std::move(tensors[2 * l]), std::move(tensors[2 * l + 1])});
        widest = std::max(widest, out);
        in = out;
    }
    prepareDivergence();
}

void MlpVelocity::prepareDivergence() {
    const Layer &first = layers[0], &last = layers.back();
    const std::size_t height = first.out, width = last.in, n = d, inputs = numInputs;
    firstWeight.resize(height * inputs);
    firstTransposed.resize(height * inputs);
    for (std::size_t k = 0; k < height; k++)
        for (std::size_t i = 0; i < inputs; i++)
            firstTransposed[i * height + k] = firstWeight[k * inputs + i] = first.weight[k * first.in + i];
    for (const Layer& layer : layers)
        transposed.push_back(transpose(layer.out, layer.in, layer.weight));
    if (layers.size() > 3)
        return;
    // (W_0 W_last)_jk of the elements that count: j = k for one hidden layer, all of them for two.
    const bool diagonal = layers.size() == 2;
    traceWeight.assign(diagonal ? height : width * height, 0.0);
    for (std::size_t i = 0; i < n; i++)
        for (std::size_t k = 0; k < width && !isCircular[i]; k++) {
            const double factor = last.weight[i * width + k];
            const double* column = &firstTransposed[starts[i] * height];
            if (diagonal)
                traceWeight[k] += factor * column[k];
            else
                for (std::size_t j = 0; j < height; j++)
                    traceWeight[k * height + j] += factor * column[j];
        }
    for (std::size_t i = 0; !diagonal && i < traceWeight.size(); i++)
        traceWeight[i] *= layers[1].weight[i];
    if (!diagonal)
        traceTransposed = transpose(width, height, traceWeight);
}

std::size_t MlpVelocity::getWorkspaceSize() const {
    std::size_t rows = layers[0].in + numInputs + 2 * std::size_t(std::max(widest, numInputs));
    for (const Layer& layer : layers)
        rows += 5 * std::size_t(layer.out);
    return rows * lanes;
}

MlpVelocity::Places MlpVelocity::place(double* workspace) const {
    Places places;
    const auto take = [&](int rows) {
        double* start = workspace;
        workspace += std::size_t(rows) * lanes;
        return start;
    };
    places.input = take(layers[0].in);
    places.direction = take(numInputs);
    for (double*& scratch : places.scratch)
        scratch = take(std::max(widest, numInputs));
    for (std::size_t l = 0; l + 1 < layers.size(); l++) {
        places.activations.push_back(take(layers[l].out));
        places.slopes.push_back(take(layers[l].out));
        places.curvatures.push_back(take(layers[l].out));
        places.changes.push_back(take(layers[l].out));
        places.adjoints.push_back(take(layers[l].out));
    }
    return places;
}

void MlpVelocity::evaluate(const bool*, const double* t, const double* u, double* v, double* divergence,
                           double* workspace) const {
    const Places places = place(workspace);
    runLayers(places, t, u, v, false);
    if (divergence != nullptr)
        computeDivergence(places, divergence);
}

void MlpVelocity::runLayers(const Places& places, const double* t, const double* u, double* v,
                            bool curvatures) const {
    writeInputs(u, places.input);
    std::vector<double> features(flow.getNumTimeFeatures());
    for (int lane = 0; lane < lanes; lane++) {
        computeFlowTimeFeatures(flow, t[lane], features.data());
        for (std::size_t k = 0; k < features.size(); k++)
            places.input[(numInputs + k) * lanes + lane] = features[k];
    }
    const bool swish = flow.mlp.activation == ContinuousFlowDescription::Activation::Swish;
    const double* x = places.input;
    for (std::size_t l = 0; l + 1 < layers.size(); l++) {
        multiplyLanes(layers[l].out, layers[l].in, layers[l].weight.data(), layers[l].bias.data(), x,
                      places.activations[l]);
        activateLanes(swish, layers[l].out, places.activations[l], places.slopes[l],
                      curvatures ? places.curvatures[l] : nullptr);
        x = places.activations[l];
    }
    multiplyLanes(d, layers.back().in, layers.back().weight.data(), layers.back().bias.data(), x, v);
}

void MlpVelocity::writeInputs(const double* u, double* input) const {
    for (int i = 0; i < d; i++, u += lanes) {
        if (!isCircular[i]) {
            input = std::copy_n(u, lanes, input);
            continue;
        }
        for (int k = 1; k <= flow.angleFrequencies; k++, input += 2 * lanes)
            for (int lane = 0; lane < lanes; lane++) {
                input[lane] = std::cos(k * u[lane]);
                input[lanes + lane] = std::sin(k * u[lane]);
            }
    }
}

void MlpVelocity::differentiateInputs(const Places& places, int i, const double* change,
                                      double* result) const {
    if (!isCircular[i]) {
        std::copy_n(change, lanes, result);
        return;
    }
    const double* input = places.input + std::size_t(starts[i]) * lanes;
    for (int k = 1; k <= flow.angleFrequencies; k++, input += 2 * lanes, result += 2 * lanes)
        for (int lane = 0; lane < lanes; lane++) {
            result[lane] = -k * input[lanes + lane] * change[lane];
            result[lanes + lane] = k * input[lane] * change[lane];
        }
}

void MlpVelocity::computeDivergence(const Places& places, double* divergence) const {
    std::fill_n(divergence, lanes, 0.0);
    const int height = layers[0].out, width = layers.back().in;
    if (layers.size() == 2) {
        scale(height, true, traceWeight.data(), places.slopes[0], places.scratch[0]);
        for (int i = 0; i < height * lanes; i++)
            divergence[i % lanes] += places.scratch[0][i];
    }
    if (layers.size() == 3) {
        multiplyLanes(width, height, traceWeight.data(), nullptr, places.slopes[0], places.scratch[0]);
        addLaneProducts(width, places.slopes[1], places.scratch[0], divergence);
    }
    for (int i = 0; i < d; i++)
        if (isApart(i))
            addDiagonal(places, i, divergence);
}

void MlpVelocity::addDiagonal(const Places& places, int i, double* divergence) const {
    differentiateFirst(places, i, places.scratch[0]);
    scale(layers[0].out, false, places.scratch[0], places.slopes[0], places.scratch[0]);
    const double* column = propagate(places, 0);
    double diagonal[lanes];
    multiplyLanes(1, layers.back().in, &layers.back().weight[std::size_t(i) * layers.back().in], nullptr,
                  column, diagonal);
    for (int lane = 0; lane < lanes; lane++)
        divergence[lane] += diagonal[lane];
}

void MlpVelocity::differentiateFirst(const Places& places, int i, double* change) const {
    constexpr double ones[] = {1, 1, 1, 1, 1, 1, 1, 1};
    static_assert(std::size(ones) == lanes);
    const int height = layers[0].out, size = starts[i + 1] - starts[i];
    differentiateInputs(places, i, ones, places.direction);
    std::fill_n(change, std::size_t(height) * lanes, 0.0);
    for (int k = 0; k < size; k++) {
        const double* column = &firstTransposed[std::size_t(starts[i] + k) * height];
        for (int j = 0; j < height * lanes; j++)
            change[j] += column[j / lanes] * places.direction[k * lanes + j % lanes];
    }
}

const double* MlpVelocity::propagate(const Places& places, int current) const {
    for (std::size_t l = 1; l + 1 < layers.size(); l++) {
        double* result = places.scratch[1 - current];
        multiplyLanes(layers[l].out, layers[l].in, layers[l].weight.data(), nullptr, places.scratch[current],
                      result);
        scale(layers[l].out, false, result, places.slopes[l], result);
        current = 1 - current;
    }
    return places.scratch[current];
}

void MlpVelocity::multiplyJacobian(const bool*, const double*, const double*, const double* direction,
                                   double* product, double* workspace) const {
    const Places places = place(workspace);
    for (int i = 0; i < d; i++)
        differentiateInputs(places, i, direction + std::size_t(i) * lanes,
                            places.direction + std::size_t(starts[i]) * lanes);
    multiplyLanes(layers[0].out, numInputs, firstWeight.data(), nullptr, places.direction, places.scratch[0]);
    scale(layers[0].out, false, places.scratch[0], places.slopes[0], places.scratch[0]);
    const double* column = propagate(places, 0);
    multiplyLanes(d, layers.back().in, layers.back().weight.data(), nullptr, column, product);
}

} // namespace OpenMMScore
