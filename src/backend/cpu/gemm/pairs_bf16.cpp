// The register tile of the bf16 matrix product for processors with AVX512-BF16: both sides in
// pairs, 12 rows by 32 columns.
#include <immintrin.h>

#include <algorithm>
#include <cstring>

#include "backend/cpu/gemm/kernels.h"

namespace tallow::cpu {
namespace {

inline __m512bh as_bf16(__m512i v) { return reinterpret_cast<__m512bh>(v); }

template <int R, int G>
void tile(int64_t k, const uint32_t* x, const uint32_t* w, int64_t group_stride, float* c,
          int64_t ldc, bool accumulate) {
  __m512 sum[R][G];
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 16
    for (int g = 0; g < G; ++g) sum[r][g] = _mm512_setzero_ps();
  }
#pragma GCC unroll 1
  for (int64_t i = 0; i < k; ++i, x += R, w += kGroup) {
    __m512bh column[G];
#pragma GCC unroll 16
    for (int g = 0; g < G; ++g) column[g] = as_bf16(_mm512_loadu_si512(w + g * group_stride));
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      const __m512bh value = as_bf16(_mm512_set1_epi32(static_cast<int>(x[r])));
#pragma GCC unroll 16
      for (int g = 0; g < G; ++g) sum[r][g] = _mm512_dpbf16_ps(sum[r][g], value, column[g]);
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 16
    for (int g = 0; g < G; ++g) {
      float* p = c + r * ldc + g * kGroup;
      _mm512_storeu_ps(p, accumulate ? _mm512_add_ps(_mm512_loadu_ps(p), sum[r][g]) : sum[r][g]);
    }
  }
}

template <int R>
constexpr void fill(Tiles<uint32_t, uint32_t, float>& table) {
  table.fn[R - 1][0] = tile<R, 1>;
  table.fn[R - 1][1] = tile<R, 2>;
  if constexpr (R > 1) fill<R - 1>(table);
}

constexpr Tiles<uint32_t, uint32_t, float> tiles() {
  Tiles<uint32_t, uint32_t, float> table{12, 2, {}};
  fill<12>(table);
  return table;
}

}  // namespace

constinit const Tiles<uint32_t, uint32_t, float> bf16_tiles = tiles();

void f32_to_bf16_rne(const float* source, uint16_t* target, int64_t n) {
  for (int64_t i = 0; i < n; i += 16) {
    const __mmask16 mask = static_cast<__mmask16>(n - i >= 16 ? 0xffff : (1 << (n - i)) - 1);
    const __m256bh narrow = _mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(mask, source + i));
    _mm256_mask_storeu_epi16(target + i, mask, reinterpret_cast<__m256i>(narrow));
  }
}

namespace {

// One row of up to 32 columns.
inline void store_row(const float* source, __mmask32 mask, __m512 low, __m512 high,
                      uint16_t* target) {
  const __mmask16 first = static_cast<__mmask16>(mask), second = static_cast<__mmask16>(mask >> 16);
  const __m512 a = _mm512_add_ps(_mm512_maskz_loadu_ps(first, source), low);
  const __m512 b = _mm512_add_ps(_mm512_maskz_loadu_ps(second, source + 16), high);
  _mm512_mask_storeu_epi16(target, mask, reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(b, a)));
}

}  // namespace

void store_bf16(const float* source, int64_t ld, int64_t rows, int64_t columns, const float* bias,
                uint16_t* target, int64_t target_ld) {
  for (int64_t c = 0; c < columns; c += 32) {
    const __mmask32 mask = columns - c >= 32 ? ~0u : (1u << (columns - c)) - 1;
    const __mmask16 first = static_cast<__mmask16>(mask);
    const __mmask16 second = static_cast<__mmask16>(mask >> 16);
    const __m512 zero = _mm512_setzero_ps();
    const __m512 low = bias ? _mm512_maskz_loadu_ps(first, bias + c) : zero;
    const __m512 high = bias ? _mm512_maskz_loadu_ps(second, bias + c + 16) : zero;
    for (int64_t r = 0; r < rows; ++r) {
      store_row(source + r * ld + c, mask, low, high, target + r * target_ld + c);
    }
  }
}

void store_bf16_turned(const GemmKernels& kernels, const float* source, int64_t ld, int64_t rows,
                       int64_t columns, const float* bias, uint16_t* target, int64_t target_ld) {
  const auto narrow = [&](int64_t r, int64_t c, __mmask16 mask) {
    if (r >= rows) return _mm512_setzero_si512();
    const __m512 shift = _mm512_set1_ps(bias ? bias[r] : 0);
    const __m512 value = _mm512_add_ps(_mm512_maskz_loadu_ps(mask, source + r * ld + c), shift);
    return _mm512_cvtepu16_epi32(reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(value)));
  };
  const bool whole =
      rows == 32 && target_ld % 2 == 0 && reinterpret_cast<uintptr_t>(target) % 4 == 0;
  alignas(64) uint32_t pairs[16 * kGroup], turned[16 * kGroup];
  for (int64_t c = 0; c < columns; c += 16) {
    const int64_t count = std::min<int64_t>(16, columns - c);
    const __mmask16 mask = static_cast<__mmask16>((1u << count) - 1);
    for (int64_t r = 0; r < 32; r += 2) {
      const __m512i odd = _mm512_slli_epi32(narrow(r + 1, c, mask), 16);
      _mm512_store_si512(pairs + r / 2 * kGroup, _mm512_or_si512(narrow(r, c, mask), odd));
    }
    uint16_t* to = target + c * target_ld;
    if (whole) {
      kernels.interleave_32(16, count, pairs, kGroup, reinterpret_cast<uint32_t*>(to),
                            target_ld / 2);
      continue;
    }
    kernels.interleave_32(16, count, pairs, kGroup, turned, kGroup);
    for (int64_t i = 0; i < count; ++i) {
      std::memcpy(to + i * target_ld, turned + i * kGroup, static_cast<size_t>(rows) * 2);
    }
  }
}

void zip_pairs(int columns, int64_t k, const uint16_t* source, int64_t ld, uint32_t* first,
               uint32_t* second) {
  const __mmask32 mask = columns >= 32 ? ~0u : (1u << columns) - 1;
  // Words 0 to 15 of both rows in turn, and 16 to 31.
  const __m512i low = _mm512_add_epi32(
      _mm512_set1_epi32(32 << 16),
      _mm512_mullo_epi32(_mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
                         _mm512_set1_epi32(0x10001)));
  const __m512i high = _mm512_add_epi32(low, _mm512_set1_epi32(0x100010));
  for (int64_t i = 0; i < k; i += 2, source += 2 * ld, first += kGroup) {
    const __m512i even = _mm512_maskz_loadu_epi16(mask, source);
    const __m512i odd =
        i + 1 < k ? _mm512_maskz_loadu_epi16(mask, source + ld) : _mm512_setzero_si512();
    _mm512_storeu_si512(first, _mm512_permutex2var_epi16(even, low, odd));
    if (!second) continue;
    _mm512_storeu_si512(second, _mm512_permutex2var_epi16(even, high, odd));
    second += kGroup;
  }
}

}  // namespace tallow::cpu
