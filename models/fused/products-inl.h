// Matrix products of the fused engine, compiled once for each instruction set.
//
// C[m,n] = init + A[m,k] B[k,n] with C in registers: a tile of up to maxTileRows x 2 vectors. Each element of
// C is one chain of multiply-adds over k in ascending order, started from init, whatever tile it falls into.
// So a row's result does not depend, bit for bit, on how many rows stand beside it.
//
// Cost per step of k and tile: 2 loads of B, one broadcast per row and two multiply-adds per row. With 14
// rows (AVX-512, 28 of 32 registers) or 6 (16 registers) multiply-adds are the bottleneck, not loads.

#if defined(OPENMMSCORE_PRODUCTS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef OPENMMSCORE_PRODUCTS_INL_H_
#undef OPENMMSCORE_PRODUCTS_INL_H_
#else
#define OPENMMSCORE_PRODUCTS_INL_H_
#endif

#include <algorithm>
#include <cstddef>

#include "PackedMatrix.h"
#include "hwy/cache_control.h"
#include "simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace OpenMMScore {
namespace HWY_NAMESPACE {

/**
 * How far ahead of its use B is fetched. Matters where few rows share a large B: with 24 (3 kB), five rows of
 * the 5-bead network gain 14 %, ten of the 10-bead one 20 %, blocks of 70 rows 2 %; 8 and 64 gain less.
 */
constexpr int prefetchedSteps = 24;
/** As many as registers allow: 32 with AVX-512 and NEON, else 16. */
constexpr int maxTileRows = HWY_TARGET <= HWY_AVX3 || HWY_TARGET == HWY_NEON ? 14 : 6;

/** A, where the step from row to row and from k to k+1 is free; a transposed A is a matter of steps. */
struct Left {
    const float* data;
    std::ptrdiff_t rowStep, kStep;
};

/** B, rows adjacent in memory or `step` floats apart. */
struct Right {
    const float* data;
    std::ptrdiff_t step;
};

/** What C starts from: zero (null), a row of biases (step 0), or what it held before (C itself). */
struct Start {
    const float* data;
    std::ptrdiff_t step;
};

/**
 * k may run over two nested loops, `outer` times `k` steps, with steps of their own for A and B between
 * rounds: the sums over heads and particles of attention.
 */
struct Rounds {
    int outer = 1;
    std::ptrdiff_t leftStep = 0, rightStep = 0;
};

// Only unrolled loops keep the tile in registers: Clang does not see that by itself, nor GCC below -O3.
#define OPENMMSCORE_UNROLL HWY_UNROLL(16)

template <int rows, int vectors, bool adjacent>
HWY_INLINE void multiplyTile(int k, const Left& left, const Right& right, const Start& start,
                             const Rounds& rounds, float* c, std::ptrdiff_t cStep) {
    // One pointer for every third row leaves enough registers for addresses.
    constexpr int numGroups = (rows + 2) / 3;
    Vector sum[rows][vectors];
    OPENMMSCORE_UNROLL
    for (int r = 0; r < rows; r++)
        OPENMMSCORE_UNROLL
    for (int v = 0; v < vectors; v++)
        sum[r][v] = start.data == nullptr ? zero() : load(start.data + r * start.step + v * lanes);
    const std::ptrdiff_t kStep = adjacent ? 1 : left.kStep, rowStep = left.rowStep;
    for (int o = 0; o < rounds.outer; o++) {
        const float* b = right.data + o * rounds.rightStep;
        const float* groups[numGroups];
        OPENMMSCORE_UNROLL
        for (int g = 0; g < numGroups; g++)
            groups[g] = left.data + o * rounds.leftStep + 3 * g * rowStep;
        for (int i = 0; i < k; i++) {
            Vector columns[vectors];
            OPENMMSCORE_UNROLL
            for (int v = 0; v < vectors; v++)
                columns[v] = load(b + v * lanes);
            OPENMMSCORE_UNROLL
            for (int v = 0; v < vectors * lanes; v += rowPadding)
                hwy::Prefetch(b + prefetchedSteps * right.step + v);
            b += right.step;
            OPENMMSCORE_UNROLL
            for (int r = 0; r < rows; r++) {
                const Vector x = constant(groups[r / 3][(r % 3) * rowStep]);
                OPENMMSCORE_UNROLL
                for (int v = 0; v < vectors; v++)
                    sum[r][v] = hn::MulAdd(x, columns[v], sum[r][v]);
            }
            OPENMMSCORE_UNROLL
            for (int g = 0; g < numGroups; g++)
                groups[g] += kStep;
        }
    }
    OPENMMSCORE_UNROLL
    for (int r = 0; r < rows; r++)
        OPENMMSCORE_UNROLL
    for (int v = 0; v < vectors; v++)
        store(sum[r][v], c + r * cStep + v * lanes);
}

#undef OPENMMSCORE_UNROLL

template <int vectors, bool adjacent, int rows = maxTileRows>
HWY_INLINE void multiplyRows(int numRows, int k, const Left& left, const Right& right, const Start& start,
                             const Rounds& rounds, float* c, std::ptrdiff_t cStep) {
    if (numRows == rows)
        multiplyTile<rows, vectors, adjacent>(k, left, right, start, rounds, c, cStep);
    else if constexpr (rows > 1)
        multiplyRows<vectors, adjacent, rows - 1>(numRows, k, left, right, start, rounds, c, cStep);
}

/** All rows of one or two vectors' width; tiles differ by one row at most. */
template <int vectors, bool adjacent>
inline HWY_NOINLINE void multiplyStrip(int m, int k, Left left, const Right& right, Start start,
                                       const Rounds& rounds, float* c, std::ptrdiff_t cStep) {
    for (int tiles = (m + maxTileRows - 1) / maxTileRows; tiles > 0; tiles--) {
        const int rows = (m + tiles - 1) / tiles;
        multiplyRows<vectors, adjacent>(rows, k, left, right, start, rounds, c, cStep);
        m -= rows;
        left.data += rows * left.rowStep;
        if (start.data != nullptr)
            start.data += rows * start.step;
        c += rows * cStep;
    }
}

/**
 * C = start + A B for a B that lies in memory as it is: the small products of attention.
 *
 * @param n  columns; a multiple of lanes is computed, so C and B need room for that
 */
template <bool adjacent = true>
HWY_INLINE void multiply(int m, int k, int n, const Left& left, Right right, Start start, float* c,
                         std::ptrdiff_t cStep, const Rounds& rounds = Rounds()) {
    for (; n > 0; n -= 2 * lanes) {
        if (n > lanes)
            multiplyStrip<2, adjacent>(m, k, left, right, start, rounds, c, cStep);
        else
            multiplyStrip<1, adjacent>(m, k, left, right, start, rounds, c, cStep);
        right.data += 2 * lanes;
        if (start.data != nullptr)
            start.data += 2 * lanes;
        c += 2 * lanes;
    }
}

/** C = start + A B for packed weights B, streamed once. start: null, B's bias row, or C. */
HWY_INLINE void multiply(int m, const float* a, std::ptrdiff_t aStep, const PackedMatrix& b, Start start,
                         float* c, std::ptrdiff_t cStep) {
    const int k = b.getNumRows();
    for (int column = 0; column < b.getNumColumns(); column += PackedMatrix::panelWidth) {
        const int width = std::min(PackedMatrix::panelWidth, b.getNumColumns() - column);
        Start own = start;
        if (own.data != nullptr)
            own.data += column;
        multiply<true>(m, k, width, {a, aStep, 1}, {b.getPanel(column), width}, own, c + column, cStep);
    }
}

} // namespace HWY_NAMESPACE
} // namespace OpenMMScore
HWY_AFTER_NAMESPACE();

#endif
