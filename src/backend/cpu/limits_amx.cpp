// The AMX loops of the machine's limits.
#include <immintrin.h>

#include "backend/cpu/gemm/kernels.h"
#include "backend/cpu/limits.h"

namespace tallow::cpu {
namespace {

void zero_tiles() {
  amx_configure();
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  _tile_zero(4);
  _tile_zero(5);
  _tile_zero(6);
  _tile_zero(7);
}

}  // namespace

// A twentieth of the rounds: a tile is as long as 16 vectors.
double spin_bf16_amx(int64_t rounds) {
  zero_tiles();
  const int64_t passes = rounds / 20;
  for (int64_t r = 0; r < passes; ++r) {
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  return static_cast<double>(passes) * 4 * 16 * 16 * 32 * 2;
}

double spin_int8_amx(int64_t rounds) {
  zero_tiles();
  const int64_t passes = rounds / 20;
  for (int64_t r = 0; r < passes; ++r) {
    _tile_dpbssd(0, 4, 6);
    _tile_dpbssd(1, 4, 7);
    _tile_dpbssd(2, 5, 6);
    _tile_dpbssd(3, 5, 7);
  }
  return static_cast<double>(passes) * 4 * 16 * 16 * 64 * 2;
}

}  // namespace tallow::cpu
