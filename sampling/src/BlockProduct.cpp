// This file is compiled once for each instruction set; what is outside HWY_ONCE knows only its own.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "BlockProduct.cpp"
#include "InstructionSets.h"
// After the choice of targets.
#include "hwy/foreach_target.h"

#include <algorithm>

#include "BlockProduct.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace OpenMMScore {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Double = hn::ScalableTag<double>;
using DoubleVector = hn::Vec<Double>;
constexpr int doubleLanes = HWY_LANES(double);
/** As many as registers allow, two vectors of each: 32 with AVX-512 and NEON, else 16. */
constexpr int maxRows = HWY_TARGET <= HWY_AVX3 || HWY_TARGET == HWY_NEON ? 12 : 6;

// Only unrolled loops keep the tile in registers.
#define OPENMMSCORE_UNROLL HWY_UNROLL(12)

/** A tile of y, `vectors` wide: sums in registers, one load of W and one broadcast of x for each step. */
template <int rows, int vectors>
HWY_INLINE void multiplyTile(int in, const double* x, std::ptrdiff_t xStep, const double* w,
                             std::ptrdiff_t wStep, const double* bias, double* y, std::ptrdiff_t yStep) {
    const Double d;
    DoubleVector sum[rows][vectors];
    OPENMMSCORE_UNROLL
    for (int r = 0; r < rows; r++)
        OPENMMSCORE_UNROLL
    for (int v = 0; v < vectors; v++)
        sum[r][v] = hn::LoadU(d, bias + v * doubleLanes);
    for (int i = 0; i < in; i++, w += wStep) {
        DoubleVector weights[vectors];
        OPENMMSCORE_UNROLL
        for (int v = 0; v < vectors; v++)
            weights[v] = hn::LoadU(d, w + v * doubleLanes);
        OPENMMSCORE_UNROLL
        for (int r = 0; r < rows; r++) {
            const DoubleVector value = hn::Set(d, x[r * xStep + i]);
            OPENMMSCORE_UNROLL
            for (int v = 0; v < vectors; v++)
                sum[r][v] = hn::MulAdd(value, weights[v], sum[r][v]);
        }
    }
    OPENMMSCORE_UNROLL
    for (int r = 0; r < rows; r++)
        OPENMMSCORE_UNROLL
    for (int v = 0; v < vectors; v++)
        hn::StoreU(sum[r][v], d, y + r * yStep + v * doubleLanes);
}

#undef OPENMMSCORE_UNROLL

template <int vectors, int rows = maxRows>
HWY_INLINE void multiplyRows(int numRows, int in, const double* x, std::ptrdiff_t xStep, const double* w,
                             std::ptrdiff_t wStep, const double* bias, double* y, std::ptrdiff_t yStep) {
    if (numRows == rows)
        multiplyTile<rows, vectors>(in, x, xStep, w, wStep, bias, y, yStep);
    else if constexpr (rows > 1)
        multiplyRows<vectors, rows - 1>(numRows, in, x, xStep, w, wStep, bias, y, yStep);
}

/** All rows, `vectors` wide; tiles differ by one row at most. */
template <int vectors>
HWY_NOINLINE void multiplyStrip(int rows, int in, const double* x, std::ptrdiff_t xStep, const double* w,
                                std::ptrdiff_t wStep, const double* bias, double* y, std::ptrdiff_t yStep) {
    for (int tiles = (rows + maxRows - 1) / maxRows; tiles > 0; tiles--) {
        const int own = (rows + tiles - 1) / tiles;
        multiplyRows<vectors>(own, in, x, xStep, w, wStep, bias, y, yStep);
        rows -= own;
        x += own * xStep;
        y += own * yStep;
    }
}

void multiplyBlock(int rows, const double* x, std::ptrdiff_t xStep, const PackedLayer& layer, double* y,
                   std::ptrdiff_t yStep) {
    const int in = layer.getNumInputs(), out = layer.getNumOutputs();
    for (int panel = 0; panel < out; panel += PackedLayer::panelWidth) {
        const int width = std::min(PackedLayer::panelWidth, out - panel);
        const double* w = layer.getPanel(panel);
        for (int c = 0; c < width;) {
            const bool pair = width - c >= 2 * doubleLanes;
            (pair ? multiplyStrip<2> : multiplyStrip<1>)(rows, in, x, xStep, w + c, width,
                                                         layer.getBias() + panel + c, y + panel + c, yStep);
            c += (pair ? 2 : 1) * doubleLanes;
        }
    }
}

} // namespace HWY_NAMESPACE
} // namespace OpenMMScore
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

namespace OpenMMScore {

HWY_EXPORT(multiplyBlock);

PackedLayer::PackedLayer(int given, int in, const double* weight, const double* givenBias)
    : out((given + padding - 1) / padding * padding), in(in),
      data(static_cast<std::size_t>(out) * static_cast<std::size_t>(in), 0.0),
      bias(static_cast<std::size_t>(out), 0.0) {
    std::copy_n(givenBias, given, bias.begin());
    for (int o = 0; o < given; o++) {
        const int panel = o / panelWidth * panelWidth, width = std::min(panelWidth, out - panel);
        double* column = data.data() + std::size_t(panel) * std::size_t(in) + (o - panel);
        for (int i = 0; i < in; i++)
            column[std::size_t(i) * std::size_t(width)] =
                weight[std::size_t(o) * std::size_t(in) + std::size_t(i)];
    }
}

void multiplyBlock(int rows, const double* x, std::ptrdiff_t xStep, const PackedLayer& layer, double* y,
                   std::ptrdiff_t yStep) {
    HWY_DYNAMIC_DISPATCH(multiplyBlock)(rows, x, xStep, layer, y, yStep);
}

} // namespace OpenMMScore

#endif // HWY_ONCE
