#ifndef OPENMMSCORE_MODELS_LANES_H_
#define OPENMMSCORE_MODELS_LANES_H_

#include <cstring>

/**
 * Marks a function that is compiled once for each generation of vector units; the loader picks one for the
 * processor at hand. Functions that it calls must be inlined to gain from it.
 */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) &&     \
    !defined(__SANITIZE_THREAD__)
#define OPENMMSCORE_LANE_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define OPENMMSCORE_LANE_CLONES
#endif
#define OPENMMSCORE_LANE_INLINE inline __attribute__((always_inline))

namespace OpenMMScore {

/**
 * Eight float64 numbers side by side. Files of flows that use it are compiled without contraction to fused
 * multiply-adds, so that every generation of vector units gives the same bits.
 */
using Lanes = double __attribute__((vector_size(64)));

OPENMMSCORE_LANE_INLINE void loadLanes(const double* from, Lanes& x) {
    std::memcpy(&x, from, sizeof(x));
}

OPENMMSCORE_LANE_INLINE void storeLanes(const Lanes& x, double* to) {
    std::memcpy(to, &x, sizeof(x));
}

} // namespace OpenMMScore

#endif // OPENMMSCORE_MODELS_LANES_H_
