// Rounding activations to 8 bits, 32 at a time. Included by one file per instruction set.
#pragma once

#include <cstdint>

#include "backend/cpu/quant/kernels.h"

namespace tallow::cpu::quant {
namespace {

inline void quantize_block(const float* x, QuantizedBlock* out) {
  // Compared as integers, NaN is larger than every number, so it reaches the scale.
  uint32_t largest = 0;
  for (int j = 0; j < 32; ++j) {
    const uint32_t magnitude = __builtin_bit_cast(uint32_t, x[j]) & 0x7fffffff;
    largest = magnitude > largest ? magnitude : largest;
  }
  // Rounded up to 22 bits. NaN and infinity stay what they are.
  uint32_t bits = __builtin_bit_cast(uint32_t, __builtin_bit_cast(float, largest) / 127);
  bits = largest < 0x7f800000 ? (bits + 3) & ~3u : bits;
  const float scale = __builtin_bit_cast(float, bits);
  const float inverse = scale > 1e-37f ? 1 / scale : 0;
  // Adding the magic number rounds to nearest even and leaves the integer in the low bits.
  uint32_t q[32];
  for (int j = 0; j < 32; ++j) {
    q[j] = __builtin_bit_cast(uint32_t, x[j] * inverse + kMagic);
  }
  int32_t sum[2] = {};
  int8_t bytes[32];
  for (int half = 0; half < 2; ++half) {
    for (int j = 16 * half; j < 16 * half + 16; ++j) {
      bytes[j] = static_cast<int8_t>(q[j]);
      sum[half] += bytes[j];
    }
  }
  __builtin_memcpy(out->q, bytes, 32);
  out->scale = scale;
  out->magic = kMagic * scale;
  out->total = scale * static_cast<float>(sum[0] + sum[1]);
  out->zero = kMagicBits - 128 * (sum[0] + sum[1]);
  for (int half = 0; half < 2; ++half) {
    out->half[half] = scale * static_cast<float>(sum[half]);
    out->zero2[half] = -128 * sum[half];
  }
}

inline void quantize_row(const float* x, int64_t k, QuantizedBlock* out, int64_t step) {
  for (int64_t b = 0; b < k / 32; ++b) quantize_block(x + 32 * b, out + b * step);
}

}  // namespace
}  // namespace tallow::cpu::quant
