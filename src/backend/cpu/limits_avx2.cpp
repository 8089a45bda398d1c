// The AVX2 loops of the machine's limits.
#include <immintrin.h>

#include "backend/cpu/limits.h"

namespace tallow::cpu {

double spin_f32_avx2(int64_t rounds) {
  __m256 sum[10], x = _mm256_set1_ps(1e-9f);
#pragma GCC unroll 10
  for (int i = 0; i < 10; ++i) sum[i] = _mm256_setzero_ps();
  for (int64_t r = 0; r < rounds; ++r) {
#pragma GCC unroll 10
    for (int i = 0; i < 10; ++i) {
      sum[i] = _mm256_fmadd_ps(x, x, sum[i]);
      asm volatile("" : "+x"(sum[i]));
    }
  }
  return static_cast<double>(rounds) * 10 * 16;
}

double spin_int8_avx2(int64_t rounds) {
  __m256i sum[8], x = _mm256_set1_epi8(1), one = _mm256_set1_epi16(1);
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) sum[i] = _mm256_setzero_si256();
  for (int64_t r = 0; r < rounds; ++r) {
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) {
      asm volatile("" : "+x"(x));
      const __m256i product = _mm256_madd_epi16(_mm256_maddubs_epi16(x, x), one);
      sum[i] = _mm256_add_epi32(sum[i], product);
      asm volatile("" : "+x"(sum[i]));
    }
  }
  return static_cast<double>(rounds) * 8 * 64;
}

uint64_t read_avx2(const void* data, int64_t bytes) {
  const auto* p = static_cast<const __m256i*>(data);
  __m256i sum[4] = {_mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256(),
                    _mm256_setzero_si256()};
  for (int64_t i = 0; i + 4 <= bytes / 32; i += 4) {
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) sum[j] = _mm256_xor_si256(sum[j], _mm256_loadu_si256(p + i + j));
  }
  const __m256i all =
      _mm256_xor_si256(_mm256_xor_si256(sum[0], sum[1]), _mm256_xor_si256(sum[2], sum[3]));
  return static_cast<uint64_t>(_mm256_extract_epi64(all, 0) ^ _mm256_extract_epi64(all, 1) ^
                               _mm256_extract_epi64(all, 2) ^ _mm256_extract_epi64(all, 3));
}

}  // namespace tallow::cpu
