// For which instruction sets the fused engine is compiled; to be included before Highway.
#ifndef OPENMMSCORE_FUSED_INSTRUCTIONSETS_H_
#define OPENMMSCORE_FUSED_INSTRUCTIONSETS_H_

#include "hwy/detect_compiler_arch.h"

// SSSE3 adds nothing for processors too old for SSE4. Kernels hold tiles in arrays of vectors, which vectors
// of a length unknown to the compiler do not allow: Arm falls back to NEON, RISC-V to portable code.
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV)

#endif // OPENMMSCORE_FUSED_INSTRUCTIONSETS_H_
