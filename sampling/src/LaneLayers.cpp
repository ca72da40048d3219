#include "LaneLayers.h"

#include <cstddef>

#include "LaneMath.h"

namespace OpenMMScore {

namespace {

constexpr int lanes = 8;

/** Some rows of y = (y or 0) + W x + b; sums go over columns in order, however rows are grouped. */
template <int numRows>
OPENMMSCORE_LANE_INLINE void multiplyRows(int in, int rowLength, const double* weight, const double* bias,
                                          bool add, const double* x, double* y) {
    Lanes sums[numRows];
    for (int r = 0; r < numRows; r++) {
        sums[r] = Lanes{} + (bias == nullptr ? 0.0 : bias[r]);
        if (add)
            loadLanes(y + std::size_t(r) * lanes, sums[r]);
    }
    for (int i = 0; i < in; i++) {
        Lanes xi;
        loadLanes(x + std::size_t(i) * lanes, xi);
        for (int r = 0; r < numRows; r++)
            sums[r] += weight[std::size_t(r) * rowLength + i] * xi;
    }
    for (int r = 0; r < numRows; r++)
        storeLanes(sums[r], y + std::size_t(r) * lanes);
}

OPENMMSCORE_LANE_INLINE void multiplyAll(int out, int in, int rowLength, const double* weight,
                                         const double* bias, bool add, const double* x, double* y) {
    // Four rows at a time: each sum waits for itself only, and x is read once for all of them.
    int o = 0;
    const auto at = [&](int row) { return weight + std::size_t(row) * rowLength; };
    const auto biasAt = [&](int row) { return bias == nullptr ? nullptr : bias + row; };
    for (; o + 4 <= out; o += 4)
        multiplyRows<4>(in, rowLength, at(o), biasAt(o), add, x, y + std::size_t(o) * lanes);
    for (; o < out; o++)
        multiplyRows<1>(in, rowLength, at(o), biasAt(o), add, x, y + std::size_t(o) * lanes);
}

} // namespace

OPENMMSCORE_LANE_CLONES void multiplyLanes(int out, int in, const double* weight, const double* bias,
                                           const double* x, double* y) {
    multiplyAll(out, in, in, weight, bias, false, x, y);
}

OPENMMSCORE_LANE_CLONES void addProductLanes(int out, int in, int rowLength, const double* weight,
                                             const double* x, double* y) {
    multiplyAll(out, in, rowLength, weight, nullptr, true, x, y);
}

OPENMMSCORE_LANE_CLONES void activateLanes(bool swish, int width, double* x, double* slopes,
                                           double* curvatures) {
    for (int i = 0; i < width; i++) {
        Lanes value, slope, curvature;
        loadLanes(x + std::size_t(i) * lanes, value);
        if (swish)
            swishLanes(value, slope, curvature);
        else
            tanhLanes(value, slope, curvature);
        storeLanes(value, x + std::size_t(i) * lanes);
        storeLanes(slope, slopes + std::size_t(i) * lanes);
        if (curvatures != nullptr)
            storeLanes(curvature, curvatures + std::size_t(i) * lanes);
    }
}

OPENMMSCORE_LANE_CLONES void addLaneProducts(int width, const double* a, const double* b, double* sum) {
    Lanes total, ai, bi;
    loadLanes(sum, total);
    for (std::size_t i = 0; i < std::size_t(width); i++) {
        loadLanes(a + i * lanes, ai);
        loadLanes(b + i * lanes, bi);
        total += ai * bi;
    }
    storeLanes(total, sum);
}

} // namespace OpenMMScore
