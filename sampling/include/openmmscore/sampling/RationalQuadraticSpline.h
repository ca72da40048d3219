#ifndef OPENMMSCORE_SAMPLING_RATIONALQUADRATICSPLINE_H_
#define OPENMMSCORE_SAMPLING_RATIONALQUADRATICSPLINE_H_

#include "openmmscore/sampling/SplineFlowDescription.h"

namespace OpenMMScore {

/** A function's value, and the logarithm of its derivative there. */
struct SplineValue {
    double value, logSlope;
};

/**
 * One bin of a monotonic rational-quadratic spline: between knots (x, y) and (x + width, y + height) with
 * slopes firstSlope and lastSlope. With xi = (X - x) / width, s = height / width, and t = firstSlope +
 * lastSlope - 2 s,
 *
 *     Y = y + height (s xi^2 + firstSlope xi (1 - xi)) / (s + t xi (1 - xi))
 *     dY/dX = s^2 (lastSlope xi^2 + 2 s xi (1 - xi) + firstSlope (1 - xi)^2) / (s + t xi (1 - xi))^2
 *
 * Source: Gregory and Delbourgo, IMA J. Numer. Anal. 1982, in the form of Durkan et al., arXiv:1906.04032,
 * equations 4, 5 and 29.
 */
struct SplineBin {
    double x, width, y, height, firstSlope, lastSlope;

    /** @param at  within the bin */
    SplineValue forward(double at) const;
    /** @return the X at which Y is `at`, which lies within the bin, and log dX/dY */
    SplineValue inverse(double at) const;

    /** A number for the point, and for each of the six that make a bin. */
    struct Gradient {
        double at;
        double x, width, y, height, firstSlope, lastSlope;
    };
    /** @return the gradient of byValue * value + byLogSlope * logSlope, of forward(at) */
    Gradient differentiate(double at, double byValue, double byLogSlope) const;
};

/**
 * Monotonic splines whose knots are given by unconstrained numbers, [K widths | K heights | slopes], as
 * SplineFlowDescription has it: on [-pi, pi] for circular coordinates, else on [-B, B], and the identity
 * outside.
 */
class RationalQuadraticSpline {
public:
    /** @param description  bins, bound, minima and knots count; a copy is kept of these */
    RationalQuadraticSpline(const SplineFlowDescription& description, SplineFlowDescription::Kind kind);

    /** @return how many numbers forward() and inverse() read */
    int countNumbers() const { return numNumbers; }
    /** @return half the length of the interval */
    double getBound() const { return bound; }
    SplineValue forward(const double* numbers, double x) const;
    SplineValue inverse(const double* numbers, double y) const;
    /**
     * Differentiate byValue * value + byLogSlope * logSlope, of forward().
     *
     * @param byNumbers  written: [countNumbers()]
     * @return the derivative with respect to x
     */
    double differentiate(const double* numbers, double x, double byValue, double byLogSlope,
                         double* byNumbers) const;

private:
    double clip(double number, double factor) const;
    /** @param parts  written: [K], whose shares of their sum are what widths or heights are made of. @return
     * it */
    double exponentiate(const double* numbers, double* parts) const;
    /** @return where slope k, 0 ... K, is among the numbers; -1 if it is fixed */
    int getSlopeIndex(int k) const;
    double getSlope(const double* numbers, int k) const;
    /** @return the bin in which a point lies, whose x or, if byHeight, y is known */
    SplineBin findBin(const double* numbers, bool byHeight, double at, int& found) const;
    /** Turn derivatives by a bin's ends on one axis into those by the numbers of that axis. */
    void differentiateKnots(const double* numbers, double minimum, int bin, double byLow, double byLength,
                            double* byNumbers) const;
    void addSlope(const double* numbers, int k, double bySlope, double* byNumbers) const;

    SplineFlowDescription::Kind kind;
    bool softClip;
    int bins, numNumbers;
    double bound, minima[2], slopeMinimum, slopeOffset, clipFactor;
};

} // namespace OpenMMScore

#endif // OPENMMSCORE_SAMPLING_RATIONALQUADRATICSPLINE_H_
