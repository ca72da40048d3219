#ifndef OPENMMSCORE_TORCH_ELEMENTARYFUNCTIONS_H_
#define OPENMMSCORE_TORCH_ELEMENTARYFUNCTIONS_H_

#include <bit>
#include <cmath>
#include <cstdint>

#include "Vectorized.h"

/**
 * Exponentials and logarithms without branches, for loops that the compiler turns into vector instructions.
 * In float they are those of the Cephes library (S. Moshier), right to 2 units in the last place; in double
 * the C library's, one by one.
 */
namespace OpenMMScore {

/** @param x  at most 88; below -87 the result is that of -87 */
OPENMMSCORE_INLINE float vectorExp(float x) {
    x = x < -87.0f ? -87.0f : x;
    // Adding and subtracting 1.5 * 2^23 rounds to an integer.
    const float n = (x * 1.44269504088896341f + 12582912.0f) - 12582912.0f;
    const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    const float power = std::bit_cast<float>((static_cast<std::int32_t>(n) + 127) << 23);
    return (p * r * r + r + 1.0f) * power;
}

/** @param x  positive, not subnormal; NaN and infinity give NaN */
OPENMMSCORE_INLINE float vectorLog(float x) {
    const auto bits = std::bit_cast<std::int32_t>(x);
    // x = m 2^e with m between the square roots of 1/2 and 2.
    const std::int32_t e = (bits - 0x3f3504f3) >> 23;
    const float f = std::bit_cast<float>(bits - (e << 23)) - 1.0f, z = f * f;
    float p = 7.0376836292e-2f;
    p = p * f - 1.1514610310e-1f;
    p = p * f + 1.1676998740e-1f;
    p = p * f - 1.2420140846e-1f;
    p = p * f + 1.4249322787e-1f;
    p = p * f - 1.6668057665e-1f;
    p = p * f + 2.0000714765e-1f;
    p = p * f - 2.4999993993e-1f;
    p = p * f + 3.3333331174e-1f;
    const float n = static_cast<float>(e);
    return f + (p * f * z - 2.12194440e-4f * n - 0.5f * z) + 0.693359375f * n + (x - x);
}

OPENMMSCORE_INLINE double vectorExp(double x) {
    return std::exp(x);
}
OPENMMSCORE_INLINE double vectorLog(double x) {
    return std::log(x);
}

/** log(1 + e) for e between 0 and 1, to full relative accuracy. */
template <class T>
OPENMMSCORE_INLINE T vectorLog1p(T e) {
    const T u = T(1) + e;
    return vectorLog(u) - ((u - T(1)) - e) / u;
}

} // namespace OpenMMScore

#endif // OPENMMSCORE_TORCH_ELEMENTARYFUNCTIONS_H_
