// Rounding activations to 8 bits, 32 at a time. Included by one file per instruction set.
#pragma once

#include <cstdint>
#if TALLOW_ISA_LEVEL >= 2
#include <immintrin.h>
#endif

#include "backend/cpu/quant/kernels.h"

namespace tallow::cpu::quant {
namespace {

/// The sums of each 16 of 32 activations' bytes.
struct Rounded {
  uint32_t low, high;  // unsigned, since what NaN leaves may overflow
};

#if TALLOW_ISA_LEVEL >= 2

inline uint32_t largest_magnitude(const float* x) {
  const __m512i a = _mm512_loadu_si512(x), b = _mm512_loadu_si512(x + 16);
  const __m512i sign = _mm512_set1_epi32(INT32_MIN);
  return _mm512_reduce_max_epu32(
      _mm512_max_epu32(_mm512_andnot_si512(sign, a), _mm512_andnot_si512(sign, b)));
}

inline __m256i fold(__m512i v) {
  return _mm256_add_epi32(_mm512_castsi512_si256(v), _mm512_extracti64x4_epi64(v, 1));
}

inline Rounded round_to_bytes(const float* x, float inverse, int32_t* out) {
  const __m512 factor = _mm512_set1_ps(inverse);
  const __m512i a = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(x), factor));
  const __m512i b = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(x + 16), factor));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm512_cvtepi32_epi8(a));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out + 4), _mm512_cvtepi32_epi8(b));
  const __m256i pairs = _mm256_hadd_epi32(fold(a), fold(b));
  const __m128i sums =
      _mm_add_epi32(_mm256_castsi256_si128(pairs), _mm256_extracti128_si256(pairs, 1));
  const __m128i both = _mm_hadd_epi32(sums, sums);
  return {static_cast<uint32_t>(_mm_cvtsi128_si32(both)),
          static_cast<uint32_t>(_mm_extract_epi32(both, 1))};
}

#else

inline uint32_t largest_magnitude(const float* x) {
  uint32_t largest = 0;
  for (int j = 0; j < 32; ++j) {
    const uint32_t magnitude = __builtin_bit_cast(uint32_t, x[j]) & 0x7fffffff;
    largest = magnitude > largest ? magnitude : largest;
  }
  return largest;
}

inline Rounded round_to_bytes(const float* x, float inverse, int32_t* out) {
  // Adding the magic number rounds to nearest even and leaves the integer in the low bits.
  uint32_t q[32];
  for (int j = 0; j < 32; ++j) {
    q[j] = __builtin_bit_cast(uint32_t, x[j] * inverse + kMagic) - kMagicBits;
  }
  Rounded sums = {};
  for (int j = 0; j < 16; ++j) sums.low += q[j], sums.high += q[j + 16];
  uint8_t bytes[32];
  for (int j = 0; j < 32; ++j) bytes[j] = static_cast<uint8_t>(q[j]);
  __builtin_memcpy(out, bytes, 32);
  return sums;
}

#endif

inline void quantize_block(const float* x, QuantizedBlock* out) {
  // Compared as integers, NaN is larger than every number, so it reaches the scale.
  const uint32_t largest = largest_magnitude(x);
  // Rounded up to 22 bits. NaN and infinity stay what they are.
  uint32_t bits = __builtin_bit_cast(uint32_t, __builtin_bit_cast(float, largest) / 127);
  bits = largest < 0x7f800000 ? (bits + 3) & ~3u : bits;
  const float scale = __builtin_bit_cast(float, bits);
  const auto [low, high] = round_to_bytes(x, scale > 1e-37f ? 1 / scale : 0, out->q);
  out->scale = scale;
  out->magic = kMagic * scale;
  out->total = scale * static_cast<float>(static_cast<int32_t>(low + high));
  out->half[0] = scale * static_cast<float>(static_cast<int32_t>(low));
  out->half[1] = scale * static_cast<float>(static_cast<int32_t>(high));
  out->zero = static_cast<int32_t>(kMagicBits - 128 * (low + high));
  out->zero2[0] = static_cast<int32_t>(0 - 128 * low);
  out->zero2[1] = static_cast<int32_t>(0 - 128 * high);
}

inline void quantize_row(const float* x, int64_t k, QuantizedBlock* out, int64_t step) {
  for (int64_t b = 0; b < k / 32; ++b) quantize_block(x + 32 * b, out + b * step);
}

}  // namespace
}  // namespace tallow::cpu::quant
