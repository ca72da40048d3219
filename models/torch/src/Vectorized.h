#ifndef OPENMMSCORE_TORCH_VECTORIZED_H_
#define OPENMMSCORE_TORCH_VECTORIZED_H_

#include <cstdint>

/**
 * Marks a function that is compiled once for each generation of vector units; the loader picks one for the
 * processor at hand. Functions that it calls must be inlined to gain from it.
 */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) &&     \
    !defined(__SANITIZE_THREAD__)
#define OPENMMSCORE_VECTORIZED __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define OPENMMSCORE_VECTORIZED
#endif
#define OPENMMSCORE_INLINE inline __attribute__((always_inline))

namespace OpenMMScore {

template <class T>
OPENMMSCORE_INLINE T dot(std::int64_t n, const T* a, const T* b) {
    T sum = 0;
#pragma omp simd reduction(+ : sum)
    for (std::int64_t k = 0; k < n; k++)
        sum += a[k] * b[k];
    return sum;
}

template <class T>
OPENMMSCORE_INLINE T sum(std::int64_t n, const T* a) {
    T total = 0;
#pragma omp simd reduction(+ : total)
    for (std::int64_t k = 0; k < n; k++)
        total += a[k];
    return total;
}

/** y += factor x */
template <class T>
OPENMMSCORE_INLINE void addScaled(std::int64_t n, T factor, const T* x, T* y) {
#pragma omp simd
    for (std::int64_t k = 0; k < n; k++)
        y[k] += factor * x[k];
}

} // namespace OpenMMScore

#endif // OPENMMSCORE_TORCH_VECTORIZED_H_
