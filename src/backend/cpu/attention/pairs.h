// What the two bf16 engines share: queries and weights as pairs of neighbours in one 32-bit lane,
// the layout that vdpbf16ps and AMX's B tiles both want.
#pragma once

#include "backend/cpu/attention/tiled.h"

namespace tallow::cpu::TALLOW_ISA_NAMESPACE {
namespace {

struct PairEngine {
  using Element = uint16_t;
  using Weight = uint32_t;
  static constexpr int64_t kPad = 32, kPerWeight = 2, kParts = 1, kKeys = kAttentionChunk;
  static constexpr bool kRounds = true;

  /// Two vectors to bf16: lane i holds a[i] low and b[i] high.
  static TALLOW_INLINE __m512i pair(Floats a, Floats b) {
    const __m512i both = (__m512i)_mm512_cvtne2ps_pbh(b, a);  // a in the lower half
    const __m512i order =
        _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6,
                         21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    return _mm512_maskz_permutexvar_epi16(~__mmask32{0}, order, both);
  }

  static void pack(const float* const* from, int64_t dim, int64_t width, float scale, float* group,
                   int64_t lane) {
    for (int64_t d = 0; d < width; d += 32) {
      Floats tile[kLanes];
      if (d + 32 <= dim) {
#pragma GCC unroll 16
        for (int64_t i = 0; i < kLanes; ++i) {
          tile[i] = join(load(from[i] + d), load(from[i] + d + kLanes), scale);
        }
      } else {
        for (int64_t i = 0; i < kLanes; ++i) {
          tile[i] =
              join(part(from[i] + d, dim - d), part(from[i] + d + kLanes, dim - d - kLanes), scale);
        }
      }
      transpose(tile);
#pragma GCC unroll 16
      for (int64_t i = 0; i < kLanes; ++i) store(group + (d / 2 + i) * kGroup + lane, tile[i]);
    }
  }

  static TALLOW_INLINE Floats join(Floats low, Floats high, float scale) {
    return (Floats)_mm512_cvtne2ps_pbh(high * scale, low * scale);
  }

  static TALLOW_INLINE Floats part(const float* from, int64_t n) {
    if (n >= kLanes) return load(from);
    return n > 0 ? load_first(from, n) : Floats{};
  }

  /// To 9e-5, well under the rounding of the weights to bf16; 2^0 is exactly 1.
  static TALLOW_INLINE Floats power(Floats x) {
    const Floats f = _mm512_maskz_reduce_ps(0xffff, x, 1);  // x - floor(x)
    Floats p = f * 7.706711e-2f + 2.2764490e-1f;
    p = p * f + 6.9511681e-1f;
    p = p * f + 1.f;
    return _mm512_maskz_scalef_ps(0xffff, p, x);
  }

  static TALLOW_INLINE void put_weights(uint32_t* weights, Floats a, Floats b) {
    _mm512_storeu_si512(weights, pair(a, b));
  }
};

}  // namespace
}  // namespace tallow::cpu::TALLOW_ISA_NAMESPACE
