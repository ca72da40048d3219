#include "SplineRows.h"

#include <algorithm>

#include "ElementaryFunctions.h"
#include "Vectorized.h"

namespace OpenMMScore {

namespace {

/** e = exp(numbers - their largest), [bins, samples]; inverse = 1/sum. */
template <class T>
OPENMMSCORE_INLINE void exponentials(int bins, std::int64_t n, const T* numbers, T* e, T* inverse) {
    T* largest = inverse;
    std::copy_n(numbers, n, largest);
    for (int k = 1; k < bins; k++)
#pragma omp simd
        for (std::int64_t i = 0; i < n; i++)
            largest[i] = numbers[k * n + i] > largest[i] ? numbers[k * n + i] : largest[i];
    for (int k = 0; k < bins; k++)
#pragma omp simd
        for (std::int64_t i = 0; i < n; i++)
            e[k * n + i] = vectorExp(numbers[k * n + i] - largest[i]);
    std::fill_n(inverse, n, T(0));
    for (int k = 0; k < bins; k++)
#pragma omp simd
        for (std::int64_t i = 0; i < n; i++)
            inverse[i] += e[k * n + i];
#pragma omp simd
    for (std::int64_t i = 0; i < n; i++)
        inverse[i] = T(1) / inverse[i];
}

/** @return which number is the slope at a knot, -1 for none */
template <class T>
OPENMMSCORE_INLINE int slopeNumber(const SplineShape<T>& shape, int knot) {
    using Ends = typename SplineShape<T>::Ends;
    if (shape.ends == Ends::Free)
        return knot;
    if (shape.ends == Ends::Tied)
        return knot % shape.bins;
    return knot == 0 || knot == shape.bins ? -1 : knot - 1;
}

/** The number whose softplus, with the smallest slope, is 1: that of the ends of linear splines. */
template <class T>
OPENMMSCORE_INLINE T slopeOffset(const SplineShape<T>& shape) {
    return std::log(std::expm1(T(1) - shape.minimumSlope));
}

/** Find each sample's bin; of the slopes take the numbers. */
template <class T>
OPENMMSCORE_INLINE void findBins(const SplineRows<T>& s, const T* numbers, const T* x) {
    using Rows = SplineRows<T>;
    const SplineShape<T>& shape = s.shape;
    const int bins = shape.bins;
    const std::int64_t n = s.samples;
    const T *ew = s.kept, *eh = s.kept + bins * n;
    const T *iw = s.row(Rows::InverseWidths), *ih = s.row(Rows::InverseHeights);
    T *bin = s.row(Rows::Bin), *left = s.row(Rows::Left), *width = s.row(Rows::Width),
      *bottom = s.row(Rows::Bottom), *height = s.row(Rows::Height), *first = s.row(Rows::FirstSlope),
      *last = s.row(Rows::LastSlope);
    // The ends of the bins so far, until the end is known.
    T *x1 = s.row(Rows::FirstRate), *y1 = s.row(Rows::LastRate);
    std::fill_n(x1, n, -shape.bound);
    std::fill_n(y1, n, -shape.bound);
    const T whole = T(2) * shape.bound;
    const T w0 = whole * shape.minimumWidth, w1 = whole * (T(1) - T(bins) * shape.minimumWidth);
    const T h0 = whole * shape.minimumHeight, h1 = whole * (T(1) - T(bins) * shape.minimumHeight);
    for (int k = 0; k < bins; k++) {
        const int a = slopeNumber(shape, k), b = slopeNumber(shape, k + 1);
        // A missing number is a slope of 1, which the offset alone gives: a row of zeros.
        const T *da = numbers + (2 * bins + std::max(a, 0)) * n,
                *db = numbers + (2 * bins + std::max(b, 0)) * n;
        const T fa = a < 0 ? T(0) : T(1), fb = b < 0 ? T(0) : T(1);
#pragma omp simd
        for (std::int64_t i = 0; i < n; i++) {
            const bool here = k == 0 || x[i] >= x1[i];
            const T w = w0 + w1 * ew[k * n + i] * iw[i], h = h0 + h1 * eh[k * n + i] * ih[i];
            bin[i] = here ? T(k) : bin[i];
            left[i] = here ? x1[i] : left[i];
            bottom[i] = here ? y1[i] : bottom[i];
            width[i] = here ? w : width[i];
            height[i] = here ? h : height[i];
            first[i] = here ? fa * da[i] : first[i];
            last[i] = here ? fb * db[i] : last[i];
            x1[i] += w;
            y1[i] += h;
        }
    }
}

/** Slopes from their numbers, and the derivatives. */
template <class T>
OPENMMSCORE_INLINE void makeSlopes(const SplineShape<T>& shape, std::int64_t n, T* slope, T* rate) {
    const T offset = slopeOffset(shape), least = shape.minimumSlope;
#pragma omp simd
    for (std::int64_t i = 0; i < n; i++) {
        const T a = slope[i] + offset;
        const T e = vectorExp(a > T(0) ? -a : a);
        slope[i] = least + (a > T(0) ? a : T(0)) + vectorLog1p(e);
        rate[i] = (a > T(0) ? T(1) : e) / (T(1) + e);
    }
}

/** What value and adjoint have in common: the place in the bin, and the parts of both formulas. */
template <class T>
struct Point {
    T xi, t, s, q, numerator, denominator;

    OPENMMSCORE_INLINE Point(T x, T left, T width, T height, T d0, T d1) {
        xi = (x - left) / width;
        xi = xi < T(0) ? T(0) : xi > T(1) ? T(1) : xi;
        t = xi * (T(1) - xi);
        s = height / width;
        q = d0 + d1 - T(2) * s;
        denominator = s + q * t;
        numerator = d1 * xi * xi + T(2) * s * t + d0 * (T(1) - xi) * (T(1) - xi);
    }
};

template <class T>
OPENMMSCORE_INLINE void splineValue(const SplineRows<T>& s, const T* numbers, const T* x, T* y, T* logSlope) {
    using Rows = SplineRows<T>;
    const int bins = s.shape.bins;
    const std::int64_t n = s.samples;
    exponentials(bins, n, numbers, s.kept, s.row(Rows::InverseWidths));
    exponentials(bins, n, numbers + bins * n, s.kept + bins * n, s.row(Rows::InverseHeights));
    findBins(s, numbers, x);
    makeSlopes(s.shape, n, s.row(Rows::FirstSlope), s.row(Rows::FirstRate));
    makeSlopes(s.shape, n, s.row(Rows::LastSlope), s.row(Rows::LastRate));
    const T *left = s.row(Rows::Left), *width = s.row(Rows::Width), *bottom = s.row(Rows::Bottom),
            *height = s.row(Rows::Height), *d0 = s.row(Rows::FirstSlope), *d1 = s.row(Rows::LastSlope);
    const bool tails = s.shape.ends == SplineShape<T>::Ends::Linear;
    const T bound = s.shape.bound;
#pragma omp simd
    for (std::int64_t i = 0; i < n; i++) {
        const Point<T> p(x[i], left[i], width[i], height[i], d0[i], d1[i]);
        const T ratio = (p.s * p.xi * p.xi + d0[i] * p.t) / p.denominator;
        const T slope = p.s * p.s * p.numerator / (p.denominator * p.denominator);
        const bool outside = tails && (x[i] < -bound || x[i] > bound);
        const T inside = bottom[i] + height[i] * ratio;
        y[i] = outside ? x[i] : inside;
        logSlope[i] += outside ? T(0) : vectorLog(slope);
    }
}

/** Write gx; keep the adjoints of the bin's corner, size and slopes where these were. */
template <class T>
OPENMMSCORE_INLINE void binAdjoints(const SplineRows<T>& rows, const T* x, const T* gy, T gl, T* gx) {
    using Rows = SplineRows<T>;
    T *left = rows.row(Rows::Left), *width = rows.row(Rows::Width), *bottom = rows.row(Rows::Bottom),
      *height = rows.row(Rows::Height), *d0 = rows.row(Rows::FirstSlope), *d1 = rows.row(Rows::LastSlope),
      *rate0 = rows.row(Rows::FirstRate), *rate1 = rows.row(Rows::LastRate);
    const bool tails = rows.shape.ends == SplineShape<T>::Ends::Linear;
    const T bound = rows.shape.bound;
#pragma omp simd
    for (std::int64_t i = 0; i < rows.samples; i++) {
        const Point<T> p(x[i], left[i], width[i], height[i], d0[i], d1[i]);
        const T one = T(1), two = T(2), xi = p.xi;
        const bool outside = tails && (x[i] < -bound || x[i] > bound);
        const T g = gy[i], gIn = outside ? T(0) : g, l = outside ? T(0) : gl;
        const T iw = one / width[i], id = one / p.denominator, in = one / p.numerator;
        const T ratio = (p.s * xi * xi + d0[i] * p.t) * id;
        // y = bottom + height ratio; log slope = 2 log s + log numerator - 2 log denominator.
        const T gRatio = gIn * height[i];
        const T gs = gRatio * (xi * xi - ratio * (one - two * p.t)) * id +
                     l * (two / p.s + two * p.t * in - two * (one - two * p.t) * id);
        const T gd0 = gRatio * p.t * (one - ratio) * id + l * ((one - xi) * (one - xi) * in - two * p.t * id);
        const T gd1 = -gRatio * ratio * p.t * id + l * (xi * xi * in - two * p.t * id);
        const T slope = p.s * p.s * p.numerator * id * id;
        const T gXi = gIn * slope * width[i] +
                      l * (two * (d1[i] * xi + p.s * (one - two * xi) - d0[i] * (one - xi)) * in -
                           two * p.q * (one - two * xi) * id);
        const T gInside = gXi * iw;
        gx[i] = outside ? g : gInside;
        left[i] = -gInside;
        width[i] = -(gs * p.s + gXi * xi) * iw;
        bottom[i] = gIn;
        height[i] = gs * iw + gIn * ratio;
        rate0[i] *= gd0;
        rate1[i] *= gd1;
    }
}

/**
 * Adjoints of widths' (or heights') numbers. With shares p_k = softmax, the corner is the sum of whole p_k
 * before the bin, and the size that of the bin.
 */
template <class T>
OPENMMSCORE_INLINE void shareAdjoints(int bins, std::int64_t n, T whole, const T* e, const T* inverse,
                                      const T* bin, const T* gCorner, const T* gSize, T* mean, T* g) {
    std::fill_n(mean, n, T(0));
    for (int k = 0; k < bins; k++)
#pragma omp simd
        for (std::int64_t i = 0; i < n; i++) {
            const T share = e[k * n + i] * inverse[i];
            const T here = T(k) < bin[i] ? gCorner[i] : T(k) == bin[i] ? gSize[i] : T(0);
            g[k * n + i] = whole * here;
            mean[i] += share * whole * here;
        }
    for (int k = 0; k < bins; k++)
#pragma omp simd
        for (std::int64_t i = 0; i < n; i++)
            g[k * n + i] = e[k * n + i] * inverse[i] * (g[k * n + i] - mean[i]);
}

template <class T>
OPENMMSCORE_INLINE void slopeAdjoints(const SplineRows<T>& s, T* g) {
    using Rows = SplineRows<T>;
    const std::int64_t n = s.samples;
    const T *bin = s.row(Rows::Bin), *g0 = s.row(Rows::FirstRate), *g1 = s.row(Rows::LastRate);
    std::fill_n(g, s.shape.numSlopes() * n, T(0));
    for (int knot = 0; knot <= s.shape.bins; knot++) {
        const int number = slopeNumber(s.shape, knot);
        if (number < 0)
            continue;
        T* out = g + number * n;
#pragma omp simd
        for (std::int64_t i = 0; i < n; i++)
            out[i] += (bin[i] == T(knot) ? g0[i] : T(0)) + (bin[i] == T(knot - 1) ? g1[i] : T(0));
    }
}

template <class T>
OPENMMSCORE_INLINE void splineAdjoint(const SplineRows<T>& s, const T* x, const T* gy, T gl, T* gx,
                                      T* gNumbers) {
    using Rows = SplineRows<T>;
    const int bins = s.shape.bins;
    const std::int64_t n = s.samples;
    const T whole = T(2) * s.shape.bound;
    binAdjoints(s, x, gy, gl, gx);
    // The slopes themselves are not needed any more.
    T* mean = s.row(Rows::FirstSlope);
    shareAdjoints(bins, n, whole * (T(1) - T(bins) * s.shape.minimumWidth), s.kept,
                  s.row(Rows::InverseWidths), s.row(Rows::Bin), s.row(Rows::Left), s.row(Rows::Width), mean,
                  gNumbers);
    shareAdjoints(bins, n, whole * (T(1) - T(bins) * s.shape.minimumHeight), s.kept + bins * n,
                  s.row(Rows::InverseHeights), s.row(Rows::Bin), s.row(Rows::Bottom), s.row(Rows::Height),
                  mean, gNumbers + bins * n);
    slopeAdjoints(s, gNumbers + 2 * bins * n);
}

} // namespace

#define OPENMMSCORE_SPLINE_ROWS(T)                                                                           \
    template <>                                                                                              \
    OPENMMSCORE_VECTORIZED void SplineRows<T>::value(const T* numbers, const T* x, T* y, T* logSlope)        \
        const {                                                                                              \
        splineValue(*this, numbers, x, y, logSlope);                                                         \
    }                                                                                                        \
    template <>                                                                                              \
    OPENMMSCORE_VECTORIZED void SplineRows<T>::adjoint(const T* x, const T* gy, T gLogSlope, T* gx,          \
                                                       T* gNumbers) const {                                  \
        splineAdjoint(*this, x, gy, gLogSlope, gx, gNumbers);                                                \
    }

OPENMMSCORE_SPLINE_ROWS(float)
OPENMMSCORE_SPLINE_ROWS(double)

} // namespace OpenMMScore
