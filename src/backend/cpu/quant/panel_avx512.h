// Dequantizing 16 rows into bf16 or f32 panels with 512-bit vectors. Included by one file with and
// one without the bf16 instructions.
#pragma once

#include "backend/cpu/quant/codes_avx512.h"

namespace tallow::cpu::quant {
namespace {

/// What a weight's integer is multiplied by, and what is added then.
struct Line {
  __m512 slope, offset;
};

template <Format f, int half>
TALLOW_INLINE Line line(const GroupScales& s) {
  const __m512 scale = s.scale[f.per_16() ? half : 0];
  if constexpr (f.values == Values::plain) return {scale, s.min[f.per_16() ? half : 0]};
  constexpr float unit = unit_value<f>();
  Line out{_mm512_mul_ps(scale, _mm512_set1_ps(unit)),
           _mm512_mul_ps(scale, _mm512_set1_ps(-128 * unit))};
  if constexpr (f.has_min()) out.offset = _mm512_add_ps(out.offset, s.min[0]);
  return out;
}

/// Byte i of each lane as a weight.
template <int i>
TALLOW_INLINE __m512 weight(__m512i quad, const Line& w) {
  __m512i byte = quad;
  if constexpr (i == 3) {
    byte = _mm512_srli_epi32(quad, 24);
  } else {
    if constexpr (i > 0) byte = _mm512_srli_epi32(quad, 8 * i);
    byte = _mm512_and_si512(byte, _mm512_set1_epi32(255));
  }
  return _mm512_fmadd_ps(_mm512_cvtepi32_ps(byte), w.slope, w.offset);
}

/// Codes below 128 need no conversion: in the upper bits of the fraction they are the float 128 +
/// code. The offset is then rounded to 2^-17 of a scale where there is a minimum, which is far
/// below bf16; not used where that shows (q2_k, with 3 scales as its largest value) or where the
/// offset of a signed type would not be exact (K types).
template <Format f>
constexpr bool as_fraction() {
  if (f.has_min()) return f.bits() >= 4 && f.bits() < 8;
  return f.values == Values::centred && f.bits() < 8 && !f.is_k();
}

template <Format f>
TALLOW_INLINE Line fraction_line(const Line& w) {
  // `slope` is for codes at the top of the byte, and 128 + zero point is 128 there.
  constexpr float up = static_cast<float>(1 << top_shift<f>());
  const __m512 slope = _mm512_mul_ps(w.slope, _mm512_set1_ps(up));
  return {slope, _mm512_fmadd_ps(slope, _mm512_set1_ps(-128.0f), w.offset)};
}

template <int i>
TALLOW_INLINE __m512 fraction_weight(__m512i code, const Line& w) {
  __m512i v = code;
  if constexpr (i < 2) v = _mm512_slli_epi32(code, 16 - 8 * i);
  if constexpr (i == 3) v = _mm512_srli_epi32(code, 8);
  const __m512i field = _mm512_set1_epi32(0x00ff0000), one = _mm512_set1_epi32(0x43000000);
  v = _mm512_ternarylogic_epi32(v, field, one, 0xea);  // (v & field) | one
  return _mm512_fmadd_ps(_mm512_castsi512_ps(v), w.slope, w.offset);
}

/// Lane r is {even[r], odd[r]} in bf16, rounded to nearest even.
TALLOW_INLINE __m512i pair_bf16(__m512 even, __m512 odd) {
#if TALLOW_ISA_LEVEL >= 4
  const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24,
                                         8, 23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  const __m512bh both = _mm512_cvtne2ps_pbh(odd, even);
  return _mm512_permutexvar_epi16(order, reinterpret_cast<__m512i>(both));
#else
  const __m512i one = _mm512_set1_epi32(1), half = _mm512_set1_epi32(0x7fff);
  const __m512i a = _mm512_castps_si512(even), b = _mm512_castps_si512(odd);
  const __m512i a_odd = _mm512_and_si512(_mm512_srli_epi32(a, 16), one);
  const __m512i b_odd = _mm512_and_si512(_mm512_srli_epi32(b, 16), one);
  const __m512i low = _mm512_add_epi32(_mm512_add_epi32(a, half), a_odd);
  const __m512i high = _mm512_add_epi32(_mm512_add_epi32(b, half), b_odd);
  return _mm512_mask_blend_epi16(0xaaaaaaaa, _mm512_srli_epi32(low, 16), high);
#endif
}

template <Format f, int q = 0>
TALLOW_INLINE void group_bf16(const uint8_t* p, const Line& low, const Line& high,
                              uint16_t* panel) {
  const Line& w = q < 4 ? low : high;
  __m512i first, second;
  if constexpr (as_fraction<f>()) {
    const __m512i v = code<f, q, 0>(p);
    first = pair_bf16(fraction_weight<0>(v, w), fraction_weight<1>(v, w));
    second = pair_bf16(fraction_weight<2>(v, w), fraction_weight<3>(v, w));
  } else {
    const __m512i v = quad<f, q>(p);
    first = pair_bf16(weight<0>(v, w), weight<1>(v, w));
    second = pair_bf16(weight<2>(v, w), weight<3>(v, w));
  }
  _mm512_storeu_si512(panel + 64 * q, first);
  _mm512_storeu_si512(panel + 64 * q + 32, second);
  if constexpr (q < 7) group_bf16<f, q + 1>(p, low, high, panel);
}

template <Format f, int q = 0>
TALLOW_INLINE void group_f32(const uint8_t* p, const Line& low, const Line& high, float* panel) {
  const __m512i v = quad<f, q>(p);
  const Line& w = q < 4 ? low : high;
  _mm512_storeu_ps(panel + 32 * (4 * q), weight<0>(v, w));
  _mm512_storeu_ps(panel + 32 * (4 * q + 1), weight<1>(v, w));
  _mm512_storeu_ps(panel + 32 * (4 * q + 2), weight<2>(v, w));
  _mm512_storeu_ps(panel + 32 * (4 * q + 3), weight<3>(v, w));
  if constexpr (q < 7) group_f32<f, q + 1>(p, low, high, panel);
}

template <Format f>
void to_bf16(const uint8_t* p, Length length, uint16_t* panel) {
  for (int64_t u = 0; u < length.units; ++u) {
    const Head h = head<f>(p);
    p += f.head_bytes();
    for (int i = 0; i < f.unit_groups(length.groups); ++i, p += f.group_bytes(), panel += 32 * 16) {
      const GroupScales s = group_scales<f>(h, p + f.code_bytes());
      Line low = line<f, 0>(s), high = line<f, 1>(s);
      if constexpr (as_fraction<f>()) low = fraction_line<f>(low), high = fraction_line<f>(high);
      group_bf16<f>(p, low, high, panel);
    }
  }
}

template <Format f>
void to_f32(const uint8_t* p, Length length, float* panel) {
  for (int64_t u = 0; u < length.units; ++u) {
    const Head h = head<f>(p);
    p += f.head_bytes();
    for (int i = 0; i < f.unit_groups(length.groups); ++i, p += f.group_bytes(), panel += 32 * 32) {
      const GroupScales s = group_scales<f>(h, p + f.code_bytes());
      group_f32<f>(p, line<f, 0>(s), line<f, 1>(s), panel);
    }
  }
}

inline PanelBf16Fn panel_bf16_for(DType dtype) {
  switch (format_type(dtype)) {
#define TALLOW_ROW(type, codes, values, scales, groups) \
  case DType::type: return to_bf16<k_##type>;
    TALLOW_BLOCK_FORMATS(TALLOW_ROW)
#undef TALLOW_ROW
    default: return nullptr;
  }
}

}  // namespace
}  // namespace tallow::cpu::quant
