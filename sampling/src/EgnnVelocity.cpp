#include "EgnnVelocity.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "LaneLayers.h"
#include "openmmscore/models/Error.h"

namespace OpenMMScore {

namespace {

constexpr int lanes = VelocityField::lanes;
constexpr double smallDistance = 1e-8;

/** y_i = factor x_i for [width, lanes] with a factor of each lane. */
void scaleByLane(int width, const double* factor, const double* x, double* y) {
    for (int i = 0; i < width; i++)
        for (int lane = 0; lane < lanes; lane++)
            y[i * lanes + lane] = factor[lane] * x[i * lanes + lane];
}

void multiplyElements(int width, const double* slopes, double* x) {
    for (int i = 0; i < width * lanes; i++)
        x[i] *= slopes[i];
}

void addElements(int width, const double* x, double* sum) {
    for (int i = 0; i < width * lanes; i++)
        sum[i] += x[i];
}

/** z_k = a_k + b_k + w_k x + w0_k x0: the first layer of a pair's network, whose nodes' shares are known. */
void combine(int width, const double* a, const double* b, const std::vector<double>& w, const double* x,
             const std::vector<double>& w0, const double* x0, double* z) {
    for (int k = 0; k < width; k++)
        for (int lane = 0; lane < lanes; lane++)
            z[k * lanes + lane] =
                a[k * lanes + lane] + b[k * lanes + lane] + w[k] * x[lane] + w0[k] * x0[lane];
}

/** difference = r_i - r_j, [3, lanes]; square = its squared length, [lanes]. */
void subtract(const double* r, int i, int j, double* difference, double* square) {
    std::fill_n(square, lanes, 0.0);
    for (int k = 0; k < 3 * lanes; k++) {
        difference[k] = r[3 * i * lanes + k] - r[3 * j * lanes + k];
        square[k % lanes] += difference[k] * difference[k];
    }
}

/** 2 a . b, [lanes], of a and b [3, lanes]. */
void twiceProduct(const double* a, const double* b, double* result) {
    for (int lane = 0; lane < lanes; lane++)
        result[lane] = 2 * (a[lane] * b[lane] + a[lanes + lane] * b[lanes + lane] +
                            a[2 * lanes + lane] * b[2 * lanes + lane]);
}

} // namespace

EgnnVelocity::EgnnVelocity(const ContinuousFlowDescription& flow, std::vector<std::vector<double>> tensors)
    : flow(flow), coordinates(flow.count, flow.frame), numParticles(flow.count), hidden(flow.egnn.hidden) {
    const std::vector<double>&features = tensors[0], &weight = tensors[1], &bias = tensors[2];
    const int numFeatures = flow.egnn.nodeFeatures, numTimes = flow.getNumTimeFeatures();
    const int rowLength = numFeatures + numTimes;
    for (int k = 0; k < hidden; k++)
        timeWeight.insert(timeWeight.end(), &weight[std::size_t(k) * rowLength + numFeatures],
                          &weight[std::size_t(k) * rowLength] + rowLength);
    for (int i = 0; i < numParticles; i++)
        for (int k = 0; k < hidden; k++) {
            double sum = bias[k];
            for (int f = 0; f < numFeatures; f++)
                sum += weight[std::size_t(k) * rowLength + f] * features[std::size_t(i) * numFeatures + f];
            embeddedFeatures.push_back(sum);
        }
    auto next = tensors.begin() + 3;
    for (int l = 0; l < flow.egnn.layers; l++) {
        Layer layer;
        for (std::vector<double>* tensor :
             {&layer.edgeWeight0, &layer.edgeBias0, &layer.edgeWeight1, &layer.edgeBias1, &layer.gateWeight,
              &layer.gateBias, &layer.coordinateWeight0, &layer.coordinateBias0, &layer.coordinateWeight1,
              &layer.nodeWeight0, &layer.nodeBias0, &layer.nodeWeight1, &layer.nodeBias1})
            *tensor = std::move(*next++);
        for (int k = 0; k < hidden; k++) {
            const double* row = &layer.edgeWeight0[std::size_t(k) * (2 * hidden + 2)];
            layer.nowWeight.push_back(row[2 * hidden]);
            layer.initialWeight.push_back(row[2 * hidden + 1]);
        }
        layers.push_back(std::move(layer));
    }
    directions = makeDirections(coordinates);
    place(nullptr, &workspaceSize);
    if (workspaceSize > (std::size_t(1) << 27))
        throw ShapeError("ContinuousFlow: an EGNN of " + std::to_string(numParticles) + " particles, " +
                         std::to_string(flow.egnn.layers) + " layers and " + std::to_string(hidden) +
                         " hidden units needs a workspace of more than 1 GiB");
}

EgnnVelocity::Values EgnnVelocity::place(double* workspace, std::size_t* size) const {
    std::size_t used = 0;
    const auto take = [&](std::size_t rows) {
        // While sizes are only counted there is nothing to point to.
        double* start = workspace == nullptr ? nullptr : workspace + used;
        used += rows * lanes;
        return start;
    };
    const std::size_t n = numParticles, h = hidden, pairs = n * (n - 1);
    Values values;
    for (std::size_t l = 0; l < layers.size(); l++) {
        LayerValues at;
        at.r = take(3 * n);
        for (double** each : {&at.distance, &at.gate, &at.pull, &at.pullSlope})
            *each = take(pairs);
        for (double** each : {&at.slope0, &at.slope1, &at.message, &at.coordinateSlope})
            *each = take(pairs * h);
        at.nodeSlope = take(n * h);
        values.layers.push_back(at);
    }
    values.start = take(3 * n);
    values.end = take(3 * n);
    for (double** each : {&values.h, &values.ofSource, &values.ofTarget, &values.sum})
        *each = take(n * h);
    for (double** each : {&values.row0, &values.row1, &values.row2})
        *each = take(h);
    if (size != nullptr)
        *size = used;
    return values;
}

void EgnnVelocity::toParticles(const double* u, double* r) const {
    const int d = coordinates.getDimension();
    std::vector<double> y(d), x(3 * numParticles);
    for (int lane = 0; lane < lanes; lane++) {
        for (int i = 0; i < d; i++)
            y[i] = u[i * lanes + lane];
        coordinates.toPositions(y.data(), x.data());
        for (int i = 0; i < 3 * numParticles; i++)
            r[i * lanes + lane] = x[i];
    }
}

void EgnnVelocity::fromParticles(const double* r, double* u) const {
    const int d = coordinates.getDimension();
    std::vector<double> y(d), x(3 * numParticles);
    for (int lane = 0; lane < lanes; lane++) {
        for (int i = 0; i < 3 * numParticles; i++)
            x[i] = r[i * lanes + lane];
        coordinates.toCoordinates(x.data(), y.data());
        for (int i = 0; i < d; i++)
            u[i * lanes + lane] = y[i];
    }
}

void EgnnVelocity::evaluate(const bool*, const double* t, const double* u, double* v, double* divergence,
                            double* workspace) const {
    const Values values = place(workspace);
    const int width = 3 * numParticles;
    toParticles(u, values.start);
    std::copy_n(values.start, std::size_t(width) * lanes, values.end);
    embed(t, values);
    for (std::size_t l = 0; l < layers.size(); l++)
        evaluateLayer(l, values, values.end);
    std::vector<double> moved(std::size_t(width) * lanes);
    for (std::size_t i = 0; i < moved.size(); i++)
        moved[i] = values.end[i] - values.start[i];
    fromParticles(moved.data(), v);
    if (divergence == nullptr)
        return;
    std::fill_n(divergence, lanes, 0.0);
    for (int k = 0; k < coordinates.getDimension(); k++) {
        const double* direction = &directions[std::size_t(k) * width];
        for (int i = 0; i < width * lanes; i++)
            moved[i] = direction[i / lanes];
        propagate(values, moved.data());
        for (int i = 0; i < width; i++)
            for (int lane = 0; lane < lanes; lane++)
                divergence[lane] += direction[i] * moved[i * lanes + lane];
    }
}

void EgnnVelocity::multiplyJacobian(const bool*, const double*, const double*, const double* direction,
                                    double* product, double* workspace) const {
    const Values values = place(workspace);
    std::vector<double> moved(std::size_t(3) * numParticles * lanes);
    toParticles(direction, moved.data());
    propagate(values, moved.data());
    fromParticles(moved.data(), product);
}

void EgnnVelocity::embed(const double* t, const Values& values) const {
    const int numTimes = flow.getNumTimeFeatures();
    std::vector<double> features(numTimes);
    for (int lane = 0; lane < lanes; lane++) {
        computeFlowTimeFeatures(flow, t[lane], features.data());
        for (int k = 0; k < hidden; k++) {
            double ofTime = 0;
            for (int f = 0; f < numTimes; f++)
                ofTime += timeWeight[k * numTimes + f] * features[f];
            for (int i = 0; i < numParticles; i++)
                values.h[(i * hidden + k) * lanes + lane] = embeddedFeatures[i * hidden + k] + ofTime;
        }
    }
}

/** What each node adds to the first layer of its pairs' networks. */
void EgnnVelocity::projectPairs(const Layer& layer, const Values& values, bool tangent) const {
    const std::size_t step = std::size_t(hidden) * lanes;
    const int rowLength = 2 * hidden + 2;
    for (int i = 0; i < numParticles; i++) {
        double *source = values.ofSource + i * step, *target = values.ofTarget + i * step;
        for (std::size_t k = 0; k < step; k++) {
            source[k] = tangent ? 0 : layer.edgeBias0[k / lanes];
            target[k] = 0;
        }
        addProductLanes(hidden, hidden, rowLength, layer.edgeWeight0.data(), values.h + i * step, source);
        addProductLanes(hidden, hidden, rowLength, &layer.edgeWeight0[hidden], values.h + i * step, target);
    }
    std::fill_n(values.sum, numParticles * step, 0.0);
}

void EgnnVelocity::evaluateLayer(std::size_t index, const Values& values, double* r) const {
    const Layer& layer = layers[index];
    const LayerValues& at = values.layers[index];
    std::copy_n(r, std::size_t(3) * numParticles * lanes, at.r);
    projectPairs(layer, values, false);
    for (int i = 0; i < numParticles; i++)
        for (int j = 0; j < numParticles; j++)
            if (i != j)
                evaluatePair(layer, at, values, i, j, r);
    // Nobody asks for the nodes behind the last layer.
    if (index + 1 < layers.size())
        updateNodes(layer, at, values, false);
}

void EgnnVelocity::evaluatePair(const Layer& layer, const LayerValues& at, const Values& values, int i, int j,
                                double* r) const {
    const std::size_t pair = pairIndex(i, j), one = pair * lanes, row = one * hidden;
    const std::size_t step = std::size_t(hidden) * lanes;
    double difference[3 * lanes], unused[3 * lanes], now[lanes], initial[lanes];
    subtract(at.r, i, j, difference, now);
    subtract(values.start, i, j, unused, initial);

    // The message, and how much of it counts.
    combine(hidden, values.ofSource + i * step, values.ofTarget + j * step, layer.nowWeight, now,
            layer.initialWeight, initial, values.row0);
    activateLanes(true, hidden, values.row0, at.slope0 + row);
    double* message = at.message + row;
    multiplyLanes(hidden, hidden, layer.edgeWeight1.data(), layer.edgeBias1.data(), values.row0, message);
    activateLanes(true, hidden, message, at.slope1 + row);
    multiplyLanes(1, hidden, layer.gateWeight.data(), layer.gateBias.data(), message, at.gate + one);
    for (int lane = 0; lane < lanes; lane++)
        at.gate[one + lane] = 1 / (1 + std::exp(-at.gate[one + lane]));
    scaleByLane(hidden, at.gate + one, message, values.row1);
    addElements(hidden, values.row1, values.sum + i * step);

    // How far it pulls i away from j.
    multiplyLanes(hidden, hidden, layer.coordinateWeight0.data(), layer.coordinateBias0.data(), values.row1,
                  values.row2);
    activateLanes(true, hidden, values.row2, at.coordinateSlope + row);
    multiplyLanes(1, hidden, layer.coordinateWeight1.data(), nullptr, values.row2, at.pull + one);
    activateLanes(false, 1, at.pull + one, at.pullSlope + one);
    const double range = flow.egnn.coordinateRange / flow.egnn.layers;
    for (int lane = 0; lane < lanes; lane++) {
        at.distance[one + lane] = std::sqrt(now[lane] + smallDistance);
        const double factor = range * at.pull[one + lane] / (at.distance[one + lane] + 1);
        for (int axis = 0; axis < 3; axis++)
            r[(3 * i + axis) * lanes + lane] += difference[axis * lanes + lane] * factor;
    }
}

void EgnnVelocity::updateNodes(const Layer& layer, const LayerValues& at, const Values& values,
                               bool tangent) const {
    const std::size_t step = std::size_t(hidden) * lanes;
    for (int i = 0; i < numParticles; i++) {
        double* h = values.h + i * step;
        for (std::size_t k = 0; k < step; k++)
            values.row0[k] = tangent ? 0 : layer.nodeBias0[k / lanes];
        addProductLanes(hidden, hidden, 2 * hidden, layer.nodeWeight0.data(), h, values.row0);
        addProductLanes(hidden, hidden, 2 * hidden, &layer.nodeWeight0[hidden], values.sum + i * step,
                        values.row0);
        if (tangent)
            multiplyElements(hidden, at.nodeSlope + i * step, values.row0);
        else
            activateLanes(true, hidden, values.row0, at.nodeSlope + i * step);
        multiplyLanes(hidden, hidden, layer.nodeWeight1.data(), tangent ? nullptr : layer.nodeBias1.data(),
                      values.row0, values.row1);
        addElements(hidden, values.row1, h);
    }
}

void EgnnVelocity::propagate(const Values& values, double* dr) const {
    const std::size_t size = std::size_t(3) * numParticles * lanes;
    const std::vector<double> start(dr, dr + size);
    std::vector<double> result(start);
    std::fill_n(values.h, std::size_t(numParticles) * hidden * lanes, 0.0);
    for (std::size_t l = 0; l < layers.size(); l++) {
        std::copy_n(result.data(), size, dr);
        projectPairs(layers[l], values, true);
        for (int i = 0; i < numParticles; i++)
            for (int j = 0; j < numParticles; j++)
                if (i != j)
                    propagatePair(layers[l], values.layers[l], values, i, j, dr, start.data(), result.data());
        if (l + 1 < layers.size())
            updateNodes(layers[l], values.layers[l], values, true);
    }
    for (std::size_t i = 0; i < size; i++)
        dr[i] = result[i] - start[i];
}

/** The derivative of evaluatePair(), line by line. */
void EgnnVelocity::propagatePair(const Layer& layer, const LayerValues& at, const Values& values, int i,
                                 int j, const double* dr, const double* start, double* result) const {
    const std::size_t pair = pairIndex(i, j), one = pair * lanes, row = one * hidden;
    const std::size_t step = std::size_t(hidden) * lanes;
    double difference[3 * lanes], change[3 * lanes], unused[lanes], now[lanes], initial[lanes];
    subtract(values.start, i, j, difference, unused);
    subtract(start, i, j, change, unused);
    twiceProduct(difference, change, initial);
    subtract(at.r, i, j, difference, unused);
    subtract(dr, i, j, change, unused);
    twiceProduct(difference, change, now);

    combine(hidden, values.ofSource + i * step, values.ofTarget + j * step, layer.nowWeight, now,
            layer.initialWeight, initial, values.row0);
    multiplyElements(hidden, at.slope0 + row, values.row0);
    multiplyLanes(hidden, hidden, layer.edgeWeight1.data(), nullptr, values.row0, values.row1);
    multiplyElements(hidden, at.slope1 + row, values.row1);
    double gate[lanes];
    multiplyLanes(1, hidden, layer.gateWeight.data(), nullptr, values.row1, gate);
    for (int lane = 0; lane < lanes; lane++)
        gate[lane] *= at.gate[one + lane] * (1 - at.gate[one + lane]);
    for (std::size_t k = 0; k < step; k++)
        values.row1[k] = at.gate[one + k % lanes] * values.row1[k] + gate[k % lanes] * at.message[row + k];
    addElements(hidden, values.row1, values.sum + i * step);

    multiplyLanes(hidden, hidden, layer.coordinateWeight0.data(), nullptr, values.row1, values.row2);
    multiplyElements(hidden, at.coordinateSlope + row, values.row2);
    double pull[lanes];
    multiplyLanes(1, hidden, layer.coordinateWeight1.data(), nullptr, values.row2, pull);
    const double range = flow.egnn.coordinateRange / flow.egnn.layers;
    for (int lane = 0; lane < lanes; lane++) {
        const double distance = at.distance[one + lane], factor = range / (distance + 1);
        const double value = factor * at.pull[one + lane];
        // The distance changes by now / (2 distance).
        const double slope = factor * at.pullSlope[one + lane] * pull[lane] -
                             value / (distance + 1) * now[lane] / (2 * distance);
        for (int axis = 0; axis < 3; axis++)
            result[(3 * i + axis) * lanes + lane] +=
                value * change[axis * lanes + lane] + slope * difference[axis * lanes + lane];
    }
}

} // namespace OpenMMScore
