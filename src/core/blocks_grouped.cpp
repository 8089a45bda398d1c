// The block dtypes of repacked checkpoints to f32.
#include "core/blocks_grouped.h"

#include <cstring>

#include "core/blocks.h"
#include "core/half.h"

namespace tallow::blocks {
namespace {

float f32_at(const uint8_t* p) {
  float value;
  std::memcpy(&value, p, sizeof value);
  return value;
}

/// Where element e of 32 stands in 2-bit codes: its byte and the shift in it.
constexpr int pair_byte(int e) { return e / 16 * 4 + e % 4; }
constexpr int pair_shift(int e) { return e / 4 % 4 * 2; }
constexpr int high_shift(int e) { return e / 4 % 2 * 4 + e / 8; }

void put_pairs(const uint8_t* codes, uint8_t* out) {
  std::memset(out, 0, 8);
  for (int e = 0; e < 32; ++e) {
    out[pair_byte(e)] |= static_cast<uint8_t>((codes[e] & 3) << pair_shift(e));
  }
}

/// Blocks of 64 nibbles under an f32 scale.
void table_to_f32(const float* table, const void* source, float* target, int64_t n) {
  const auto* p = static_cast<const uint8_t*>(source);
  uint8_t codes[32];
  for (int64_t i = 0; i < n; i += 64, p += 36) {
    const float scale = f32_at(p);
    for (int half = 0; half < 2; ++half, target += 32) {
      take_codes(4, p + 4 + 16 * half, codes);
      for (int j = 0; j < 32; ++j) target[j] = scale * table[codes[j]];
    }
  }
}

}  // namespace

// bitsandbytes, functional.get_4bit_type.
const float kNf4Values[16] = {-1.0f,         -0.696192801f, -0.525073051f,  -0.394917488f,
                              -0.284441382f, -0.184773430f, -0.0910500363f, 0.0f,
                              0.0795802996f, 0.160930201f,  0.246112302f,   0.337915242f,
                              0.440709829f,  0.562617004f,  0.722956836f,   1.0f};
const float kBnb4Values[16] = {
    0.0f, 0.00520833349f,  0.666666687f,  1.0f,  0.333333343f,  0.5f,  0.166666672f,  0.25f,
    0.0f, -0.00520833349f, -0.666666687f, -1.0f, -0.333333343f, -0.5f, -0.166666672f, -0.25f};

void put_codes(int bits, const uint8_t* codes, uint8_t* out) {
  if (bits == 8) std::memcpy(out, codes, 32);
  if (bits == 4) {
    for (int j = 0; j < 16; j += 8) {  // 8 bytes at a time
      uint64_t low, high;
      std::memcpy(&low, codes + j, 8);
      std::memcpy(&high, codes + j + 16, 8);
      low = (low & 0x0f0f0f0f0f0f0f0f) | (high & 0x0f0f0f0f0f0f0f0f) << 4;
      std::memcpy(out + j, &low, 8);
    }
  }
  if (bits > 3) return;
  put_pairs(codes, out);
  if (bits == 2) return;
  std::memset(out + 8, 0, 4);
  for (int e = 0; e < 32; ++e) {
    out[8 + e % 4] |= static_cast<uint8_t>((codes[e] >> 2 & 1) << high_shift(e));
  }
}

void take_codes(int bits, const uint8_t* from, uint8_t* codes) {
  for (int e = 0; e < 32; ++e) {
    if (bits == 8) codes[e] = from[e];
    if (bits == 4) codes[e] = e < 16 ? from[e] & 15 : from[e - 16] >> 4;
    if (bits > 3) continue;
    codes[e] = from[pair_byte(e)] >> pair_shift(e) & 3;
    if (bits == 3) codes[e] |= static_cast<uint8_t>((from[8 + e % 4] >> high_shift(e) & 1) << 2);
  }
}

template <int bits, int length>
void codes_to_f32(const void* source, float* target, int64_t n) {
  const auto* p = static_cast<const uint8_t*>(source);
  uint8_t codes[32];
  for (int64_t i = 0; i < n; i += length) {
    const float scale = f32_at(p), zero = f32_at(p + 4);
    p += kGroupedHead;
    for (int j = 0; j < length; j += 32, p += code_bytes(bits), target += 32) {
      take_codes(bits, p, codes);
      for (int e = 0; e < 32; ++e) target[e] = scale * (static_cast<float>(codes[e]) - zero);
    }
  }
}

#define TALLOW_LENGTHS(bits)                                          \
  template void codes_to_f32<bits, 32>(const void*, float*, int64_t); \
  template void codes_to_f32<bits, 64>(const void*, float*, int64_t); \
  template void codes_to_f32<bits, 128>(const void*, float*, int64_t);
TALLOW_LENGTHS(2)
TALLOW_LENGTHS(3)
TALLOW_LENGTHS(4)
TALLOW_LENGTHS(8)
#undef TALLOW_LENGTHS

void nf4_to_f32(const void* source, float* target, int64_t n) {
  table_to_f32(kNf4Values, source, target, n);
}

void bnb4_to_f32(const void* source, float* target, int64_t n) {
  table_to_f32(kBnb4Values, source, target, n);
}

void fp4_g16_to_f32(const void* source, float* target, int64_t n) {
  const auto* p = static_cast<const uint8_t*>(source);
  uint8_t codes[32];
  for (int64_t i = 0; i < n; i += 64, p += 40) {
    const float factor = f32_at(p);
    for (int half = 0; half < 2; ++half, target += 32) {
      take_codes(4, p + 8 + 16 * half, codes);
      for (int j = 0; j < 32; ++j) {
        const float scale = f8_e4m3_to_f32(p[4 + 2 * half + j / 16]) * factor;
        target[j] = 0.5f * static_cast<float>(kFp4Values[codes[j]]) * scale;
      }
    }
  }
}

void f8_to_f32(const void* source, float* target, int64_t n) {
  const auto* p = static_cast<const uint8_t*>(source);
  for (int64_t i = 0; i < n; i += 64, p += 68) {
    const float scale = f32_at(p);
    for (int j = 0; j < 64; ++j) target[i + j] = scale * f8_e4m3_to_f32(p[4 + j]);
  }
}

}  // namespace tallow::blocks
