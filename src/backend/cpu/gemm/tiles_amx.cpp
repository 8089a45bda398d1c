// The bf16 matrix product on AMX tiles: 32 rows by 32 columns of the result in four tile registers,
// two of x and two of the weight in the other four.
#include <immintrin.h>

#include "backend/cpu/amx_tiles.h"
#include "backend/cpu/gemm/kernels.h"

namespace tallow::cpu {
namespace {

constexpr int kTile = 16 * 32;  // bf16 of a tile

// Asks for the lines of four rows of c, which the tiles will write.
[[gnu::always_inline]] inline void fetch_rows(const float* c, int64_t ldc) {
  for (int r = 0; r < 4; ++r, c += ldc) {
    asm volatile("prefetchw %0" : : "m"(c[0]));
    asm volatile("prefetchw %0" : : "m"(c[16]));
  }
}

template <bool kBoth>
[[gnu::always_inline]] inline void load_sums(const float* from, int64_t ld) {
  if (from) {
    _tile_loadd(0, from, ld * 4);
    _tile_loadd(1, from + 16, ld * 4);
    if (kBoth) _tile_loadd(2, from + 16 * ld, ld * 4);
    if (kBoth) _tile_loadd(3, from + 16 * ld + 16, ld * 4);
  } else {
    _tile_zero(0);
    _tile_zero(1);
    if (kBoth) _tile_zero(2);
    if (kBoth) _tile_zero(3);
  }
}

// One row tile of x, or two.
template <bool kBoth>
void block(const AmxBlock& b, const uint16_t* x0, const float* from, float* to) {
  const int64_t steps = b.k / 32, ld = b.to_ld, row = b.x_row * 2;
  const uint16_t* x1 = x0 + b.x_tile;
  const uint32_t *w0 = b.w[0], *w1 = b.w[1];
  const bool fetch = b.fetch;
  load_sums<kBoth>(from, b.from_ld);
  for (int64_t i = 0; i < steps; ++i) {
    _tile_loadd(6, w0, 64);
    _tile_loadd(4, x0, row);
    _tile_loadd(7, w1, 64);
    if (kBoth) _tile_loadd(5, x1, row);
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    if (kBoth) _tile_dpbf16ps(2, 5, 6);
    if (kBoth) _tile_dpbf16ps(3, 5, 7);
    if (kBoth && i < 8 && fetch) fetch_rows(to + 4 * i * ld, ld);
    for (int64_t r = 0; r < b.ahead_rows; ++r) {
      _mm_prefetch(b.ahead + r * b.ahead_row + i * 32, _MM_HINT_T1);
    }
    x0 += b.x_step, x1 += b.x_step, w0 += kTile / 2, w1 += kTile / 2;
  }
  _tile_stored(0, to, ld * 4);
  _tile_stored(1, to + 16, ld * 4);
  if (kBoth) _tile_stored(2, to + 16 * ld, ld * 4);
  if (kBoth) _tile_stored(3, to + 16 * ld + 16, ld * 4);
}

}  // namespace

void amx_configure() { _tile_loadconfig(&kFullTiles); }

void amx_block(const AmxBlock& b) {
  const uint16_t* x = b.x;
  const float* from = b.from;
  float* to = b.to;
  int64_t t = 0;
  for (; t + 2 <= b.row_tiles; t += 2, x += 2 * b.x_tile, to += 32 * b.to_ld) {
    block<true>(b, x, from, to);
    if (from) from += 32 * b.from_ld;
  }
  if (t < b.row_tiles) block<false>(b, x, from, to);
}

void amx_pack(int rows, int64_t k, const float* x, int64_t ldx, uint16_t* target) {
  constexpr int kAhead = 128;  // floats
  int64_t j = 0;
  if (rows == 16) {
    for (; j + 32 <= k; j += 32) {
#pragma GCC unroll 4
      for (int r = 0; r < 16; ++r, target += 32) {
        const float* p = x + r * ldx + j;
        _mm_prefetch(p + kAhead, _MM_HINT_T0);
        _mm_prefetch(p + kAhead + 16, _MM_HINT_T0);
        const __m512bh value = _mm512_cvtne2ps_pbh(_mm512_loadu_ps(p + 16), _mm512_loadu_ps(p));
        _mm512_storeu_si512(target, reinterpret_cast<__m512i>(value));
      }
    }
  }
  for (; j < k; j += 32) {
    const int64_t left = k - j;
    const uint32_t bits = left >= 32 ? ~0u : (1u << left) - 1;
    const __mmask16 low = static_cast<__mmask16>(bits), high = static_cast<__mmask16>(bits >> 16);
    for (int r = 0; r < 16; ++r, target += 32) {
      __m512i value = _mm512_setzero_si512();
      if (r < rows) {
        const float* p = x + r * ldx + j;
        value = reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(_mm512_maskz_loadu_ps(high, p + 16),
                                                              _mm512_maskz_loadu_ps(low, p)));
      }
      _mm512_storeu_si512(target, value);
    }
  }
}

void amx_pack(int rows, int64_t k, const uint16_t* x, int64_t ldx, uint16_t* target) {
  int64_t j = 0;
  if (rows == 16) {  // row by row, which is how memory is read ahead
    const int64_t whole = k / 32;
    for (int r = 0; r < 16; ++r) {
      const uint16_t* from = x + r * ldx;
      uint16_t* to = target + r * 32;
      for (int64_t i = 0; i < whole; ++i, from += 32, to += kTile) {
        _mm512_storeu_si512(to, _mm512_loadu_si512(from));
      }
    }
    j = whole * 32, target += whole * kTile;
  }
  for (; j < k; j += 32) {
    const int64_t left = k - j;
    const __mmask32 mask = left >= 32 ? ~0u : (1u << left) - 1;
    for (int r = 0; r < 16; ++r, target += 32) {
      const __m512i value =
          r < rows ? _mm512_maskz_loadu_epi16(mask, x + r * ldx + j) : _mm512_setzero_si512();
      _mm512_storeu_si512(target, value);
    }
  }
}

}  // namespace tallow::cpu
