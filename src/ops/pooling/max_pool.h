// Max pooling's kernels and the moves by index that its gradient is made of.
#pragma once

#include "ops/pooling/windows.h"

namespace tallow::pooling {

/// Largest elements of windows whose starts are given for each plane (fractional) or for all.
struct PlaneWindows {
  std::vector<Window> along[3];
};

/// One plane: values, and unless null the index of each within the plane. The first of equal
/// elements counts, and NaN is larger than all.
template <class T>
void max_of_plane(const T* x, const Extent& size, const PlaneWindows& w, T* values,
                  int64_t* indices);

/// x [..., plane] where each element of `indices` points into the plane: the elements there.
Tensor gather_plane(const Tensor& x, const Tensor& indices, int dims);
/// Its counterpart: adds the elements of x where `indices` points, in planes of zeros.
Tensor scatter_plane(const Tensor& x, const Tensor& indices, const Extent& sizes, int dims);

}  // namespace tallow::pooling
