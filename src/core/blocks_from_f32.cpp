// f32 to the GGUF block formats, as the `gguf` package writes them: to the byte, for finite input.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/blocks.h"
#include "core/half.h"

namespace tallow::blocks {
namespace {

template <int bytes, class Encode>
void each_block(const float* source, void* target, int64_t n, Encode encode) {
  auto* block = static_cast<uint8_t*>(target);
  for (int64_t i = 0; i < n; i += 32, block += bytes, source += 32) encode(source, block);
}

void put_f16(uint8_t* p, float f) {
  const uint16_t h = f32_to_f16(f);
  p[0] = static_cast<uint8_t>(h);
  p[1] = static_cast<uint8_t>(h >> 8);
}

/// Truncates into [0, max]; NaN gives 0.
uint8_t code(float f, int max) {
  if (!(f > 0)) return 0;
  return static_cast<uint8_t>(f < static_cast<float>(max) ? static_cast<int>(f) : max);
}

/// The first value of largest magnitude, with its sign.
float extreme(const float* x) {
  float best = x[0];
  for (int i = 1; i < 32; ++i) {
    if (std::fabs(x[i]) > std::fabs(best)) best = x[i];
  }
  return best;
}

float inverse(float d) { return d == 0 ? 0 : 1 / d; }

void put_nibbles(const uint8_t* codes, uint8_t* out) {
  for (int j = 0; j < 16; ++j) out[j] = static_cast<uint8_t>((codes[j] & 15) | codes[j + 16] << 4);
}

void put_high_bits(const uint8_t* codes, uint8_t* out) {
  std::memset(out, 0, 4);
  for (int j = 0; j < 32; ++j) {
    out[j / 8] = static_cast<uint8_t>(out[j / 8] | (codes[j] >> 4) << (j % 8));
  }
}

/// Codes 0 to 2 * half - 1 around the zero point `half`; returns the scale.
float encode_symmetric(const float* x, int half, uint8_t* codes) {
  const float d = extreme(x) / static_cast<float>(-half), id = inverse(d);
  for (int j = 0; j < 32; ++j) {
    codes[j] = code(x[j] * id + (static_cast<float>(half) + 0.5f), 2 * half - 1);
  }
  return d;
}

/// Codes 0 to `top` from the minimum to the maximum; returns the scale.
float encode_affine(const float* x, int top, uint8_t* codes, float* min) {
  *min = *std::min_element(x, x + 32);
  const float d = (*std::max_element(x, x + 32) - *min) / static_cast<float>(top);
  const float id = inverse(d);
  for (int j = 0; j < 32; ++j) codes[j] = code((x[j] - *min) * id + 0.5f, top);
  return d;
}

}  // namespace

void q4_0_from_f32(const float* source, void* target, int64_t n) {
  each_block<18>(source, target, n, [](const float* x, uint8_t* b) {
    uint8_t codes[32];
    put_f16(b, encode_symmetric(x, 8, codes));
    put_nibbles(codes, b + 2);
  });
}

void q4_1_from_f32(const float* source, void* target, int64_t n) {
  each_block<20>(source, target, n, [](const float* x, uint8_t* b) {
    uint8_t codes[32];
    float min;
    put_f16(b, encode_affine(x, 15, codes, &min));
    put_f16(b + 2, min);
    put_nibbles(codes, b + 4);
  });
}

void q5_0_from_f32(const float* source, void* target, int64_t n) {
  each_block<22>(source, target, n, [](const float* x, uint8_t* b) {
    uint8_t codes[32];
    put_f16(b, encode_symmetric(x, 16, codes));
    put_high_bits(codes, b + 2);
    put_nibbles(codes, b + 6);
  });
}

void q5_1_from_f32(const float* source, void* target, int64_t n) {
  each_block<24>(source, target, n, [](const float* x, uint8_t* b) {
    uint8_t codes[32];
    float min;
    put_f16(b, encode_affine(x, 31, codes, &min));
    put_f16(b + 2, min);
    put_high_bits(codes, b + 4);
    put_nibbles(codes, b + 8);
  });
}

void q8_0_from_f32(const float* source, void* target, int64_t n) {
  each_block<34>(source, target, n, [](const float* x, uint8_t* b) {
    const float d = std::fabs(extreme(x)) / 127, id = inverse(d);
    put_f16(b, d);
    for (int j = 0; j < 32; ++j) {
      const float q = std::round(x[j] * id);
      const int clamped = q > -127 ? (q < 127 ? static_cast<int>(q) : 127) : -127;
      b[2 + j] = static_cast<uint8_t>(q == q ? clamped : 0);
    }
  });
}

void mxfp4_from_f32(const float* source, void* target, int64_t n) {
  each_block<17>(source, target, n, [](const float* x, uint8_t* b) {
    const float amax = std::fabs(extreme(x));
    const float exponent = amax > 0 ? std::floor(std::log2(amax)) + 125 : 0;
    b[0] = code(exponent, 254);
    const float d = e8m0_half(b[0]);
    uint8_t codes[32];
    for (int j = 0; j < 32; ++j) {
      codes[j] = 0;
      float best = std::fabs(x[j]);  // the error of code 0
      for (int c = 1; c < 16; ++c) {
        const float error = std::fabs(d * static_cast<float>(kFp4Values[c]) - x[j]);
        if (error < best) best = error, codes[j] = static_cast<uint8_t>(c);
      }
    }
    put_nibbles(codes, b + 1);
  });
}

}  // namespace tallow::blocks
