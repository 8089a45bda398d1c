// The transpose of a square tile of vectors, in log2(kLanes) rounds of two-vector shuffles.
#pragma once

#include <utility>

#include "backend/cpu/isa/simd.h"

namespace tallow::cpu::TALLOW_ISA_NAMESPACE {
namespace {

/// Swaps the off-diagonal quarters of every 2 Step square that a and b cross.
template <int Step, int... Lane>
TALLOW_INLINE void swap_quarters(Floats& a, Floats& b, std::integer_sequence<int, Lane...>) {
  const Floats low = __builtin_shufflevector(a, b, (Lane & Step ? kLanes + Lane - Step : Lane)...);
  b = __builtin_shufflevector(a, b, (Lane & Step ? kLanes + Lane : Lane + Step)...);
  a = low;
}

template <int Step>
TALLOW_INLINE void transpose_round(Floats (&tile)[kLanes]) {
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; ++i) {
    if ((i & Step) == 0)
      swap_quarters<Step>(tile[i], tile[i + Step], std::make_integer_sequence<int, kLanes>());
  }
}

TALLOW_INLINE void transpose(Floats (&tile)[kLanes]) {
  transpose_round<1>(tile);
  transpose_round<2>(tile);
  if constexpr (kLanes > 4) transpose_round<4>(tile);
  if constexpr (kLanes > 8) transpose_round<8>(tile);
}

}  // namespace
}  // namespace tallow::cpu::TALLOW_ISA_NAMESPACE
