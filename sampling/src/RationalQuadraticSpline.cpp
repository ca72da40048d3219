#include "openmmscore/sampling/RationalQuadraticSpline.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace OpenMMScore {

namespace {

/** To an absolute error of 1e-16, which is what counts when a minimum is added to it; log1p takes twice as
 * long. */
double softplus(double x) {
    return std::max(x, 0.0) + std::log(1 + std::exp(-std::abs(x)));
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

SplineBin::Gradient SplineBin::differentiate(double at, double byValue, double byLogSlope) const {
    // The quantities of forward(), then backwards through them.
    const double xi = (at - x) / width, rest = 1 - xi, slope = height / width;
    const double middle = firstSlope + lastSlope - 2 * slope, product = xi * rest, bend = rest - xi;
    const double denominator = slope + middle * product;
    const double numerator = slope * xi * xi + firstSlope * product;
    const double rise = lastSlope * xi * xi + 2 * slope * product + firstSlope * rest * rest;
    const double byNumerator = byValue * height / denominator;
    const double byDenominator = -(byNumerator * numerator + 2 * byLogSlope) / denominator;
    const double byRise = byLogSlope / rise, byMiddle = byDenominator * product;
    const double bySlope =
        2 * byLogSlope / slope + byRise * 2 * product + byNumerator * xi * xi + byDenominator - 2 * byMiddle;
    const double byXi = byRise * 2 * (lastSlope * xi + slope * bend - firstSlope * rest) +
                        byNumerator * (2 * slope * xi + firstSlope * bend) + byDenominator * middle * bend;
    Gradient gradient{};
    gradient.at = byXi / width;
    gradient.x = -gradient.at;
    gradient.width = -(bySlope * slope + byXi * xi) / width;
    gradient.y = byValue;
    gradient.height = byValue * numerator / denominator + bySlope / width;
    gradient.firstSlope = byRise * rest * rest + byNumerator * product + byMiddle;
    gradient.lastSlope = byRise * xi * xi + byMiddle;
    return gradient;
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

int RationalQuadraticSpline::getSlopeIndex(int k) const {
    if (softClip || kind == SplineFlowDescription::Kind::Real)
        return k == 0 || k == bins ? -1 : 2 * bins + k - 1;
    return 2 * bins + (kind == SplineFlowDescription::Kind::Circular && k == bins ? 0 : k);
}

double RationalQuadraticSpline::getSlope(const double* numbers, int k) const {
    const int index = getSlopeIndex(k);
    if (index < 0)
        return 1;
    return softClip ? std::exp(clip(numbers[index], 1))
                    : slopeMinimum + softplus(numbers[index] + slopeOffset);
}

SplineBin RationalQuadraticSpline::findBin(const double* numbers, bool byHeight, double at,
                                           int& found) const {
    SplineBin bin{};
    double parts[SplineFlowDescription::maxBins];
    // First along the axis on which the point is known, then as far along the other.
    found = bins - 1;
    for (bool height : {byHeight, !byHeight}) {
        const double sum = exponentiate(numbers + (height ? bins : 0), parts);
        const double minimum = minima[height], share = (1 - minimum * bins) / sum;
        double fraction = 0, low = -bound, high = 0;
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
    int bin;
    return findBin(numbers, false, x, bin).forward(x);
}

SplineValue RationalQuadraticSpline::inverse(const double* numbers, double y) const {
    if (!(std::abs(y) <= bound))
        return {y, 0};
    int bin;
    return findBin(numbers, true, y, bin).inverse(y);
}

void RationalQuadraticSpline::differentiateKnots(const double* numbers, double minimum, int bin, double byLow,
                                                 double byLength, double* byNumbers) const {
    // low = B (2 F_bin - 1) and high alike, with F the running sum of shares; the last one's changes are
    // zero.
    const double before = 2 * bound * byLow, own = 2 * bound * byLength;
    double parts[SplineFlowDescription::maxBins];
    const double sum = exponentiate(numbers, parts), share = (1 - minimum * bins) / sum;
    double mean = 0;
    for (int k = 0; k <= bin; k++)
        mean += parts[k] / sum * (k < bin ? before : own);
    for (int k = 0; k < bins; k++) {
        const double byShare = k < bin ? before : k == bin ? own : 0;
        byNumbers[k] = share * parts[k] * (byShare - mean);
        if (softClip) {
            const double damping = 1 + 2 * clipFactor * std::abs(numbers[k]);
            byNumbers[k] /= damping * damping;
        }
    }
}

void RationalQuadraticSpline::addSlope(const double* numbers, int k, double bySlope,
                                       double* byNumbers) const {
    const int index = getSlopeIndex(k);
    if (index < 0)
        return;
    const double damping = 1 + clipFactor * std::abs(numbers[index]);
    byNumbers[index] += bySlope * (softClip ? std::exp(clip(numbers[index], 1)) / (damping * damping)
                                            : 1 / (1 + std::exp(-numbers[index] - slopeOffset)));
}

double RationalQuadraticSpline::differentiate(const double* numbers, double x, double byValue,
                                              double byLogSlope, double* byNumbers) const {
    std::fill_n(byNumbers, numNumbers, 0.0);
    if (!(std::abs(x) <= bound))
        return byValue;
    int bin;
    const SplineBin own = findBin(numbers, false, x, bin);
    const SplineBin::Gradient gradient = own.differentiate(x, byValue, byLogSlope);
    differentiateKnots(numbers, minima[0], bin, gradient.x, gradient.width, byNumbers);
    differentiateKnots(numbers + bins, minima[1], bin, gradient.y, gradient.height, byNumbers + bins);
    addSlope(numbers, bin, gradient.firstSlope, byNumbers);
    addSlope(numbers, bin + 1, gradient.lastSlope, byNumbers);
    return gradient.at;
}

} // namespace OpenMMScore
