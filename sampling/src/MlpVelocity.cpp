#include "MlpVelocity.h"

#include <algorithm>
#include <utility>

#include "LaneMath.h"

namespace OpenMMScore {

namespace {

constexpr int lanes = VelocityField::lanes;

/** Rows first ... first+numRows-1 of y = W x + b; sums go over columns in order, whatever the block. */
template <int numRows>
OPENMMSCORE_LANE_INLINE void multiplyRows(int first, int in, const double* weight, const double* bias,
                                          const double* x, double* y) {
    Lanes sums[numRows];
    for (int r = 0; r < numRows; r++)
        sums[r] = Lanes{} + (bias == nullptr ? 0.0 : bias[first + r]);
    const double* row = weight + std::size_t(first) * in;
    for (int i = 0; i < in; i++) {
        Lanes xi;
        loadLanes(x + std::size_t(i) * lanes, xi);
        for (int r = 0; r < numRows; r++)
            sums[r] += row[std::size_t(r) * in + i] * xi;
    }
    for (int r = 0; r < numRows; r++)
        storeLanes(sums[r], y + std::size_t(first + r) * lanes);
}

/** y = W x + b; W: [out, in], x: [in, lanes], y: [out, lanes]; no b if null. */
OPENMMSCORE_LANE_CLONES void multiply(int out, int in, const double* weight, const double* bias,
                                      const double* x, double* y) {
    // Four rows at a time: each sum waits for itself only, and x is read once for all of them.
    int o = 0;
    for (; o + 4 <= out; o += 4)
        multiplyRows<4>(o, in, weight, bias, x, y);
    for (; o < out; o++)
        multiplyRows<1>(o, in, weight, bias, x, y);
}

/** Replace x, [width, lanes], by its activation. */
OPENMMSCORE_LANE_CLONES void activate(bool swish, int width, double* x, double* slopes) {
    for (int i = 0; i < width; i++) {
        Lanes value, slope;
        loadLanes(x + std::size_t(i) * lanes, value);
        if (swish)
            swishLanes(value, slope);
        else
            tanhLanes(value, slope);
        storeLanes(value, x + std::size_t(i) * lanes);
        storeLanes(slope, slopes + std::size_t(i) * lanes);
    }
}

/** sum += sum_i a_i b_i, lane by lane; a, b: [width, lanes]. */
OPENMMSCORE_LANE_CLONES void addProduct(int width, const double* a, const double* b, double* sum) {
    Lanes total, ai, bi;
    loadLanes(sum, total);
    for (std::size_t i = 0; i < std::size_t(width); i++) {
        loadLanes(a + i * lanes, ai);
        loadLanes(b + i * lanes, bi);
        total += ai * bi;
    }
    storeLanes(total, sum);
}

/** y_i = s_i x_i with x [width, lanes], or [width] alike for all lanes. */
void scale(int width, bool alike, const double* x, const double* slopes, double* y) {
    for (int i = 0; i < width * lanes; i++)
        y[i] = x[alike ? i / lanes : i] * slopes[i];
}

} // namespace

MlpVelocity::MlpVelocity(const ContinuousFlowDescription& flow, std::vector<std::vector<double>> tensors)
    : flow(flow), d(flow.getDimension()) {
    int in = d + flow.getNumTimeFeatures();
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
    const std::size_t height = first.out, width = last.in, n = d;
    firstWeight.resize(height * n);
    firstTransposed.resize(height * n);
    for (std::size_t k = 0; k < height; k++)
        for (std::size_t i = 0; i < n; i++)
            firstTransposed[i * height + k] = firstWeight[k * n + i] = first.weight[k * first.in + i];
    if (layers.size() > 3)
        return;
    // (W_0 W_last)_jk of the elements that count: j = k for one hidden layer, all of them for two.
    const bool diagonal = layers.size() == 2;
    traceWeight.assign(diagonal ? height : width * height, 0.0);
    for (std::size_t i = 0; i < n; i++)
        for (std::size_t k = 0; k < width; k++) {
            const double factor = last.weight[i * width + k];
            const double* column = &firstTransposed[i * height];
            if (diagonal)
                traceWeight[k] += factor * column[k];
            else
                for (std::size_t j = 0; j < height; j++)
                    traceWeight[k * height + j] += factor * column[j];
        }
    for (std::size_t i = 0; !diagonal && i < traceWeight.size(); i++)
        traceWeight[i] *= layers[1].weight[i];
}

std::size_t MlpVelocity::getWorkspaceSize() const {
    std::size_t rows = layers[0].in + 2 * std::size_t(std::max(widest, d));
    for (const Layer& layer : layers)
        rows += 2 * std::size_t(layer.out);
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
    for (double*& scratch : places.scratch)
        scratch = take(std::max(widest, d));
    for (std::size_t l = 0; l + 1 < layers.size(); l++) {
        places.activations.push_back(take(layers[l].out));
        places.slopes.push_back(take(layers[l].out));
    }
    return places;
}

void MlpVelocity::evaluate(const bool*, const double* t, const double* u, double* v, double* divergence,
                           double* workspace) const {
    const Places places = place(workspace);
    std::copy_n(u, std::size_t(d) * lanes, places.input);
    std::vector<double> features(flow.getNumTimeFeatures());
    for (int lane = 0; lane < lanes; lane++) {
        computeFlowTimeFeatures(flow, t[lane], features.data());
        for (std::size_t k = 0; k < features.size(); k++)
            places.input[(d + k) * lanes + lane] = features[k];
    }
    const double* x = places.input;
    for (std::size_t l = 0; l + 1 < layers.size(); l++) {
        multiply(layers[l].out, layers[l].in, layers[l].weight.data(), layers[l].bias.data(), x,
                 places.activations[l]);
        activate(flow.mlp.activation == ContinuousFlowDescription::Activation::Swish, layers[l].out,
                 places.activations[l], places.slopes[l]);
        x = places.activations[l];
    }
    multiply(d, layers.back().in, layers.back().weight.data(), layers.back().bias.data(), x, v);
    if (divergence != nullptr)
        computeDivergence(places, divergence);
}

void MlpVelocity::computeDivergence(const Places& places, double* divergence) const {
    std::fill_n(divergence, lanes, 0.0);
    const int height = layers[0].out, width = layers.back().in;
    if (layers.size() == 2) {
        scale(height, true, traceWeight.data(), places.slopes[0], places.scratch[0]);
        for (int i = 0; i < height * lanes; i++)
            divergence[i % lanes] += places.scratch[0][i];
        return;
    }
    if (layers.size() == 3) {
        multiply(width, height, traceWeight.data(), nullptr, places.slopes[0], places.scratch[0]);
        addProduct(width, places.slopes[1], places.scratch[0], divergence);
        return;
    }
    for (int i = 0; i < d; i++) {
        scale(height, true, &firstTransposed[std::size_t(i) * height], places.slopes[0], places.scratch[0]);
        const double* column = propagate(places, 0);
        double diagonal[lanes];
        multiply(1, width, &layers.back().weight[std::size_t(i) * width], nullptr, column, diagonal);
        for (int lane = 0; lane < lanes; lane++)
            divergence[lane] += diagonal[lane];
    }
}

const double* MlpVelocity::propagate(const Places& places, int current) const {
    for (std::size_t l = 1; l + 1 < layers.size(); l++) {
        double* result = places.scratch[1 - current];
        multiply(layers[l].out, layers[l].in, layers[l].weight.data(), nullptr, places.scratch[current],
                 result);
        scale(layers[l].out, false, result, places.slopes[l], result);
        current = 1 - current;
    }
    return places.scratch[current];
}

void MlpVelocity::multiplyJacobian(const bool*, const double*, const double*, const double* direction,
                                   double* product, double* workspace) const {
    const Places places = place(workspace);
    multiply(layers[0].out, d, firstWeight.data(), nullptr, direction, places.scratch[0]);
    scale(layers[0].out, false, places.scratch[0], places.slopes[0], places.scratch[0]);
    const double* column = propagate(places, 0);
    multiply(d, layers.back().in, layers.back().weight.data(), nullptr, column, product);
}

} // namespace OpenMMScore
