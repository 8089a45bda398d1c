// The AVX512-BF16 loop of the machine's limits.
#include <immintrin.h>

#include "backend/cpu/limits.h"

namespace tallow::cpu {

double spin_bf16_bf16(int64_t rounds) {
  __m512 sum[12];
  const __m512bh x = reinterpret_cast<__m512bh>(_mm512_setzero_si512());
#pragma GCC unroll 12
  for (int i = 0; i < 12; ++i) sum[i] = _mm512_setzero_ps();
  for (int64_t r = 0; r < rounds; ++r) {
#pragma GCC unroll 12
    for (int i = 0; i < 12; ++i) {
      sum[i] = _mm512_dpbf16_ps(sum[i], x, x);
      asm volatile("" : "+v"(sum[i]));
    }
  }
  return static_cast<double>(rounds) * 12 * 64;
}

}  // namespace tallow::cpu
