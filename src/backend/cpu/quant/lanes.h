// One block in each lane of a vector: the searches for scales are written as for a single block,
// and nothing is summed across lanes, so that every instruction set gives the same bytes. Included
// by files that are compiled once per level, without contraction of products and sums.
#pragma once

#include <cstdint>
#include <cstring>

#include "core/encode.h"
#include "core/half.h"

namespace tallow::cpu::TALLOW_ISA_NAMESPACE {
namespace {

constexpr int kLanes = TALLOW_ISA_LEVEL >= 2 ? 16 : TALLOW_ISA_LEVEL == 1 ? 8 : 4;
typedef float V __attribute__((vector_size(4 * kLanes)));
typedef int32_t I __attribute__((vector_size(4 * kLanes)));
typedef uint8_t B __attribute__((vector_size(kLanes)));

#define TALLOW_LANES static inline __attribute__((always_inline))

TALLOW_LANES V all(float f) { return V{} + f; }
TALLOW_LANES I alli(int32_t i) { return I{} + i; }
// With a NaN first, the second.
TALLOW_LANES V larger(V a, V b) { return a > b ? a : b; }
TALLOW_LANES V smaller(V a, V b) { return a < b ? a : b; }
TALLOW_LANES V clamped(V v, float low, float high) {
  return smaller(larger(v, all(low)), all(high));
}
TALLOW_LANES V magnitude(V v) { return v < 0 ? -v : v; }
/// To nearest even, for magnitudes below 2^22.
TALLOW_LANES V nearest(V v) {
  const V magic = all(12582912.0f);
  return (v + magic) - magic;
}
TALLOW_LANES I integers(V v) { return __builtin_convertvector(v, I); }
TALLOW_LANES V floats(I v) { return __builtin_convertvector(v, V); }
/// 0 where the divisor is.
TALLOW_LANES V quotient(V a, V b) { return b == 0 ? V{} : a / b; }
TALLOW_LANES V as_f16(V v) {
  for (int l = 0; l < kLanes; ++l) v[l] = f16_to_f32(f32_to_f16(v[l]));
  return v;
}

/// The blocks of a batch, turned: x[j] is element j of all of them, w its importance.
template <int length>
struct Batch {
  V x[length], w[length];

  /// Lanes that no block is left for are zeros.
  void load(const EncodeJob& job, int64_t block, int lanes) {
    static constexpr float kZeros[length] = {};
    const float *from[kLanes], *importance[kLanes] = {};
    for (int l = 0; l < kLanes; ++l) {
      from[l] = l < lanes ? job.x + (block + l) * length : kZeros;
      if (job.importance) {
        importance[l] = job.importance + (job.first + block + l) % job.period * length;
      }
    }
    turn(from, x);
    if (job.importance) turn(importance, w);
  }

 private:
  static void turn(const float* const* rows, V* out) {
    for (int j = 0; j < length; ++j) {
      for (int l = 0; l < kLanes; ++l) out[j][l] = rows[l][j];
    }
  }
};

/// Calls encode(batch) and put(lane, block's bytes) for all blocks of a job.
template <int length, int bytes, class Encode, class Put>
TALLOW_LANES void each_batch(const EncodeJob& job, Encode encode, Put put) {
  static thread_local Batch<length> batch;
  if (!job.importance) {
    for (V& v : batch.w) v = all(1);
  }
  for (int64_t b = 0; b < job.count; b += kLanes) {
    const int lanes = static_cast<int>(job.count - b < kLanes ? job.count - b : kLanes);
    batch.load(job, b, lanes);
    encode(batch);
    for (int l = 0; l < lanes; ++l) put(l, job.out + (b + l) * bytes);
  }
}

/// A lane's integers as bytes.
template <int count>
TALLOW_LANES void lane_bytes(const I* values, int lane, uint8_t* out) {
  for (int j = 0; j < count; ++j) out[j] = static_cast<uint8_t>(values[j][lane]);
}

TALLOW_LANES void put_half(uint8_t* p, float f) {
  const uint16_t h = f32_to_f16(f);
  std::memcpy(p, &h, 2);
}

/// 32 codes of 4 bits and more: the low nibbles of elements j and j + 16 in byte j.
TALLOW_LANES void put_nibbles(const uint8_t* codes, uint8_t* out) {
  for (int j = 0; j < 16; ++j) out[j] = static_cast<uint8_t>((codes[j] & 15) | codes[j + 16] << 4);
}

/// Bit 4 of 32 codes.
TALLOW_LANES void put_fifth_bits(const uint8_t* codes, uint8_t* out) {
  std::memset(out, 0, 4);
  for (int j = 0; j < 32; ++j) {
    out[j / 8] = static_cast<uint8_t>(out[j / 8] | ((codes[j] >> 4) & 1) << (j % 8));
  }
}

}  // namespace
}  // namespace tallow::cpu::TALLOW_ISA_NAMESPACE
