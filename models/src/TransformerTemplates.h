#ifndef OPENMMSCORE_MODELS_TRANSFORMERTEMPLATES_H_
#define OPENMMSCORE_MODELS_TRANSFORMERTEMPLATES_H_

// What a graph transformer computes, of numbers T that are double or Dual. A header, so that all of it is
// compiled for the vector units at hand where derivatives are carried along (TransformerDivergence.cpp).

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "Attention.h"
#include "Dual.h"
#include "FixedTimeTransformer.h"
#include "TransformerMath.h"

namespace OpenMMScore {

template <class T>
void LayerNorm::forward(int rows, const T* x, T* normalized, T* inverseStd, T* y) const {
    const int width = static_cast<int>(scale.size());
    for (int r = 0; r < rows; r++, x += width, normalized += width, y += width) {
        T mean = 0, variance = 0;
        for (int i = 0; i < width; i++)
            mean += x[i];
        mean = mean / width;
        for (int i = 0; i < width; i++)
            variance += (x[i] - mean) * (x[i] - mean);
        inverseStd[r] = inverseRoot(T(variance / width + epsilon));
        for (int i = 0; i < width; i++) {
            normalized[i] = (x[i] - mean) * inverseStd[r];
            y[i] = normalized[i] * scale[i] + shift[i];
        }
    }
}

template <class T>
void LayerNorm::addBackward(int rows, const T* normalized, const T* inverseStd, T* dy, T* dx) const {
    const int width = static_cast<int>(scale.size());
    for (int r = 0; r < rows; r++, normalized += width, dy += width, dx += width) {
        T sum = 0, dot = 0;
        for (int i = 0; i < width; i++) {
            dy[i] *= scale[i];
            sum += dy[i];
            dot += dy[i] * normalized[i];
        }
        for (int i = 0; i < width; i++)
            dx[i] += inverseStd[r] * (dy[i] - (sum + dot * normalized[i]) / width);
    }
}

template <class T>
void Gate::forward(int rows, const T* x, const T* r, T* gates, T* y) const {
    for (int row = 0; row < rows; row++, x += width, r += width, y += width) {
        T s = 0;
        for (int i = 0; i < width; i++)
            s += newWeight[i] * x[i] + oldWeight[i] * r[i];
        const T g = gates[row] = logistic(s);
        for (int i = 0; i < width; i++)
            y[i] = g * x[i] + (1 - g) * r[i];
    }
}

template <class T>
void Gate::backward(int rows, const T* x, const T* r, const T* gates, const T* dy, T* dx, T* dr) const {
    for (int row = 0; row < rows; row++, x += width, r += width, dy += width, dx += width, dr += width) {
        const T g = gates[row];
        T ds = 0;
        for (int i = 0; i < width; i++)
            ds += dy[i] * (x[i] - r[i]);
        ds *= g * (1 - g);
        for (int i = 0; i < width; i++) {
            const T d = dy[i];
            dx[i] = g * d + ds * newWeight[i];
            dr[i] = (1 - g) * d + ds * oldWeight[i];
        }
    }
}

/** gelu(v) with its first and second derivative. */
struct GeluValues {
    double value, slope, curvature;

    GeluValues(Gelu kind, double v) {
        const double a = std::sqrt(2 / std::numbers::pi), b = 0.044715;
        const double gauss = 1 / std::sqrt(2 * std::numbers::pi);
        if (kind == Gelu::Tanh) {
            const double h = std::tanh(a * (v + b * v * v * v)), inner = a * (1 + 3 * b * v * v);
            value = 0.5 * v * (1 + h);
            slope = 0.5 * (1 + h) + 0.5 * v * (1 - h * h) * inner;
            curvature = (1 - h * h) * (inner + v * (3 * a * b * v - h * inner * inner));
        }
        else {
            const double cdf = 0.5 * std::erfc(-v / std::numbers::sqrt2);
            const double density = gauss * std::exp(-0.5 * v * v);
            value = v * cdf;
            slope = cdf + v * density;
            curvature = (2 - v * v) * density;
        }
    }
};

template <class T>
void gelu(Gelu kind, int size, T* x, T* slope) {
    for (int i = 0; i < size; i++) {
        const GeluValues at(kind, valueOf(x[i]));
        slope[i] = chain(x[i], at.slope, at.curvature);
        x[i] = chain(x[i], at.value, at.slope);
    }
}

inline double dot(int size, const double* a, const double* b) {
    double sum = 0;
    for (int i = 0; i < size; i++)
        sum += a[i] * b[i];
    return sum;
}

inline void addMultiple(int size, double factor, const double* x, double* y) {
    for (int i = 0; i < size; i++)
        y[i] += factor * x[i];
}

template <class T>
void Attention::forward(int n, const T* z, const T* q, T* k, T* v, T* weights, T* m) const {
    const int inner = heads * headSize;
    // m holds A z for a moment.
    position.forward(n, z, m);
    for (int i = 0; i < n * inner; i++) {
        k[i] += m[i];
        v[i] += m[i];
    }
    for (int i = 0; i < n; i++)
        for (int c = 0; c < inner; c++)
            m[i * inner + c] = constant[c] - m[i * inner + c];

    for (int h = 0; h < heads; h++)
        for (int i = 0; i < n; i++) {
            const int offset = h * headSize;
            T* a = &weights[(h * n + i) * n];
            for (int j = 0; j < n; j++)
                a[j] = scale * dot(headSize, &q[i * inner + offset], &k[j * inner + offset]);
            double largest = valueOf(a[0]);
            for (int j = 1; j < n; j++)
                largest = std::max(largest, valueOf(a[j]));
            T sum = 0;
            for (int j = 0; j < n; j++)
                sum += a[j] = exponential(T(a[j] - largest));
            sum = inverse(sum);
            for (int j = 0; j < n; j++) {
                a[j] *= sum;
                addMultiple(headSize, a[j], &v[j * inner + offset], &m[i * inner + offset]);
            }
        }
}

template <class T>
void Attention::addBackward(int n, const T* q, const T* k, const T* v, const T* weights, const T* dm, T* dq,
                            T* dk, T* dv, T* dz, T* scratch) const {
    const int inner = heads * headSize;
    std::fill_n(dq, n * inner, T(0));
    std::fill_n(dk, n * inner, T(0));
    std::fill_n(dv, n * inner, T(0));
    for (int h = 0; h < heads; h++)
        for (int i = 0; i < n; i++) {
            const int offset = h * headSize, row = i * inner + offset;
            const T* a = &weights[(h * n + i) * n];
            T mean = 0;
            for (int j = 0; j < n; j++) {
                const int column = j * inner + offset;
                addMultiple(headSize, a[j], &dm[row], &dv[column]);
                scratch[j] = dot(headSize, &dm[row], &v[column]);
                mean += a[j] * scratch[j];
            }
            for (int j = 0; j < n; j++) {
                const int column = j * inner + offset;
                const T dLogit = scale * a[j] * (scratch[j] - mean);
                addMultiple(headSize, dLogit, &k[column], &dq[row]);
                addMultiple(headSize, dLogit, &q[row], &dk[column]);
            }
        }
    // A z_j stands in every key and value, and -A z_i in every m_i.
    position.addBackward(n, dk, dz);
    position.addBackward(n, dv, dz);
    for (int i = 0; i < n; i++) {
        T own[3] = {0, 0, 0};
        position.addBackward(1, &dm[i * inner], own);
        addMultiple(3, T(-1.0), own, &dz[3 * i]);
    }
}

template <class T>
void FixedTimeTransformer::projectToHeads(const TransformerLayer& layer, const T* y, T* q, T* k, T* v) const {
    layer.query.forward(n, y, q);
    layer.key.forward(n, y, k);
    layer.value.forward(n, y, v);
}

template <class T>
std::size_t FixedTimeTransformer::layOut(T* workspace, Tape<T>* tapes, Scratch<T>& scratch) const {
    std::size_t used = 0;
    auto take = [&](std::size_t size) {
        T* p = workspace == nullptr ? nullptr : workspace + used;
        used += size;
        return p;
    };
    const std::size_t rows = n;
    for (std::size_t l = 0; l < network.layers.size(); l++) {
        Tape<T> tape;
        for (T** p : {&tape.q, &tape.k, &tape.v, &tape.m})
            *p = take(rows * inner);
        tape.weights = take(network.sizes.heads * rows * rows);
        for (T** p : {&tape.attended, &tape.normalized1, &tape.normalized2, &tape.nodes1, &tape.contracted,
                      &tape.nodes2})
            *p = take(rows * hidden);
        for (T** p : {&tape.expanded, &tape.slopes})
            *p = take(rows * wide);
        for (T** p : {&tape.attentionGates, &tape.feedForwardGates, &tape.inverseStd1, &tape.inverseStd2})
            *p = take(rows);
        if (tapes != nullptr)
            tapes[l] = tape;
    }
    // One by one, or clang's analyzer takes them for null.
    scratch.nodes0 = take(rows * hidden);
    scratch.nodesGradient = take(rows * hidden);
    scratch.branchGradient = take(rows * hidden);
    scratch.y = take(rows * hidden);
    scratch.dq = take(rows * inner);
    scratch.dk = take(rows * inner);
    scratch.dv = take(rows * inner);
    scratch.dm = take(rows * inner);
    scratch.wide = take(rows * wide);
    scratch.row = take(rows);
    return used;
}

template <class T>
void FixedTimeTransformer::run(const T* z, T* output, T* gradient, T* workspace) const {
    const int numLayers = static_cast<int>(network.layers.size());
    constexpr int maxLayers = 64;
    std::array<Tape<T>, maxLayers> tapes;
    Scratch<T> scratch{};
    layOut(workspace, tapes.data(), scratch);

    std::copy(nodes0.begin(), nodes0.end(), scratch.nodes0);
    const T* nodes = scratch.nodes0;
    for (int l = 0; l < numLayers; l++) {
        forwardLayer(l, z, nodes, tapes[l], scratch.y);
        nodes = tapes[l].nodes2;
    }
    if (network.expert.head == Head::Score) {
        network.readout.forward(1, nodes, output);
        return;
    }
    network.readout.forward(n, nodes, scratch.row);
    output[0] = 0;
    for (int i = 0; i < n; i++)
        output[0] += scratch.row[i];
    if (gradient == nullptr)
        return;

    std::fill_n(gradient, 3 * n, T(0));
    std::fill_n(scratch.row, n, T(1));
    std::fill_n(scratch.nodesGradient, n * hidden, T(0));
    network.readout.addBackward(n, scratch.row, scratch.nodesGradient);
    for (int l = numLayers - 1; l >= 0; l--)
        backwardLayer(l, l == 0 ? scratch.nodes0 : tapes[l - 1].nodes2, tapes[l], scratch, gradient);
}

template <class T>
void FixedTimeTransformer::forwardLayer(int l, const T* z, const T* nodes, const Tape<T>& tape, T* y) const {
    const TransformerLayer& layer = network.layers[l];
    // Attention.
    if (l == 0) {
        std::copy(q0.begin(), q0.end(), tape.q);
        std::copy(k0.begin(), k0.end(), tape.k);
        std::copy(v0.begin(), v0.end(), tape.v);
    }
    else {
        layer.attentionNorm.forward(n, nodes, tape.normalized1, tape.inverseStd1, y);
        projectToHeads(layer, y, tape.q, tape.k, tape.v);
    }
    layer.attention.forward(n, z, tape.q, tape.k, tape.v, tape.weights, tape.m);
    layer.output.forward(n, tape.m, tape.attended);
    layer.attentionGate.forward(n, tape.attended, nodes, tape.attentionGates, tape.nodes1);
    // Feed-forward.
    layer.feedForwardNorm.forward(n, tape.nodes1, tape.normalized2, tape.inverseStd2, y);
    layer.expand.forward(n, y, tape.expanded);
    gelu(network.sizes.gelu, n * wide, tape.expanded, tape.slopes);
    layer.contract.forward(n, tape.expanded, tape.contracted);
    layer.feedForwardGate.forward(n, tape.contracted, tape.nodes1, tape.feedForwardGates, tape.nodes2);
}

template <class T>
void FixedTimeTransformer::backwardLayer(int l, const T* nodes, const Tape<T>& tape, const Scratch<T>& s,
                                         T* dz) const {
    const TransformerLayer& layer = network.layers[l];
    // Feed-forward.
    layer.feedForwardGate.backward(n, tape.contracted, tape.nodes1, tape.feedForwardGates, s.nodesGradient,
                                   s.branchGradient, s.nodesGradient);
    std::fill_n(s.wide, n * wide, T(0));
    layer.contract.addBackward(n, s.branchGradient, s.wide);
    for (int i = 0; i < n * wide; i++)
        s.wide[i] *= tape.slopes[i];
    std::fill_n(s.y, n * hidden, T(0));
    layer.expand.addBackward(n, s.wide, s.y);
    layer.feedForwardNorm.addBackward(n, tape.normalized2, tape.inverseStd2, s.y, s.nodesGradient);
    // Attention.
    layer.attentionGate.backward(n, tape.attended, nodes, tape.attentionGates, s.nodesGradient,
                                 s.branchGradient, s.nodesGradient);
    std::fill_n(s.dm, n * inner, T(0));
    layer.output.addBackward(n, s.branchGradient, s.dm);
    layer.attention.addBackward(n, tape.q, tape.k, tape.v, tape.weights, s.dm, s.dq, s.dk, s.dv, dz, s.row);
    if (l == 0)
        return; // the first layer's nodes do not depend on positions
    std::fill_n(s.y, n * hidden, T(0));
    layer.query.addBackward(n, s.dq, s.y);
    layer.key.addBackward(n, s.dk, s.y);
    layer.value.addBackward(n, s.dv, s.y);
    layer.attentionNorm.addBackward(n, tape.normalized1, tape.inverseStd1, s.y, s.nodesGradient);
}

} // namespace OpenMMScore

#endif // OPENMMSCORE_MODELS_TRANSFORMERTEMPLATES_H_
