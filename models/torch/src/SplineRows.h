#ifndef OPENMMSCORE_TORCH_SPLINEROWS_H_
#define OPENMMSCORE_TORCH_SPLINEROWS_H_

#include <cstdint>

namespace OpenMMScore {

/** One monotonic rational-quadratic spline on [-bound, bound], as SplineFlowDescription tells of it. */
template <class T>
struct SplineShape {
    enum class Ends {
        /** Slope 1 at both ends, the identity beyond them; K - 1 slopes. */
        Linear,
        /** The same slope at both ends; K slopes. */
        Tied,
        /** Two slopes of their own; K + 1 slopes. */
        Free
    };

    Ends ends;
    int bins;
    T bound, minimumWidth, minimumHeight, minimumSlope;

    int numSlopes() const { return bins + (ends == Ends::Linear ? -1 : ends == Ends::Tied ? 0 : 1); }
    /** @return how many numbers make a spline: [bins widths | bins heights | slopes] */
    int numNumbers() const { return 2 * bins + numSlopes(); }
};

/**
 * The splines of one coordinate for many samples, each of its own shape. All arrays have one row for each
 * number and one column for each sample, [rows, samples], so that loops over samples fill vector registers,
 * whatever the number of bins.
 *
 * T is float or double. Adjoints are derivatives of a loss.
 */
template <class T>
struct SplineRows {
    SplineShape<T> shape;
    std::int64_t samples;
    /** Shape [keptRows(bins), samples]: what adjoint() needs; set by value(). */
    T* kept;

    static std::int64_t keptRows(int bins) { return 2 * bins + numNamedRows; }
    /**
     * y = spline(x), and logSlope += log dy/dx.
     *
     * @param numbers  shape [shape.numNumbers(), samples]
     */
    void value(const T* numbers, const T* x, T* y, T* logSlope) const;
    /**
     * @param gy           shape [samples]: the adjoint of y; may be gx
     * @param gLogSlope    that of every log dy/dx
     * @param gx, gNumbers written
     */
    void adjoint(const T* x, const T* gy, T gLogSlope, T* gx, T* gNumbers) const;

    /** The rows that follow the exponentials of widths and heights. */
    enum NamedRow {
        /** What turns exponentials into shares of the whole. */
        InverseWidths,
        InverseHeights,
        /** The bin that x is in, its corner and size. */
        Bin,
        Left,
        Width,
        Bottom,
        Height,
        /** The slopes at its ends, and their derivatives with respect to the numbers. */
        FirstSlope,
        LastSlope,
        FirstRate,
        LastRate,
        numNamedRows
    };
    T* row(NamedRow name) const { return kept + (2 * shape.bins + name) * samples; }
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_TORCH_SPLINEROWS_H_
