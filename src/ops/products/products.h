// Helpers that products and linear algebra share.
#pragma once

#include "tallow/ops.h"

namespace tallow {

/// The conjugate; real tensors are their own.
inline Tensor conj_of(const Tensor& x) { return is_complex(x.dtype()) ? conj(x) : x; }
/// x [..., m, n] transposed and conjugated: [..., n, m].
inline Tensor adjoint_of(const Tensor& x) { return conj_of(x.transpose(-2, -1)); }

/// The identity matrix [n, n].
Tensor identity(int64_t n, DType dtype);

/// The dimensions before the last two.
Shape batch_shape(const Tensor& x);
/// `batch` with rows and columns behind it.
Shape with_matrix(Shape batch, int64_t rows, int64_t columns);

/// Throws Error unless both have one dtype.
void check_same_dtype(const char* op, const Tensor& a, const Tensor& b);
/// Throws Error unless x has exactly `dims` dimensions.
void check_dims(const char* op, const char* name, const Tensor& x, int dims);

/// Splits indices into the equation's parts and contracts: einsum on operands whose dimensions are
/// numbered by any integers. Used by einsum and tensordot.
using Labels = std::vector<int>;
Tensor contract(std::vector<Labels> labels, Tensors operands, const Labels& output);

}  // namespace tallow
