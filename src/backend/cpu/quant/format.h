// How each block type stands in the packed form. One row per type; everything else is derived.
//
// 16 rows are interleaved. Of every 32 consecutive k come first the codes, as 64-byte vectors whose
// lane r (4 bytes) belongs to row r, then the scales of the group. "Quad" q is k = 4q .. 4q+3, one
// byte each in a lane:
//   nibbles   4 vectors: the low nibbles of vector v are quad v, the high nibbles quad v + 4
//   pairs     2 vectors: 2-bit codes, bits 2(q % 4) of vector q / 4 are quad q
//   high bit  1 vector: bit high_bit(q) is the upper bit of quad q
//   bytes     8 vectors, quad q in vector q, with 128 added
// Types with a scale of scales (the K types) put d, and dmin, of 16 rows before each 256 k.
#pragma once

#include <cstdint>

#include "tallow/dtype.h"

namespace tallow::cpu::quant {

enum class Codes : uint8_t {
  nibbles,       // 4 bits
  nibbles_high,  // 4 + 1: nibbles, high bit
  nibbles_pair,  // 4 + 2: nibbles, pairs
  pairs,         // 2 bits
  pairs_high,    // 2 + 1: pairs, high bit
  bytes,         // 8 bits
};

enum class Values : uint8_t {
  plain,    // the code; the type has a minimum
  centred,  // the code minus half its range
  iq4,      // a table of 16 signed values
  fp4,
};

/// The scales of a group of 32 x 16 rows, in bytes per row.
enum class Scales : uint8_t {
  f16,      // d
  f16_min,  // d, m: value = d * code + m
  e8m0,     // an exponent
  k32,      // signed byte per 32; head d
  k16,      // signed bytes per 16; head d
  k32_min,  // unsigned byte and minimum per 32; head d, dmin: value = d * s * code - dmin * m
  k16_min,  // nibbles: scale and minimum per 16; head d, dmin
};

struct Format {
  Codes codes;
  Values values;
  Scales scales;

  constexpr int bits() const {
    switch (codes) {
      case Codes::nibbles: return 4;
      case Codes::nibbles_high: return 5;
      case Codes::nibbles_pair: return 6;
      case Codes::pairs: return 2;
      case Codes::pairs_high: return 3;
      case Codes::bytes: return 8;
    }
    return 0;
  }
  constexpr int code_bytes() const { return 64 * bits(); }
  constexpr int scale_bytes() const {
    if (scales == Scales::f16_min) return 64;
    return scales == Scales::e8m0 || scales == Scales::k32 ? 16 : 32;
  }
  constexpr int group_bytes() const { return code_bytes() + scale_bytes(); }
  constexpr bool has_min() const { return values == Values::plain; }
  constexpr bool is_k() const { return scales >= Scales::k32; }
  /// Two scales per 32.
  constexpr bool per_16() const { return scales == Scales::k16 || scales == Scales::k16_min; }
  constexpr int head_bytes() const { return !is_k() ? 0 : has_min() ? 64 : 32; }
  /// A unit is what repeats along k.
  constexpr int unit_groups() const { return is_k() ? 8 : 1; }
  constexpr int unit_bytes() const { return head_bytes() + unit_groups() * group_bytes(); }
  /// What an integer code minus this is the signed value.
  constexpr int zero_point() const { return values == Values::centred ? 1 << (bits() - 1) : 0; }
};

/// The place of quad q's bit in the vector of high bits. This order takes two swaps to make from
/// the 32 consecutive bits of q5_0.
constexpr int high_bit(int q) { return 4 * (q & 1) + (q >> 1); }

// clang-format off
#define TALLOW_BLOCK_FORMATS(ROW)         \
  ROW(q4_0, nibbles, centred, f16)        \
  ROW(q4_1, nibbles, plain, f16_min)      \
  ROW(q5_0, nibbles_high, centred, f16)   \
  ROW(q5_1, nibbles_high, plain, f16_min) \
  ROW(q8_0, bytes, centred, f16)          \
  ROW(q2_k, pairs, plain, k16_min)        \
  ROW(q3_k, pairs_high, centred, k16)     \
  ROW(q4_k, nibbles, plain, k32_min)      \
  ROW(q5_k, nibbles_high, plain, k32_min) \
  ROW(q6_k, nibbles_pair, centred, k16)   \
  ROW(iq4_nl, nibbles, iq4, f16)          \
  ROW(iq4_xs, nibbles, iq4, k32)          \
  ROW(mxfp4, nibbles, fp4, e8m0)
// clang-format on

#define TALLOW_ROW(type, codes, values, scales) \
  inline constexpr Format k_##type{Codes::codes, Values::values, Scales::scales};
TALLOW_BLOCK_FORMATS(TALLOW_ROW)
#undef TALLOW_ROW

}  // namespace tallow::cpu::quant
