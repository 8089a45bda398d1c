// Unpacking codes and scales with 512-bit vectors, for the kernels that are compiled for them.
#pragma once

#include <immintrin.h>

#include "backend/cpu/quant/kernels.h"

namespace tallow::cpu::quant {
namespace {

#define TALLOW_INLINE static inline __attribute__((always_inline))

template <int left>
TALLOW_INLINE __m512i shift(__m512i v) {
  if constexpr (left > 0) return _mm512_slli_epi16(v, left);
  if constexpr (left < 0) return _mm512_srli_epi16(v, -left);
  return v;
}

TALLOW_INLINE __m512i load(const uint8_t* p) { return _mm512_loadu_si512(p); }

/// Bits `mask` (at their new place) of v shifted to the left.
template <int left, int mask>
TALLOW_INLINE __m512i field(__m512i v) {
  return _mm512_and_si512(shift<left>(v), _mm512_set1_epi8(static_cast<char>(mask)));
}

/// low | field(v), in one instruction after the shift.
template <int left, int mask>
TALLOW_INLINE __m512i add_field(__m512i low, __m512i v) {
  const __m512i bits = _mm512_set1_epi8(static_cast<char>(mask));
  return _mm512_ternarylogic_epi32(low, shift<left>(v), bits, 0xf8);  // a | (b & c)
}

/// Quad q of a group as unsigned codes shifted to the left by `up`; bytes keep their +128.
template <Format f, int q, int up>
TALLOW_INLINE __m512i code(const uint8_t* p) {
  if constexpr (f.codes == Codes::bytes) return load(p + 64 * q);
  if constexpr (f.codes == Codes::bits) return field<up - q, 1 << up>(load(p));
  __m512i v;
  if constexpr (f.codes <= Codes::nibbles_pair) {
    v = field<up - (q < 4 ? 0 : 4), 0x0f << up>(load(p + 64 * (q % 4)));
  } else {
    v = field<up - 2 * (q % 4), 3 << up>(load(p + 64 * (q / 4)));
  }
  if constexpr (f.codes == Codes::nibbles_high) {
    v = add_field<up + 4 - high_bit(q), 1 << (up + 4)>(v, load(p + 256));
  } else if constexpr (f.codes == Codes::nibbles_pair) {
    v = add_field<up + 4 - 2 * (q % 4), 3 << (up + 4)>(v, load(p + 256 + 64 * (q / 4)));
  } else if constexpr (f.codes == Codes::pairs_high) {
    v = add_field<up + 2 - high_bit(q), 1 << (up + 2)>(v, load(p + 128));
  }
  return v;
}

/// Signed values are moved to the top of the byte, so that all have the zero point 128: what `quad`
/// gives is value * 2^top_shift + 128.
template <Format f>
constexpr int top_shift() {
  if (f.values == Values::centred) return 8 - f.bits();
  return f.has_table() ? 7 - f.table().bits : 0;
}

/// By what that is divided: the shift, and the table's own.
template <Format f>
constexpr float unit_value() {
  return 1.0f / static_cast<float>(1 << (top_shift<f>() + (f.has_table() ? f.table().shift : 0)));
}

struct alignas(16) Bytes16 {
  uint8_t byte[16];
};

template <Format f>
constexpr Bytes16 table_bytes() {
  Bytes16 out = {};
  for (int i = 0; i < 16; ++i) {
    out.byte[i] = static_cast<uint8_t>(f.table().values[i] * (1 << top_shift<f>()) + 128);
  }
  return out;
}

/// Quad q as unsigned bytes: value * 2^top_shift + 128, or the code itself where there is a
/// minimum.
template <Format f, int q>
TALLOW_INLINE __m512i quad(const uint8_t* p) {
  if constexpr (f.has_table()) {
    static constexpr Bytes16 kBytes = table_bytes<f>();
    const __m128i table = _mm_load_si128(reinterpret_cast<const __m128i*>(kBytes.byte));
    return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(table), code<f, q, 0>(p));
  } else {
    return code<f, q, top_shift<f>()>(p);
  }
}

TALLOW_INLINE __m512 halves(const uint8_t* p) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}

TALLOW_INLINE __m128i load16(const uint8_t* p) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
}

TALLOW_INLINE __m512 signed_bytes(const uint8_t* p) {
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(load16(p)));
}

TALLOW_INLINE __m512 unsigned_bytes(__m128i v) {
  return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(v));
}

/// The scales of a K block: d, and minus dmin; or d and m in f32.
struct Head {
  __m512 d, minus_min, min;
};

template <Format f>
TALLOW_INLINE Head head(const uint8_t* unit) {
  Head h = {};
  if constexpr (f.is_k()) h.d = halves(unit);
  if constexpr (f.scales == Scales::f32_min || f.scales == Scales::f32_fp8) {
    h.d = _mm512_loadu_ps(unit);
  }
  if constexpr (f.scales == Scales::f32_min) h.min = _mm512_loadu_ps(unit + 64);
  if constexpr (f.is_k() && f.has_min()) {
    h.minus_min = _mm512_xor_ps(halves(unit + 32), _mm512_set1_ps(-0.0f));
  }
  return h;
}

/// The scales of 32 k of 16 rows, and the minima, which are added. Index 1 is for the upper 16 k.
struct GroupScales {
  __m512 scale[2], min[2];
};

template <Format f>
TALLOW_INLINE GroupScales group_scales(const Head& h, const uint8_t* s) {
  GroupScales g = {};
  if constexpr (f.scales == Scales::f16 || f.scales == Scales::f16_min) g.scale[0] = halves(s);
  if constexpr (f.scales == Scales::f16_min) g.min[0] = halves(s + 32);
  if constexpr (f.scales == Scales::e8m0) {
    // 2^(e - 128); the two subnormal ones become 0.
    const __m128i exponent = _mm_subs_epu8(load16(s), _mm_set1_epi8(1));
    g.scale[0] = _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu8_epi32(exponent), 23));
  }
  if constexpr (f.scales == Scales::k32) g.scale[0] = _mm512_mul_ps(h.d, signed_bytes(s));
  if constexpr (f.scales == Scales::k16) {
    g.scale[0] = _mm512_mul_ps(h.d, signed_bytes(s));
    g.scale[1] = _mm512_mul_ps(h.d, signed_bytes(s + 16));
  }
  if constexpr (f.scales == Scales::unit || f.scales == Scales::f32_min) g.scale[0] = h.d;
  if constexpr (f.scales == Scales::f32_min) g.min[0] = h.min;
  if constexpr (f.fp8_scales()) {
    // The bits as an f16 of which the exponent is 8 too small; and half of that.
    __m512 unit = _mm512_set1_ps(128.0f);
    if constexpr (f.scales == Scales::f32_fp8) unit = _mm512_mul_ps(unit, h.d);
    for (int half = 0; half < 2; ++half) {
      const __m256i bits = _mm256_slli_epi16(_mm256_cvtepu8_epi16(load16(s + 16 * half)), 7);
      g.scale[half] = _mm512_mul_ps(_mm512_cvtph_ps(bits), unit);
    }
  }
  if constexpr (f.scales == Scales::k32_min) {
    g.scale[0] = _mm512_mul_ps(h.d, unsigned_bytes(load16(s)));
    g.min[0] = _mm512_mul_ps(h.minus_min, unsigned_bytes(load16(s + 16)));
  }
  if constexpr (f.scales == Scales::k16_min) {
    const __m128i low = _mm_set1_epi8(15), a = load16(s), b = load16(s + 16);
    g.scale[0] = _mm512_mul_ps(h.d, unsigned_bytes(_mm_and_si128(a, low)));
    g.scale[1] = _mm512_mul_ps(h.d, unsigned_bytes(_mm_and_si128(b, low)));
    g.min[0] = _mm512_mul_ps(h.minus_min, unsigned_bytes(_mm_and_si128(_mm_srli_epi16(a, 4), low)));
    g.min[1] = _mm512_mul_ps(h.minus_min, unsigned_bytes(_mm_and_si128(_mm_srli_epi16(b, 4), low)));
  }
  return g;
}

}  // namespace
}  // namespace tallow::cpu::quant
