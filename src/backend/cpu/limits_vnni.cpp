// The VNNI loop of the machine's limits.
#include <immintrin.h>

#include "backend/cpu/limits.h"

namespace tallow::cpu {

double spin_int8_vnni(int64_t rounds) {
  __m512i sum[12], x = _mm512_set1_epi8(1);
#pragma GCC unroll 12
  for (int i = 0; i < 12; ++i) sum[i] = _mm512_setzero_si512();
  for (int64_t r = 0; r < rounds; ++r) {
#pragma GCC unroll 12
    for (int i = 0; i < 12; ++i) {
      sum[i] = _mm512_dpbusd_epi32(sum[i], x, x);
      asm volatile("" : "+v"(sum[i]));
    }
  }
  return static_cast<double>(rounds) * 12 * 128;
}

}  // namespace tallow::cpu
