// What the reductions share: which dimensions go, and the shapes that are left.
#pragma once

#include "ops/elements.h"
#include "tallow/ops.h"

namespace tallow {

struct ReduceOptions {
  uint32_t dims = 0;  ///< a bit per dimension
  bool keepdim = false;
  double p = 0;  ///< the order of norm, the correction of var
};

/// The dimensions named, all where none is given. Throws Error, beginning with `op`.
uint32_t reduced_dims(const Tensor& x, const Dims& dims, const char* op);
uint32_t reduced_dims(const Tensor& x, std::optional<int64_t> dim, const char* op);
Shape reduced_shape(const Shape& shape, uint32_t dims, bool keepdim);
/// How many elements each result takes.
int64_t group_count(const Tensor& x, uint32_t dims);
/// A result, or its gradient, repeated over the shape of x.
Tensor spread(const Tensor& y, const Tensor& x, uint32_t dims);
/// The dimensions that `bits` names.
std::vector<int64_t> listed(uint32_t bits);
/// x in `dtype` where one is given.
inline Tensor as_dtype(const Tensor& x, std::optional<DType> dtype) {
  return dtype && *dtype != x.dtype() ? x.to(*dtype) : x;
}
/// Throws Error, beginning with `op`, where a result would have nothing to choose from.
void check_not_empty(const char* op, const Tensor& x, uint32_t dims);

/// x with the dimensions of `dims` last, as one.
Tensor flattened_last(const Tensor& x, uint32_t dims);
/// `dim` of x, which may be -1 or 0 where x has no dimensions, as a dimension of at_least_1d(x).
int checked_dim(const Tensor& x, int64_t dim, const char* op);
inline Tensor conjugate(const Tensor& x) { return is_complex(x.dtype()) ? conj(x) : x; }
inline Tensor real_part(const Tensor& x) { return is_complex(x.dtype()) ? real(x) : x; }
/// 1 where x equals y, else 0, in x's dtype.
inline Tensor equal_to(const Tensor& x, const Tensor& y) { return eq(x, y).to(x.dtype()); }
/// x, or x seen as [1] where it has no dimensions.
inline Tensor at_least_one_dim(const Tensor& x) { return x.dim() > 0 ? x : x.reshape({1}); }

/// y[0] = b[0], y[i] = a[i] y[i - 1] + b[i] along the last dimension: the running products and sums
/// that gradients of cumulative ops are made of, exact at zeros.
Tensor linear_scan(const Tensor& a, const Tensor& b);

}  // namespace tallow
