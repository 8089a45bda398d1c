// f32 in thirds of bf16, and their products on AMX tiles.
#include "backend/cpu/conv/split.h"

#include <immintrin.h>

namespace tallow::cpu {
namespace {

constexpr int kThird = 16 * 32;

// The thirds of two vectors as pairs: `low` in the lower halves.
struct Thirds {
  __m512i v[3];
};

[[gnu::always_inline]] inline __m512i upper(__m512 v) {
  return _mm512_and_si512(_mm512_castps_si512(v), _mm512_set1_epi32(static_cast<int>(0xffff0000)));
}
[[gnu::always_inline]] inline __m512i join(__m512i low, __m512i high) {
  return _mm512_or_si512(_mm512_srli_epi32(low, 16), high);
}

[[gnu::always_inline]] inline Thirds thirds(__m512 low, __m512 high) {
  Thirds t;
  for (int i = 0; i < 3; ++i) {
    const __m512i a = upper(low), b = upper(high);
    t.v[i] = join(a, b);
    low = _mm512_sub_ps(low, _mm512_castsi512_ps(a));
    high = _mm512_sub_ps(high, _mm512_castsi512_ps(b));
  }
  return t;
}

template <int kRows, int kColumns>
[[gnu::always_inline]] inline void multiply() {
  _tile_dpbf16ps(0, 4, 6);
  if (kColumns == 2) _tile_dpbf16ps(1, 4, 7);
  if (kRows == 2) _tile_dpbf16ps(2, 5, 6);
  if (kRows == 2 && kColumns == 2) _tile_dpbf16ps(3, 5, 7);
}

template <int kRows, int kColumns>
[[gnu::always_inline]] inline void clear() {
  _tile_zero(0);
  if (kColumns == 2) _tile_zero(1);
  if (kRows == 2) _tile_zero(2);
  if (kRows == 2 && kColumns == 2) _tile_zero(3);
}

// The six products of a step; load_x loads the tiles of a third.
template <int kRows, int kColumns, class LoadX>
[[gnu::always_inline]] inline void step(const uint16_t* w0, const uint16_t* w1,
                                        const LoadX& load_x) {
  const auto load_w = [&](int third) __attribute__((always_inline)) {
    _tile_loadd(4, w0 + third * kThird, 64);
    if (kRows == 2) _tile_loadd(5, w1 + third * kThird, 64);
  };
  load_w(0);
  load_x(2);
  multiply<kRows, kColumns>();
  load_x(1);
  multiply<kRows, kColumns>();
  load_x(0);
  multiply<kRows, kColumns>();
  load_w(2);
  multiply<kRows, kColumns>();
  load_w(1);
  multiply<kRows, kColumns>();
  load_x(1);
  multiply<kRows, kColumns>();
}

template <int kRows, int kColumns>
[[gnu::always_inline]] inline void put(float* c) {
  _tile_stored(0, c, kSplitWidth * 4);
  if (kColumns == 2) _tile_stored(1, c + 16, kSplitWidth * 4);
  if (kRows == 2) _tile_stored(2, c + 16 * kSplitWidth, kSplitWidth * 4);
  if (kRows == 2 && kColumns == 2) _tile_stored(3, c + 16 * kSplitWidth + 16, kSplitWidth * 4);
}

template <int kRows, int kColumns>
void product(const SplitProduct& p) {
  const uint16_t *w0 = p.w[0], *w1 = p.w[1], *x0 = p.pixels[0], *x1 = p.pixels[1];
  clear<kRows, kColumns>();
  for (int64_t i = 0; i < p.steps; ++i) {
    step<kRows, kColumns>(
        w0, w1, [&](int third) __attribute__((always_inline)) {
          _tile_loadd(6, x0 + third * kThird, 64);
          if (kColumns == 2) _tile_loadd(7, x1 + third * kThird, 64);
        });
    w0 += kSplitTile, w1 += kSplitTile, x0 += kSplitTile, x1 += kSplitTile;
  }
  put<kRows, kColumns>(p.c);
}

template <int kRows, int kColumns>
void planes_product(const PlanesProduct& p) {
  const uint16_t *w0 = p.w[0], *w1 = p.w[1];
  const int64_t stride = p.plane * 4;
  clear<kRows, kColumns>();
  for (int64_t i = 0; i < p.blocks; ++i) {
    for (int64_t t = 0; t < p.taps; ++t) {
      const uint32_t* x = p.planes + i * 16 * p.plane + p.offsets[t];
      step<kRows, kColumns>(
          w0, w1, [&](int third) __attribute__((always_inline)) {
            _tile_loadd(6, x + third * p.third, stride);
            if (kColumns == 2) _tile_loadd(7, x + third * p.third + 16, stride);
          });
      w0 += kSplitTile, w1 += kSplitTile;
    }
  }
  put<kRows, kColumns>(p.c);
}

[[gnu::always_inline]] inline void store(const Thirds& t, uint16_t* target) {
  for (int i = 0; i < 3; ++i) _mm512_store_si512(target + i * kThird, t.v[i]);
}

}  // namespace

void split_product(const SplitProduct& p) {
  if (p.row_tiles == 2) return p.column_tiles == 2 ? product<2, 2>(p) : product<2, 1>(p);
  p.column_tiles == 2 ? product<1, 2>(p) : product<1, 1>(p);
}

void split_planes_product(const PlanesProduct& p) {
  if (p.row_tiles == 2)
    return p.column_tiles == 2 ? planes_product<2, 2>(p) : planes_product<2, 1>(p);
  p.column_tiles == 2 ? planes_product<1, 2>(p) : planes_product<1, 1>(p);
}

void split_line(const float* low, const float* high, int64_t count, uint32_t* target,
                int64_t third) {
  for (int64_t i = 0; i < count; i += 16) {
    const Thirds t = thirds(_mm512_loadu_ps(low + i), _mm512_loadu_ps(high + i));
    for (int k = 0; k < 3; ++k) _mm512_storeu_si512(target + k * third + i, t.v[k]);
  }
}

void split_pixels(const float* x, int64_t k_stride, int64_t depth, uint16_t* target) {
  for (int64_t k = 0; k < depth; k += kSplitDepth, target += kSplitTile) {
    for (int64_t i = 0; i < kSplitDepth; i += 2, x += 2 * k_stride) {
      __m512 low = _mm512_setzero_ps(), high = low;
      if (k + i < depth) low = _mm512_loadu_ps(x);
      if (k + i + 1 < depth) high = _mm512_loadu_ps(x + k_stride);
      _mm_prefetch(x + 16, _MM_HINT_T0);
      _mm_prefetch(x + k_stride + 16, _MM_HINT_T0);
      store(thirds(low, high), target + i * 16);
    }
  }
}

void split_weights(const float* w, int64_t stride, int rows, int64_t depth, uint16_t* target) {
  // Pairs of neighbours in a row: the even and the odd elements of 32.
  const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
  const __m512i odd = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
  for (int64_t k = 0; k < depth; k += kSplitDepth, target += kSplitTile) {
    const int64_t left = depth - k;
    const uint32_t bits = left >= 32 ? ~0u : (1u << left) - 1;
    for (int r = 0; r < 16; ++r) {
      const uint32_t mask = r < rows ? bits : 0;
      const float* p = w + (r < rows ? r : 0) * stride + k;
      const __m512 a = _mm512_maskz_loadu_ps(static_cast<__mmask16>(mask), p);
      const __m512 b = _mm512_maskz_loadu_ps(static_cast<__mmask16>(mask >> 16), p + 16);
      store(thirds(_mm512_permutex2var_ps(a, even, b), _mm512_permutex2var_ps(a, odd, b)),
            target + r * 32);
    }
  }
}

}  // namespace tallow::cpu
