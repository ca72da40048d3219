// Elementary functions of the fused engine in float32, compiled once for each instruction set.
//
// exp: at most 2 ulp for |x| < 80; the others inherit its error plus a few roundings of their own. Tests:
// TestFusedMath.cpp. Arguments beyond +-80 are clamped, where every use has long reached its limit.

#if defined(OPENMMSCORE_MATH_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef OPENMMSCORE_MATH_INL_H_
#undef OPENMMSCORE_MATH_INL_H_
#else
#define OPENMMSCORE_MATH_INL_H_
#endif

#include "simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace OpenMMScore {
namespace HWY_NAMESPACE {
/** Cephes' expf: x = n ln 2 + r, a polynomial for exp(r), n into the exponent. */
HWY_INLINE Vector exponential(Vector x) {
    const Float f;
    const hn::RebindToSigned<Float> i;
    x = hn::Min(hn::Max(x, constant(-80.0f)), constant(80.0f));
    const auto n = hn::NearestInt(hn::Mul(x, constant(1.44269504f)));
    const Vector nf = hn::ConvertTo(f, n);
    // ln 2 in two parts; n times the first is exact.
    Vector r = hn::NegMulAdd(nf, constant(0.693359375f), x);
    r = hn::NegMulAdd(nf, constant(-2.12194440e-4f), r);
    Vector p = hn::MulAdd(r, constant(1.9875691500e-4f), constant(1.3981999507e-3f));
    p = hn::MulAdd(p, r, constant(8.3334519073e-3f));
    p = hn::MulAdd(p, r, constant(4.1665795894e-2f));
    p = hn::MulAdd(p, r, constant(1.6666665459e-1f));
    p = hn::MulAdd(p, r, constant(5.0000001201e-1f));
    p = hn::Add(hn::MulAdd(p, hn::Mul(r, r), r), constant(1.0f));
    const Vector power = hn::BitCast(f, hn::ShiftLeft<23>(hn::Add(n, hn::Set(i, 127))));
    return hn::Mul(p, power);
}

/** 1/x: the processor's estimate (12 bits or more) and one step of Newton's method, cheaper than a division.
 */
HWY_INLINE Vector reciprocal(Vector x) {
    const Vector estimate = hn::ApproximateReciprocal(x);
    return hn::MulAdd(estimate, hn::NegMulAdd(x, estimate, constant(1.0f)), estimate);
}

/** s = 1/(1 + exp(-x)) and 1 - s without cancellation. */
HWY_INLINE void sigmoid(Vector x, Vector& s, Vector& complement) {
    const Vector e = exponential(hn::Neg(x));
    s = reciprocal(hn::Add(constant(1.0f), e));
    complement = hn::Mul(e, s);
}

/** x sigmoid(x) and its slope. */
struct Swish {
    static HWY_INLINE void apply(Vector x, Vector& y, Vector& slope) {
        Vector s, complement;
        sigmoid(x, s, complement);
        y = hn::Mul(x, s);
        slope = hn::MulAdd(y, complement, s);
    }
};

/** 0.5 x (1 + tanh(a (x + b x^3))) = x sigmoid(2a (x + b x^3)) and its slope. */
struct GeluTanh {
    static HWY_INLINE void apply(Vector x, Vector& y, Vector& slope) {
        constexpr float twoA = 1.5957691216f, b = 0.044715f;
        const Vector square = hn::Mul(x, x);
        const Vector inner = hn::Mul(x, hn::MulAdd(square, constant(twoA * b), constant(twoA)));
        Vector s, complement;
        sigmoid(inner, s, complement);
        y = hn::Mul(x, s);
        const Vector innerSlope = hn::MulAdd(square, constant(3 * twoA * b), constant(twoA));
        slope = hn::MulAdd(hn::Mul(y, complement), innerSlope, s);
    }
};

/**
 * x Phi(x) with the normal distribution Phi, and its slope Phi(x) + x phi(x). The tail is Phi(-|x|) =
 * exp(-x^2/2) w Q(w), w = 1/(1 + p |x|/sqrt 2), where Q was fitted to 2.5e-7 relative accuracy.
 */
struct GeluErf {
    static HWY_INLINE void apply(Vector x, Vector& y, Vector& slope) {
        const Vector gauss = exponential(hn::Mul(constant(-0.5f), hn::Mul(x, x)));
        const Vector w = reciprocal(hn::MulAdd(hn::Abs(x), constant(0.4f * 0.7071067812f), constant(1.0f)));
        Vector q = constant(0.5f * 0.050272551863380144f);
        for (float c :
             {-0.1829434432915654f, 0.1691545489900031f, -0.005667445004741936f, 0.14146073200766918f,
              0.1685339398378524f, 0.20784385272055494f, 0.22566952503351373f, 0.22567586324382247f})
            q = hn::MulAdd(q, w, constant(0.5f * c));
        const Vector tail = hn::Mul(hn::Mul(gauss, w), q);
        const Vector cdf = hn::IfThenElse(hn::Lt(x, constant(0.0f)), tail, hn::Sub(constant(1.0f), tail));
        y = hn::Mul(x, cdf);
        slope = hn::MulAdd(hn::Mul(x, constant(0.3989422804f)), gauss, cdf);
    }
};

} // namespace HWY_NAMESPACE
} // namespace OpenMMScore
HWY_AFTER_NAMESPACE();

#endif
