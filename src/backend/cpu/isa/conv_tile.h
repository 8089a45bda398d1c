// Register tiles of convolutions: as those of gemm.cpp, with lanes at any stride, a bias to begin
// with, and any number of columns.
#pragma once

#include "backend/cpu/conv/kernels.h"
#include "backend/cpu/isa/simd.h"

namespace tallow::cpu::TALLOW_ISA_NAMESPACE {
namespace {

#if TALLOW_ISA_LEVEL >= 2
constexpr int kTileRows = 14, kTileGroups = 2;
#elif TALLOW_ISA_LEVEL == 1
constexpr int kTileRows = 6, kTileGroups = 1;
#else
constexpr int kTileRows = 2, kTileGroups = 1;
#endif

constexpr int64_t kAhead = 512;  // elements: what a core asks for while memory answers

template <int R, int N>
TALLOW_INLINE void tile_step(Floats (&sum)[R][N], const float* x, const float* w,
                             int64_t group_stride) {
  Floats lanes[N];
#pragma GCC unroll 16
  for (int n = 0; n < N; ++n) {
    lanes[n] = load(w + n * kLanes / kGroup * group_stride + n * kLanes % kGroup);
  }
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
    const Floats value = splat(x[r]);
#pragma GCC unroll 16
    for (int n = 0; n < N; ++n) sum[r][n] += value * lanes[n];
  }
}

// The last columns, where they do not fill the vectors.
template <int R, int N>
void store_edge(const Floats (&sum)[R][N], const TileCall& call) {
  for (int r = 0; r < R; ++r) {
    for (int n = 0; n < N; ++n) {
      const int64_t left = call.columns - n * kLanes;
      if (left <= 0) break;
      float* c = call.c + r * call.ldc + n * kLanes;
      Floats v = sum[r][n];
      if (left >= kLanes) {
        if (call.accumulate) v += load(c);
        store(c, call.relu ? max(v, Floats{}) : v);
      } else {
        if (call.accumulate) v += load_first(c, left);
        store_first(c, call.relu ? max(v, Floats{}) : v, left);
      }
    }
  }
}

// Asks for the lines of c that a tile will write, while it computes.
template <int R, int G>
TALLOW_INLINE void fetch(const float* c, int64_t ldc) {
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 16
    for (int n = 0; n < G; ++n) {
#if TALLOW_ISA_LEVEL >= 1
      asm volatile("prefetchw %0" : : "m"(c[r * ldc + n * kGroup]));
#else
      __builtin_prefetch(c + r * ldc + n * kGroup, 1);
#endif
    }
  }
}

template <int R, int G, bool kListed = false>
void tile(const TileCall& call) {
  constexpr int N = kGroup / kLanes * G;
  Floats sum[R][N];
  fetch<R, G>(call.c, call.ldc);
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
    const Floats begin = call.bias && !call.accumulate ? splat(call.bias[r]) : Floats{};
#pragma GCC unroll 16
    for (int n = 0; n < N; ++n) sum[r][n] = begin;
  }
  const float *x = call.x, *w = call.w;
  const int64_t x_stride = call.x_stride ? call.x_stride : R;
  const int64_t k_stride = call.k_stride, group_stride = call.group_stride;
  const int32_t* offsets = call.offsets;
#pragma GCC unroll 1
  for (int64_t i = 0; i < call.k; ++i, x += x_stride) {
    tile_step<R, N>(sum, x, kListed ? w + offsets[i] : w, group_stride);
    if constexpr (kListed) continue;
    // What the tile to the right, and then those below, will read.
    __builtin_prefetch(w + G * group_stride, 0, 2);
    if constexpr (G == 2) __builtin_prefetch(w + G * group_stride + kGroup, 0, 2);
    __builtin_prefetch(x + kAhead, 0, 2);
    w += k_stride;
  }
  if (call.columns < G * kGroup) {
    Floats kept[R][N];  // a copy, so that the sums themselves need no memory
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 16
      for (int n = 0; n < N; ++n) kept[r][n] = sum[r][n];
    }
    return store_edge<R, N>(kept, call);
  }
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 16
    for (int n = 0; n < N; ++n) {
      float* c = call.c + r * call.ldc + n * kLanes;
      Floats v = call.accumulate ? load(c) + sum[r][n] : sum[r][n];
      store(c, call.relu ? max(v, Floats{}) : v);
    }
  }
}

template <bool kListed, int R = kTileRows, int G = kTileGroups>
constexpr void fill_tiles(void (*(&table)[kMaxTileRows][kMaxTileGroups])(const TileCall&)) {
  table[R - 1][G - 1] = tile<R, G, kListed>;
  if constexpr (G > 1) fill_tiles<kListed, R, G - 1>(table);
  if constexpr (R > 1 && G == 1) fill_tiles<kListed, R - 1, kTileGroups>(table);
}

}  // namespace
}  // namespace tallow::cpu::TALLOW_ISA_NAMESPACE
