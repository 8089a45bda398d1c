// A part of a contiguous tensor, read and written: the gradients of the views that skip elements,
// and the ops *_scatter, diag_embed and constant padding.
#pragma once

#include <optional>

#include "tallow/tensor.h"

namespace tallow {

/// Which elements of a contiguous tensor: strides and the first one's position. The part's shape
/// is that of what is placed in it; its elements are distinct.
struct Placement {
  Shape strides;
  int64_t offset = 0;
};

Placement slice_placement(const Shape& shape, int dim, int64_t start, int64_t step);
/// Where `select(dim, index)` reads.
Placement select_placement(const Shape& shape, int dim, int64_t index);
/// Where `diagonal(offset, dim1, dim2)` reads; `length` is of the diagonal.
Placement diagonal_placement(const Shape& shape, int64_t offset, int dim1, int dim2);
int64_t diagonal_length(const Shape& shape, int64_t offset, int dim1, int dim2);

/// `base` with `value` in that part.
Tensor place(const Tensor& base, const Tensor& value, const Placement& at);
/// A tensor of `shape` that is `value` there, and `fill` outside.
Tensor place_in(const Shape& shape, const Tensor& value, const Placement& at,
                const Scalar& fill = 0);

/// The elements that a slice with Python's bounds takes of a dimension of n. Throws Error,
/// beginning with `op`, for a step under 1.
struct SliceRange {
  int64_t start, length;
};
SliceRange slice_range(int64_t n, std::optional<int64_t> start, std::optional<int64_t> end,
                       int64_t step, const char* op);

}  // namespace tallow
