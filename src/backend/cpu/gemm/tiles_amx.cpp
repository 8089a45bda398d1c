// The bf16 matrix product on AMX tiles: 32 rows by 32 columns of the result in four tile registers,
// two of x and two of the weight in the other four.
#include <immintrin.h>

#include "backend/cpu/gemm/kernels.h"

namespace tallow::cpu {
namespace {

struct alignas(64) TileConfig {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};
};

constexpr TileConfig full_tiles() {
  TileConfig config;
  for (int i = 0; i < 8; ++i) config.row_bytes[i] = 64, config.rows[i] = 16;
  return config;
}
// In memory: g++ 12 does not know that ldtilecfg reads all of it, and would leave stores out.
constexpr TileConfig kFullTiles = full_tiles();

constexpr int kTile = 16 * 32;  // bf16 of a tile

// Asks for the lines of two rows of c, which the tiles will write.
[[gnu::always_inline]] inline void fetch_rows(const float* c, int64_t ldc) {
  asm volatile("prefetchw %0" : : "m"(c[0]));
  asm volatile("prefetchw %0" : : "m"(c[16]));
  asm volatile("prefetchw %0" : : "m"(c[ldc]));
  asm volatile("prefetchw %0" : : "m"(c[ldc + 16]));
}

template <bool kBoth>
void block(int64_t steps, const uint16_t* x0, const uint16_t* x1, const uint32_t* w0,
           const uint32_t* w1, float* c, int64_t ldc, bool accumulate) {
  float* low = c + 16 * ldc;
  const int64_t stride = ldc * 4;
  if (accumulate) {
    _tile_loadd(0, c, stride);
    _tile_loadd(1, c + 16, stride);
    if (kBoth) _tile_loadd(2, low, stride);
    if (kBoth) _tile_loadd(3, low + 16, stride);
  } else {
    _tile_zero(0);
    _tile_zero(1);
    if (kBoth) _tile_zero(2);
    if (kBoth) _tile_zero(3);
  }
  for (int64_t i = 0; i < steps; ++i) {
    _tile_loadd(6, w0, 64);
    _tile_loadd(4, x0, 64);
    _tile_loadd(7, w1, 64);
    if (kBoth) _tile_loadd(5, x1, 64);
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    if (kBoth) _tile_dpbf16ps(2, 5, 6);
    if (kBoth) _tile_dpbf16ps(3, 5, 7);
    if (i < 16) fetch_rows(c + 2 * i * ldc, ldc);
    x0 += kTile, x1 += kTile, w0 += kTile / 2, w1 += kTile / 2;
  }
  _tile_stored(0, c, stride);
  _tile_stored(1, c + 16, stride);
  if (kBoth) _tile_stored(2, low, stride);
  if (kBoth) _tile_stored(3, low + 16, stride);
}

}  // namespace

void amx_configure() { _tile_loadconfig(&kFullTiles); }

void amx_block(const AmxBlock& b) {
  const int64_t steps = b.k / 32, tile_row = steps * kTile;
  const uint16_t* x = b.x;
  float* c = b.c;
  int64_t t = 0;
  for (; t + 2 <= b.row_tiles; t += 2, x += 2 * tile_row, c += 32 * b.ldc) {
    block<true>(steps, x, x + tile_row, b.w[0], b.w[1], c, b.ldc, b.accumulate);
  }
  if (t < b.row_tiles) block<false>(steps, x, x, b.w[0], b.w[1], c, b.ldc, b.accumulate);
}

void amx_pack(int rows, int64_t k, const float* x, int64_t ldx, uint16_t* target) {
  for (int64_t j = 0; j < k; j += 32) {
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

}  // namespace tallow::cpu
