// The portable loops of the machine's limits.
#include "backend/cpu/limits.h"

namespace tallow::cpu {

double spin_f32_portable(int64_t rounds) {
  using Vec = float __attribute__((vector_size(16)));
  Vec sum[12] = {}, x = {1e-9f, 1e-9f, 1e-9f, 1e-9f};
  for (int64_t i = 0; i < rounds; ++i) {
#pragma GCC unroll 12
    for (Vec& s : sum) s += x * x;
#pragma GCC unroll 12
    for (Vec& s : sum) asm volatile("" : "+m"(s));
  }
  return static_cast<double>(rounds) * 12 * 8;
}

uint64_t read_portable(const void* data, int64_t bytes) {
  const auto* p = static_cast<const uint64_t*>(data);
  uint64_t sum[4] = {};
  for (int64_t i = 0; i + 4 <= bytes / 8; i += 4) {
    for (int j = 0; j < 4; ++j) sum[j] ^= p[i + j];
  }
  return sum[0] ^ sum[1] ^ sum[2] ^ sum[3];
}

}  // namespace tallow::cpu
