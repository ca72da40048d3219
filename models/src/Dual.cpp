#include "Dual.h"

#include <cstddef>

#include "Lanes.h"

namespace OpenMMScore {

namespace {

/** As many vectors as the tangents of a Dual fill. */
constexpr int parts = Dual::lanes / 8;

OPENMMSCORE_LANE_INLINE void loadTangents(const Dual& from, Lanes* x) {
    for (int p = 0; p < parts; p++)
        loadLanes(from.tangents + std::size_t(8) * p, x[p]);
}

OPENMMSCORE_LANE_INLINE void storeTangents(const Lanes* x, Dual& to) {
    for (int p = 0; p < parts; p++)
        storeLanes(x[p], to.tangents + std::size_t(8) * p);
}

/** A tile of y = W x: each x is loaded once for its outputs, each weight once for its rows. */
template <int numRows, int numOuts>
OPENMMSCORE_LANE_INLINE void multiplyTile(int out, int in, const double* weight, const double* bias,
                                          const Dual* x, Dual* y) {
    Lanes sums[numRows][numOuts][parts];
    double values[numRows][numOuts];
    for (int r = 0; r < numRows; r++)
        for (int o = 0; o < numOuts; o++) {
            const Dual& before = y[std::size_t(r) * out + o];
            values[r][o] = bias == nullptr ? before.value : bias[o];
            for (int p = 0; p < parts; p++) {
                sums[r][o][p] = Lanes{};
                if (bias == nullptr)
                    loadLanes(before.tangents + std::size_t(8) * p, sums[r][o][p]);
            }
        }
    for (int i = 0; i < in; i++)
        for (int r = 0; r < numRows; r++) {
            const Dual& xi = x[std::size_t(r) * in + i];
            Lanes tangents[parts];
            loadTangents(xi, tangents);
            for (int o = 0; o < numOuts; o++) {
                const double w = weight[std::size_t(o) * in + i];
                values[r][o] += w * xi.value;
                for (int p = 0; p < parts; p++)
                    sums[r][o][p] += w * tangents[p];
            }
        }
    for (int r = 0; r < numRows; r++)
        for (int o = 0; o < numOuts; o++) {
            Dual& after = y[std::size_t(r) * out + o];
            after.value = values[r][o];
            storeTangents(sums[r][o], after);
        }
}

template <int numRows>
OPENMMSCORE_LANE_INLINE void multiplyStrip(int out, int in, const double* weight, const double* bias,
                                           const Dual* x, Dual* y) {
    const auto biasAt = [&](int o) { return bias == nullptr ? nullptr : bias + o; };
    int o = 0;
    for (; o + 4 <= out; o += 4)
        multiplyTile<numRows, 4>(out, in, weight + std::size_t(o) * in, biasAt(o), x, y + o);
    for (; o < out; o++)
        multiplyTile<numRows, 1>(out, in, weight + std::size_t(o) * in, biasAt(o), x, y + o);
}

} // namespace

OPENMMSCORE_LANE_CLONES Dual dot(int size, const Dual* a, const Dual* b) {
    Dual result(0);
    Lanes sums[parts] = {}, ai[parts], bi[parts];
    for (int i = 0; i < size; i++) {
        loadTangents(a[i], ai);
        loadTangents(b[i], bi);
        result.value += a[i].value * b[i].value;
        for (int p = 0; p < parts; p++)
            sums[p] += a[i].value * bi[p] + b[i].value * ai[p];
    }
    storeTangents(sums, result);
    return result;
}

OPENMMSCORE_LANE_CLONES void addMultiple(int size, const Dual& factor, const Dual* x, Dual* y) {
    Lanes slopes[parts], xi[parts], yi[parts];
    loadTangents(factor, slopes);
    for (int i = 0; i < size; i++) {
        loadTangents(x[i], xi);
        loadTangents(y[i], yi);
        y[i].value += factor.value * x[i].value;
        for (int p = 0; p < parts; p++)
            yi[p] += factor.value * xi[p] + x[i].value * slopes[p];
        storeTangents(yi, y[i]);
    }
}

OPENMMSCORE_LANE_CLONES void multiplyRows(int rows, int out, int in, const double* weight, const double* bias,
                                          const Dual* x, Dual* y) {
    int r = 0;
    for (; r + 2 <= rows; r += 2)
        multiplyStrip<2>(out, in, weight, bias, x + std::size_t(r) * in, y + std::size_t(r) * out);
    for (; r < rows; r++)
        multiplyStrip<1>(out, in, weight, bias, x + std::size_t(r) * in, y + std::size_t(r) * out);
}

} // namespace OpenMMScore
