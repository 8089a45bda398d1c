// The AVX-512 loops of the machine's limits.
#include <immintrin.h>

#include "backend/cpu/limits.h"

namespace tallow::cpu {

double spin_f32_avx512(int64_t rounds) {
  __m512 sum[12], x = _mm512_set1_ps(1e-9f);
#pragma GCC unroll 12
  for (int i = 0; i < 12; ++i) sum[i] = _mm512_setzero_ps();
  for (int64_t r = 0; r < rounds; ++r) {
#pragma GCC unroll 12
    for (int i = 0; i < 12; ++i) {
      sum[i] = _mm512_fmadd_ps(x, x, sum[i]);
      asm volatile("" : "+v"(sum[i]));
    }
  }
  return static_cast<double>(rounds) * 12 * 32;
}

uint64_t read_avx512(const void* data, int64_t bytes) {
  const auto* p = static_cast<const __m512i*>(data);
  __m512i sum[4];
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) sum[j] = _mm512_setzero_si512();
  for (int64_t i = 0; i + 4 <= bytes / 64; i += 4) {
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) sum[j] = _mm512_xor_si512(sum[j], _mm512_loadu_si512(p + i + j));
  }
  const __m512i all =
      _mm512_xor_si512(_mm512_xor_si512(sum[0], sum[1]), _mm512_xor_si512(sum[2], sum[3]));
  uint64_t words[8], result = 0;
  _mm512_storeu_si512(words, all);
  for (uint64_t word : words) result ^= word;
  return result;
}

}  // namespace tallow::cpu
