// The block dtypes that quantized checkpoints of safetensors are repacked into, without loss: each
// scheme's codes under f32 scales. The group of a name (u4_g128) is the elements under one scale.
//
//   u2 u3 u4 u8  f32 scale, f32 zero point, then per 32 elements the codes: scale * (code - zero)
//   nf4, bnb4    f32 scale, nibbles: scale * table[code]; bitsandbytes' two tables
//   fp4_g16      f32 scale, 4 E4M3 scales, nibbles: E2M1 * E4M3 * scale; for NVFP4
//   f8_g64       f32 scale, E4M3 codes: scale * code
//
// Codes of 32 elements stand so that the CPU's packed form takes them over by the word:
//   2 bits  8 bytes: bits 2 t of byte 4 h + b are element 16 h + 4 t + b
//   3 bits  the low two bits like that, then 4 bytes: bit 4 (q % 2) + q / 2 of byte b is the high
//           bit of element 4 q + b
//   4 bits  16 bytes: the low nibble of byte j is element j, the high one element j + 16
//   8 bits  32 bytes
#pragma once

#include <cstdint>

namespace tallow::blocks {

inline constexpr int64_t kGroupedHead = 8;  ///< the bytes of an integer block's scale and zero

/// The bytes of 32 codes.
constexpr int64_t code_bytes(int bits) { return 4 * bits; }
/// Writes 32 codes of 2, 3, 4 or 8 bits.
void put_codes(int bits, const uint8_t* codes, uint8_t* out);
/// Reads 32 codes.
void take_codes(int bits, const uint8_t* from, uint8_t* codes);

/// The values of the codes of nf4_g64 and bnb4_g64.
extern const float kNf4Values[16];
extern const float kBnb4Values[16];

template <int bits, int length>
void codes_to_f32(const void* source, float* target, int64_t n);
void nf4_to_f32(const void* source, float* target, int64_t n);
void bnb4_to_f32(const void* source, float* target, int64_t n);
void fp4_g16_to_f32(const void* source, float* target, int64_t n);
void f8_to_f32(const void* source, float* target, int64_t n);

}  // namespace tallow::blocks
