// The two sides of a tile: x interleaved into panels, and the columns that a panel of the weight
// may lack.
#pragma once

#include <cstring>
#include <type_traits>

#include "backend/cpu/gemm/driver.h"

namespace tallow::cpu {

// [k][lanes] from rows by their strides.
template <class T>
void interleave(const GemmKernels& kernels, int rows, int64_t k, const T* source,
                int64_t row_stride, int64_t k_stride, T* target, int64_t stride) {
  if constexpr (sizeof(T) == 4) {
    const auto* from = reinterpret_cast<const uint32_t*>(source);
    auto* to = reinterpret_cast<uint32_t*>(target);
    if (k_stride == 1) return kernels.interleave_32(rows, k, from, row_stride, to, stride);
    if (row_stride == 1) return kernels.copy_32(rows, k, from, k_stride, to, stride);
  }
  const int lanes = static_cast<int>(stride < kGroup ? rows : kGroup);
  for (int64_t j = 0; j < k; ++j, target += stride, source += k_stride) {
    if (row_stride == 1 && rows == lanes) {
      std::memcpy(target, source, sizeof(T) * static_cast<size_t>(lanes));
      continue;
    }
    for (int r = 0; r < lanes; ++r) target[r] = r < rows ? source[r * row_stride] : T(0);
  }
}

/// Columns [n0, n0 + 16) of a weight over [k0, k1) as [k][16], zeros past the weight's end.
template <class T>
void make_group(const GemmKernels& kernels, const Weight& w, int64_t n0, int64_t k0, int64_t k1,
                T* target);

// x as panels of `tile` rows for each step of k: [step][panel][k_step][rows].
template <class T>
class PackedX {
 public:
  PackedX(const GemmKernels& kernels, const Activations<T>& x, int64_t tile, int64_t k_step,
          int64_t padding, int64_t grain = 1)
      : x_(x), tile_(tile), k_step_(k_step), panels_(ceil_div(x.m, tile)) {
    if (x.m == 1 && x.k_stride == 1 && padding == 0) return;  // a row is a panel already
    stride_ = (std::min(k_step, x.k) + padding) * std::min(tile, x.m) + kPackSlack;
    const int64_t steps = std::max<int64_t>(1, ceil_div(x.k, k_step));
    data_ = reinterpret_cast<T*>(
        scratch(Scratch::x, steps * panels_ * stride_ * static_cast<int64_t>(sizeof(T))));
    const bool parallel = x.m * x.k > 65536;
    parallel_for(panels_, parallel ? grain : panels_, [&](int64_t begin, int64_t end, int) {
      for (int64_t p = begin; p < end; ++p) {
        for (int64_t s = 0; s < steps; ++s) pack(kernels, p, s, padding);
      }
    });
  }
  const T* panel(int64_t p, int64_t k0) const {
    if (!data_) return x_.data + k0;
    return data_ + (k0 / k_step_ * panels_ + p) * stride_;
  }
  int rows(int64_t p) const { return static_cast<int>(std::min(tile_, x_.m - p * tile_)); }

 private:
  void pack(const GemmKernels& kernels, int64_t p, int64_t s, int64_t padding) {
    const int64_t k0 = s * k_step_, k1 = std::min(x_.k, k0 + k_step_);
    T* target = data_ + (s * panels_ + p) * stride_;
    interleave<T>(kernels, rows(p), k1 - k0, x_.data + p * tile_ * x_.row_stride + k0 * x_.k_stride,
                  x_.row_stride, x_.k_stride, target, rows(p));
    if (padding)
      std::memset(target + (k1 - k0) * rows(p), 0, sizeof(T) * static_cast<size_t>(rows(p)));
  }
  Activations<T> x_;
  int64_t tile_, k_step_, panels_, stride_ = 0;
  T* data_ = nullptr;
};

// Runs a tile whose columns may end before its groups do.
template <class X, class W, class C>
void run_tile(const Tiles<X, W, C>& tiles, int rows, int64_t columns, int64_t k, const X* x,
              const W* w, int64_t group_stride, C* c, int64_t ldc, bool accumulate) {
  const int64_t groups = ceil_div(columns, kGroup);
  TileFn<X, W, C> fn = tiles.fn[rows - 1][groups - 1];
  if (columns == groups * kGroup) return fn(k, x, w, group_stride, c, ldc, accumulate);
  alignas(64) C edge[kMaxTileRows * kMaxTileGroups * kGroup];
  fn(k, x, w, group_stride, edge, groups * kGroup, false);
  for (int r = 0; r < rows; ++r) {
    for (int64_t j = 0; j < columns; ++j) {
      C* p = c + r * ldc + j;
      *p = accumulate ? *p + edge[r * groups * kGroup + j] : edge[r * groups * kGroup + j];
    }
  }
}

/// Products on tiles of bf16 thirds (split_product.cpp): whether shape and processor suit them, and
/// the product itself, which is false where numbers are too large or too small for them.
bool takes_thirds(const Activations<float>& x, std::span<const Weight> weights);
bool product_thirds(const GemmKernels& kernels, const Activations<float>& x,
                    std::span<const Weight> weights, float* y, int64_t ldy, bool gated);

}  // namespace tallow::cpu
