// The fused engine's building blocks on every instruction set against naive float64 code.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "TestFusedKernels.cpp"
#include "InstructionSets.h"
// After the choice of targets.
#include "hwy/foreach_target.h"

#include "math-inl.h"
#include "products-inl.h"

HWY_BEFORE_NAMESPACE();
namespace OpenMMScore {
namespace HWY_NAMESPACE {

void multiplyPacked(int m, const float* a, int aStep, const PackedMatrix& b, const float* start,
                    int startStep, float* c, int cStep) {
    multiply(m, a, aStep, b, {start, startStep}, c, cStep);
}

/** C[m,n] = sum over o of A_o^T B_o, A_o: [k,m] */
void multiplyTransposedRounds(int m, int k, int n, int outer, const float* a, const float* b, float* c) {
    multiply<false>(m, k, n, {a, 1, m}, {b, padded(n)}, {nullptr, 0}, c, padded(n),
                    {outer, k * m, k * padded(n)});
}

/** which: exp, reciprocal, swish, GELU tanh, GELU erf; size is a multiple of rowPadding. */
void applyFunction(int which, int size, const float* x, float* y, float* slope) {
    for (int i = 0; i < size; i += lanes) {
        Vector v = load(x + i), s = zero();
        switch (which) {
        case 0:
            v = exponential(v);
            break;
        case 1:
            v = reciprocal(v);
            break;
        case 2:
            Swish::apply(load(x + i), v, s);
            break;
        case 3:
            GeluTanh::apply(load(x + i), v, s);
            break;
        default:
            GeluErf::apply(load(x + i), v, s);
            break;
        }
        store(v, y + i);
        store(s, slope + i);
    }
}

} // namespace HWY_NAMESPACE
} // namespace OpenMMScore
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <numbers>

#include <gtest/gtest.h>

#include "FusedModels.h"

namespace OpenMMScore {

HWY_EXPORT(multiplyPacked);
HWY_EXPORT(multiplyTransposedRounds);
HWY_EXPORT(applyFunction);

namespace {

using namespace OpenMMScore::testing;

AlignedArray fill(std::size_t size, Filler& filler) {
    AlignedArray values(size);
    for (std::size_t i = 0; i < size; i++)
        values.get()[i] = static_cast<float>(filler.next());
    return values;
}

TEST(FusedProducts, PackedProductMatchesNaiveSums) {
    Filler filler;
    for (int m : {1, 2, 5, 6, 7, 13, 14, 15, 29, 70})
        for (int k : {1, 3, 96})
            for (int n : {1, 15, 16, 17, 32, 33, 48, 100}) {
                Matrix weight(k, n);
                for (int i = 0; i < k; i++)
                    for (int j = 0; j < n; j++)
                        weight(i, j) = static_cast<float>(filler.next());
                const PackedMatrix packed(weight);
                const int aStep = k + 3, cStep = padded(n) + 16;
                const AlignedArray a = fill(m * aStep, filler), bias = fill(padded(n), filler);
                forEachInstructionSet([&](const std::string& name) {
                    SCOPED_TRACE(name + " " + std::to_string(m) + "x" + std::to_string(k) + "x" +
                                 std::to_string(n));
                    AlignedArray c(m * cStep);
                    HWY_DYNAMIC_DISPATCH(multiplyPacked)
                    (m, a.get(), aStep, packed, bias.get(), 0, c.get(), cStep);
                    // A second product on top of the first one.
                    HWY_DYNAMIC_DISPATCH(multiplyPacked)
                    (m, a.get(), aStep, packed, c.get(), cStep, c.get(), cStep);
                    for (int i = 0; i < m; i++) {
                        for (int j = 0; j < n; j++) {
                            double sum = bias.get()[j];
                            for (int l = 0; l < k; l++)
                                sum += 2.0 * a.get()[i * aStep + l] * weight(l, j);
                            // Every term is below 1 and is rounded at most twice.
                            ASSERT_NEAR(sum, c.get()[i * cStep + j], 4 * (k + 1) * std::ldexp(1.0, -24));
                        }
                        for (int j = padded(n); j < cStep; j++)
                            ASSERT_EQ(0, c.get()[i * cStep + j]) << "behind the last column";
                    }
                });
            }
}

TEST(FusedProducts, TransposedProductSumsOverRounds) {
    Filler filler;
    for (int m : {1, 5, 14, 28})
        for (int n : {1, 16, 40}) {
            const int k = 3, outer = 4;
            const AlignedArray a = fill(outer * k * m, filler), b = fill(outer * k * padded(n), filler);
            forEachInstructionSet([&](const std::string& name) {
                AlignedArray c(m * padded(n));
                HWY_DYNAMIC_DISPATCH(multiplyTransposedRounds)(m, k, n, outer, a.get(), b.get(), c.get());
                for (int i = 0; i < m; i++)
                    for (int j = 0; j < n; j++) {
                        double sum = 0;
                        for (int l = 0; l < outer * k; l++)
                            sum += a.get()[l * m + i] * b.get()[l * padded(n) + j];
                        ASSERT_NEAR(sum, c.get()[i * padded(n) + j], 2e-6) << name;
                    }
            });
        }
}

/** Largest error of value and slope on a grid, relative to the result or to `scale`, whichever is greater. */
void expectAccurate(int which, double low, double high, double scale, double tolerance,
                    double (*value)(double), double (*slope)(double)) {
    constexpr int size = 1 << 16;
    AlignedArray x(size), y(size), s(size);
    for (int i = 0; i < size; i++)
        x.get()[i] = static_cast<float>(low + (high - low) * i / size);
    forEachInstructionSet([&](const std::string& name) {
        HWY_DYNAMIC_DISPATCH(applyFunction)(which, size, x.get(), y.get(), s.get());
        double worst = 0, worstSlope = 0;
        for (int i = 0; i < size; i++) {
            const double v = value(x.get()[i]);
            worst = std::max(worst, std::abs(y.get()[i] - v) / std::max(std::abs(v), scale));
            if (slope != nullptr)
                worstSlope = std::max(worstSlope, std::abs(s.get()[i] - slope(x.get()[i])));
        }
        EXPECT_LE(worst, tolerance) << name;
        EXPECT_LE(worstSlope, tolerance) << name;
    });
}

constexpr double ulp = 1.0 / (1 << 23);

double sigmoidOf(double x) {
    return 1 / (1 + std::exp(-x));
}
double innerOf(double x) {
    return std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x);
}
double normalOf(double x) {
    return 0.5 * std::erfc(-x / std::numbers::sqrt2);
}

TEST(FusedMath, ExponentialIsGoodToTwoUlp) {
    expectAccurate(
        0, -79, 79, 0, 2 * ulp, [](double x) { return std::exp(x); }, nullptr);
}

TEST(FusedMath, ReciprocalIsGoodToTwoUlp) {
    expectAccurate(
        1, 1, 1e4, 0, 2 * ulp, [](double x) { return 1 / x; }, nullptr);
}

TEST(FusedMath, ActivationsAndTheirSlopesAreGoodToFewUlp) {
    expectAccurate(
        2, -30, 30, 1, 4 * ulp, [](double x) { return x * sigmoidOf(x); },
        [](double x) { return sigmoidOf(x) * (1 + x * (1 - sigmoidOf(x))); });
    expectAccurate(
        3, -12, 12, 1, 6 * ulp, [](double x) { return 0.5 * x * (1 + std::tanh(innerOf(x))); },
        [](double x) {
            const double h = std::tanh(innerOf(x));
            return 0.5 * (1 + h) +
                   0.5 * x * (1 - h * h) * std::sqrt(2 / std::numbers::pi) * (1 + 3 * 0.044715 * x * x);
        });
    expectAccurate(
        4, -12, 12, 1, 6 * ulp, [](double x) { return x * normalOf(x); },
        [](double x) { return normalOf(x) + x * std::exp(-0.5 * x * x) / std::sqrt(2 * std::numbers::pi); });
}

TEST(FusedMath, ActivationsReachTheirLimits) {
    AlignedArray x(16), y(16), slope(16);
    std::fill_n(x.get(), 8, 1e6f);
    std::fill_n(x.get() + 8, 8, -1e6f);
    for (int which : {2, 3, 4})
        forEachInstructionSet([&](const std::string& name) {
            HWY_DYNAMIC_DISPATCH(applyFunction)(which, 16, x.get(), y.get(), slope.get());
            EXPECT_NEAR(1e6f, y.get()[0], 0.2) << name;
            EXPECT_NEAR(1, slope.get()[0], 1e-6) << name;
            EXPECT_NEAR(0, y.get()[15], 1e-6) << name;
            EXPECT_NEAR(0, slope.get()[15], 1e-6) << name;
        });
}

} // namespace
} // namespace OpenMMScore
#endif // HWY_ONCE
