#ifndef OPENMMSCORE_SAMPLING_LANEMATH_H_
#define OPENMMSCORE_SAMPLING_LANEMATH_H_

#include <cstdint>
#include <cstring>

#include "Lanes.h"

namespace OpenMMScore {

/**
 * Replace x by exp(x), to 2 units in the last place; arguments beyond +-708 count as that, NaN stays.
 */
OPENMMSCORE_LANE_INLINE void expLanes(Lanes& x) {
    using Words = std::int64_t __attribute__((vector_size(64)));
    constexpr double most = 708, log2e = 1.4426950408889634074;
    // ln 2 in two parts, of which the first times a small integer is exact; a sum that rounds to integers.
    constexpr double ln2High = 6.93147180369123816490e-01, ln2Low = 1.90821492927058770002e-10;
    constexpr double rounder = 6755399441055744.0;
    x = x > most ? Lanes{} + most : x;
    x = x < -most ? Lanes{} - most : x;
    const Lanes shifted = x * log2e + rounder, k = shifted - rounder;
    const Lanes r = (x - k * ln2High) - k * ln2Low;
    // Taylor's series: |r| < 0.35, so that the next term is below 5e-18.
    constexpr double inverseFactorials[] = {
        1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880, 1.0 / 40320, 1.0 / 5040, 1.0 / 720,
        1.0 / 120,       1.0 / 24,       1.0 / 6,       0.5,          1.0,         1.0};
    Lanes sum = Lanes{} + 1.0 / 6227020800.0;
    for (const double factor : inverseFactorials)
        sum = sum * r + factor;
    Words exponent;
    std::memcpy(&exponent, &shifted, sizeof(exponent));
    std::int64_t zero;
    std::memcpy(&zero, &rounder, sizeof(zero));
    exponent = (exponent - zero + 1023) << 52;
    Lanes scale;
    std::memcpy(&scale, &exponent, sizeof(scale));
    x = sum * scale;
}

/** Replace x by swish(x) = x sigmoid(x), and give its first and second derivative. */
OPENMMSCORE_LANE_INLINE void swishLanes(Lanes& x, Lanes& slope, Lanes& curvature) {
    Lanes e = -x;
    expLanes(e);
    const Lanes s = 1.0 / (1.0 + e);
    slope = s * (1.0 + x * (1.0 - s));
    curvature = s * (1.0 - s) * (2.0 + x * (1.0 - 2.0 * s));
    x = x * s;
}

/** Replace x by tanh(x), and give its first and second derivative. */
OPENMMSCORE_LANE_INLINE void tanhLanes(Lanes& x, Lanes& slope, Lanes& curvature) {
    Lanes e = -2.0 * x;
    expLanes(e);
    x = 2.0 / (1.0 + e) - 1.0;
    slope = 1.0 - x * x;
    curvature = -2.0 * x * slope;
}

} // namespace OpenMMScore

#endif // OPENMMSCORE_SAMPLING_LANEMATH_H_
