// The backward pass of dense attention in bf16, on AMX tiles.
#include "backend/cpu/amx_tiles.h"
#include "backend/cpu/sdpa/back_rows.h"

namespace tallow::cpu {
namespace {

using namespace isa_amx;

template <bool kTwo>
void tile_rows(const TileProduct& p, const uint16_t* a, const uint32_t* b, float* c) {
  const int64_t pitch = p.a_stride * 2, ld = p.c_stride * 4;
  const uint16_t* second = a + 16 * p.a_stride;
  float* below = c + 16 * p.c_stride;
  if (p.accumulate) {
    _tile_loadd(0, c, ld);
    _tile_loadd(1, c + 16, ld);
    if (kTwo) _tile_loadd(2, below, ld);
    if (kTwo) _tile_loadd(3, below + 16, ld);
  } else {
    _tile_zero(0);
    _tile_zero(1);
    if (kTwo) _tile_zero(2);
    if (kTwo) _tile_zero(3);
  }
  for (int64_t k = 0; k < p.k; k += 32) {
    _tile_loadd(6, b, 64);
    _tile_loadd(4, a, pitch);
    _tile_loadd(7, b + p.group_stride, 64);
    if (kTwo) _tile_loadd(5, second, pitch);
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    if (kTwo) _tile_dpbf16ps(2, 5, 6);
    if (kTwo) _tile_dpbf16ps(3, 5, 7);
    a += p.a_step, second += p.a_step, b += 256;
  }
  _tile_stored(0, c, ld);
  _tile_stored(1, c + 16, ld);
  if (kTwo) _tile_stored(2, below, ld);
  if (kTwo) _tile_stored(3, below + 16, ld);
}

/// Two vectors to bf16: lane i holds a[i] low and b[i] high.
TALLOW_INLINE __m512i pair(__m512i both) {
  const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24,
                                         8, 23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  return _mm512_maskz_permutexvar_epi16(~__mmask32{0}, order, both);
}

/// To 9e-5, as the forward pass.
TALLOW_INLINE Floats power(Floats x) {
  const Floats f = _mm512_maskz_reduce_ps(0xffff, x, 1);
  Floats p = f * 7.706711e-2f + 2.2764490e-1f;
  p = p * f + 6.9511681e-1f;
  p = p * f + 1.f;
  return _mm512_maskz_scalef_ps(0xffff, p, x);
}

}  // namespace

void amx_product(const TileProduct& p) {
  for (int64_t column = 0; column < p.column_tiles; ++column) {
    const uint32_t* b = p.b + 2 * column * p.group_stride;
    const uint16_t* a = p.a;
    float* c = p.c + 32 * column;
    int64_t row = 0;
    for (; row + 2 <= p.row_tiles; row += 2) {
      tile_rows<true>(p, a, b, c);
      a += 32 * p.a_stride, c += 32 * p.c_stride;
    }
    if (row < p.row_tiles) tile_rows<false>(p, a, b, c);
  }
}

void amx_back_rows(const SdpaBackRows& in, const SdpaBackPairs& out) {
  for (int64_t r = 0; r < in.rows; r += 2) {
    const Seen first(in, r), second(in, r + 1);
    const bool all = first.all() && second.all(), both = r + 1 < in.rows;
    for (int64_t j = 0; j < kSdpaKeys; j += 16) {
      const Vectors a = back_vector(in, first, all, r, j, power);
      Vectors b{};
      if (both) b = back_vector(in, second, all, r + 1, j, power);
      const int64_t to = j / 16 * out.group_stride + r / 2 * 16;
      const auto weights = reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(b.weight, a.weight));
      const auto grads = reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(b.grad, a.grad));
      _mm512_storeu_si512(out.weights + to, pair(weights));
      _mm512_storeu_si512(out.grad_scores + to, pair(grads));
      uint16_t* row = out.grad_rows + r * kSdpaKeys + j;
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(row), _mm512_castsi512_si256(grads));
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(row + kSdpaKeys),
                          _mm512_maskz_extracti64x4_epi64(0xff, grads, 1));
    }
  }
}

void amx_pair_rows(const uint16_t* a, const uint16_t* b, int64_t n, uint32_t* target) {
  for (int64_t i = 0; i < n; i += 16) {
    const __m512i low = _mm512_maskz_cvtepu16_epi32(
        0xffff, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(a + i)));
    const __m512i high = _mm512_maskz_cvtepu16_epi32(
        0xffff, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(b + i)));
    _mm512_storeu_si512(target + i, low | high << 16);
  }
}

}  // namespace tallow::cpu
