// Pooling of a plane as two passes, along the rows and then along the columns, both over whole rows
// so that the compiler makes vectors of them. Compiled once per instruction set.
#pragma once

#include "ops/pooling/kernels.h"

namespace {

struct Larger {
  static constexpr float kNone = -__builtin_inff();
  static float of(float top, float v) { return (v > top) | (v != v) ? v : top; }
};
struct Plus {
  static constexpr float kNone = 0;
  static float of(float a, float b) { return a + b; }
};

// a = f(a, b), element by element.
template <class F>
void fold_row(float* __restrict a, const float* __restrict b, int64_t n) {
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) a[i] = F::of(a[i], b[i]);
}
template <class F>
void fold_two(float* __restrict to, const float* a, const float* b, int64_t n) {
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) to[i] = F::of(a[i], b[i]);
}
inline void copy_row(float* to, const float* from, int64_t n) {
  __builtin_memcpy(to, from, static_cast<size_t>(n) * sizeof(float));
}

// The padded row, split into `stride` phases, so that windows become neighbours.
inline void split_row(const float* row, float* phases, float none,
                      const tallow::pooling::PlanePool& p) {
  const int64_t s = p.stride[1], length = p.phase();
  for (int64_t r = 0; r < s; ++r) {
    float* to = phases + r * length;
    const int64_t shift = r - p.padding[1];  // element j is x[j * s + shift]
    int64_t first = shift < 0 ? (-shift + s - 1) / s : 0;
    int64_t last = p.width > shift ? (p.width - shift + s - 1) / s : 0;
    if (first > length) first = length;
    if (last > length) last = length;
    if (last < first) last = first;
    for (int64_t j = 0; j < first; ++j) to[j] = none;
    if (s == 1) {
      copy_row(to + first, row + first + shift, last - first);
    } else if (s == 2) {
      for (int64_t j = first; j < last; ++j) to[j] = row[2 * j + shift];
    } else {
      for (int64_t j = first; j < last; ++j) to[j] = row[j * s + shift];
    }
    for (int64_t j = last; j < length; ++j) to[j] = none;
  }
}

template <class F>
void pool_row(const float* phases, float* to, const tallow::pooling::PlanePool& p) {
  const int64_t s = p.stride[1], length = p.phase(), n = p.out_width, d = p.dilation[1];
  auto at = [&](int64_t k) { return phases + k * d % s * length + k * d / s; };
  if (p.kernel[1] == 1) return copy_row(to, at(0), n);
  fold_two<F>(to, at(0), at(1), n);
  for (int64_t k = 2; k < p.kernel[1]; ++k) fold_row<F>(to, at(k), n);
}

template <class F>
void pool_plane(const float* x, float* y, float* scratch, const tallow::pooling::PlanePool& p) {
  const int64_t n = p.out_width;
  float *phases = scratch, *rows = scratch + p.phase() * p.stride[1];
  for (int64_t i = 0; i < p.height; ++i) {
    split_row(x + i * p.width, phases, F::kNone, p);
    pool_row<F>(phases, rows + i * n, p);
  }
  for (int64_t o = 0; o < p.out_height; ++o) {
    float* to = y + o * n;
    const int64_t begin = o * p.stride[0] - p.padding[0];
    const float* held = nullptr;
    int taken = 0;
    for (int64_t k = 0; k < p.kernel[0]; ++k) {
      const int64_t i = begin + k * p.dilation[0];
      if (i < 0 || i >= p.height) continue;
      const float* row = rows + i * n;
      if (taken == 0) held = row;
      if (taken == 1) fold_two<F>(to, held, row, n);
      if (taken > 1) fold_row<F>(to, row, n);
      ++taken;
    }
    if (taken == 1) copy_row(to, held, n);
    if (taken == 0) {
      for (int64_t i = 0; i < n; ++i) to[i] = F::kNone;
    }
  }
}

}  // namespace
