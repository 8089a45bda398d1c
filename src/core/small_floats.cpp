// Small floats: a code is sign, exponent and mantissa, and consecutive codes are consecutive
// values.
#include "core/small_floats.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>

namespace tallow::small_floats {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

enum class Special { none, fnuz };  // all codes are numbers; or the negative zero is NaN

template <int exponent_bits, int mantissa_bits, int bias, Special special>
struct Format {
  static constexpr int kBits = 1 + exponent_bits + mantissa_bits;
  static constexpr unsigned kSign = 1u << (kBits - 1);
  static constexpr int kLowest = 1 - bias;  // the exponent of the smallest normal number

  static constexpr float power(int e) { return std::bit_cast<float>((127 + e) << 23); }

  static constexpr std::array<float, 1 << kBits> table() {
    std::array<float, 1 << kBits> values{};
    for (unsigned code = 0; code < values.size(); ++code) {
      const int exponent = static_cast<int>(code & (kSign - 1)) >> mantissa_bits;
      const int mantissa = static_cast<int>(code) & ((1 << mantissa_bits) - 1);
      const int whole = exponent == 0 ? mantissa : mantissa + (1 << mantissa_bits);
      const float value = static_cast<float>(whole) *
                          power((exponent == 0 ? kLowest : exponent - bias) - mantissa_bits);
      values[code] = code & kSign ? -value : value;
    }
    if (special == Special::fnuz) values[kSign] = kNan;
    return values;
  }
  static constexpr std::array<float, 1 << kBits> kValues = table();
  static constexpr float kLargest = kValues[kSign - 1];

  /// Rounds to nearest even. What is beyond the largest value becomes that where all codes are
  /// numbers, and NaN else, as in ml_dtypes and PyTorch.
  static unsigned encode(float f) {
    const float magnitude = std::fabs(f);
    if (f != f) return kSign;
    const unsigned sign = std::signbit(f) ? kSign : 0;
    if (special == Special::none && magnitude >= kLargest) return sign | (kSign - 1);
    if (magnitude >= 2 * kLargest) return kSign;
    const int e = magnitude == 0 ? kLowest : std::max(std::ilogb(magnitude), kLowest);
    const auto steps = static_cast<int>(std::nearbyint(std::ldexp(magnitude, mantissa_bits - e)));
    const auto code = static_cast<unsigned>(((e - kLowest) << mantissa_bits) + steps);
    if (special == Special::fnuz && (code == 0 || code >= kSign)) return code == 0 ? 0 : kSign;
    return sign | code;
  }
};

template <class F>
void bytes_to_f32(const void* source, float* target, int64_t n) {
  const auto* p = static_cast<const uint8_t*>(source);
  for (int64_t i = 0; i < n; ++i) target[i] = F::kValues[p[i]];
}
template <class F>
void bytes_from_f32(const float* source, void* target, int64_t n) {
  auto* p = static_cast<uint8_t*>(target);
  for (int64_t i = 0; i < n; ++i) p[i] = static_cast<uint8_t>(F::encode(source[i]));
}

/// Elements of 4 or 6 bits, in groups that fill whole bytes.
template <class F>
constexpr int kGroup = F::kBits == 4 ? 2 : 4;
template <class F>
constexpr int kGroupBytes = F::kBits == 4 ? 1 : 3;

template <class F>
void packed_to_f32(const void* source, float* target, int64_t n) {
  const auto* p = static_cast<const uint8_t*>(source);
  for (int64_t i = 0; i < n; i += kGroup<F>, p += kGroupBytes<F>) {
    unsigned bits = 0;
    for (int b = 0; b < kGroupBytes<F>; ++b) bits |= unsigned{p[b]} << 8 * b;
    for (int j = 0; j < kGroup<F>; ++j, bits >>= F::kBits) {
      target[i + j] = F::kValues[bits & (2 * F::kSign - 1)];
    }
  }
}
template <class F>
void packed_from_f32(const float* source, void* target, int64_t n) {
  auto* p = static_cast<uint8_t*>(target);
  for (int64_t i = 0; i < n; i += kGroup<F>, p += kGroupBytes<F>) {
    unsigned bits = 0;
    for (int j = 0; j < kGroup<F>; ++j) bits |= F::encode(source[i + j]) << F::kBits * j;
    for (int b = 0; b < kGroupBytes<F>; ++b) p[b] = static_cast<uint8_t>(bits >> 8 * b);
  }
}

using E4m3fnuz = Format<4, 3, 8, Special::fnuz>;
using E5m2fnuz = Format<5, 2, 16, Special::fnuz>;
using F4 = Format<2, 1, 1, Special::none>;
using F6e2m3 = Format<2, 3, 1, Special::none>;
using F6e3m2 = Format<3, 2, 3, Special::none>;

uint8_t e8m0_of(float f) {
  const auto bits = std::bit_cast<uint32_t>(f) & 0x7fffffff;
  const uint32_t exponent = bits >> 23;
  if (exponent == 255) return 255;
  const bool half = bits & 0x400000;
  const bool more = bits & 0x3fffff;
  return static_cast<uint8_t>(exponent + (half && (more || exponent > 0)));
}

}  // namespace

void f8_e8m0_to_f32(const void* source, float* target, int64_t n) {
  const auto* p = static_cast<const uint8_t*>(source);
  for (int64_t i = 0; i < n; ++i) {
    const uint32_t bits = p[i] == 0 ? 0x00400000 : uint32_t{p[i]} << 23;
    target[i] = p[i] == 255 ? kNan : std::bit_cast<float>(bits);
  }
}
void f8_e8m0_from_f32(const float* source, void* target, int64_t n) {
  auto* p = static_cast<uint8_t*>(target);
  for (int64_t i = 0; i < n; ++i) p[i] = e8m0_of(source[i]);
}

void f8_e4m3fnuz_to_f32(const void* source, float* target, int64_t n) {
  bytes_to_f32<E4m3fnuz>(source, target, n);
}
void f8_e4m3fnuz_from_f32(const float* source, void* target, int64_t n) {
  bytes_from_f32<E4m3fnuz>(source, target, n);
}
void f8_e5m2fnuz_to_f32(const void* source, float* target, int64_t n) {
  bytes_to_f32<E5m2fnuz>(source, target, n);
}
void f8_e5m2fnuz_from_f32(const float* source, void* target, int64_t n) {
  bytes_from_f32<E5m2fnuz>(source, target, n);
}
void f4_e2m1_to_f32(const void* source, float* target, int64_t n) {
  packed_to_f32<F4>(source, target, n);
}
void f4_e2m1_from_f32(const float* source, void* target, int64_t n) {
  packed_from_f32<F4>(source, target, n);
}
void f6_e2m3_to_f32(const void* source, float* target, int64_t n) {
  packed_to_f32<F6e2m3>(source, target, n);
}
void f6_e2m3_from_f32(const float* source, void* target, int64_t n) {
  packed_from_f32<F6e2m3>(source, target, n);
}
void f6_e3m2_to_f32(const void* source, float* target, int64_t n) {
  packed_to_f32<F6e3m2>(source, target, n);
}
void f6_e3m2_from_f32(const float* source, void* target, int64_t n) {
  packed_from_f32<F6e3m2>(source, target, n);
}

}  // namespace tallow::small_floats
