// How each block type stands in the packed form. One row per type; everything else is derived.
//
// 16 rows are interleaved. Of every 32 consecutive k come first the codes, as 64-byte vectors whose
// lane r (4 bytes) belongs to row r, then the scales of the group. "Quad" q is k = 4q .. 4q+3, one
// byte each in a lane:
//   nibbles   4 vectors: the low nibbles of vector v are quad v, the high nibbles quad v + 4
//   pairs     2 vectors: 2-bit codes, bits 2(q % 4) of vector q / 4 are quad q
//   high bit  1 vector: bit high_bit(q) is the upper bit of quad q
//   bits      1 vector: bit q is quad q
//   bytes     8 vectors, quad q in vector q, with 128 added
// Types with a scale of scales (the K types) put d, and dmin, of 16 rows before each unit, which is
// a block of the type. Codebooks are expanded: the index of each element among its values and signs
// takes 3 or 4 bits, and a shuffle finds the value.
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
  bits,          // 1 bit
  bytes,         // 8 bits
};

enum class Values : uint8_t {
  plain,    // the code itself; the type has a minimum
  centred,  // the code minus half its range
  real,     // numbers that are no integers: see real_avx512.cpp
  // Tables of signed values: kTables below.
  iq4,
  fp4,
  iq3_xxs,
  iq3_s,
  iq2,
  iq1,
  ternary,
  sign,
};

/// The values of codes, those of short tables repeated, and what they are in parts of: the weight
/// is value / 2^shift times the scale. iq1's are eighths, three with the delta added and three
/// without; the scales of the IQ types are odd numbers, of which the format counts halves,
/// quarters, eighths.
struct Table {
  int8_t values[16];
  int shift;
  int bits;  // of a value's magnitude: how far it can be moved up in a signed byte is 7 - bits
};
// clang-format off
inline constexpr Table kTables[] = {
    {{-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113}, 0, 7},
    {{0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12}, 0, 4},
    {{4, 12, 20, 28, 36, 44, 52, 62, -4, -12, -20, -28, -36, -44, -52, -62}, 2, 6},
    {{1, 3, 5, 7, 9, 11, 13, 15, -1, -3, -5, -7, -9, -11, -13, -15}, 0, 4},
    {{8, 25, 43, 0, -8, -25, -43, 0, 8, 25, 43, 0, -8, -25, -43, 0}, 3, 6},
    {{-7, 1, 9, 0, -9, -1, 7, 0, -7, 1, 9, 0, -9, -1, 7, 0}, 3, 4},
    {{-1, 0, 1, 2, -1, 0, 1, 2, -1, 0, 1, 2, -1, 0, 1, 2}, 0, 2},
    {{-1, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1}, 0, 1},
};
// clang-format on

/// The scales of a group of 32 x 16 rows, in bytes per row.
enum class Scales : uint8_t {
  f16,      // d
  f16_min,  // d, m: value = d * code + m
  e8m0,     // an exponent
  k32,      // signed byte per 32; head d
  k16,      // signed bytes per 16; head d
  k32_min,  // unsigned byte and minimum per 32; head d, dmin: value = d * s * code - dmin * m
  k16_min,  // nibbles: scale and minimum per 16; head d, dmin
  fp8_16,   // unsigned FP8 (E4M3) per 16, halved
  unit,     // none but the head, d
  f32_min,  // none but the head, d and m in f32
  f32_fp8,  // as fp8_16, not halved; head d in f32
  f32,      // none but the head, d in f32
};

struct Format {
  Codes codes;
  Values values;
  Scales scales;
  int groups;  // of 32 k in a unit; 0 where types with blocks of several lengths share the form

  constexpr int bits() const {
    switch (codes) {
      case Codes::nibbles: return 4;
      case Codes::nibbles_high: return 5;
      case Codes::nibbles_pair: return 6;
      case Codes::pairs: return 2;
      case Codes::pairs_high: return 3;
      case Codes::bits: return 1;
      case Codes::bytes: return 8;
    }
    return 0;
  }
  constexpr int code_bytes() const { return 64 * bits(); }
  constexpr int scale_bytes() const {
    if (scales == Scales::f16_min) return 64;
    if (scales == Scales::unit || scales == Scales::f32_min || scales == Scales::f32) return 0;
    return scales == Scales::e8m0 || scales == Scales::k32 ? 16 : 32;
  }
  constexpr int group_bytes() const { return code_bytes() + scale_bytes(); }
  constexpr bool has_min() const { return values == Values::plain || scales == Scales::f32_min; }
  constexpr bool is_k() const {
    return scales >= Scales::k32 && scales <= Scales::unit && scales != Scales::fp8_16;
  }
  constexpr bool fp8_scales() const {
    return scales == Scales::fp8_16 || scales == Scales::f32_fp8;
  }
  /// Two scales per 32.
  constexpr bool per_16() const {
    return scales == Scales::k16 || scales == Scales::k16_min || fp8_scales();
  }
  constexpr int head_bytes() const {
    if (scales == Scales::f32_min) return 128;
    if (scales == Scales::f32_fp8 || scales == Scales::f32) return 64;
    return !is_k() ? 0 : has_min() ? 64 : 32;
  }
  /// A unit is what repeats along k: a block of the type, of `block_groups` groups.
  constexpr int unit_groups(int block_groups) const { return groups ? groups : block_groups; }
  constexpr int unit_bytes(int block_groups = 1) const {
    return head_bytes() + unit_groups(block_groups) * group_bytes();
  }
  constexpr bool has_table() const { return values >= Values::iq4; }
  constexpr const Table& table() const {
    return kTables[static_cast<int>(values) - static_cast<int>(Values::iq4)];
  }
  /// What an integer code minus this is the signed value.
  constexpr int zero_point() const { return values == Values::centred ? 1 << (bits() - 1) : 0; }
};

/// The place of quad q's bit in the vector of high bits. This order takes two swaps to make from
/// the 32 consecutive bits of q5_0.
constexpr int high_bit(int q) { return 4 * (q & 1) + (q >> 1); }

// clang-format off
#define TALLOW_BLOCK_FORMATS(ROW)              \
  ROW(q4_0, nibbles, centred, f16, 1)          \
  ROW(q4_1, nibbles, plain, f16_min, 1)        \
  ROW(q5_0, nibbles_high, centred, f16, 1)     \
  ROW(q5_1, nibbles_high, plain, f16_min, 1)   \
  ROW(q8_0, bytes, centred, f16, 1)            \
  ROW(q2_k, pairs, plain, k16_min, 8)          \
  ROW(q3_k, pairs_high, centred, k16, 8)       \
  ROW(q4_k, nibbles, plain, k32_min, 8)        \
  ROW(q5_k, nibbles_high, plain, k32_min, 8)   \
  ROW(q6_k, nibbles_pair, centred, k16, 8)     \
  ROW(iq4_nl, nibbles, iq4, f16, 1)            \
  ROW(iq4_xs, nibbles, iq4, k32, 8)            \
  ROW(mxfp4, nibbles, fp4, e8m0, 1)            \
  ROW(nvfp4, nibbles, fp4, fp8_16, 2)          \
  ROW(tq1_0, pairs, ternary, unit, 8)          \
  ROW(tq2_0, pairs, ternary, unit, 8)          \
  ROW(q1_0, bits, sign, unit, 4)               \
  ROW(q2_0, pairs, ternary, unit, 2)           \
  ROW(q8_1, bytes, centred, f16, 1)            \
  ROW(iq1_s, pairs_high, iq1, k32, 8)          \
  ROW(iq1_m, pairs_high, iq1, k16, 8)          \
  ROW(iq2_xxs, pairs_high, iq2, k32, 8)        \
  ROW(iq2_xs, pairs_high, iq2, k16, 8)         \
  ROW(iq2_s, pairs_high, iq2, k16, 8)          \
  ROW(iq3_xxs, nibbles, iq3_xxs, k32, 8)       \
  ROW(iq3_s, nibbles, iq3_s, k32, 8)           \
  ROW(u2_g32, pairs, plain, f32_min, 0)        \
  ROW(u3_g32, pairs_high, plain, f32_min, 0)   \
  ROW(u4_g32, nibbles, plain, f32_min, 0)      \
  ROW(u8_g32, bytes, centred, f32_min, 0)       \
  ROW(fp4_g16, nibbles, fp4, f32_fp8, 2)
// clang-format on

#define TALLOW_ROW(type, codes, values, scales, groups) \
  inline constexpr Format k_##type{Codes::codes, Values::values, Scales::scales, groups};
TALLOW_BLOCK_FORMATS(TALLOW_ROW)
#undef TALLOW_ROW

/// The forms of nf4_g64 and bnb4_g64, and of f8_g64, which have kernels of their own.
inline constexpr Format k_real4{Codes::nibbles, Values::real, Scales::f32, 2};
inline constexpr Format k_real8{Codes::bytes, Values::real, Scales::f32, 2};

/// The type whose row a type has: those that differ in the length of their blocks share one.
constexpr DType format_type(DType dtype) {
  if (dtype < DType::u2_g32 || dtype > DType::u8_g128) return dtype;
  const int first = static_cast<int>(DType::u2_g32);
  return static_cast<DType>(static_cast<int>(dtype) - (static_cast<int>(dtype) - first) % 3);
}

}  // namespace tallow::cpu::quant
