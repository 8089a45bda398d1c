// A convolution as an implicit matrix product: the output pixels of an image in row-major order are
// the columns, channels times taps the inner dimension. Blocks of that matrix are gathered as they
// are multiplied, so that it never stands in memory.
#pragma once

#include <vector>

#include "backend/cpu/conv/kernels.h"
#include "backend/cpu/gemm/driver.h"
#include "ops/convolution/convolution.h"

namespace tallow::cpu {

/// Where a tap reads: at output position times step plus this.
struct Tap {
  int64_t at[3];
};

/// The geometry of one group of one image.
struct Plan {
  int64_t in[3], out[3], step[3];
  std::vector<Tap> taps;
  bool pointwise = false;  ///< one tap, at the output's own position
  int64_t channels = 0;    ///< of the input, in a group
  int64_t pixels() const { return out[0] * out[1] * out[2]; }
  int64_t channel_stride() const { return in[0] * in[1] * in[2]; }
  int64_t depth() const { return channels * static_cast<int64_t>(taps.size()); }
  bool planar() const;  ///< one plane, with taps in it alone
};

/// That of a convolution of x with taps of the kernel's sizes, giving o.out.
Plan plan_of(const ConvOptions& o, const Spatial& in, const Spatial& kernel, const Spatial& out,
             int64_t channels);

/// A range of the inner dimension: some channels with all taps, or of one channel some.
struct Slice {
  int64_t channel0, channel1;
  int64_t tap0, tap1;
  int64_t depth() const { return (channel1 - channel0) * (tap1 - tap0); }
};
std::vector<Slice> slices_of(const Plan& plan, int64_t channel0, int64_t channel1, int64_t step);

/// The runs of a block of pixels: for each group of 16 and each tap.
class Pixels {
 public:
  /// In groups of `width`, at most 16, pixels.
  Pixels(const Plan& plan, int64_t begin, int64_t end, int width = kGroup);
  int64_t begin() const { return begin_; }
  int64_t count() const { return end_ - begin_; }
  int64_t groups() const { return ceil_div(count(), width_); }
  /// Gathers a slice of an image for groups [group, end): [group][slice.depth()][width],
  /// groups being group_stride apart, with room for 16 - width elements behind.
  void gather(const float* image, const Slice& slice, int64_t group, int64_t end, float* target,
              int64_t group_stride) const;
  void gather(const double* image, const Slice& slice, int64_t group, int64_t end, double* target,
              int64_t group_stride) const;

 private:
  void add_group(int64_t begin, int64_t end);
  const int32_t* first(int64_t group, int64_t tap) const {
    return first_.data() + group * static_cast<int64_t>(plan_.taps.size()) + tap;
  }
  const Plan& plan_;
  int64_t begin_, end_, width_;
  struct Columns {
    int64_t low, high;
  };
  std::vector<Columns> inside_;  // of each tap: the output columns that read inside
  std::vector<Run> runs_;
  std::vector<int32_t> first_;  // [group][tap], and the end
};

/// Output channels that a tile takes at a time: as many in each.
inline int64_t even_rows(int64_t outs, int64_t most) {
  return outs == 0 ? 1 : ceil_div(outs, ceil_div(outs, most));
}

template <class T>
const Tiles<T, T, T>& conv_tiles() {
  if constexpr (sizeof(T) == 4) {
    return gemm_kernels().f32;
  } else {
    return gemm_kernels().f64;
  }
}

/// Calls fn(i) for i < n, on several threads where `flops` are many.
template <class F>
void over_items(int64_t n, double flops, const F& fn) {
  if (n <= 1 || flops < 2e5) {
    for (int64_t i = 0; i < n; ++i) fn(i);
    return;
  }
  parallel_for(n, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) fn(i);
  });
}

}  // namespace tallow::cpu
