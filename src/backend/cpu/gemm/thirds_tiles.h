// The steps of products of thirds (thirds.h), for files that are compiled for AMX. Tiles 0 to 3 are
// the sums (row tile, then lane tile), 4 and 5 rows, 6 and 7 lanes.
#pragma once

#include <immintrin.h>

#include "backend/cpu/gemm/thirds.h"

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

template <int kRows, int kLanes>
[[gnu::always_inline]] inline void multiply() {
  _tile_dpbf16ps(0, 4, 6);
  if (kLanes == 2) _tile_dpbf16ps(1, 4, 7);
  if (kRows == 2) _tile_dpbf16ps(2, 5, 6);
  if (kRows == 2 && kLanes == 2) _tile_dpbf16ps(3, 5, 7);
}

template <int kRows, int kLanes>
[[gnu::always_inline]] inline void clear() {
  _tile_zero(0);
  if (kLanes == 2) _tile_zero(1);
  if (kRows == 2) _tile_zero(2);
  if (kRows == 2 && kLanes == 2) _tile_zero(3);
}

// The six products of a step; load_lanes loads the tiles of a third.
template <int kRows, int kLanes, class LoadLanes>
[[gnu::always_inline]] inline void step(const uint16_t* w0, const uint16_t* w1,
                                        const LoadLanes& load_lanes) {
  const auto load_rows = [&](int third) __attribute__((always_inline)) {
    _tile_loadd(4, w0 + third * kThird, 64);
    if (kRows == 2) _tile_loadd(5, w1 + third * kThird, 64);
  };
  load_rows(0);
  load_lanes(2);
  multiply<kRows, kLanes>();
  load_lanes(1);
  multiply<kRows, kLanes>();
  load_lanes(0);
  multiply<kRows, kLanes>();
  load_rows(2);
  multiply<kRows, kLanes>();
  load_rows(1);
  multiply<kRows, kLanes>();
  load_lanes(1);
  multiply<kRows, kLanes>();
}

template <int kRows, int kLanes>
[[gnu::always_inline]] inline void get(const float* c, int64_t ldc) {
  _tile_loadd(0, c, ldc * 4);
  if (kLanes == 2) _tile_loadd(1, c + 16, ldc * 4);
  if (kRows == 2) _tile_loadd(2, c + 16 * ldc, ldc * 4);
  if (kRows == 2 && kLanes == 2) _tile_loadd(3, c + 16 * ldc + 16, ldc * 4);
}

template <int kRows, int kLanes>
[[gnu::always_inline]] inline void put(float* c, int64_t ldc) {
  _tile_stored(0, c, ldc * 4);
  if (kLanes == 2) _tile_stored(1, c + 16, ldc * 4);
  if (kRows == 2) _tile_stored(2, c + 16 * ldc, ldc * 4);
  if (kRows == 2 && kLanes == 2) _tile_stored(3, c + 16 * ldc + 16, ldc * 4);
}

}  // namespace
}  // namespace tallow::cpu
