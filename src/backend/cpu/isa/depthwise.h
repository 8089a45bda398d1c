// Convolutions with one input channel in a group: lanes are neighbouring outputs of a row.
#pragma once

#include "backend/cpu/conv/kernels.h"
#include "backend/cpu/isa/winograd.h"

namespace tallow::cpu::TALLOW_ISA_NAMESPACE {
namespace {

// Every kStep-th of the elements from p on.
template <int kStep>
TALLOW_INLINE Floats load_every(const float* p) {
  if constexpr (kStep == 1) return load(p);
  return evens(load(p), load(p + kLanes), kEach);
}
template <int kStep>
TALLOW_INLINE Floats load_every_inside(const float* row, int64_t x, int64_t width) {
  if constexpr (kStep == 1) return load_inside(row, x, width);
  return evens(load_inside(row, x, width), load_inside(row, x + kLanes, width), kEach);
}

// The taps that meet the input at one row of outputs.
struct RowTaps {
  const float* row[kMostTaps];  // of the input
  int64_t at[kMostTaps];        // where the first output reads
  float weight[kMostTaps];
  int count;
};

TALLOW_INLINE void put_row(const DepthwiseCall& call, int64_t at, Floats v, int64_t left) {
  if (call.bias) v += *call.bias;
  if (call.residual) {
    v += left >= kLanes ? load(call.residual + at) : load_first(call.residual + at, left);
  }
  store_some(call.out + at, activate(v, call.activation), left);
}

// kCount vectors of outputs from x on, whose inputs are all inside.
template <int kStep, int kCount>
TALLOW_INLINE void inner(const DepthwiseCall& call, const RowTaps& taps, int64_t y, int64_t x) {
  Floats sum[kCount] = {};
  for (int t = 0; t < taps.count; ++t) {
    const float* p = taps.row[t] + taps.at[t] + x * kStep;
    const Floats w = splat(taps.weight[t]);
#pragma GCC unroll 4
    for (int n = 0; n < kCount; ++n) sum[n] += w * load_every<kStep>(p + n * kLanes * kStep);
  }
#pragma GCC unroll 4
  for (int n = 0; n < kCount; ++n) {
    put_row(call, y * call.out_width + x + n * kLanes, sum[n], kLanes);
  }
}

template <int kStep>
void depthwise_row(const DepthwiseCall& call, const RowTaps& taps, int64_t y) {
  // The vectors of outputs [first, last) read inside only.
  int64_t least = 0, most = 0;
  for (int t = 0; t < call.taps; ++t) {
    least = call.tap_x[t] < least ? call.tap_x[t] : least;
    most = call.tap_x[t] > most ? call.tap_x[t] : most;
  }
  const int64_t first = (-least + kStep - 1) / kStep;
  int64_t last = (call.width - most) / kStep;
  if (last > call.out_width) last = call.out_width;
  int64_t x = 0;
  while (x < call.out_width) {
    if (x >= first && x + 4 * kLanes <= last) {
      inner<kStep, 4>(call, taps, y, x);
      x += 4 * kLanes;
    } else if (x >= first && x + kLanes <= last) {
      inner<kStep, 1>(call, taps, y, x);
      x += kLanes;
    } else {
      Floats sum = {};
      for (int t = 0; t < taps.count; ++t) {
        sum += splat(taps.weight[t]) *
               load_every_inside<kStep>(taps.row[t], taps.at[t] + x * kStep, call.width);
      }
      put_row(call, y * call.out_width + x, sum, call.out_width - x);
      x += kLanes;
    }
  }
}

#if TALLOW_ISA_LEVEL >= 2

// The elements x + i * kStep of a row that lie inside, as masks of one vector or two.
template <int kStep>
struct Masks {
  __mmask16 low, high;
  void set(int64_t x, int64_t width) {
    constexpr int64_t kMost = kStep * kLanes;
    const int64_t begin = x < 0 ? (-x < kMost ? -x : kMost) : 0;
    const int64_t end = width - x > kMost ? kMost : width - x < begin ? begin : width - x;
    uint64_t bits = (uint64_t{1} << end) - (uint64_t{1} << begin);
    if constexpr (kStep == 2) bits &= 0x55555555u;
    low = static_cast<__mmask16>(bits), high = static_cast<__mmask16>(bits >> 16);
  }
  TALLOW_INLINE Floats load(const float* p) const {
    const Floats first = _mm512_maskz_loadu_ps(low, p);
    if constexpr (kStep == 1) return first;
    return evens(first, _mm512_maskz_loadu_ps(high, p + kLanes), kEach);
  }
};

// Kernels of 3 x 3 without gaps: a column of vectors at a time, with its masks in registers.
template <int kStep>
void depthwise_3x3(const DepthwiseCall& call) {
  Floats w[3][3];
#pragma GCC unroll 9
  for (int t = 0; t < 9; ++t) w[t / 3][t % 3] = splat(call.w[t]);
  for (int64_t x = 0; x < call.out_width; x += kLanes) {
    Masks<kStep> masks[3];
    for (int k = 0; k < 3; ++k) masks[k].set(x * kStep + call.tap_x[k], call.width);
    const int64_t left = call.out_width - x;
    for (int64_t y = 0; y < call.out_height; ++y) {
      Floats sum[3] = {};
      const int64_t row = y * call.step_y + call.tap_y[0];
      const float* p = call.in + row * call.width + x * kStep + call.tap_x[0];
#pragma GCC unroll 3
      for (int i = 0; i < 3; ++i, p += call.width) {
        if (row + i < 0 || row + i >= call.height) continue;
#pragma GCC unroll 3
        for (int k = 0; k < 3; ++k) sum[k] += w[i][k] * masks[k].load(p + k);
      }
      put_row(call, y * call.out_width + x, sum[0] + sum[1] + sum[2], left);
    }
  }
}

// Which of two rows of outputs in a vector read inside, for each column of the kernel.
struct TwoRows {
  Ints x[3], second;  // the input's column; all ones in the second row
  __mmask16 inside[3];
  explicit TwoRows(const DepthwiseCall& call) {
    const Ints lane = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    const auto width = static_cast<int32_t>(call.out_width);
    second = lane >= width;
    for (int k = 0; k < 3; ++k) {
      x[k] = (lane + (second & -width)) * static_cast<int32_t>(call.step_x) +
             static_cast<int32_t>(call.tap_x[k]);
      const auto valid = reinterpret_cast<__m512i>(
          (x[k] >= 0) & (x[k] < static_cast<int32_t>(call.width)) & (lane < 2 * width));
      inside[k] = _mm512_test_epi32_mask(valid, valid);
    }
  }
};

// The same for planes so narrow that a vector takes two rows of outputs: `read` gives what they
// read for three taps of a row of the kernel.
template <class Read>
TALLOW_INLINE void depthwise_two_rows(const DepthwiseCall& call, const Read& read) {
  for (int64_t y = 0; y < call.out_height; y += 2) {
    Floats sum[3] = {};
#pragma GCC unroll 3
    for (int i = 0; i < 3; ++i) {
      Floats v[3];
      read(y * call.step_y + call.tap_y[0] + i, v);
#pragma GCC unroll 3
      for (int k = 0; k < 3; ++k) sum[k] += splat(call.w[3 * i + k]) * v[k];
    }
    const int64_t left = (call.out_height - y < 2 ? 1 : 2) * call.out_width;
    put_row(call, y * call.out_width, sum[0] + sum[1] + sum[2], left);
  }
}

void depthwise_narrow(const DepthwiseCall& call, const TwoRows& rows) {
  if (call.step_x == 1 && call.step_y == 1 && call.out_width == call.width) {
    const uint32_t one = (1u << call.width) - 1, two = one << call.width;
    return depthwise_two_rows(call, [&](int64_t y, Floats(&v)[3]) {
      const uint32_t there =
          (y >= 0 && y < call.height ? one : 0) | (y + 1 >= 0 && y + 1 < call.height ? two : 0);
#pragma GCC unroll 3
      for (int k = 0; k < 3; ++k) {
        v[k] = _mm512_maskz_loadu_ps(static_cast<__mmask16>(rows.inside[k] & there),
                                     call.in + y * call.width + call.tap_x[k]);
      }
    });
  }
  const uint32_t all = (1u << call.width) - 1;
  const auto read = [&](int64_t y) {
    const bool there = y >= 0 && y < call.height;
    return _mm512_maskz_loadu_ps(static_cast<__mmask16>(there ? all : 0),
                                 call.in + (there ? y * call.width : 0));
  };
  __m512i index[3];
  for (int k = 0; k < 3; ++k) {
    index[k] = reinterpret_cast<__m512i>(rows.x[k] + (rows.second & kLanes));
  }
  depthwise_two_rows(call, [&](int64_t y, Floats(&v)[3]) {
    const Floats a = read(y), b = read(y + call.step_y);
#pragma GCC unroll 3
    for (int k = 0; k < 3; ++k) {
      v[k] = _mm512_maskz_permutex2var_ps(rows.inside[k], a, index[k], b);
    }
  });
}
bool is_narrow(const DepthwiseCall& call) { return call.out_width <= 8 && call.width <= kLanes; }

bool is_3x3(const DepthwiseCall& call) {
  if (call.taps != 9) return false;
  for (int t = 0; t < 9; ++t) {
    if (call.tap_y[t] != call.tap_y[0] + t / 3 || call.tap_x[t] != call.tap_x[0] + t % 3) {
      return false;
    }
  }
  return true;
}

#endif

void depthwise_any(const DepthwiseCall& call) {
  for (int64_t y = 0; y < call.out_height; ++y) {
    RowTaps taps;
    taps.count = 0;
    for (int t = 0; t < call.taps; ++t) {
      const int64_t row = y * call.step_y + call.tap_y[t];
      if (row < 0 || row >= call.height) continue;
      taps.row[taps.count] = call.in + row * call.width;
      taps.at[taps.count] = call.tap_x[t];
      taps.weight[taps.count++] = call.w[t];
    }
    if (call.step_x == 1) {
      depthwise_row<1>(call, taps, y);
    } else {
      depthwise_row<2>(call, taps, y);
    }
  }
}

/// Calls fn with each plane of a call.
template <class F>
TALLOW_INLINE void over_planes(DepthwiseCall call, const F& fn) {
  const int64_t size = call.out_height * call.out_width;
  for (int64_t i = 0; i < call.planes; ++i) {
    fn(call);
    call.in += call.height * call.width, call.out += size, call.w += call.taps;
    if (call.bias) ++call.bias;
    if (call.residual) call.residual += size;
  }
}

void depthwise(const DepthwiseCall& call) {
#if TALLOW_ISA_LEVEL >= 2
  if (is_3x3(call)) {
    if (is_narrow(call)) {
      const TwoRows rows(call);
      return over_planes(call, [&](const DepthwiseCall& one) { depthwise_narrow(one, rows); });
    }
    return over_planes(call, call.step_x == 1 ? depthwise_3x3<1> : depthwise_3x3<2>);
  }
#endif
  over_planes(call, depthwise_any);
}

}  // namespace
}  // namespace tallow::cpu::TALLOW_ISA_NAMESPACE
