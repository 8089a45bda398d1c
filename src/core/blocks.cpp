// The GGUF block formats to f32. Layouts: ggml-common.h of ggml; fields stand in byte order, half
// floats are little-endian.
#include <bit>

#include "core/block_bytes.h"
#include "core/blocks.h"

namespace tallow::blocks {
namespace {

/// 16 bytes of codes: the low nibble of byte j is element j, the high one element j + 16.
template <class Value>
void nibbles(const uint8_t* q, float* y, Value value) {
  for (int j = 0; j < 16; ++j) {
    y[j] = value(q[j] & 15, j);
    y[j + 16] = value(q[j] >> 4, j + 16);
  }
}

}  // namespace

float e8m0_half(uint8_t e) {
  return std::bit_cast<float>(e < 2 ? 0x00200000u << e : static_cast<uint32_t>(e - 1) << 23);
}

void q4_0_to_f32(const void* source, float* target, int64_t n) {
  each_block<32, 18>(source, target, n, [](const uint8_t* b, float* y) {
    const float d = f16_at(b);
    nibbles(b + 2, y, [d](int q, int) { return d * static_cast<float>(q - 8); });
  });
}

void q4_1_to_f32(const void* source, float* target, int64_t n) {
  each_block<32, 20>(source, target, n, [](const uint8_t* b, float* y) {
    const float d = f16_at(b), m = f16_at(b + 2);
    nibbles(b + 4, y, [d, m](int q, int) { return d * static_cast<float>(q) + m; });
  });
}

void q5_0_to_f32(const void* source, float* target, int64_t n) {
  each_block<32, 22>(source, target, n, [](const uint8_t* b, float* y) {
    const float d = f16_at(b);
    const uint32_t high = u32_at(b + 2);
    nibbles(b + 6, y, [d, high](int q, int j) {
      return d * static_cast<float>((q | static_cast<int>((high >> j) & 1) << 4) - 16);
    });
  });
}

void q5_1_to_f32(const void* source, float* target, int64_t n) {
  each_block<32, 24>(source, target, n, [](const uint8_t* b, float* y) {
    const float d = f16_at(b), m = f16_at(b + 2);
    const uint32_t high = u32_at(b + 4);
    nibbles(b + 8, y, [d, m, high](int q, int j) {
      return d * static_cast<float>(q | static_cast<int>((high >> j) & 1) << 4) + m;
    });
  });
}

void q8_0_to_f32(const void* source, float* target, int64_t n) {
  each_block<32, 34>(source, target, n, [](const uint8_t* b, float* y) {
    const float d = f16_at(b);
    for (int j = 0; j < 32; ++j) y[j] = static_cast<float>(static_cast<int8_t>(b[2 + j])) * d;
  });
}

void iq4_nl_to_f32(const void* source, float* target, int64_t n) {
  each_block<32, 18>(source, target, n, [](const uint8_t* b, float* y) {
    const float d = f16_at(b);
    nibbles(b + 2, y, [d](int q, int) { return d * static_cast<float>(kIq4Values[q]); });
  });
}

void mxfp4_to_f32(const void* source, float* target, int64_t n) {
  each_block<32, 17>(source, target, n, [](const uint8_t* b, float* y) {
    const float d = e8m0_half(b[0]);
    nibbles(b + 1, y, [d](int q, int) { return d * static_cast<float>(kFp4Values[q]); });
  });
}

// scales[16], codes[64], d, dmin. In each half of 128 the codes of group 2j + i are bits 2j of
// bytes 16 i to 16 i + 15.
void q2_k_to_f32(const void* source, float* target, int64_t n) {
  each_block<256, 84>(source, target, n, [](const uint8_t* b, float* y) {
    const float d = f16_at(b + 80), dmin = f16_at(b + 82);
    for (int g = 0; g < 16; ++g) {
      const float scale = d * static_cast<float>(b[g] & 15);
      const float min = dmin * static_cast<float>(b[g] >> 4);
      const uint8_t* codes = b + 16 + 32 * (g / 8) + 16 * (g % 2);
      const int shift = 2 * (g % 8 / 2);
      for (int l = 0; l < 16; ++l) {
        *y++ = scale * static_cast<float>((codes[l] >> shift) & 3) - min;
      }
    }
  });
}

// high bits[32], codes[64] as q2_k, 6-bit scales[12], d. A clear high bit subtracts 4.
void q3_k_to_f32(const void* source, float* target, int64_t n) {
  each_block<256, 110>(source, target, n, [](const uint8_t* b, float* y) {
    const float d = f16_at(b + 108);
    for (int g = 0; g < 16; ++g) {
      const float scale = d * static_cast<float>(scale_q3k(b + 96, g));
      const uint8_t* high = b + 16 * (g % 2);
      const uint8_t* codes = b + 32 + 32 * (g / 8) + 16 * (g % 2);
      const int shift = 2 * (g % 8 / 2);
      for (int l = 0; l < 16; ++l) {
        const int low = (codes[l] >> shift) & 3;
        *y++ = scale * static_cast<float>(low - ((high[l] >> (g / 2)) & 1 ? 0 : 4));
      }
    }
  });
}

// d, dmin, scales[12], codes[128]: of each 32 bytes the low nibbles are one group, the high nibbles
// the next.
void q4_k_to_f32(const void* source, float* target, int64_t n) {
  each_block<256, 144>(source, target, n, [](const uint8_t* b, float* y) {
    const float d = f16_at(b), dmin = f16_at(b + 2);
    for (int g = 0; g < 8; ++g) {
      const ScaleMin s = scale_min_k4(b + 4, g);
      const float scale = d * static_cast<float>(s.scale), min = dmin * static_cast<float>(s.min);
      const uint8_t* codes = b + 16 + 32 * (g / 2);
      for (int l = 0; l < 32; ++l) {
        *y++ = scale * static_cast<float>((codes[l] >> (4 * (g % 2))) & 15) - min;
      }
    }
  });
}

// As q4_k, with high bits[32] before the codes: bit g of byte l belongs to element l of group g.
void q5_k_to_f32(const void* source, float* target, int64_t n) {
  each_block<256, 176>(source, target, n, [](const uint8_t* b, float* y) {
    const float d = f16_at(b), dmin = f16_at(b + 2);
    const uint8_t* high = b + 16;
    for (int g = 0; g < 8; ++g) {
      const ScaleMin s = scale_min_k4(b + 4, g);
      const float scale = d * static_cast<float>(s.scale), min = dmin * static_cast<float>(s.min);
      const uint8_t* codes = b + 48 + 32 * (g / 2);
      for (int l = 0; l < 32; ++l) {
        const int q = ((codes[l] >> (4 * (g % 2))) & 15) | ((high[l] >> g) & 1) << 4;
        *y++ = scale * static_cast<float>(q) - min;
      }
    }
  });
}

// low nibbles[128], high pairs[64], signed scales[16], d.
void q6_k_to_f32(const void* source, float* target, int64_t n) {
  each_block<256, 210>(source, target, n, [](const uint8_t* b, float* y) {
    const float d = f16_at(b + 208);
    for (int t = 0; t < 8; ++t) {  // 32 elements: two scales
      const uint8_t* low = b + 64 * (t / 4) + 32 * (t % 2);
      const uint8_t* high = b + 128 + 32 * (t / 4);
      const int shift = 4 * (t % 4 / 2);
      for (int l = 0; l < 32; ++l) {
        const int scale = static_cast<int8_t>(b[192 + 2 * t + l / 16]);
        const int q = (((low[l] >> shift) & 15) | ((high[l] >> (2 * (t % 4))) & 3) << 4) - 32;
        *y++ = d * static_cast<float>(scale) * static_cast<float>(q);
      }
    }
  });
}

// d, high pairs of scales u16, low nibbles of scales[4], codes[128]: 16 bytes a group.
void iq4_xs_to_f32(const void* source, float* target, int64_t n) {
  each_block<256, 136>(source, target, n, [](const uint8_t* b, float* y) {
    const float d = f16_at(b);
    for (int g = 0; g < 8; ++g) {
      const float scale = d * static_cast<float>(scale_iq4xs(b, g));
      nibbles(b + 8 + 16 * g, y + 32 * g,
              [scale](int q, int) { return scale * static_cast<float>(kIq4Values[q]); });
    }
  });
}

}  // namespace tallow::blocks
