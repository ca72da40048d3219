// Attention over the particles of one molecule, with all dense products taken out (FoldedTransformer.h has
// the formulas), compiled once for each instruction set.
//
// Layouts: queries, mixed values and their gradients lie per particle as [heads, paddedWidth], then 3 floats
// per head for positions; attention weights per particle as [heads, n] without gaps, so that the first
// layer's weights are the left factor of its output product as they stand. Rows of such weights are written
// vector by vector in ascending order: what a vector holds beyond n is overwritten by the next head.

#if defined(OPENMMSCORE_ATTENTION_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef OPENMMSCORE_ATTENTION_INL_H_
#undef OPENMMSCORE_ATTENTION_INL_H_
#else
#define OPENMMSCORE_ATTENTION_INL_H_
#endif

#include <cstring>

#include "math-inl.h"
#include "products-inl.h"

HWY_BEFORE_NAMESPACE();
namespace OpenMMScore {
namespace HWY_NAMESPACE {

struct AttentionSizes {
    int n, paddedN, heads, width, paddedWidth;
    /** Distance between the keys (and values) of neighbouring heads; 0 if all heads share them. */
    int headStep;
};

/** Particles' vectors, rows `step` apart. */
struct Rows {
    const float* data;
    std::ptrdiff_t step;
};

/** Positions of one molecule: [n, 4] with a zero at the end of each, and [3, paddedN]. */
struct Positions {
    const float *rows, *columns;
};

/** out[c][j] = in[j][c] for j < n, c < width; writes up to the next multiple of 4 of both. */
HWY_INLINE void transpose(int n, int width, const Rows& in, float* out, int outStep) {
#if HWY_TARGET == HWY_SCALAR
    for (int j = 0; j < n; j++)
        for (int c = 0; c < width; c++)
            out[c * outStep + j] = in.data[j * in.step + c];
#else
    const hn::CappedTag<float, 4> quad;
    for (int j = 0; j < n; j += 4) {
        const float* rows[4];
        for (int r = 0; r < 4; r++)
            rows[r] = in.data + std::min(j + r, n - 1) * in.step;
        for (int c = 0; c < width; c += 4) {
            const auto x0 = hn::LoadU(quad, rows[0] + c), x1 = hn::LoadU(quad, rows[1] + c),
                       x2 = hn::LoadU(quad, rows[2] + c), x3 = hn::LoadU(quad, rows[3] + c);
            const auto even01 = hn::InterleaveLower(quad, x0, x2), odd01 = hn::InterleaveLower(quad, x1, x3),
                       even23 = hn::InterleaveUpper(quad, x0, x2), odd23 = hn::InterleaveUpper(quad, x1, x3);
            float* to = out + c * outStep + j;
            hn::StoreU(hn::InterleaveLower(quad, even01, odd01), quad, to);
            hn::StoreU(hn::InterleaveUpper(quad, even01, odd01), quad, to + outStep);
            hn::StoreU(hn::InterleaveLower(quad, even23, odd23), quad, to + 2 * outStep);
            hn::StoreU(hn::InterleaveUpper(quad, even23, odd23), quad, to + 3 * outStep);
        }
    }
#endif
}

/**
 * products[i][h][j] = queries_hi . keys_hj
 *
 * @param products    shape [n, heads, paddedN], out
 * @param transposed  scratch, shape [width, paddedN]
 */
HWY_INLINE void multiplyPairs(const AttentionSizes& s, const Rows& queries, const Rows& keys, float* products,
                              float* transposed) {
    if (s.headStep == 0) {
        transpose(s.n, s.width, keys, transposed, s.paddedN);
        for (int i = 0; i < s.n; i++)
            multiply(s.heads, s.width, s.n, {queries.data + i * queries.step, s.paddedWidth, 1},
                     {transposed, s.paddedN}, {nullptr, 0}, products + i * s.heads * s.paddedN, s.paddedN);
        return;
    }
    for (int h = 0; h < s.heads; h++) {
        transpose(s.n, s.width, {keys.data + h * s.headStep, keys.step}, transposed, s.paddedN);
        multiply(s.n, s.width, s.n, {queries.data + h * s.paddedWidth, queries.step, 1},
                 {transposed, s.paddedN}, {nullptr, 0}, products + h * s.paddedN, s.heads * s.paddedN);
    }
}

/** mixed_hi = sum_j weights_hij values_hj; mixed may be the rows of values' gradients. */
HWY_INLINE void mix(const AttentionSizes& s, const Rows& weights, const Rows& values, float* mixed,
                    std::ptrdiff_t mixedStep) {
    if (s.headStep == 0) {
        for (int i = 0; i < s.n; i++)
            multiply(s.heads, s.n, s.paddedWidth, {weights.data + i * weights.step, s.n, 1},
                     {values.data, values.step}, {nullptr, 0}, mixed + i * mixedStep, s.paddedWidth);
        return;
    }
    for (int h = 0; h < s.heads; h++)
        multiply(s.n, s.n, s.paddedWidth, {weights.data + h * s.n, weights.step, 1},
                 {values.data + h * s.headStep, values.step}, {nullptr, 0}, mixed + h * s.paddedWidth,
                 mixedStep);
}

/** result_hj (+)= sum_i weights_hij vectors_hi, summed over heads too if they share keys. */
HWY_INLINE void mixTransposed(const AttentionSizes& s, const Rows& weights, const Rows& vectors, bool add,
                              float* result, std::ptrdiff_t resultStep) {
    if (s.headStep == 0) {
        multiply<false>(s.n, s.heads, s.paddedWidth, {weights.data, 1, s.n}, {vectors.data, s.paddedWidth},
                        {add ? result : nullptr, resultStep}, result, resultStep,
                        {s.n, weights.step, vectors.step});
        return;
    }
    for (int h = 0; h < s.heads; h++) {
        float* own = result + h * s.headStep;
        multiply<false>(s.n, s.n, s.paddedWidth, {weights.data + h * s.n, 1, weights.step},
                        {vectors.data + h * s.paddedWidth, vectors.step}, {add ? own : nullptr, resultStep},
                        own, resultStep);
    }
}

/** out_hi = sum_j weights_hij z_j, three floats per head. */
HWY_INLINE void mixPositions(const AttentionSizes& s, const Rows& weights, const Positions& z, float* out,
                             std::ptrdiff_t outStep) {
    const hn::CappedTag<float, 4> quad;
    constexpr int quadLanes = lanes < 4 ? lanes : 4;
    for (int i = 0; i < s.n; i++)
        for (int h = 0; h < s.heads; h++) {
            const float* a = weights.data + i * weights.step + h * s.n;
            // The fourth float is zero, and overwritten by the next head.
            for (int c = 0; c < 4; c += quadLanes) {
                auto sum = hn::Zero(quad);
                for (int j = 0; j < s.n; j++)
                    sum = hn::MulAdd(hn::Set(quad, a[j]), hn::LoadU(quad, z.rows + 4 * j + c), sum);
                hn::StoreU(sum, quad, out + i * outStep + 3 * h + c);
            }
        }
}

/**
 * weights_hij = softmax_j(logits_hij + p_hi . z_j)
 *
 * @param logits  shape [n, heads, paddedN]
 * @param p       per particle [heads, 3]
 */
inline HWY_NOINLINE void softmax(const AttentionSizes& s, const float* logits, const Rows& p,
                                 const Positions& z, float* weights, std::ptrdiff_t weightStep,
                                 float* scratch) {
    const Float f;
    for (int i = 0; i < s.n; i++)
        for (int h = 0; h < s.heads; h++, logits += s.paddedN) {
            const float* own = p.data + i * p.step + 3 * h;
            const Vector px = constant(own[0]), py = constant(own[1]), pz = constant(own[2]);
            Vector largest = constant(-3e38f);
            for (int j = 0; j < s.n; j += lanes) {
                Vector x = hn::MulAdd(px, load(z.columns + j), load(logits + j));
                x = hn::MulAdd(py, load(z.columns + s.paddedN + j), x);
                x = hn::MulAdd(pz, load(z.columns + 2 * s.paddedN + j), x);
                x = hn::IfThenElse(hn::FirstN(f, s.n - j), x, constant(-3e38f));
                store(x, scratch + j);
                largest = hn::Max(largest, x);
            }
            largest = hn::MaxOfLanes(f, largest);
            Vector sum = zero();
            for (int j = 0; j < s.n; j += lanes) {
                const Vector e = hn::IfThenElseZero(hn::FirstN(f, s.n - j),
                                                    exponential(hn::Sub(load(scratch + j), largest)));
                store(e, scratch + j);
                sum = hn::Add(sum, e);
            }
            const Vector factor = constant(1.0f / sumLanes(sum));
            float* a = weights + i * weightStep + h * s.n;
            for (int j = 0; j < s.n; j += lanes)
                store(hn::Mul(load(scratch + j), factor), a + j);
        }
}

/** Where the way back through a softmax reads and writes. */
struct SoftmaxBack {
    /** da_hij without the positions' share, per particle `daStep` apart, per head `daHeadStep`. */
    const float* da;
    std::ptrdiff_t daStep, daHeadStep;
    /** Gradients with respect to sum_j a_hij z_j, and p of the way forward, per particle [heads, 3]. */
    Rows dMixedPositions, p;
};

/**
 * dLogits_hij = a_hij (da_hij - sum_k a_hik da_hik) with da_hij += dMixedPositions_hi . z_j, and what
 * positions receive as keys and as values.
 *
 * @param dLogits  shape as the weights', rows `weights.step` apart, out
 * @param dz       shape [3, paddedN], added to
 */
inline HWY_NOINLINE void softmaxBack(const AttentionSizes& s, const Rows& weights, const SoftmaxBack& back,
                                     const Positions& z, float* dLogits, float* dz, float* scratch) {
    const Float f;
    const int paddedN = s.paddedN;
    for (int i = 0; i < s.n; i++)
        for (int h = 0; h < s.heads; h++) {
            const float* own = back.dMixedPositions.data + i * back.dMixedPositions.step + 3 * h;
            const Vector mx = constant(own[0]), my = constant(own[1]), mz = constant(own[2]);
            const float *a = weights.data + i * weights.step + h * s.n,
                        *da = back.da + i * back.daStep + h * back.daHeadStep;
            Vector sum = zero();
            for (int j = 0; j < s.n; j += lanes) {
                Vector d = hn::MulAdd(mx, load(z.columns + j), load(da + j));
                d = hn::MulAdd(my, load(z.columns + paddedN + j), d);
                d = hn::MulAdd(mz, load(z.columns + 2 * paddedN + j), d);
                d = hn::IfThenElseZero(hn::FirstN(f, s.n - j), d);
                store(d, scratch + j);
                sum = hn::MulAdd(load(a + j), d, sum);
            }
            const Vector mean = constant(sumLanes(sum));
            own = back.p.data + i * back.p.step + 3 * h;
            const Vector px = constant(own[0]), py = constant(own[1]), pz = constant(own[2]);
            float* out = dLogits + i * weights.step + h * s.n;
            for (int j = 0; j < s.n; j += lanes) {
                const Vector weight = hn::IfThenElseZero(hn::FirstN(f, s.n - j), load(a + j));
                const Vector d = hn::Mul(weight, hn::Sub(load(scratch + j), mean));
                store(d, out + j);
                float *x = dz + j, *y = x + paddedN, *zz = y + paddedN;
                store(hn::MulAdd(d, px, hn::MulAdd(weight, mx, load(x))), x);
                store(hn::MulAdd(d, py, hn::MulAdd(weight, my, load(y))), y);
                store(hn::MulAdd(d, pz, hn::MulAdd(weight, mz, load(zz))), zz);
            }
        }
}

} // namespace HWY_NAMESPACE
} // namespace OpenMMScore
HWY_AFTER_NAMESPACE();

#endif
