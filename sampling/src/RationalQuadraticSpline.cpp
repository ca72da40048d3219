#include "openmmscore/sampling/RationalQuadraticSpline.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace OpenMMScore {

namespace {

double softplus(double x) {
    return std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x)));
}

} // namespace

SplineValue SplineBin::forward(double at) const {
    const double xi = (at - x) / width, rest = 1 - xi, slope = height / width;
    const double middle = firstSlope + lastSlope - 2 * slope;
    const double denominator = slope + middle * xi * rest;
    const double rise = lastSlope * xi * xi + 2 * slope * xi * rest + firstSlope * rest * rest;
    return {y + height * (slope * xi * xi + firstSlope * xi * rest) / denominator,
            std::log(slope * slope * rise / (denominator * denominator))};
}

SplineValue SplineBin::inverse(double at) const {
    const double slope = height / width, middle = firstSlope + lastSlope - 2 * slope;
    const double above = at - y;
    const double a = height * (slope - firstSlope) + above * middle;
    const double b = height * firstSlope - above * middle;
    const double c = -slope * above;
    const double root = 2 * c / (-b - std::sqrt(std::max(0.0, b * b - 4 * a * c)));
    const double found = x + width * std::clamp(root, 0.0, 1.0);
    return {found, -forward(found).logSlope};
}

RationalQuadraticSpline::RationalQuadraticSpline(const SplineFlowDescription& description,
                                                 SplineFlowDescription::Kind kind)
    : kind(kind), softClip(description.knots == SplineFlowDescription::Knots::SoftClip),
      bins(description.bins), numNumbers(description.countKnotNumbers(kind)),
      bound(kind == SplineFlowDescription::Kind::Circular ? std::numbers::pi : description.bound),
      minima{softClip ? 0 : description.minimumWidth, softClip ? 0 : description.minimumHeight},
      slopeMinimum(description.minimumSlope), slopeOffset(std::log(std::expm1(1 - slopeMinimum))),
      clipFactor(-1 / std::log(slopeMinimum)) {}

double RationalQuadraticSpline::clip(double number, double factor) const {
    return number / (1 + factor * clipFactor * std::abs(number));
}

double RationalQuadraticSpline::exponentiate(const double* numbers, double* parts) const {
    const double largest = softClip ? 0 : *std::max_element(numbers, numbers + bins);
    double sum = 0;
    for (int k = 0; k < bins; k++) {
        parts[k] = std::exp(softClip ? clip(numbers[k], 2) : numbers[k] - largest);
        sum += parts[k];
    }
    return sum;
}

double RationalQuadraticSpline::getSlope(const double* numbers, int k) const {
    const double* slopes = numbers + 2 * bins;
    if (softClip || kind == SplineFlowDescription::Kind::Real) {
        if (k == 0 || k == bins)
            return 1;
        k--;
    }
    else if (kind == SplineFlowDescription::Kind::Circular && k == bins)
        k = 0;
    return softClip ? std::exp(clip(slopes[k], 1)) : slopeMinimum + softplus(slopes[k] + slopeOffset);
}

SplineBin RationalQuadraticSpline::findBin(const double* numbers, bool byHeight, double at) const {
    SplineBin bin{};
    double parts[SplineFlowDescription::maxBins];
    // First along the axis on which the point is known, then as far along the other.
    int found = bins - 1;
    for (bool height : {byHeight, !byHeight}) {
        const double sum = exponentiate(numbers + (height ? bins : 0), parts);
        const double minimum = minima[height], share = (1 - minimum * bins) / sum;
        double fraction = 0, low = -bound, high = bound;
        for (int k = 0;; k++) {
            fraction += minimum + share * parts[k];
            high = k == bins - 1 ? bound : bound * (2 * fraction - 1);
            if (height == byHeight ? k == bins - 1 || at < high : k == found) {
                found = k;
                break;
            }
            low = high;
        }
        (height ? bin.y : bin.x) = low;
        (height ? bin.height : bin.width) = high - low;
    }
    bin.firstSlope = getSlope(numbers, found);
    bin.lastSlope = getSlope(numbers, found + 1);
    return bin;
}

SplineValue RationalQuadraticSpline::forward(const double* numbers, double x) const {
    if (!(std::abs(x) <= bound))
        return {x, 0};
    return findBin(numbers, false, x).forward(x);
}

SplineValue RationalQuadraticSpline::inverse(const double* numbers, double y) const {
    if (!(std::abs(y) <= bound))
        return {y, 0};
    return findBin(numbers, true, y).inverse(y);
}

} // namespace OpenMMScore
