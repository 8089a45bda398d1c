// The block formats of one to three bits and a little: ternary ones, and those with a codebook.
#include <bit>

#include "core/block_bytes.h"
#include "core/blocks.h"

namespace tallow::blocks {
namespace {

uint16_t u16_at(const uint8_t* p) { return static_cast<uint16_t>(p[0] | p[1] << 8); }

/// Writes count = 8 or 4 elements of a codebook's entry times `scale`, with signs (1 is minus).
template <int count>
void put_entry(uint16_t entry, const int8_t* values, int signs, float scale, float* y) {
  constexpr int bits = count == 8 ? 2 : 3;
  for (int i = 0; i < count; ++i) {
    const auto value = static_cast<float>(values[(entry >> (bits * i)) & ((1 << bits) - 1)]);
    y[i] = scale * value * ((signs >> i) & 1 ? -1.0f : 1.0f);
  }
}

/// 8 elements of iq1: values -1, 0 and 1 plus `delta`.
void put_iq1(uint16_t entry, float delta, float scale, float* y) {
  for (int i = 0; i < 8; ++i) {
    y[i] = scale * (static_cast<float>((entry >> (2 * i)) & 3) - 1 + delta);
  }
}

int nibble(const uint8_t* p, int i) { return (p[i / 2] >> (4 * (i % 2))) & 15; }

/// Trit n of five in a byte.
int trit(uint8_t byte, int n) {
  constexpr uint8_t kPowers[5] = {1, 3, 9, 27, 81};
  return (static_cast<uint8_t>(byte * kPowers[n]) * 3) >> 8;
}

}  // namespace

float ue4m3_half(uint8_t bits) {
  if (bits == 0x7f) return 0;
  const int exponent = (bits >> 3) & 15;
  const float fraction = static_cast<float>(bits & 7);
  if (exponent == 0) return fraction * 0x1p-10f;
  return std::bit_cast<float>(static_cast<uint32_t>(exponent + 119) << 23) * (1 + fraction / 8);
}

// d, bits[16]: a set bit is d, a clear one -d.
void q1_0_to_f32(const void* source, float* target, int64_t n) {
  each_block<128, 18>(source, target, n, [](const uint8_t* b, float* y) {
    const float d = f16_at(b);
    for (int i = 0; i < 128; ++i) y[i] = (b[2 + i / 8] >> (i % 8)) & 1 ? d : -d;
  });
}

// d, pairs[16]: -1 to 2.
void q2_0_to_f32(const void* source, float* target, int64_t n) {
  each_block<64, 18>(source, target, n, [](const uint8_t* b, float* y) {
    const float d = f16_at(b);
    for (int i = 0; i < 64; ++i) {
      y[i] = static_cast<float>(((b[2 + i / 4] >> (2 * (i % 4))) & 3) - 1) * d;
    }
  });
}

// d, sum of the elements, codes[32].
void q8_1_to_f32(const void* source, float* target, int64_t n) {
  each_block<32, 36>(source, target, n, [](const uint8_t* b, float* y) {
    const float d = f16_at(b);
    for (int i = 0; i < 32; ++i) y[i] = static_cast<float>(static_cast<int8_t>(b[4 + i])) * d;
  });
}

// d in f32, codes[256], 16 sums.
void q8_k_to_f32(const void* source, float* target, int64_t n) {
  each_block<256, 292>(source, target, n, [](const uint8_t* b, float* y) {
    const float d = std::bit_cast<float>(u32_at(b));
    for (int i = 0; i < 256; ++i) y[i] = static_cast<float>(static_cast<int8_t>(b[4 + i])) * d;
  });
}

// scales[4] of 16 elements each, codes[32]: in every 8 bytes the low nibbles are elements 0 to 7.
void nvfp4_to_f32(const void* source, float* target, int64_t n) {
  each_block<64, 36>(source, target, n, [](const uint8_t* b, float* y) {
    for (int g = 0; g < 4; ++g, y += 16) {
      const float d = ue4m3_half(b[g]);
      const uint8_t* codes = b + 4 + 8 * g;
      for (int i = 0; i < 8; ++i) {
        y[i] = d * static_cast<float>(kFp4Values[codes[i] & 15]);
        y[i + 8] = d * static_cast<float>(kFp4Values[codes[i] >> 4]);
      }
    }
  });
}

// trits[48] of five elements and trits[4] of four, d: element 32 j + l of the first 160 is trit j
// of byte l; 16 j + l of the next 80, trit j of byte 32 + l; 4 j + l of the last 16, trit j of byte
// 48 + l.
void tq1_0_to_f32(const void* source, float* target, int64_t n) {
  each_block<256, 54>(source, target, n, [](const uint8_t* b, float* y) {
    const float d = f16_at(b + 52);
    const auto part = [&](int first, int bytes, int trits) {
      for (int j = 0; j < trits; ++j) {
        for (int l = 0; l < bytes; ++l) {
          *y++ = d * static_cast<float>(trit(b[first + l], j) - 1);
        }
      }
    };
    part(0, 32, 5);
    part(32, 16, 5);
    part(48, 4, 4);
  });
}

// codes[64], d: element 32 j + l of each half is bits 2j of byte l of its 32 bytes.
void tq2_0_to_f32(const void* source, float* target, int64_t n) {
  each_block<256, 66>(source, target, n, [](const uint8_t* b, float* y) {
    const float d = f16_at(b + 64);
    for (int i = 0; i < 256; ++i) {
      const int q = (b[32 * (i / 128) + i % 32] >> (2 * (i % 128 / 32))) & 3;
      y[i] = d * static_cast<float>(q - 1);
    }
  });
}

// d, low bytes of indices[32], u16 [8] of 32 elements: four times 3 upper bits, a scale of 3 bits,
// and the sign of the delta.
void iq1_s_to_f32(const void* source, float* target, int64_t n) {
  each_block<256, 50>(source, target, n, [](const uint8_t* b, float* y) {
    const float d = f16_at(b);
    for (int g = 0; g < 8; ++g) {
      const int high = u16_at(b + 34 + 2 * g);
      const float scale = d * static_cast<float>(2 * ((high >> 12) & 7) + 1);
      const float delta = high & 0x8000 ? -kIq1Delta : kIq1Delta;
      for (int l = 0; l < 4; ++l, y += 8) {
        const int index = b[2 + 4 * g + l] | ((high >> (3 * l)) & 7) << 8;
        put_iq1(kIq1Grid[index], delta, scale, y);
      }
    }
  });
}

// low bytes of indices[32], nibbles[16] of 3 upper bits and the sign of the delta, u16 [4]: 3-bit
// scales of 16 elements, and above them a nibble of d.
void iq1_m_to_f32(const void* source, float* target, int64_t n) {
  each_block<256, 56>(source, target, n, [](const uint8_t* b, float* y) {
    const float d = f16_to_f32(scale_iq1m(b + 48));
    for (int i = 0; i < 32; ++i, y += 8) {
      const int scale = (u16_at(b + 48 + 2 * (i / 8)) >> (3 * (i / 2 % 4))) & 7;
      const int high = nibble(b + 32, i);
      put_iq1(kIq1Grid[b[i] | (high & 7) << 8], high & 8 ? -kIq1Delta : kIq1Delta,
              d * static_cast<float>(2 * scale + 1), y);
    }
  });
}

// d, and for every 32 elements four indices and a word: 7 signs for each 8, a scale of 4 bits.
void iq2_xxs_to_f32(const void* source, float* target, int64_t n) {
  each_block<256, 66>(source, target, n, [](const uint8_t* b, float* y) {
    const float d = f16_at(b);
    for (int g = 0; g < 8; ++g) {
      const uint8_t* indices = b + 2 + 8 * g;
      const uint32_t word = u32_at(indices + 4);
      const float scale = d * (0.5f + static_cast<float>(word >> 28)) * 0.25f;
      for (int l = 0; l < 4; ++l, y += 8) {
        const int signs = even_signs(static_cast<int>(word >> (7 * l)) & 127);
        put_entry<8>(kIq2XxsGrid[indices[l]], kIq2Values, signs, scale, y);
      }
    }
  });
}

// d, u16 [32] of a 9-bit index and 7 signs, scales[8]: a nibble for every 16 elements.
void iq2_xs_to_f32(const void* source, float* target, int64_t n) {
  each_block<256, 74>(source, target, n, [](const uint8_t* b, float* y) {
    const float d = f16_at(b);
    for (int i = 0; i < 32; ++i, y += 8) {
      const int code = u16_at(b + 2 + 2 * i);
      const float scale = d * (0.5f + static_cast<float>(nibble(b + 66, i / 2))) * 0.25f;
      put_entry<8>(kIq2XsGrid[code & 511], kIq2Values, even_signs(code >> 9), scale, y);
    }
  });
}

// d, low bytes of indices[32], signs[32], pairs of upper bits[8], scales[8] as iq2_xs.
void iq2_s_to_f32(const void* source, float* target, int64_t n) {
  each_block<256, 82>(source, target, n, [](const uint8_t* b, float* y) {
    const float d = f16_at(b);
    for (int i = 0; i < 32; ++i, y += 8) {
      const int index = b[2 + i] | ((b[66 + i / 4] >> (2 * (i % 4))) & 3) << 8;
      const float scale = d * (0.5f + static_cast<float>(nibble(b + 74, i / 2))) * 0.25f;
      put_entry<8>(kIq2SGrid[index], kIq2Values, b[34 + i], scale, y);
    }
  });
}

// d, indices[64] of 4 elements, u32 [8]: 7 signs for each 8 elements, a scale of 4 bits.
void iq3_xxs_to_f32(const void* source, float* target, int64_t n) {
  each_block<256, 98>(source, target, n, [](const uint8_t* b, float* y) {
    const float d = f16_at(b);
    for (int i = 0; i < 64; ++i, y += 4) {
      const uint32_t word = u32_at(b + 66 + 4 * (i / 8));
      const float scale = d * (0.5f + static_cast<float>(word >> 28)) * 0.5f;
      const int signs = even_signs(static_cast<int>(word >> (7 * (i / 2 % 4))) & 127);
      put_entry<4>(kIq3XxsGrid[b[2 + i]], kIq3XxsValues, signs >> (4 * (i % 2)), scale, y);
    }
  });
}

// d, low bytes of indices[64], upper bits[8], signs[32], scales[4]: a nibble for every 32 elements.
void iq3_s_to_f32(const void* source, float* target, int64_t n) {
  each_block<256, 110>(source, target, n, [](const uint8_t* b, float* y) {
    const float d = f16_at(b);
    for (int i = 0; i < 64; ++i, y += 4) {
      const int index = b[2 + i] | ((b[66 + i / 8] >> (i % 8)) & 1) << 8;
      const float scale = d * static_cast<float>(1 + 2 * nibble(b + 106, i / 8));
      put_entry<4>(kIq3SGrid[index], kIq3SValues, b[74 + i / 2] >> (4 * (i % 2)), scale, y);
    }
  });
}

}  // namespace tallow::blocks
