#include "AttentionOperations.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "Vectorized.h"

namespace OpenMMScore {

namespace {

/** One molecule and one head: where its rows begin. */
template <class T>
struct Block {
    OPENMMSCORE_INLINE Block(const AttentionOperations<T>& ops, std::int64_t molecule, std::int64_t h)
        : n(ops.particles), d(ops.headSize), row(ops.heads * ops.headSize), row3(ops.heads * 3),
          wide(molecule * n * row + h * d), narrow(molecule * n * row3 + 3 * h), positions(molecule * n * 3),
          square((molecule * ops.heads + h) * n * n), a(ops.positionWeight + 3 * d * h),
          kappa(T(1) / std::sqrt(T(ops.headSize))) {}

    std::int64_t n, d, row, row3;
    /** Offsets of this head's first row in wide tensors, in shifts, in positions and in weights. */
    std::int64_t wide, narrow, positions, square;
    const T* a;
    T kappa;
};

template <class T>
OPENMMSCORE_INLINE T dot3(const T* a, const T* b) {
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

template <class T>
OPENMMSCORE_INLINE void add3(T factor, const T* x, T* y) {
    for (int k = 0; k < 3; k++)
        y[k] += factor * x[k];
}

/** out = A^T x */
template <class T>
OPENMMSCORE_INLINE void project(const Block<T>& b, const T* x, T* out) {
    for (int k = 0; k < 3; k++)
        out[k] = dot(b.d, b.a + k * b.d, x);
}

template <class T>
OPENMMSCORE_INLINE void zeroRows(const Block<T>& b, T* first) {
    for (std::int64_t i = 0; i < b.n; i++)
        std::fill_n(first + i * b.row, b.d, T(0));
}

template <class T>
OPENMMSCORE_INLINE void valuesOf(const AttentionOperations<T>& ops, const Block<T>& b, T* mixed, T* shift) {
    const T *q = ops.query + b.wide, *k = ops.key + b.wide, *v = ops.value + b.wide,
            *z = ops.position + b.positions;
    for (std::int64_t i = 0; i < b.n; i++) {
        T* a = ops.weights + b.square + i * b.n;
        T u[3];
        project(b, q + i * b.row, u);
        for (std::int64_t j = 0; j < b.n; j++)
            a[j] = b.kappa * (dot(b.d, q + i * b.row, k + j * b.row) + dot3(u, z + 3 * j));
        const T highest = *std::max_element(a, a + b.n);
        T total = 0;
        for (std::int64_t j = 0; j < b.n; j++) {
            a[j] = std::exp(a[j] - highest);
            total += a[j];
        }
        T* m = mixed + b.wide + i * b.row;
        T* p = shift + b.narrow + i * b.row3;
        std::fill_n(m, b.d, T(0));
        for (int c = 0; c < 3; c++)
            p[c] = -z[3 * i + c];
        for (std::int64_t j = 0; j < b.n; j++) {
            a[j] /= total;
            addScaled(b.d, a[j], v + j * b.row, m);
            add3(a[j], z + 3 * j, p);
        }
    }
}

template <class T>
OPENMMSCORE_INLINE void adjointOf(const AttentionOperations<T>& ops, const Block<T>& b, const T* mixedAdjoint,
                                  const T* shiftAdjoint,
                                  const typename AttentionOperations<T>::Inputs& inputs, T* addPosition) {
    const T *q = ops.query + b.wide, *k = ops.key + b.wide, *v = ops.value + b.wide,
            *z = ops.position + b.positions;
    T* gz = addPosition + b.positions;
    const bool all = inputs.query != nullptr;
    if (all) {
        zeroRows(b, inputs.query + b.wide);
        zeroRows(b, inputs.key + b.wide);
        zeroRows(b, inputs.value + b.wide);
    }
    for (std::int64_t i = 0; i < b.n; i++) {
        const T* a = ops.weights + b.square + i * b.n;
        T* ga = ops.weightAdjoints + b.square + i * b.n;
        T* gl = ops.logitAdjoints + b.square + i * b.n;
        const T* gm = mixedAdjoint + b.wide + i * b.row;
        const T* gp = shiftAdjoint + b.narrow + i * b.row3;
        T mean = 0, u[3];
        for (std::int64_t j = 0; j < b.n; j++) {
            ga[j] = dot(b.d, gm, v + j * b.row) + dot3(gp, z + 3 * j);
            mean += a[j] * ga[j];
        }
        project(b, q + i * b.row, u);
        add3(T(-1), gp, gz + 3 * i);
        T toProjection[3] = {0, 0, 0};
        for (std::int64_t j = 0; j < b.n; j++) {
            gl[j] = a[j] * (ga[j] - mean);
            add3(a[j], gp, gz + 3 * j);
            add3(b.kappa * gl[j], u, gz + 3 * j);
            add3(b.kappa * gl[j], z + 3 * j, toProjection);
            if (all) {
                addScaled(b.d, b.kappa * gl[j], k + j * b.row, inputs.query + b.wide + i * b.row);
                addScaled(b.d, b.kappa * gl[j], q + i * b.row, inputs.key + b.wide + j * b.row);
                addScaled(b.d, a[j], gm, inputs.value + b.wide + j * b.row);
            }
        }
        if (all)
            for (int c = 0; c < 3; c++)
                addScaled(b.d, toProjection[c], b.a + c * b.d, inputs.query + b.wide + i * b.row);
    }
}

/** The tangents of the logits of query i, and their mean under the weights. */
template <class T>
OPENMMSCORE_INLINE T logitTangents(const AttentionOperations<T>& ops, const Block<T>& b,
                                   const typename AttentionOperations<T>::Inputs& tangents,
                                   const T* positionTangent, std::int64_t i, T* logits) {
    const T *q = ops.query + b.wide + i * b.row, *k = ops.key + b.wide, *z = ops.position + b.positions;
    const T* dz = positionTangent + b.positions;
    const T* a = ops.weights + b.square + i * b.n;
    T u[3], du[3] = {0, 0, 0}, mean = 0;
    project(b, q, u);
    if (tangents.query)
        project(b, tangents.query + b.wide + i * b.row, du);
    for (std::int64_t j = 0; j < b.n; j++) {
        T l = dot3(u, dz + 3 * j);
        if (tangents.query)
            l += dot(b.d, tangents.query + b.wide + i * b.row, k + j * b.row) +
                 dot(b.d, q, tangents.key + b.wide + j * b.row) + dot3(du, z + 3 * j);
        logits[j] = b.kappa * l;
        mean += a[j] * logits[j];
    }
    return mean;
}

template <class T>
OPENMMSCORE_INLINE void tangentOf(const AttentionOperations<T>& ops, const Block<T>& b,
                                  const typename AttentionOperations<T>::Inputs& tangents,
                                  const T* positionTangent, T* mixed, T* shift, T* scratch) {
    const T *v = ops.value + b.wide, *z = ops.position + b.positions, *dz = positionTangent + b.positions;
    for (std::int64_t i = 0; i < b.n; i++) {
        const T* a = ops.weights + b.square + i * b.n;
        const T mean = logitTangents(ops, b, tangents, positionTangent, i, scratch);
        T* m = mixed + b.wide + i * b.row;
        T* p = shift + b.narrow + i * b.row3;
        std::fill_n(m, b.d, T(0));
        for (int c = 0; c < 3; c++)
            p[c] = -dz[3 * i + c];
        for (std::int64_t j = 0; j < b.n; j++) {
            const T da = a[j] * (scratch[j] - mean);
            addScaled(b.d, da, v + j * b.row, m);
            if (tangents.value)
                addScaled(b.d, a[j], tangents.value + b.wide + j * b.row, m);
            add3(da, z + 3 * j, p);
            add3(a[j], dz + 3 * j, p);
        }
    }
}

/**
 * With da_ij = a_ij (dl_ij - lambda_i), lambda_i = sum_j a_ij dl_ij: the weights' r is
 * r_m . v_j + r_p . z_j + g_m . dv_j + g_p . dz_j + ga_ij (dl_ij - lambda_i) - (sum_k ga_ik a_ik) dl_ij.
 */
template <class T>
OPENMMSCORE_INLINE void secondOf(const AttentionOperations<T>& ops, const Block<T>& b,
                                 const typename AttentionOperations<T>::Others& others, const T* mixedSecond,
                                 const T* shiftSecond, const typename AttentionOperations<T>::Inputs& inputs,
                                 T* addWeight, T* scratch) {
    const T *q = ops.query + b.wide, *k = ops.key + b.wide, *v = ops.value + b.wide,
            *z = ops.position + b.positions;
    const T* dz = others.positionTangent + b.positions;
    const auto& tangents = others.tangents;
    const bool all = tangents.query != nullptr;
    T *dl = scratch, *ra = scratch + b.n;
    T *rq = inputs.query + b.wide, *rk = inputs.key + b.wide, *rv = inputs.value + b.wide;
    zeroRows(b, rq);
    zeroRows(b, rk);
    zeroRows(b, rv);
    for (std::int64_t i = 0; i < b.n; i++) {
        const T* a = ops.weights + b.square + i * b.n;
        const T* ga = ops.weightAdjoints + b.square + i * b.n;
        const T* gl = ops.logitAdjoints + b.square + i * b.n;
        const T* gm = others.mixedAdjoint + b.wide + i * b.row;
        const T* gp = others.shiftAdjoint + b.narrow + i * b.row3;
        const T* rm = mixedSecond + b.wide + i * b.row;
        const T* rp = shiftSecond + b.narrow + i * b.row3;
        const T lambda = logitTangents(ops, b, tangents, others.positionTangent, i, dl);
        T gamma = 0;
        for (std::int64_t j = 0; j < b.n; j++)
            gamma += ga[j] * a[j];
        T mean = 0;
        for (std::int64_t j = 0; j < b.n; j++) {
            ra[j] = dot(b.d, rm, v + j * b.row) + dot3(rp, z + 3 * j) + dot3(gp, dz + 3 * j) +
                    ga[j] * (dl[j] - lambda) - gamma * dl[j];
            if (all)
                ra[j] += dot(b.d, gm, tangents.value + b.wide + j * b.row);
            mean += a[j] * ra[j];
        }
        T ru[3] = {0, 0, 0}, gu[3] = {0, 0, 0};
        T* rqi = rq + i * b.row;
        for (std::int64_t j = 0; j < b.n; j++) {
            const T rl = b.kappa * a[j] * (ra[j] - mean), g = b.kappa * gl[j];
            addScaled(b.d, a[j], rm, rv + j * b.row);
            addScaled(b.d, a[j] * (dl[j] - lambda), gm, rv + j * b.row);
            addScaled(b.d, rl, k + j * b.row, rqi);
            addScaled(b.d, rl, q + i * b.row, rk + j * b.row);
            add3(rl, z + 3 * j, ru);
            add3(g, dz + 3 * j, ru);
            if (all) {
                addScaled(b.d, g, tangents.key + b.wide + j * b.row, rqi);
                addScaled(b.d, g, tangents.query + b.wide + i * b.row, rk + j * b.row);
                add3(g, z + 3 * j, gu);
            }
        }
        for (int c = 0; c < 3; c++) {
            addScaled(b.d, ru[c], b.a + c * b.d, rqi);
            addScaled(b.d, ru[c], q + i * b.row, addWeight + c * b.d);
            if (all)
                addScaled(b.d, gu[c], tangents.query + b.wide + i * b.row, addWeight + c * b.d);
        }
    }
}

} // namespace

#define OPENMMSCORE_FOR_EACH_BLOCK(T, body)                                                                  \
    for (std::int64_t molecule = 0; molecule < molecules; molecule++)                                        \
        for (std::int64_t head = 0; head < heads; head++) {                                                  \
            const Block<T> block(*this, molecule, head);                                                     \
            body;                                                                                            \
        }

/** Room for the rows of two small arrays on the stack; more particles take it from the heap. */
#define OPENMMSCORE_SCRATCH(T)                                                                               \
    T room[128];                                                                                             \
    std::vector<T> more(particles > 64 ? 2 * particles : 0);                                                 \
    T* const scratch = particles > 64 ? more.data() : room;

#define OPENMMSCORE_ATTENTION_OPERATIONS(T)                                                                  \
    template <>                                                                                              \
    OPENMMSCORE_VECTORIZED void AttentionOperations<T>::values(T* mixed, T* shift) const {                   \
        OPENMMSCORE_FOR_EACH_BLOCK(T, valuesOf(*this, block, mixed, shift))                                  \
    }                                                                                                        \
    template <>                                                                                              \
    OPENMMSCORE_VECTORIZED void AttentionOperations<T>::adjoint(                                             \
        const T* mixedAdjoint, const T* shiftAdjoint, const Inputs& inputs, T* addPosition) const {          \
        OPENMMSCORE_FOR_EACH_BLOCK(T,                                                                        \
                                   adjointOf(*this, block, mixedAdjoint, shiftAdjoint, inputs, addPosition)) \
    }                                                                                                        \
    template <>                                                                                              \
    OPENMMSCORE_VECTORIZED void AttentionOperations<T>::tangent(                                             \
        const Inputs& inputs, const T* positionTangent, T* mixed, T* shift) const {                          \
        OPENMMSCORE_SCRATCH(T)                                                                               \
        OPENMMSCORE_FOR_EACH_BLOCK(T,                                                                        \
                                   tangentOf(*this, block, inputs, positionTangent, mixed, shift, scratch))  \
    }                                                                                                        \
    template <>                                                                                              \
    OPENMMSCORE_VECTORIZED void AttentionOperations<T>::second(const Others& others, const T* mixedSecond,   \
                                                               const T* shiftSecond, const Inputs& inputs,   \
                                                               T* addWeight) const {                         \
        OPENMMSCORE_SCRATCH(T)                                                                               \
        OPENMMSCORE_FOR_EACH_BLOCK(T, secondOf(*this, block, others, mixedSecond, shiftSecond, inputs,       \
                                               addWeight + head * 3 * headSize, scratch))                    \
    }

OPENMMSCORE_ATTENTION_OPERATIONS(float)
OPENMMSCORE_ATTENTION_OPERATIONS(double)

} // namespace OpenMMScore
