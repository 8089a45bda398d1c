// The numbers of a cache that are not floats of 32 bits: f16, and the blocks of q8_0 and q4_0.
#pragma once

#include "backend/cpu/isa/simd.h"

namespace tallow::cpu::TALLOW_ISA_NAMESPACE {
namespace {

/// f16 to f32.
TALLOW_INLINE Floats widen_f16(Halves h) {
#if TALLOW_ISA_LEVEL >= 2
  return _mm512_maskz_cvtph_ps(0xffff, (__m256i)h);
#elif TALLOW_ISA_LEVEL == 1
  return _mm256_cvtph_ps((__m128i)h);
#else  // the exponent and fraction in place, scaled by the difference of the biases
  const Words bits = __builtin_convertvector(h, Words);
  const Words shifted = (bits & 0x7fffu) << 13;
  const Words scaled = reinterpret_cast<Words>(reinterpret_cast<Floats>(shifted) * 0x1p112f);
  const Words all = (bits & 0x7fffu) >= 0x7c00u ? shifted | 0x7f800000u : scaled;
  return reinterpret_cast<Floats>(all | (bits & 0x8000u) << 16);
#endif
}
TALLOW_INLINE float widen_f16(uint16_t h) {
#if TALLOW_ISA_LEVEL >= 1
  return _cvtsh_ss(h);
#else
  return widen_f16(h - Halves{})[0];
#endif
}

constexpr int64_t kBlock = 32;  // elements of a block

/// kLanes numbers of a block from `at` on, which is a multiple of kLanes.
struct EightBits {
  static constexpr int64_t kBytes = 34;
  static TALLOW_INLINE Floats codes(const uint8_t* block, int64_t at) {
    const uint8_t* from = block + 2 + at;
#if TALLOW_ISA_LEVEL >= 2
    return _mm512_maskz_cvtepi32_ps(0xffff,
                                    _mm512_maskz_cvtepi8_epi32(0xffff, load_as<__m128i>(from)));
#elif TALLOW_ISA_LEVEL == 1
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i*)from)));
#else
    Floats all;
    for (int i = 0; i < kLanes; ++i) all[i] = static_cast<int8_t>(from[i]);
    return all;
#endif
  }
};

/// The second half of a block's codes stands in the high bits of the first's bytes.
struct FourBits {
  static constexpr int64_t kBytes = 18;
  static TALLOW_INLINE Floats codes(const uint8_t* block, int64_t at) {
    const uint8_t* from = block + 2 + at % 16;
#if TALLOW_ISA_LEVEL >= 2
    const Ints all = (Ints)_mm512_maskz_cvtepu8_epi32(0xffff, load_as<__m128i>(from));
#elif TALLOW_ISA_LEVEL == 1
    const Ints all = (Ints)_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i*)from));
#else
    Ints all;
    for (int i = 0; i < kLanes; ++i) all[i] = from[i];
#endif
    return __builtin_convertvector((at < 16 ? all & 15 : all >> 4) - 8, Floats);
  }
};

}  // namespace
}  // namespace tallow::cpu::TALLOW_ISA_NAMESPACE
