// What the backward pass does to a vector of scores: common to f32 and bf16.
#pragma once

#include "backend/cpu/isa/simd.h"
#include "backend/cpu/sdpa/kernels.h"

namespace tallow::cpu::TALLOW_ISA_NAMESPACE {
namespace {

/// The keys that a row sees, of its block.
struct Seen {
  int64_t low, high;
  Seen(const SdpaBackRows& in, int64_t row) : low(0), high(in.columns) {
    const int64_t at = row + in.diagonal;
    if (in.causal && at + 1 < high) high = at + 1;
    if (in.window > 0) low = at - in.window + 1;
  }
  bool all() const { return low <= 0 && high >= kSdpaKeys; }
};

TALLOW_INLINE Floats mask_of(const SdpaBackRows& in, int64_t row, int64_t j) {
  const float* from = in.mask + row * in.mask_row_stride + j * in.mask_key_stride;
  const int64_t left = in.columns - j;
  if (in.mask_key_stride == 0) return splat(*from);
  if (in.mask_key_stride == 1 && left >= kLanes) return load(from);
  float lanes[kLanes] = {};
  for (int64_t i = 0; i < kLanes && i < left; ++i) lanes[i] = from[i * in.mask_key_stride];
  return load(lanes);
}

TALLOW_INLINE Floats only(const Seen& seen, int64_t j, Floats x) {
  int32_t numbers[kLanes];
  for (int i = 0; i < kLanes; ++i) numbers[i] = i;
  const Ints lane = load_as<Ints>(numbers);
  const Ints low = static_cast<int32_t>(seen.low - j) - Ints{};
  const Ints high = static_cast<int32_t>(seen.high - j) - Ints{};
  x = lane >= low ? x : Floats{};
  return lane < high ? x : Floats{};
}

struct Vectors {
  Floats weight, grad;
};

/// Keys [j, j + kLanes) of a row; Power is 2^x for x up to 0.
template <class Power>
TALLOW_INLINE Vectors back_vector(const SdpaBackRows& in, const Seen& seen, bool all, int64_t row,
                                  int64_t j, const Power& power) {
  const int64_t at = row * kSdpaKeys + j;
  Floats x = load(in.scores + at) * in.scale - in.lse[row];
  if (in.mask && j < in.columns) x += mask_of(in, row, j) * 1.44269504f;
  Floats p = power(x);
  if (!all) p = only(seen, j, p);
  return {p, p * (load(in.grad_weights + at) - in.delta[row]) * in.grad_scale};
}

}  // namespace
}  // namespace tallow::cpu::TALLOW_ISA_NAMESPACE
