#include "RowOperations.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include <ATen/core/Tensor.h>
#include <ATen/ops/erf.h>
#include <ATen/ops/exp.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/tanh.h>

#include "Vectorized.h"

namespace OpenMMScore::RowOperations {

// The loops are templates; each is instantiated in functions of fixed type, which alone can have clones.
namespace {

template <class T>
OPENMMSCORE_INLINE void layerNormValue(const LayerNorm<T>& norm, const T* x, T* y) {
    const std::int64_t n = norm.rows.width;
    for (std::int64_t row = 0; row < norm.rows.count; row++) {
        const T* in = x + row * n;
        T* hat = norm.normalized + row * n;
        T* out = y + row * n;
        const T mean = sum(n, in) / T(n);
        T square = 0;
#pragma omp simd reduction(+ : square)
        for (std::int64_t k = 0; k < n; k++)
            square += (in[k] - mean) * (in[k] - mean);
        const T inverse = T(1) / std::sqrt(square / T(n) + norm.epsilon);
        norm.inverseDeviation[row] = inverse;
#pragma omp simd
        for (std::int64_t k = 0; k < n; k++) {
            hat[k] = (in[k] - mean) * inverse;
            out[k] = norm.gamma[k] * hat[k] + norm.beta[k];
        }
    }
}

template <class T>
OPENMMSCORE_INLINE void layerNormAdjoint(const LayerNorm<T>& norm, const T* gy, T* addGx) {
    const std::int64_t n = norm.rows.width;
    for (std::int64_t row = 0; row < norm.rows.count; row++) {
        const T* g = gy + row * n;
        const T* hat = norm.normalized + row * n;
        T* out = addGx + row * n;
        T mean = 0, along = 0;
#pragma omp simd reduction(+ : mean, along)
        for (std::int64_t k = 0; k < n; k++) {
            mean += norm.gamma[k] * g[k];
            along += norm.gamma[k] * g[k] * hat[k];
        }
        mean /= T(n);
        along /= T(n);
        const T inverse = norm.inverseDeviation[row];
#pragma omp simd
        for (std::int64_t k = 0; k < n; k++)
            out[k] += inverse * (norm.gamma[k] * g[k] - mean - hat[k] * along);
    }
}

template <class T>
OPENMMSCORE_INLINE void layerNormTangent(const LayerNorm<T>& norm, const T* dx, T* dy) {
    const std::int64_t n = norm.rows.width;
    for (std::int64_t row = 0; row < norm.rows.count; row++) {
        const T* d = dx + row * n;
        const T* hat = norm.normalized + row * n;
        T* out = dy + row * n;
        const T mean = sum(n, d) / T(n), along = dot(n, d, hat) / T(n), inverse = norm.inverseDeviation[row];
#pragma omp simd
        for (std::int64_t k = 0; k < n; k++)
            out[k] = norm.gamma[k] * inverse * (d[k] - mean - hat[k] * along);
    }
}

/**
 * With h the normalized row, i the inverse deviation, w = d_x - mean d_x - h c, c = mean(h d_x), d_y = gamma
 * i w: the derivative with respect to h is A = gamma r_y - c i e - i mean(e h) d_x with e = gamma g_y, that
 * with respect to i is e . w, and both pass on to x through dh = i (dx - mean dx - h mean(h dx)), di = -i^2
 * mean(h dx).
 */
template <class T>
OPENMMSCORE_INLINE void layerNormSecond(const LayerNorm<T>& norm, const T* gy, const T* ry, const T* dx,
                                        T* addRx, T* addGamma, T* addBeta) {
    const std::int64_t n = norm.rows.width;
    for (std::int64_t row = 0; row < norm.rows.count; row++) {
        const T* g = gy + row * n;
        const T* r = ry + row * n;
        const T* d = dx + row * n;
        const T* hat = norm.normalized + row * n;
        T* out = addRx + row * n;
        const T inverse = norm.inverseDeviation[row];
        const T dMean = sum(n, d) / T(n), c = dot(n, d, hat) / T(n);
        T eh = 0, ew = 0;
#pragma omp simd reduction(+ : eh, ew)
        for (std::int64_t k = 0; k < n; k++) {
            const T e = norm.gamma[k] * g[k];
            eh += e * hat[k];
            ew += e * (d[k] - dMean - hat[k] * c);
        }
        eh /= T(n);
        T mean = 0, along = 0;
#pragma omp simd reduction(+ : mean, along)
        for (std::int64_t k = 0; k < n; k++) {
            const T a = norm.gamma[k] * r[k] - inverse * (c * norm.gamma[k] * g[k] + eh * d[k]);
            mean += a;
            along += a * hat[k];
        }
        mean /= T(n);
        along = along / T(n) + inverse * ew / T(n);
#pragma omp simd
        for (std::int64_t k = 0; k < n; k++) {
            const T a = norm.gamma[k] * r[k] - inverse * (c * norm.gamma[k] * g[k] + eh * d[k]);
            out[k] += inverse * (a - mean - hat[k] * along);
            addGamma[k] += r[k] * hat[k] + g[k] * inverse * (d[k] - dMean - hat[k] * c);
            addBeta[k] += r[k];
        }
    }
}

template <class T>
OPENMMSCORE_INLINE void gateValue(const Gate<T>& gate, T* y) {
    const std::int64_t n = gate.rows.width;
    for (std::int64_t row = 0; row < gate.rows.count; row++) {
        const T* x = gate.x + row * n;
        const T* old = gate.n + row * n;
        T* out = y + row * n;
        const T s = T(1) / (T(1) + std::exp(-(dot(n, gate.wx, x) + dot(n, gate.wn, old))));
        gate.opening[row] = s;
#pragma omp simd
        for (std::int64_t k = 0; k < n; k++)
            out[k] = old[k] + s * (x[k] - old[k]);
    }
}

template <class T>
OPENMMSCORE_INLINE void gateAdjoint(const Gate<T>& gate, const T* gy, T* gx, T* gn) {
    const std::int64_t n = gate.rows.width;
    for (std::int64_t row = 0; row < gate.rows.count; row++) {
        const T* x = gate.x + row * n;
        const T* old = gate.n + row * n;
        const T* g = gy + row * n;
        T* outX = gx + row * n;
        T* outN = gn + row * n;
        const T s = gate.opening[row];
        T alpha = 0;
#pragma omp simd reduction(+ : alpha)
        for (std::int64_t k = 0; k < n; k++)
            alpha += g[k] * (x[k] - old[k]);
        const T argument = alpha * s * (T(1) - s);
        gate.argumentAdjoint[row] = argument;
#pragma omp simd
        for (std::int64_t k = 0; k < n; k++) {
            outX[k] = s * g[k] + argument * gate.wx[k];
            outN[k] = (T(1) - s) * g[k] + argument * gate.wn[k];
        }
    }
}

template <class T>
OPENMMSCORE_INLINE void gateTangent(const Gate<T>& gate, const T* dx, const T* dn, T* dy) {
    const std::int64_t n = gate.rows.width;
    for (std::int64_t row = 0; row < gate.rows.count; row++) {
        const T* x = gate.x + row * n;
        const T* old = gate.n + row * n;
        const T* a = dx + row * n;
        const T* b = dn + row * n;
        T* out = dy + row * n;
        const T s = gate.opening[row];
        const T ds = s * (T(1) - s) * (dot(n, gate.wx, a) + dot(n, gate.wn, b));
#pragma omp simd
        for (std::int64_t k = 0; k < n; k++)
            out[k] = b[k] + s * (a[k] - b[k]) + ds * (x[k] - old[k]);
    }
}

template <class T>
OPENMMSCORE_INLINE void gateSecond(const Gate<T>& gate, const T* gy, const T* ry, const T* dx, const T* dn,
                                   T* rx, T* rn, T* addWx, T* addWn) {
    const std::int64_t n = gate.rows.width;
    for (std::int64_t row = 0; row < gate.rows.count; row++) {
        const T* x = gate.x + row * n;
        const T* old = gate.n + row * n;
        const T* g = gy + row * n;
        const T* r = ry + row * n;
        const T* a = dx + row * n;
        const T* b = dn + row * n;
        T* outX = rx + row * n;
        T* outN = rn + row * n;
        const T s = gate.opening[row], slope = s * (T(1) - s);
        T dArgument = 0, direct = 0;
#pragma omp simd reduction(+ : dArgument, direct)
        for (std::int64_t k = 0; k < n; k++) {
            dArgument += gate.wx[k] * a[k] + gate.wn[k] * b[k];
            direct += r[k] * (x[k] - old[k]) + g[k] * (a[k] - b[k]);
        }
        const T first = gate.argumentAdjoint[row], ds = slope * dArgument;
        // argumentAdjoint is alpha s (1 - s), and the derivative of s (1 - s) is s (1 - s) (1 - 2 s).
        const T argument = slope * direct + first * dArgument * (T(1) - T(2) * s);
#pragma omp simd
        for (std::int64_t k = 0; k < n; k++) {
            outX[k] = s * r[k] + ds * g[k] + argument * gate.wx[k];
            outN[k] = (T(1) - s) * r[k] - ds * g[k] + argument * gate.wn[k];
            addWx[k] += argument * x[k] + first * a[k];
            addWn[k] += argument * old[k] + first * b[k];
        }
    }
}

/** From t = tanh(sqrt(2/pi) (x + 0.044715 x^3)), which lies in y. */
template <class T>
OPENMMSCORE_INLINE void finishTanhGelu(const Activation<T>& gelu, const T* x, T* y) {
    const T scale = T(std::numbers::inv_sqrtpi * std::numbers::sqrt2), cubic = T(0.044715);
#pragma omp simd
    for (std::int64_t k = 0; k < gelu.count; k++) {
        const T a = x[k], t = y[k];
        const T u1 = scale * (T(1) + T(3) * cubic * a * a), u2 = T(6) * scale * cubic * a;
        const T t1 = (T(1) - t * t) * u1, t2 = (T(1) - t * t) * u2 - T(2) * t * t1 * u1;
        y[k] = T(0.5) * a * (T(1) + t);
        gelu.slope[k] = T(0.5) * (T(1) + t + a * t1);
        gelu.curvature[k] = t1 + T(0.5) * a * t2;
    }
}

template <class T>
OPENMMSCORE_INLINE void prepareTanhGelu(std::int64_t count, const T* x, T* y) {
    const T scale = T(std::numbers::inv_sqrtpi * std::numbers::sqrt2), cubic = T(0.044715);
#pragma omp simd
    for (std::int64_t k = 0; k < count; k++)
        y[k] = scale * x[k] * (T(1) + cubic * x[k] * x[k]);
}

/** From erf(x/sqrt 2) in y and exp(-x^2/2) in slope. */
template <class T>
OPENMMSCORE_INLINE void finishErfGelu(const Activation<T>& gelu, const T* x, T* y) {
    const T normalization = T(0.5 * std::numbers::inv_sqrtpi * std::numbers::sqrt2);
#pragma omp simd
    for (std::int64_t k = 0; k < gelu.count; k++) {
        const T a = x[k], below = T(0.5) * (T(1) + y[k]), density = normalization * gelu.slope[k];
        y[k] = a * below;
        gelu.slope[k] = below + a * density;
        gelu.curvature[k] = density * (T(2) - a * a);
    }
}

template <class T>
OPENMMSCORE_INLINE void prepareErfGelu(std::int64_t count, const T* x, T* scaled, T* square) {
#pragma omp simd
    for (std::int64_t k = 0; k < count; k++) {
        scaled[k] = x[k] * T(1.0 / std::numbers::sqrt2);
        square[k] = T(-0.5) * x[k] * x[k];
    }
}

/** From s = sigmoid(x), which lies in y. */
template <class T>
OPENMMSCORE_INLINE void finishSwishRows(const Activation<T>& swish, const T* x, T* y) {
#pragma omp simd
    for (std::int64_t k = 0; k < swish.count; k++) {
        const T s = y[k], ds = s * (T(1) - s);
        y[k] = x[k] * s;
        swish.slope[k] = s + x[k] * ds;
        swish.curvature[k] = ds * (T(2) + x[k] * (T(1) - T(2) * s));
    }
}

template <class T>
OPENMMSCORE_INLINE void multiply(std::int64_t count, const T* a, const T* b, T* out) {
#pragma omp simd
    for (std::int64_t k = 0; k < count; k++)
        out[k] = a[k] * b[k];
}

template <class T>
OPENMMSCORE_INLINE void activationSecond(const Activation<T>& f, const T* gy, const T* ry, const T* dx,
                                         T* rx) {
#pragma omp simd
    for (std::int64_t k = 0; k < f.count; k++)
        rx[k] = f.slope[k] * ry[k] + f.curvature[k] * dx[k] * gy[k];
}

template <class T>
at::Tensor wrap(T* data, std::int64_t count) {
    return at::from_blob(data, {count}, std::is_same_v<T, float> ? at::kFloat : at::kDouble);
}

/** LibTorch's vectorized functions, in place. */
template <class T>
void tanhInPlace(T* x, std::int64_t count) {
    at::Tensor values = wrap(x, count);
    at::tanh_(values);
}

template <class T>
void erfAndExpInPlace(T* forErf, T* forExp, std::int64_t count) {
    at::Tensor first = wrap(forErf, count), second = wrap(forExp, count);
    at::erf_(first);
    at::exp_(second);
}

OPENMMSCORE_VECTORIZED void finishGelu(Gelu kind, const Activation<float>& g, const float* x, float* y) {
    kind == Gelu::Tanh ? finishTanhGelu(g, x, y) : finishErfGelu(g, x, y);
}
OPENMMSCORE_VECTORIZED void finishGelu(Gelu kind, const Activation<double>& g, const double* x, double* y) {
    kind == Gelu::Tanh ? finishTanhGelu(g, x, y) : finishErfGelu(g, x, y);
}

OPENMMSCORE_VECTORIZED void finishSwish(const Activation<float>& swish, const float* x, float* y) {
    finishSwishRows(swish, x, y);
}
OPENMMSCORE_VECTORIZED void finishSwish(const Activation<double>& swish, const double* x, double* y) {
    finishSwishRows(swish, x, y);
}

template <class T>
void swishValue(const Activation<T>& swish, const T* x, T* y) {
    std::copy_n(x, swish.count, y);
    at::Tensor values = wrap(y, swish.count);
    at::sigmoid_(values);
    finishSwish(swish, x, y);
}

template <class T>
void geluValue(Gelu kind, const Activation<T>& gelu, const T* x, T* y) {
    if (kind == Gelu::Tanh) {
        prepareTanhGelu(gelu.count, x, y);
        tanhInPlace(y, gelu.count);
    }
    else {
        prepareErfGelu(gelu.count, x, y, gelu.slope);
        erfAndExpInPlace(y, gelu.slope, gelu.count);
    }
    finishGelu(kind, gelu, x, y);
}

} // namespace

#define OPENMMSCORE_ROW_OPERATIONS(T)                                                                        \
    template <>                                                                                              \
    OPENMMSCORE_VECTORIZED void LayerNorm<T>::value(const T* x, T* y) const {                                \
        layerNormValue(*this, x, y);                                                                         \
    }                                                                                                        \
    template <>                                                                                              \
    OPENMMSCORE_VECTORIZED void LayerNorm<T>::adjoint(const T* gy, T* addGx) const {                         \
        layerNormAdjoint(*this, gy, addGx);                                                                  \
    }                                                                                                        \
    template <>                                                                                              \
    OPENMMSCORE_VECTORIZED void LayerNorm<T>::tangent(const T* dx, T* dy) const {                            \
        layerNormTangent(*this, dx, dy);                                                                     \
    }                                                                                                        \
    template <>                                                                                              \
    OPENMMSCORE_VECTORIZED void LayerNorm<T>::second(const T* gy, const T* ry, const T* dx, T* addRx,        \
                                                     T* addGamma, T* addBeta) const {                        \
        layerNormSecond(*this, gy, ry, dx, addRx, addGamma, addBeta);                                        \
    }                                                                                                        \
    template <>                                                                                              \
    OPENMMSCORE_VECTORIZED void Gate<T>::value(T* y) const {                                                 \
        gateValue(*this, y);                                                                                 \
    }                                                                                                        \
    template <>                                                                                              \
    OPENMMSCORE_VECTORIZED void Gate<T>::adjoint(const T* gy, T* gx, T* gn) const {                          \
        gateAdjoint(*this, gy, gx, gn);                                                                      \
    }                                                                                                        \
    template <>                                                                                              \
    OPENMMSCORE_VECTORIZED void Gate<T>::tangent(const T* dx, const T* dn, T* dy) const {                    \
        gateTangent(*this, dx, dn, dy);                                                                      \
    }                                                                                                        \
    template <>                                                                                              \
    OPENMMSCORE_VECTORIZED void Gate<T>::second(const T* gy, const T* ry, const T* dx, const T* dn, T* rx,   \
                                                T* rn, T* addWx, T* addWn) const {                           \
        gateSecond(*this, gy, ry, dx, dn, rx, rn, addWx, addWn);                                             \
    }                                                                                                        \
    template <>                                                                                              \
    void Activation<T>::gelu(Gelu kind, const T* x, T* y) const {                                            \
        geluValue(kind, *this, x, y);                                                                        \
    }                                                                                                        \
    template <>                                                                                              \
    void Activation<T>::swish(const T* x, T* y) const {                                                      \
        swishValue(*this, x, y);                                                                             \
    }                                                                                                        \
    template <>                                                                                              \
    OPENMMSCORE_VECTORIZED void Activation<T>::adjoint(const T* gy, T* gx) const {                           \
        multiply(count, slope, gy, gx);                                                                      \
    }                                                                                                        \
    template <>                                                                                              \
    OPENMMSCORE_VECTORIZED void Activation<T>::tangent(const T* dx, T* dy) const {                           \
        multiply(count, slope, dx, dy);                                                                      \
    }                                                                                                        \
    template <>                                                                                              \
    OPENMMSCORE_VECTORIZED void Activation<T>::second(const T* gy, const T* ry, const T* dx, T* rx) const {  \
        activationSecond(*this, gy, ry, dx, rx);                                                             \
    }

OPENMMSCORE_ROW_OPERATIONS(float)
OPENMMSCORE_ROW_OPERATIONS(double)

} // namespace OpenMMScore::RowOperations
