// Winograd's F(4 x 4, 3 x 3) with the points 0, +-1/sqrt(2), +-sqrt(2) and infinity, whose rounding
// error is a sixth of that with the integers (Barabasz et al., "Error Analysis and Improving the
// Accuracy of Winograd Convolution for Deep Neural Networks", 2020). Lanes are tiles.
#pragma once

#include <utility>

#include "backend/cpu/conv/kernels.h"
#include "backend/cpu/isa/simd.h"

namespace tallow::cpu::TALLOW_ISA_NAMESPACE {
namespace {

constexpr float kRoot = 1.41421356237f, kHalfRoot = 0.70710678118f;

template <ConvActivation kActivation>
TALLOW_INLINE Floats activate(Floats v) {
  if constexpr (kActivation == ConvActivation::relu) v = v < 0.f ? Floats{} : v;
  if constexpr (kActivation == ConvActivation::silu) v = v / (1.f + exp(-v));
  return v;
}
TALLOW_INLINE Floats activate(Floats v, ConvActivation activation) {
  switch (activation) {
    case ConvActivation::relu: return activate<ConvActivation::relu>(v);
    case ConvActivation::silu: return activate<ConvActivation::silu>(v);
    default: return v;
  }
}

// B^T d of six values.
TALLOW_INLINE void input_line(const Floats (&d)[6], Floats (&v)[6]) {
  const Floats p = d[4] - 2.f * d[2], q = kHalfRoot * d[3] - kRoot * d[1];
  const Floats r = d[4] - 0.5f * d[2], s = kRoot * d[3] - kHalfRoot * d[1];
  v[0] = d[0] - 2.5f * d[2] + d[4];
  v[1] = p + q, v[2] = p - q;
  v[3] = r + s, v[4] = r - s;
  v[5] = d[1] - 2.5f * d[3] + d[5];
}

// A^T m of six values.
TALLOW_INLINE void output_line(const Floats (&m)[6], Floats (&y)[4]) {
  const Floats p = m[1] + m[2], q = m[1] - m[2], r = m[3] + m[4], s = m[3] - m[4];
  y[0] = m[0] + p + r;
  y[1] = kHalfRoot * q + kRoot * s;
  y[2] = 0.5f * p + 2.f * r;
  y[3] = 0.25f * kRoot * q + 2.f * kRoot * s + m[5];
}

// G g of three values.
TALLOW_INLINE void weight_line(const Floats (&g)[3], Floats (&u)[6]) {
  const Floats p = (g[0] + 0.5f * g[2]) * (-2.f / 3.f), q = g[1] * (kHalfRoot * -2.f / 3.f);
  const Floats r = (g[0] + 2.f * g[2]) * (1.f / 6.f), s = g[1] * (kRoot / 6.f);
  u[0] = g[0];
  u[1] = p + q, u[2] = p - q;
  u[3] = r + s, u[4] = r - s;
  u[5] = g[2];
}

template <int... L>
TALLOW_INLINE Floats evens(Floats a, Floats b, std::integer_sequence<int, L...>) {
  return __builtin_shufflevector(a, b, (2 * L)...);
}
template <int... L>
TALLOW_INLINE Floats odds(Floats a, Floats b, std::integer_sequence<int, L...>) {
  return __builtin_shufflevector(a, b, (2 * L + 1)...);
}
template <int... L>
TALLOW_INLINE Floats low_pairs(Floats a, Floats b, std::integer_sequence<int, L...>) {
  return __builtin_shufflevector(a, b, (L % 2 * kLanes + L / 2)...);
}
template <int... L>
TALLOW_INLINE Floats high_pairs(Floats a, Floats b, std::integer_sequence<int, L...>) {
  return __builtin_shufflevector(a, b, (L % 2 * kLanes + kLanes / 2 + L / 2)...);
}
template <int... L>
TALLOW_INLINE Floats shift_in(Floats a, Floats next, std::integer_sequence<int, L...>) {
  return __builtin_shufflevector(a, next, (L + 1)...);
}
constexpr std::make_integer_sequence<int, kLanes> kEach;

// d[j] lane t = p[4 t + j], j < 6; reads p[0 .. 4 kLanes + 1].
TALLOW_INLINE void take_tiles(const float* p, Floats (&d)[6]) {
  const Floats a = load(p), b = load(p + kLanes), c = load(p + 2 * kLanes),
               e = load(p + 3 * kLanes);
  const Floats even0 = evens(a, b, kEach), even1 = evens(c, e, kEach);
  const Floats odd0 = odds(a, b, kEach), odd1 = odds(c, e, kEach);
  d[0] = evens(even0, even1, kEach), d[2] = odds(even0, even1, kEach);
  d[1] = evens(odd0, odd1, kEach), d[3] = odds(odd0, odd1, kEach);
  d[4] = shift_in(d[0], splat(p[4 * kLanes]), kEach);
  d[5] = shift_in(d[1], splat(p[4 * kLanes + 1]), kEach);
}

// The inverse of the first four: p[4 t + j] = y[j] lane t.
TALLOW_INLINE void put_tiles(float* p, const Floats (&y)[4]) {
  const Floats even0 = low_pairs(y[0], y[2], kEach), even1 = high_pairs(y[0], y[2], kEach);
  const Floats odd0 = low_pairs(y[1], y[3], kEach), odd1 = high_pairs(y[1], y[3], kEach);
  store(p, low_pairs(even0, odd0, kEach));
  store(p + kLanes, high_pairs(even0, odd0, kEach));
  store(p + 2 * kLanes, low_pairs(even1, odd1, kEach));
  store(p + 3 * kLanes, high_pairs(even1, odd1, kEach));
}

// Elements [x, x + kLanes) of a row, zero outside [0, width).
TALLOW_INLINE Floats load_inside(const float* row, int64_t x, int64_t width) {
  if (x >= 0 && x + kLanes <= width) return load(row + x);
  if (x >= width || x + kLanes <= 0) return Floats{};
#if TALLOW_ISA_LEVEL >= 2
  uint32_t mask = 0xffff;
  if (x < 0) mask = mask << -x & 0xffff;
  if (x + kLanes > width) mask &= (1u << (width - x)) - 1;
  return _mm512_maskz_loadu_ps(static_cast<__mmask16>(mask), row + x);
#else
  float lanes[kLanes];
  for (int i = 0; i < kLanes; ++i) lanes[i] = x + i >= 0 && x + i < width ? row[x + i] : 0.f;
  return load(lanes);
#endif
}

TALLOW_INLINE void store_some(float* p, Floats v, int64_t n) {
  if (n >= kLanes) return store(p, v);
  store_first(p, v, n);
}

// Up to kLanes tiles.
void input_tiles(const WinogradCall& call, int64_t x, int64_t count, float* out) {
  alignas(64) float lines[6][5 * kLanes];
  const int vectors = static_cast<int>((4 * count + 2 + kLanes - 1) / kLanes);
  for (int n = 0; n < vectors; ++n) {
    Floats d[6], v[6];
#pragma GCC unroll 6
    for (int i = 0; i < 6; ++i) {
      const int64_t y = call.y + i;
      const bool inside = y >= 0 && y < call.height;
      d[i] = inside ? load_inside(call.in + y * call.width, x + n * kLanes, call.width) : Floats{};
    }
    input_line(d, v);
#pragma GCC unroll 6
    for (int i = 0; i < 6; ++i) store(lines[i] + n * kLanes, v[i]);
  }
  for (int i = 0; i < 6; ++i) {
    Floats d[6], v[6];
    take_tiles(lines[i], d);
    input_line(d, v);
#pragma GCC unroll 6
    for (int j = 0; j < 6; ++j) store_some(out + (i * 6 + j) * call.plane, v[j], count);
  }
}

void winograd_input(const WinogradCall& call) {
  for (int64_t t = 0; t < call.tiles; t += kLanes) {
    const int64_t count = call.tiles - t < kLanes ? call.tiles - t : kLanes;
    input_tiles(call, call.x + 4 * t, count, call.out + t);
  }
}

// Up to kLanes tiles; reads whole vectors of the planes.
void output_tiles(const WinogradCall& call, const float* in, int64_t x, int64_t count) {
  Floats half[4][6];
  for (int j = 0; j < 6; ++j) {
    Floats m[6], y[4];
#pragma GCC unroll 6
    for (int i = 0; i < 6; ++i) m[i] = load(in + (i * 6 + j) * call.plane);
    output_line(m, y);
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) half[i][j] = y[i];
  }
  const int64_t columns = call.width - x < 4 * count ? call.width - x : 4 * count;
  const int64_t rows = call.height - call.y < 4 ? call.height - call.y : 4;
  for (int64_t i = 0; i < rows; ++i) {
    alignas(64) float line[4 * kLanes];
    Floats y[4];
    output_line(half[i], y);
    put_tiles(line, y);
    const int64_t at = (call.y + i) * call.width + x;
    for (int64_t n = 0; n < columns; n += kLanes) {
      const int64_t left = columns - n;
      Floats v = load(line + n) + call.bias;
      if (call.residual) {
        const float* more = call.residual + at + n;
        v += left >= kLanes ? load(more) : load_first(more, left);
      }
      store_some(call.out + at + n, activate(v, call.activation), left);
    }
  }
}

void winograd_output(const WinogradCall& call) {
  for (int64_t t = 0; t < call.tiles; t += kLanes) {
    const int64_t count = call.tiles - t < kLanes ? call.tiles - t : kLanes;
    output_tiles(call, call.in + t, call.x + 4 * t, count);
  }
}

// Lanes are output channels.
void winograd_weight(const float* w, int64_t stride, int rows, int64_t channels, float* target,
                     int64_t plane) {
  for (int r = 0; r < rows; r += kLanes) {
    const int count = rows - r < kLanes ? rows - r : kLanes;
    for (int64_t c = 0; c < channels; ++c) {
      alignas(64) float lanes[9][kLanes] = {};
      for (int i = 0; i < count; ++i) {
        for (int k = 0; k < 9; ++k) lanes[k][i] = w[(r + i) * stride + c * 9 + k];
      }
      Floats half[6][3];
#pragma GCC unroll 3
      for (int j = 0; j < 3; ++j) {
        const Floats g[3] = {load(lanes[j]), load(lanes[3 + j]), load(lanes[6 + j])};
        Floats u[6];
        weight_line(g, u);
#pragma GCC unroll 6
        for (int i = 0; i < 6; ++i) half[i][j] = u[i];
      }
      for (int i = 0; i < 6; ++i) {
        Floats u[6];
        weight_line(half[i], u);
        for (int j = 0; j < 6; ++j)
          store_some(target + (i * 6 + j) * plane + c * rows + r, u[j], count);
      }
    }
  }
}

}  // namespace
}  // namespace tallow::cpu::TALLOW_ISA_NAMESPACE
