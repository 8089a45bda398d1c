// f32 in thirds of bf16, and their products on AMX tiles.
#include "backend/cpu/gemm/thirds_tiles.h"

namespace tallow::cpu {
namespace {

template <int kRows, int kLanes>
void product(const SplitProduct& p) {
  const uint16_t *w0 = p.rows[0], *w1 = p.rows[1], *x0 = p.lanes[0], *x1 = p.lanes[1];
  clear<kRows, kLanes>();
  for (int64_t i = 0; i < p.steps; ++i) {
    step<kRows, kLanes>(
        w0, w1, [&](int third) __attribute__((always_inline)) {
          _tile_loadd(6, x0 + third * kThird, 64);
          if (kLanes == 2) _tile_loadd(7, x1 + third * kThird, 64);
        });
    w0 += kSplitTile, w1 += kSplitTile, x0 += kSplitTile, x1 += kSplitTile;
  }
  put<kRows, kLanes>(p.c, p.ldc);
}

template <int kRows, int kLanes>
void planes_product(const PlanesProduct& p) {
  const uint16_t *w0 = p.rows[0], *w1 = p.rows[1];
  const int64_t stride = p.plane * 4;
  clear<kRows, kLanes>();
  for (int64_t i = 0; i < p.blocks; ++i) {
    for (int64_t t = 0; t < p.taps; ++t) {
      const uint32_t* x = p.planes + i * 16 * p.plane + p.offsets[t];
      step<kRows, kLanes>(
          w0, w1, [&](int third) __attribute__((always_inline)) {
            _tile_loadd(6, x + third * p.third, stride);
            if (kLanes == 2) _tile_loadd(7, x + third * p.third + 16, stride);
          });
      w0 += kSplitTile, w1 += kSplitTile;
    }
  }
  put<kRows, kLanes>(p.c, kSplitWidth);
}

[[gnu::always_inline]] inline void store(const Thirds& t, uint16_t* target) {
  for (int i = 0; i < 3; ++i) _mm512_store_si512(target + i * kThird, t.v[i]);
}

// The bits of the largest magnitude.
class Magnitude {
 public:
  [[gnu::always_inline]] void add(__m512 a, __m512 b) {
    const __m512i sign = _mm512_set1_epi32(0x7fffffff);
    a_ = _mm512_max_epu32(a_, _mm512_and_si512(_mm512_castps_si512(a), sign));
    b_ = _mm512_max_epu32(b_, _mm512_and_si512(_mm512_castps_si512(b), sign));
  }
  void raise(uint32_t* largest) const {
    const uint32_t most = _mm512_reduce_max_epu32(_mm512_max_epu32(a_, b_));
    if (most > *largest) *largest = most;
  }

 private:
  __m512i a_ = _mm512_setzero_si512(), b_ = _mm512_setzero_si512();
};

}  // namespace

void split_product(const SplitProduct& p) {
  if (p.row_tiles == 2) return p.lane_tiles == 2 ? product<2, 2>(p) : product<2, 1>(p);
  p.lane_tiles == 2 ? product<1, 2>(p) : product<1, 1>(p);
}

void split_planes_product(const PlanesProduct& p) {
  if (p.row_tiles == 2)
    return p.lane_tiles == 2 ? planes_product<2, 2>(p) : planes_product<2, 1>(p);
  p.lane_tiles == 2 ? planes_product<1, 2>(p) : planes_product<1, 1>(p);
}

void split_line(const float* low, const float* high, int64_t count, uint32_t* target,
                int64_t third) {
  for (int64_t i = 0; i < count; i += 16) {
    const Thirds t = thirds(_mm512_loadu_ps(low + i), _mm512_loadu_ps(high + i));
    for (int k = 0; k < 3; ++k) _mm512_storeu_si512(target + k * third + i, t.v[k]);
  }
}

void split_lanes(const float* x, int64_t k_stride, int64_t depth, uint16_t* target,
                 uint32_t* largest) {
  Magnitude magnitude;
  for (int64_t k = 0; k < depth; k += kSplitDepth, target += kSplitTile) {
    for (int64_t i = 0; i < kSplitDepth; i += 2, x += 2 * k_stride) {
      __m512 low = _mm512_setzero_ps(), high = low;
      if (k + i < depth) low = _mm512_loadu_ps(x);
      if (k + i + 1 < depth) high = _mm512_loadu_ps(x + k_stride);
      _mm_prefetch(x + 16, _MM_HINT_T0);
      _mm_prefetch(x + k_stride + 16, _MM_HINT_T0);
      if (largest) magnitude.add(low, high);
      store(thirds(low, high), target + i * 16);
    }
  }
  if (largest) magnitude.raise(largest);
}

void split_rows(const float* x, int64_t stride, int rows, int64_t depth, uint16_t* target,
                uint32_t* largest) {
  // Pairs of neighbours in a row: the even and the odd elements of 32.
  const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
  const __m512i odd = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
  Magnitude magnitude;
  for (int64_t k = 0; k < depth; k += kSplitDepth, target += kSplitTile) {
    const int64_t left = depth - k;
    const uint32_t bits = left >= 32 ? ~0u : (1u << left) - 1;
    for (int r = 0; r < 16; ++r) {
      const uint32_t mask = r < rows ? bits : 0;
      const float* p = x + (r < rows ? r : 0) * stride + k;
      const __m512 a = _mm512_maskz_loadu_ps(static_cast<__mmask16>(mask), p);
      const __m512 b = _mm512_maskz_loadu_ps(static_cast<__mmask16>(mask >> 16), p + 16);
      if (largest) magnitude.add(a, b);
      store(thirds(_mm512_permutex2var_ps(a, even, b), _mm512_permutex2var_ps(a, odd, b)),
            target + r * 32);
    }
  }
  if (largest) magnitude.raise(largest);
}

uint32_t largest_magnitude(const float* x, int64_t n) {
  Magnitude magnitude;
  for (; n > 0; n -= 32, x += 32) {
    const __mmask32 mask = n >= 32 ? ~0u : (1u << n) - 1;
    magnitude.add(_mm512_maskz_loadu_ps(static_cast<__mmask16>(mask), x),
                  _mm512_maskz_loadu_ps(static_cast<__mmask16>(mask >> 16), x + 16));
  }
  uint32_t largest = 0;
  magnitude.raise(&largest);
  return largest;
}

void add_sums(const float* from, int64_t rows, int64_t columns, float* c, int64_t ldc) {
  const __mmask32 mask = columns >= 32 ? ~0u : (1u << columns) - 1;
  const auto low = static_cast<__mmask16>(mask), high = static_cast<__mmask16>(mask >> 16);
  for (int64_t r = 0; r < rows; ++r, from += kSplitWidth, c += ldc) {
    const __m512 a = _mm512_maskz_loadu_ps(low, c), b = _mm512_maskz_loadu_ps(high, c + 16);
    _mm512_mask_storeu_ps(c, low, _mm512_add_ps(a, _mm512_loadu_ps(from)));
    _mm512_mask_storeu_ps(c + 16, high, _mm512_add_ps(b, _mm512_loadu_ps(from + 16)));
  }
}

}  // namespace tallow::cpu
