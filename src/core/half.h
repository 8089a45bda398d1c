// Conversions between f32 and the 16- and 8-bit floats. They are `static`, so that a file compiled
// for a newer instruction set keeps its own copies and the linker cannot mix them.
#pragma once

#include <bit>
#include <cstdint>

namespace tallow {

static inline float f16_to_f32(uint16_t h) {
  const uint32_t sign = static_cast<uint32_t>(h & 0x8000) << 16;
  const uint32_t magnitude = static_cast<uint32_t>(h & 0x7fff) << 13;
  // Below 2^-14 the exponent field is 0: 2^-14 * (1 + m) - 2^-14 makes the value exact.
  const float small =
      std::bit_cast<float>(magnitude + 0x38800000) - std::bit_cast<float>(0x38800000u);
  const uint32_t normal = magnitude + 0x38000000 + (magnitude >= 0x0f800000 ? 0x38000000u : 0u);
  return std::bit_cast<float>(sign |
                              (magnitude < 0x00800000 ? std::bit_cast<uint32_t>(small) : normal));
}

/// Rounds to nearest even; overflow gives infinity.
static inline uint16_t f32_to_f16(float f) {
  const uint32_t bits = std::bit_cast<uint32_t>(f);
  const uint32_t sign = (bits >> 16) & 0x8000;
  const uint32_t magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return static_cast<uint16_t>(sign | 0x7e00);
  if (magnitude >= 0x477ff000) return static_cast<uint16_t>(sign | 0x7c00);
  if (magnitude < 0x38800000) {
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;  // ulp of 0.5 is 2^-24
    return static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(shifted) - 0x3f000000));
  }
  const uint32_t rounded = magnitude - 0x38000000 + 0xfff + ((magnitude >> 13) & 1);
  return static_cast<uint16_t>(sign | (rounded >> 13));
}

static inline float bf16_to_f32(uint16_t h) {
  return std::bit_cast<float>(static_cast<uint32_t>(h) << 16);
}

/// Rounds to nearest even; NaN stays NaN.
static inline uint16_t f32_to_bf16(float f) {
  const uint32_t bits = std::bit_cast<uint32_t>(f);
  if ((bits & 0x7fffffff) > 0x7f800000) return static_cast<uint16_t>((bits >> 16) | 0x40);
  return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

/// FP8 with 4 exponent bits, no infinities, NaN = 0x7f (the "fn" variant that weights are saved
/// in).
static inline float f8_e4m3_to_f32(uint8_t h) {
  const uint32_t sign = static_cast<uint32_t>(h & 0x80) << 24;
  const uint32_t magnitude = static_cast<uint32_t>(h & 0x7f) << 20;
  const float small =
      std::bit_cast<float>(magnitude + 0x3c800000) - std::bit_cast<float>(0x3c800000u);
  uint32_t bits = magnitude < 0x00800000 ? std::bit_cast<uint32_t>(small) : magnitude + 0x3c000000;
  if ((h & 0x7f) == 0x7f) bits = 0x7fc00000;
  return std::bit_cast<float>(sign | bits);
}

/// Rounds to nearest even; what is beyond the largest value becomes that, 448, as in PyTorch.
static inline uint8_t f32_to_f8_e4m3(float f) {
  const uint32_t bits = std::bit_cast<uint32_t>(f);
  const uint32_t sign = (bits >> 24) & 0x80;
  const uint32_t magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return static_cast<uint8_t>(sign | 0x7f);
  if (magnitude >= 0x43e00000) return static_cast<uint8_t>(sign | 0x7e);
  if (magnitude < 0x3c800000) {
    const float shifted = std::bit_cast<float>(magnitude) + 16384.0f;  // ulp is 2^-9
    return static_cast<uint8_t>(sign | (std::bit_cast<uint32_t>(shifted) - 0x46800000));
  }
  const uint32_t rounded = magnitude - 0x3c000000 + 0x7ffff + ((magnitude >> 20) & 1);
  return static_cast<uint8_t>(sign | (rounded >> 20));
}

/// FP8 with 5 exponent bits: the upper byte of an f16.
static inline float f8_e5m2_to_f32(uint8_t h) {
  return f16_to_f32(static_cast<uint16_t>(static_cast<uint16_t>(h) << 8));
}

/// Rounds to nearest even; overflow gives infinity.
static inline uint8_t f32_to_f8_e5m2(float f) {
  const uint32_t bits = std::bit_cast<uint32_t>(f);
  const uint32_t sign = (bits >> 24) & 0x80;
  const uint32_t magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return static_cast<uint8_t>(sign | 0x7f);
  if (magnitude >= 0x47700000) return static_cast<uint8_t>(sign | 0x7c);
  if (magnitude < 0x38800000) {
    const float shifted = std::bit_cast<float>(magnitude) + 128.0f;  // ulp is 2^-16
    return static_cast<uint8_t>(sign | (std::bit_cast<uint32_t>(shifted) - 0x43000000));
  }
  const uint32_t rounded = magnitude - 0x38000000 + 0xfffff + ((magnitude >> 21) & 1);
  return static_cast<uint8_t>(sign | (rounded >> 21));
}

}  // namespace tallow
