// Vectors of the width of the level being compiled: 16 floats on AVX-512, 8 on AVX2, else 4. They
// are the compiler's own vector types, so that arithmetic reads as arithmetic; intrinsics stand
// only where the compiler finds no good instruction. Everything has internal linkage: a copy of an
// inline function compiled for AVX-512 must never be the one that other code links to.
#pragma once

#include <cstddef>
#include <cstdint>

#if TALLOW_ISA_LEVEL >= 1
#include <immintrin.h>
#endif

#define TALLOW_INLINE inline __attribute__((always_inline))

namespace tallow::cpu::TALLOW_ISA_NAMESPACE {
namespace {

#if TALLOW_ISA_LEVEL >= 2
constexpr int kLanes = 16;
#elif TALLOW_ISA_LEVEL == 1
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif

using Floats = float __attribute__((vector_size(kLanes * 4)));
using Ints = int32_t __attribute__((vector_size(kLanes * 4)));
using Words = uint32_t __attribute__((vector_size(kLanes * 4)));
using Halves = uint16_t __attribute__((vector_size(kLanes * 2)));
using Quad = float __attribute__((vector_size(16)));
// Half as many lanes, for the one computation that needs f64.
using Doubles = double __attribute__((vector_size(kLanes * 4)));
using Longs = int64_t __attribute__((vector_size(kLanes * 4)));
using FewFloats = float __attribute__((vector_size(kLanes * 2)));
using FewInts = int32_t __attribute__((vector_size(kLanes * 2)));

template <class V>
TALLOW_INLINE V load_as(const void* p) {
  V v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
template <class V>
TALLOW_INLINE void store_as(void* p, V v) {
  __builtin_memcpy(p, &v, sizeof v);
}
TALLOW_INLINE Floats load(const float* p) { return load_as<Floats>(p); }
TALLOW_INLINE void store(float* p, Floats v) { store_as(p, v); }
TALLOW_INLINE Floats splat(float x) { return x - Floats{}; }

/// The first n of a vector's lanes, the rest zero; n is below kLanes.
TALLOW_INLINE Floats load_first(const float* p, int64_t n) {
#if TALLOW_ISA_LEVEL >= 2
  return _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << n) - 1), p);
#else
  float lanes[kLanes] = {};
  for (int64_t i = 0; i < n; ++i) lanes[i] = p[i];
  return load(lanes);
#endif
}
TALLOW_INLINE void store_first(float* p, Floats v, int64_t n) {
#if TALLOW_ISA_LEVEL >= 2
  _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << n) - 1), v);
#else
  float lanes[kLanes];
  store(lanes, v);
  for (int64_t i = 0; i < n; ++i) p[i] = lanes[i];
#endif
}

TALLOW_INLINE Floats min(Floats a, Floats b) {
#if TALLOW_ISA_LEVEL >= 2
  return _mm512_maskz_min_ps(0xffff, a, b);  // g++ 12 warns of the plain one
#elif TALLOW_ISA_LEVEL == 1
  return _mm256_min_ps(a, b);
#else
  return a < b ? a : b;
#endif
}
/// b where either is NaN.
TALLOW_INLINE Floats max(Floats a, Floats b) {
#if TALLOW_ISA_LEVEL >= 2
  return _mm512_maskz_max_ps(0xffff, a, b);
#elif TALLOW_ISA_LEVEL == 1
  return _mm256_max_ps(a, b);
#else
  return a > b ? a : b;
#endif
}

TALLOW_INLINE float sum_lanes(Floats v) {
  float lanes[kLanes];
  store(lanes, v);
  for (int step = kLanes / 2; step > 0; step /= 2) {
    for (int i = 0; i < step; ++i) lanes[i] += lanes[i + step];
  }
  return lanes[0];
}
TALLOW_INLINE float max_lanes(Floats v) {
  float lanes[kLanes];
  store(lanes, v);
  float top = lanes[0];
  for (int i = 1; i < kLanes; ++i) top = lanes[i] > top ? lanes[i] : top;
  return top;
}

TALLOW_INLINE bool all_equal(Floats a, Floats b) {
#if TALLOW_ISA_LEVEL >= 2
  return _mm512_cmp_ps_mask(a, b, _CMP_NEQ_UQ) == 0;
#elif TALLOW_ISA_LEVEL == 1
  return _mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_NEQ_UQ)) == 0;
#else
  return __builtin_memcmp(&a, &b, sizeof a) == 0;
#endif
}

/// bf16 to f32, and back to nearest even with NaN kept.
TALLOW_INLINE Floats widen(Halves h) {
  return reinterpret_cast<Floats>(__builtin_convertvector(h, Words) << 16);
}
TALLOW_INLINE Halves narrow(Floats v) {
  const Words bits = reinterpret_cast<Words>(v);
  const Words rounded = (bits + (0x7fffu + ((bits >> 16) & 1u))) >> 16;
  const Words quiet = (bits >> 16) | 0x40u;
  return __builtin_convertvector(v == v ? rounded : quiet, Halves);
}
TALLOW_INLINE uint16_t narrow(float x) {
  uint32_t bits;
  __builtin_memcpy(&bits, &x, 4);
  if (x != x) return static_cast<uint16_t>(bits >> 16 | 0x40u);
  return static_cast<uint16_t>((bits + (0x7fffu + ((bits >> 16) & 1u))) >> 16);
}
TALLOW_INLINE float widen(uint16_t h) {
  const uint32_t bits = static_cast<uint32_t>(h) << 16;
  float x;
  __builtin_memcpy(&x, &bits, 4);
  return x;
}

/// Adding 1.5 * 2^23 rounds to an integer, which then stands in the low bits.
constexpr float kRound = 12582912.f;

/// p * 2^n for the integer n in the low bits of `shifted` = n + kRound; n in [-126, 127].
TALLOW_INLINE Floats scale_by_power(Floats p, Floats shifted) {
  return reinterpret_cast<Floats>(reinterpret_cast<Words>(p) +
                                  (reinterpret_cast<Words>(shifted) << 23));
}

/// e^x to 1 ulp: infinity past the range, 0 (not denormals) below it, NaN for NaN.
TALLOW_INLINE Floats exp(Floats x) {
  const Floats low = splat(-87.33f), high = splat(88.37f);
  const Floats inside = min(high, max(low, x));  // a NaN passes
  const Floats shifted = inside * 1.44269504f + kRound;
  const Floats n = shifted - kRound;
  const Floats r = (inside - n * 0.693359375f) + n * 2.12194440e-4f;
  Floats p = r * 1.9875691500e-4f + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * (r * r) + r + 1.f;
#if TALLOW_ISA_LEVEL >= 2
  p = _mm512_maskz_scalef_ps(_mm512_cmp_ps_mask(x, low, _CMP_NLT_UQ), p, n);
  return _mm512_mask_mov_ps(p, _mm512_cmp_ps_mask(x, high, _CMP_GT_OQ), splat(__builtin_inff()));
#else
  p = scale_by_power(p, shifted);
  p = x < low ? Floats{} : p;
  p = x > high ? splat(__builtin_inff()) : p;
  return x == x ? p : x;
#endif
}

/// 2^x to 1 ulp for x up to 127; 0 from -126 down; NaN for NaN.
TALLOW_INLINE Floats exp2_exact(Floats x) {
#if TALLOW_ISA_LEVEL >= 2
  const Floats inside = x;
#else
  const Floats inside = max(splat(-126.f), x);
#endif
  const Floats shifted = inside + kRound;
  const Floats f = inside - (shifted - kRound);
  Floats p = f * 1.535336188e-4f + 1.339887440e-3f;
  p = p * f + 9.618437358e-3f;
  p = p * f + 5.550332471e-2f;
  p = p * f + 2.402264791e-1f;
  p = p * f + 6.931472029e-1f;
  p = p * f + 1.f;
#if TALLOW_ISA_LEVEL >= 2
  const __mmask16 normal = _mm512_cmp_ps_mask(x, splat(-126.f), _CMP_NLE_UQ);
  return _mm512_maskz_scalef_ps(normal, p, shifted - kRound);
#else
  p = x <= -126.f ? Floats{} : scale_by_power(p, shifted);
  return x == x ? p : x;  // a NaN's low bits may scale it to a number
#endif
}

/// tanh to a few ulp, by e^-2|x|.
TALLOW_INLINE Floats tanh(Floats x) {
  const Words sign = reinterpret_cast<Words>(x) & 0x80000000u;
  const Floats a = reinterpret_cast<Floats>(reinterpret_cast<Words>(x) ^ sign);
  const Floats e = exp(a * -2.f);
  const Floats far = (1.f - e) / (1.f + e);
  const Floats near = a * (1.f + a * a * (-0.333333333f + a * a * 0.133333333f));
  const Floats t = a < 0.05f ? near : far;
  return reinterpret_cast<Floats>(reinterpret_cast<Words>(t) | sign);
}

/// The angle less the nearest multiple of pi / 2, and that multiple. In f64 the product with pi / 2
/// is exact to 1e-10 for angles up to 1e6, where f32 would have lost everything.
TALLOW_INLINE void reduce_angle(const float* angles, float* rest, int32_t* quadrant) {
  constexpr double kRoundDouble = 6755399441055744.0;  // 1.5 * 2^52
  for (int i = 0; i < kLanes; i += kLanes / 2) {
    const Doubles angle = __builtin_convertvector(load_as<FewFloats>(angles + i), Doubles);
    const Doubles shifted = angle * 0.63661977236758134 + kRoundDouble;
    const Doubles n = shifted - kRoundDouble;
    const Doubles r = angle - n * 1.5707963267948966 - n * 6.123233995736766e-17;
    store_as(rest + i, __builtin_convertvector(r, FewFloats));
    store_as(quadrant + i, __builtin_convertvector(reinterpret_cast<Longs>(shifted) & 3, FewInts));
  }
}

/// Sines and cosines to 2 ulp, for angles below 2^30.
TALLOW_INLINE void sincos(Floats angle, Floats& sine, Floats& cosine) {
  float angles[kLanes], rest[kLanes];
  int32_t quadrant[kLanes];
  store(angles, angle);
  reduce_angle(angles, rest, quadrant);
  const Floats r = load(rest), z = r * r;
  const Ints q = load_as<Ints>(quadrant);
  Floats s = z * -1.9515295891e-4f + 8.3321608736e-3f;
  s = s * z - 1.6666654611e-1f;
  s = s * z * r + r;
  Floats c = z * 2.443315711809948e-5f - 1.388731625493765e-3f;
  c = c * z + 4.166664568298827e-2f;
  c = c * z * z - 0.5f * z + 1.f;
  const Floats first = (q & 1) != 0 ? c : s, second = (q & 1) != 0 ? s : c;
  const Ints sine_sign = (q & 2) << 30, cosine_sign = ((q + 1) & 2) << 30;
  sine = reinterpret_cast<Floats>(reinterpret_cast<Ints>(first) ^ sine_sign);
  cosine = reinterpret_cast<Floats>(reinterpret_cast<Ints>(second) ^ cosine_sign);
}

}  // namespace
}  // namespace tallow::cpu::TALLOW_ISA_NAMESPACE
