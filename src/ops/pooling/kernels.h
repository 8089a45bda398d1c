// The vector kernels of pooling, which a backend replaces by those of its instruction set.
#pragma once

#include "ops/pooling/windows.h"

namespace tallow::pooling {

/// A sliding pooling of one plane [height, width].
struct PlanePool {
  int64_t height, width, out_height, out_width;
  int64_t kernel[2], stride[2], padding[2], dilation[2];

  /// Elements of one phase of a padded row: those `stride` apart.
  int64_t phase() const { return out_width + ((kernel[1] - 1) * dilation[1]) / stride[1] + 1; }
  /// Floats that a kernel needs beside its arguments.
  int64_t scratch() const { return phase() * stride[1] + height * out_width; }
};

struct Kernels {
  /// Largest elements of the windows; padding counts as -infinity.
  void (*max_plane)(const float* x, float* y, float* scratch, const PlanePool& pool);
  /// Sums of the windows; padding counts as 0.
  void (*sum_plane)(const float* x, float* y, float* scratch, const PlanePool& pool);
};

extern Kernels kernels;

inline PlanePool plane_pool(const Options& o, const Extent& from, const Extent& to) {
  PlanePool p{from[1], from[2], to[1], to[2], {}, {}, {}, {}};
  for (int i = 0; i < 2; ++i) {
    p.kernel[i] = o.kernel[i + 1];
    p.stride[i] = o.stride[i + 1];
    p.padding[i] = o.padding[i + 1];
    p.dilation[i] = o.dilation[i + 1];
  }
  return p;
}

}  // namespace tallow::pooling
