// What all kernels of the fused engine share, compiled once for each instruction set.

#if defined(OPENMMSCORE_SIMD_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef OPENMMSCORE_SIMD_INL_H_
#undef OPENMMSCORE_SIMD_INL_H_
#else
#define OPENMMSCORE_SIMD_INL_H_
#endif

#include "AlignedArray.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace OpenMMScore {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Float = hn::ScalableTag<float>;
using Vector = hn::Vec<Float>;

/** Floats in a vector. Vectors of a length that only the running processor knows are not supported. */
constexpr int lanes = HWY_LANES(float);
static_assert(rowPadding % lanes == 0, "rows are padded to whole vectors");

HWY_INLINE Vector constant(float x) {
    return hn::Set(Float(), x);
}
HWY_INLINE Vector zero() {
    return hn::Zero(Float());
}
HWY_INLINE Vector load(const float* p) {
    return hn::LoadU(Float(), p);
}
HWY_INLINE void store(Vector v, float* p) {
    hn::StoreU(v, Float(), p);
}
HWY_INLINE float sumLanes(Vector v) {
    return hn::GetLane(hn::SumOfLanes(Float(), v));
}

} // namespace HWY_NAMESPACE
} // namespace OpenMMScore
HWY_AFTER_NAMESPACE();

#endif
