// The GGUF block formats: conversions to and from f32, for the dtype table and for whoever needs
// their layouts.
#pragma once

#include <cstdint>

namespace tallow::blocks {

/// The values of the 4-bit codes of iq4_nl and iq4_xs.
inline constexpr int8_t kIq4Values[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                          1,    13,   25,  38,  53,  69,  89,  113};
/// The values of the 4-bit codes of mxfp4 (FP4 E2M1), doubled.
inline constexpr int8_t kFp4Values[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

// The codebooks of the IQ types, packed: element i of an entry is bits 2i of 8 elements (iq1, iq2),
// or bits 3i of 4 (iq3). kIq2Values and the like say what the bits stand for.
extern const uint16_t kIq1Grid[2048];
extern const uint16_t kIq2XxsGrid[256];
extern const uint16_t kIq2XsGrid[512];
extern const uint16_t kIq2SGrid[1024];
extern const uint16_t kIq3XxsGrid[256];
extern const uint16_t kIq3SGrid[512];
inline constexpr int8_t kIq2Values[4] = {8, 25, 43, 0};
inline constexpr int8_t kIq3XxsValues[8] = {4, 12, 20, 28, 36, 44, 52, 62};
inline constexpr int8_t kIq3SValues[8] = {1, 3, 5, 7, 9, 11, 13, 15};
/// What is added to the values -1, 0 and 1 of iq1_s and iq1_m, or taken from them.
inline constexpr float kIq1Delta = 0.125f;

/// Bits 0 to 6 are signs (1 is minus) of 8 elements; bit 7 makes their number even.
inline uint8_t even_signs(int seven) {
  return static_cast<uint8_t>(seven | (__builtin_popcount(static_cast<unsigned>(seven)) & 1) << 7);
}

/// The value of an unsigned FP8 scale of nvfp4, halved, because the table of FP4 values is doubled.
float ue4m3_half(uint8_t bits);

/// The f16 scale of an iq1_m block, which stands in the top nibbles of its four words of scales.
inline uint16_t scale_iq1m(const uint8_t* s) {
  return static_cast<uint16_t>(s[1] >> 4 | (s[3] >> 4) << 4 | (s[5] >> 4) << 8 | (s[7] >> 4) << 12);
}

/// 2^(e - 128): half the value of an E8M0 scale, because the table of FP4 values is doubled.
float e8m0_half(uint8_t e);

/// The 6-bit scale and minimum of 32-element group `b` (0..7) of a q4_k or q5_k block.
struct ScaleMin {
  uint8_t scale, min;
};
inline ScaleMin scale_min_k4(const uint8_t* s, int b) {
  if (b < 4) return {static_cast<uint8_t>(s[b] & 63), static_cast<uint8_t>(s[b + 4] & 63)};
  return {static_cast<uint8_t>((s[b + 4] & 15) | (s[b - 4] >> 6) << 4),
          static_cast<uint8_t>((s[b + 4] >> 4) | (s[b] >> 6) << 4)};
}

/// The 6-bit scale, minus 32, of 16-element group `b` (0..15) of a q3_k block.
inline int scale_q3k(const uint8_t* s, int b) {
  const int low = b < 8 ? s[b] & 15 : s[b - 8] >> 4;
  return (low | ((s[8 + b % 4] >> (2 * (b / 4))) & 3) << 4) - 32;
}

/// The scale, minus 32, of 32-element group `b` (0..7) of an iq4_xs block at `block`.
inline int scale_iq4xs(const uint8_t* block, int b) {
  const int high = block[2] | block[3] << 8;
  return (((block[4 + b / 2] >> (4 * (b % 2))) & 15) | ((high >> (2 * b)) & 3) << 4) - 32;
}

// Each converts n elements, a multiple of the block length. The arithmetic is that of the `gguf`
// package, operation by operation, so that the results are equal to the bit.
void q4_0_to_f32(const void* source, float* target, int64_t n);
void q4_1_to_f32(const void* source, float* target, int64_t n);
void q5_0_to_f32(const void* source, float* target, int64_t n);
void q5_1_to_f32(const void* source, float* target, int64_t n);
void q8_0_to_f32(const void* source, float* target, int64_t n);
void q2_k_to_f32(const void* source, float* target, int64_t n);
void q3_k_to_f32(const void* source, float* target, int64_t n);
void q4_k_to_f32(const void* source, float* target, int64_t n);
void q5_k_to_f32(const void* source, float* target, int64_t n);
void q6_k_to_f32(const void* source, float* target, int64_t n);
void iq4_nl_to_f32(const void* source, float* target, int64_t n);
void iq4_xs_to_f32(const void* source, float* target, int64_t n);
void mxfp4_to_f32(const void* source, float* target, int64_t n);
void tq1_0_to_f32(const void* source, float* target, int64_t n);
void tq2_0_to_f32(const void* source, float* target, int64_t n);
void nvfp4_to_f32(const void* source, float* target, int64_t n);
void q1_0_to_f32(const void* source, float* target, int64_t n);
void q2_0_to_f32(const void* source, float* target, int64_t n);
void q8_1_to_f32(const void* source, float* target, int64_t n);
void q8_k_to_f32(const void* source, float* target, int64_t n);
void iq1_s_to_f32(const void* source, float* target, int64_t n);
void iq1_m_to_f32(const void* source, float* target, int64_t n);
void iq2_xxs_to_f32(const void* source, float* target, int64_t n);
void iq2_xs_to_f32(const void* source, float* target, int64_t n);
void iq2_s_to_f32(const void* source, float* target, int64_t n);
void iq3_xxs_to_f32(const void* source, float* target, int64_t n);
void iq3_s_to_f32(const void* source, float* target, int64_t n);

// The formats that `gguf` can write: the bytes are equal to its.
void q4_0_from_f32(const float* source, void* target, int64_t n);
void q4_1_from_f32(const float* source, void* target, int64_t n);
void q5_0_from_f32(const float* source, void* target, int64_t n);
void q5_1_from_f32(const float* source, void* target, int64_t n);
void q8_0_from_f32(const float* source, void* target, int64_t n);
void mxfp4_from_f32(const float* source, void* target, int64_t n);
void tq1_0_from_f32(const float* source, void* target, int64_t n);
void tq2_0_from_f32(const float* source, void* target, int64_t n);
// What ggml rounds activations to.
void q8_1_from_f32(const float* source, void* target, int64_t n);
void q8_k_from_f32(const float* source, void* target, int64_t n);

}  // namespace tallow::blocks
