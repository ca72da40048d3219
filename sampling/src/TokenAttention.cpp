#include "TokenAttention.h"

#include <algorithm>
#include <cmath>

#include "LaneMath.h"

namespace OpenMMScore {

namespace {

constexpr int lanes = 8;

OPENMMSCORE_LANE_INLINE double sumLanes(const Lanes& x) {
    return ((x[0] + x[4]) + (x[2] + x[6])) + ((x[1] + x[5]) + (x[3] + x[7]));
}

OPENMMSCORE_LANE_INLINE double product(int n, const double* a, const double* b) {
    Lanes sums = {}, x, y;
    int i = 0;
    for (; i + lanes <= n; i += lanes) {
        loadLanes(a + i, x);
        loadLanes(b + i, y);
        sums += x * y;
    }
    double rest = 0;
    for (; i < n; i++)
        rest += a[i] * b[i];
    return sumLanes(sums) + rest;
}

OPENMMSCORE_LANE_INLINE double sum(int n, const double* a) {
    Lanes sums = {}, x;
    int i = 0;
    for (; i + lanes <= n; i += lanes) {
        loadLanes(a + i, x);
        sums += x;
    }
    double rest = 0;
    for (; i < n; i++)
        rest += a[i];
    return sumLanes(sums) + rest;
}

OPENMMSCORE_LANE_INLINE void addScaled(int n, double factor, const double* x, double* y) {
    Lanes from, to;
    int i = 0;
    for (; i + lanes <= n; i += lanes) {
        loadLanes(x + i, from);
        loadLanes(y + i, to);
        storeLanes(to + factor * from, y + i);
    }
    for (; i < n; i++)
        y[i] += factor * x[i];
}

/** Replace scores by their softmax; there is room for some more behind them. */
OPENMMSCORE_LANE_INLINE void softmax(int count, double* x) {
    double largest = x[0], sum = 0;
    for (int j = 1; j < count; j++)
        largest = std::max(largest, x[j]);
    std::fill_n(x + count, lanes, largest);
    for (int j = 0; j < count; j += lanes) {
        Lanes each;
        loadLanes(x + j, each);
        each -= largest;
        expLanes(each);
        storeLanes(each, x + j);
    }
    for (int j = 0; j < count; j++)
        sum += x[j];
    for (int j = 0; j < count; j++)
        x[j] /= sum;
}

OPENMMSCORE_LANE_INLINE void computeWeights(const TokenAttention& shape, const TokenView& view, int size,
                                            const double* query, const double* keys, double* weights) {
    for (int j = 0; j < view.count(); j++)
        weights[j] = product(size, query, keys + std::size_t(view.at(j)) * shape.step);
    softmax(view.count(), weights);
}

// What is compiled for each generation of vector units stays in this file: such names would be seen outside
// of the library, and another could take them.

OPENMMSCORE_LANE_CLONES void attendHere(const TokenAttention& shape, const TokenView& view, const double* qkv,
                                        double* weights, double* result) {
    const int size = shape.width / shape.heads;
    std::fill_n(result, shape.width, 0.0);
    for (int part = 0; part < shape.width; part += size) {
        const double *query = qkv + std::size_t(view.token) * shape.step + part,
                     *values = qkv + 2 * shape.width + part;
        computeWeights(shape, view, size, query, qkv + shape.width + part, weights);
        for (int j = 0; j < view.count(); j++)
            addScaled(size, weights[j], values + std::size_t(view.at(j)) * shape.step, result + part);
    }
}

OPENMMSCORE_LANE_CLONES void differentiateAttentionHere(const TokenAttention& shape, const TokenView& view,
                                                        const double* qkv, const double* byResult,
                                                        double* weights, double* byWeights, double* byQkv) {
    const int size = shape.width / shape.heads;
    for (int part = 0; part < shape.width; part += size) {
        const std::size_t query = std::size_t(view.token) * shape.step + std::size_t(part);
        computeWeights(shape, view, size, qkv + query, qkv + shape.width + part, weights);
        double mean = 0;
        for (int j = 0; j < view.count(); j++) {
            const std::size_t value =
                std::size_t(view.at(j)) * shape.step + std::size_t(2 * shape.width + part);
            byWeights[j] = product(size, byResult + part, qkv + value);
            mean += weights[j] * byWeights[j];
            addScaled(size, weights[j], byResult + part, byQkv + value);
        }
        for (int j = 0; j < view.count(); j++) {
            const std::size_t key = std::size_t(view.at(j)) * shape.step + std::size_t(shape.width + part);
            const double byScore = weights[j] * (byWeights[j] - mean);
            addScaled(size, byScore, qkv + key, byQkv + query);
            addScaled(size, byScore, qkv + query, byQkv + key);
        }
    }
}

OPENMMSCORE_LANE_CLONES double normalizeHere(int width, double epsilon, const double* x, double* y) {
    const double mean = sum(width, x) / width;
    for (int i = 0; i < width; i++)
        y[i] = x[i] - mean;
    const double factor = 1 / std::sqrt(product(width, y, y) / width + epsilon);
    for (int i = 0; i < width; i++)
        y[i] *= factor;
    return factor;
}

OPENMMSCORE_LANE_CLONES void differentiateNormHere(int width, const double* y, double factor,
                                                   const double* byY, double* byX) {
    const double mean = sum(width, byY) / width, along = product(width, byY, y) / width;
    for (int i = 0; i < width; i++)
        byX[i] += factor * (byY[i] - mean - along * y[i]);
}

OPENMMSCORE_LANE_CLONES double productHere(int width, const double* a, const double* b) {
    return product(width, a, b);
}

OPENMMSCORE_LANE_CLONES void addScaledHere(int width, double factor, const double* x, double* y) {
    addScaled(width, factor, x, y);
}

} // namespace

void attendTokens(const TokenAttention& shape, const TokenView& view, const double* qkv, double* weights,
                  double* result) {
    attendHere(shape, view, qkv, weights, result);
}

void differentiateAttention(const TokenAttention& shape, const TokenView& view, const double* qkv,
                            const double* byResult, double* weights, double* byWeights, double* byQkv) {
    differentiateAttentionHere(shape, view, qkv, byResult, weights, byWeights, byQkv);
}

double normalizeToken(int width, double epsilon, const double* x, double* y) {
    return normalizeHere(width, epsilon, x, y);
}

void differentiateNorm(int width, const double* y, double factor, const double* byY, double* byX) {
    differentiateNormHere(width, y, factor, byY, byX);
}

double tokenProduct(int width, const double* a, const double* b) {
    return productHere(width, a, b);
}

void addScaledToken(int width, double factor, const double* x, double* y) {
    addScaledHere(width, factor, x, y);
}

} // namespace OpenMMScore
