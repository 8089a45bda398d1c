// f32 to the ternary types, as the `gguf` package writes them, and to those that ggml rounds
// activations to.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/blocks.h"
#include "core/half.h"

namespace tallow::blocks {
namespace {

void put_f16(uint8_t* p, float f) {
  const uint16_t h = f32_to_f16(f);
  std::memcpy(p, &h, 2);
}

float inverse(float d) { return d == 0 ? 0 : 1 / d; }

float largest_magnitude(const float* x, int n) {
  float most = 0;
  for (int i = 0; i < n; ++i) most = std::max(most, std::fabs(x[i]));
  return most;
}

/// Rounds 256 elements to trits 0 to 2; returns the scale.
float encode_trits(const float* x, uint8_t* trits) {
  const float d = largest_magnitude(x, 256), id = inverse(d);
  for (int i = 0; i < 256; ++i) {
    const float q = std::round(x[i] * id);
    trits[i] = static_cast<uint8_t>(q >= 1 ? 2 : q <= -1 ? 0 : 1);
  }
  return d;
}

/// Rounds to bytes, halves away from zero.
void encode_bytes(const float* x, float id, int n, uint8_t* out) {
  for (int i = 0; i < n; ++i) {
    const float q = std::round(x[i] * id);
    const int clamped = q > -127 ? (q < 127 ? static_cast<int>(q) : 127) : -127;
    out[i] = static_cast<uint8_t>(q == q ? clamped : 0);
  }
}

}  // namespace

void tq1_0_from_f32(const float* source, void* target, int64_t n) {
  auto* b = static_cast<uint8_t*>(target);
  for (int64_t i = 0; i < n; i += 256, source += 256, b += 54) {
    uint8_t trits[256];
    put_f16(b + 52, encode_trits(source, trits));
    const uint8_t* from = trits;
    const auto part = [&from](uint8_t* out, int bytes, int count) {
      for (int l = 0; l < bytes; ++l) {
        int sum = 0;
        for (int j = 0; j < count; ++j) sum = 3 * sum + from[bytes * j + l];
        if (count == 4) sum *= 3;
        out[l] = static_cast<uint8_t>((sum * 256 + 242) / 243);
      }
      from += bytes * count;
    };
    part(b, 32, 5);
    part(b + 32, 16, 5);
    part(b + 48, 4, 4);
  }
}

void tq2_0_from_f32(const float* source, void* target, int64_t n) {
  auto* b = static_cast<uint8_t*>(target);
  for (int64_t i = 0; i < n; i += 256, source += 256, b += 66) {
    uint8_t trits[256];
    put_f16(b + 64, encode_trits(source, trits));
    for (int l = 0; l < 64; ++l) {
      const uint8_t* t = trits + 128 * (l / 32) + l % 32;
      b[l] = static_cast<uint8_t>(t[0] | t[32] << 2 | t[64] << 4 | t[96] << 6);
    }
  }
}

void q8_1_from_f32(const float* source, void* target, int64_t n) {
  auto* b = static_cast<uint8_t*>(target);
  for (int64_t i = 0; i < n; i += 32, source += 32, b += 36) {
    const float d = largest_magnitude(source, 32) / 127;
    encode_bytes(source, inverse(d), 32, b + 4);
    int sum = 0;
    for (int j = 0; j < 32; ++j) sum += static_cast<int8_t>(b[4 + j]);
    put_f16(b, d);
    put_f16(b + 2, static_cast<float>(sum) * d);
  }
}

void q8_k_from_f32(const float* source, void* target, int64_t n) {
  auto* b = static_cast<uint8_t*>(target);
  for (int64_t i = 0; i < n; i += 256, source += 256, b += 292) {
    float extreme = 0;
    for (int j = 0; j < 256; ++j) {
      if (std::fabs(source[j]) > std::fabs(extreme)) extreme = source[j];
    }
    const float d = extreme / -127;
    encode_bytes(source, inverse(d), 256, b + 4);
    std::memcpy(b, &d, 4);
    for (int g = 0; g < 16; ++g) {
      int sum = 0;
      for (int j = 0; j < 16; ++j) sum += static_cast<int8_t>(b[4 + 16 * g + j]);
      const auto word = static_cast<int16_t>(sum);
      std::memcpy(b + 260 + 2 * g, &word, 2);
    }
  }
}

}  // namespace tallow::blocks
