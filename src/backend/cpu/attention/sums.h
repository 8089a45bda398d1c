// Sums across the lanes of several vectors at once.
#pragma once

#include "backend/cpu/isa/simd.h"

namespace tallow::cpu::TALLOW_ISA_NAMESPACE {
namespace {

/// The sums of the lanes of four vectors.
TALLOW_INLINE Quad sum_four(Floats a, Floats b, Floats c, Floats d) {
#if TALLOW_ISA_LEVEL >= 2
  const __m512 ab = _mm512_maskz_unpacklo_ps(0xffff, a, b) + _mm512_maskz_unpackhi_ps(0xffff, a, b);
  const __m512 cd = _mm512_maskz_unpacklo_ps(0xffff, c, d) + _mm512_maskz_unpackhi_ps(0xffff, c, d);
  const __m512 all =
      _mm512_maskz_shuffle_ps(0xffff, ab, cd, 0x44) + _mm512_maskz_shuffle_ps(0xffff, ab, cd, 0xee);
  const __m256 half = __builtin_shufflevector(all, all, 0, 1, 2, 3, 4, 5, 6, 7) +
                      __builtin_shufflevector(all, all, 8, 9, 10, 11, 12, 13, 14, 15);
  return __builtin_shufflevector(half, half, 0, 1, 2, 3) +
         __builtin_shufflevector(half, half, 4, 5, 6, 7);
#elif TALLOW_ISA_LEVEL == 1
  const __m256 all = _mm256_hadd_ps(_mm256_hadd_ps(a, b), _mm256_hadd_ps(c, d));
  return _mm256_castps256_ps128(all) + _mm256_extractf128_ps(all, 1);
#else
  const Floats ab =
      __builtin_shufflevector(a, b, 0, 4, 1, 5) + __builtin_shufflevector(a, b, 2, 6, 3, 7);
  const Floats cd =
      __builtin_shufflevector(c, d, 0, 4, 1, 5) + __builtin_shufflevector(c, d, 2, 6, 3, 7);
  return __builtin_shufflevector(ab, cd, 0, 1, 4, 5) + __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
#endif
}

}  // namespace
}  // namespace tallow::cpu::TALLOW_ISA_NAMESPACE
