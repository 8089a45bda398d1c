// The random kernels for f32 as plain loops, compiled once by ops and once per instruction set by
// the CPU backend. Each operation is rounded as it stands, so that all give the same numbers.
#pragma once

#include <cstdint>

namespace tallow {
namespace draws {
namespace {

// Philox4x32-10 on 16 counters side by side. Salmon et al., 2011.
inline void philox_words(uint64_t seed, uint64_t first, int64_t n, uint32_t* words) {
  constexpr uint64_t kMultiplier0 = 0xD2511F53, kMultiplier1 = 0xCD9E8D57;
  constexpr int kWide = 16;
  for (int64_t done = 0; done < n; done += kWide) {
    uint32_t c0[kWide], c1[kWide], c2[kWide], c3[kWide];
    for (int i = 0; i < kWide; ++i) {
      const uint64_t at = first + static_cast<uint64_t>(done + i);
      c0[i] = static_cast<uint32_t>(at);
      c1[i] = static_cast<uint32_t>(at >> 32);
      c2[i] = c3[i] = 0;
    }
    uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
    for (int round = 0; round < 10; ++round) {
      for (int i = 0; i < kWide; ++i) {
        const uint64_t p0 = kMultiplier0 * c0[i], p1 = kMultiplier1 * c2[i];
        c0[i] = static_cast<uint32_t>(p1 >> 32) ^ c1[i] ^ k0;
        c2[i] = static_cast<uint32_t>(p0 >> 32) ^ c3[i] ^ k1;
        c1[i] = static_cast<uint32_t>(p1);
        c3[i] = static_cast<uint32_t>(p0);
      }
      k0 += 0x9E3779B9;
      k1 += 0xBB67AE85;
    }
    const int64_t blocks = n - done < kWide ? n - done : kWide;
    for (int64_t i = 0; i < blocks; ++i) {
      uint32_t* to = words + 4 * (done + i);
      to[0] = c0[i], to[1] = c1[i], to[2] = c2[i], to[3] = c3[i];
    }
  }
}

// Uniform in [a, b), with `digits` random bits.
inline void uniform_floats(const uint32_t* words, int64_t n, int digits, float a, float b,
                           float* out) {
  const int shift = 32 - digits;
  const float unit = 1.0f / static_cast<float>(1 << digits), width = b - a;
  for (int64_t i = 0; i < n; ++i) {
    const float x =
        a + width * (static_cast<float>(static_cast<int32_t>(words[i] >> shift)) * unit);
    out[i] = x < b ? x : a;  // rounding may reach the upper bound
  }
}

// The logarithm of a normal number, within 1 ulp or so. Moshier's Cephes.
inline float log_of(float x) {
  uint32_t bits;
  __builtin_memcpy(&bits, &x, sizeof bits);
  // The mantissa from sqrt(1/2) to sqrt(2).
  const uint32_t shifted = bits - 0x3F3504F3u;
  const float exponent = static_cast<float>(static_cast<int32_t>(shifted) >> 23);
  bits = (shifted & 0x7FFFFFu) + 0x3F3504F3u;
  float m;
  __builtin_memcpy(&m, &bits, sizeof m);
  const float f = m - 1.0f, z = f * f;
  float y = 7.0376836292E-2f;
  y = y * f - 1.1514610310E-1f;
  y = y * f + 1.1676998740E-1f;
  y = y * f - 1.2420140846E-1f;
  y = y * f + 1.4249322787E-1f;
  y = y * f - 1.6668057665E-1f;
  y = y * f + 2.0000714765E-1f;
  y = y * f - 2.4999993993E-1f;
  y = y * f + 3.3333331174E-1f;
  y = y * f * z - 2.12194440E-4f * exponent - 0.5f * z;
  return f + y + 0.693359375f * exponent;
}

// Box and Muller: a pair of normal numbers of a pair of words. n is even.
inline void normal_floats(const uint32_t* words, int64_t n, float mean, float deviation,
                          float* out) {
  for (int64_t i = 0; i < n; i += 2) {
    const float u = static_cast<float>(static_cast<int32_t>((words[i] >> 8) + 1)) * 0x1p-24f;
    const float v = static_cast<float>(static_cast<int32_t>(words[i + 1] >> 8)) * 0x1p-24f;
    const float radius = deviation * __builtin_sqrtf(-2.0f * log_of(u));
    // The angle 2 pi v: a quarter turn, and what is left of it, in [-pi / 4, pi / 4].
    const int32_t quarter = static_cast<int32_t>(v * 4.0f + 0.5f);
    const float x = (v - static_cast<float>(quarter) * 0.25f) * 6.28318530718f, z = x * x;
    float sine = -1.9515295891E-4f * z + 8.3321608736E-3f;
    sine = (sine * z - 1.6666654611E-1f) * z * x + x;
    float cosine = 2.443315711809948E-5f * z - 1.388731625493765E-3f;
    cosine = (cosine * z + 4.166664568298827E-2f) * z * z - 0.5f * z + 1.0f;
    const float a = quarter & 1 ? sine : cosine, b = quarter & 1 ? cosine : sine;
    out[i] = mean + radius * ((quarter + 1) & 2 ? -a : a);
    out[i + 1] = mean + radius * (quarter & 2 ? -b : b);
  }
}

}  // namespace
}  // namespace draws

/// The same, as the backend compiled them.
struct DrawKernels {
  void (*philox)(uint64_t seed, uint64_t first, int64_t n, uint32_t* words);
  void (*uniform)(const uint32_t* words, int64_t n, int digits, float a, float b, float* out);
  void (*normal)(const uint32_t* words, int64_t n, float mean, float deviation, float* out);
};

}  // namespace tallow
