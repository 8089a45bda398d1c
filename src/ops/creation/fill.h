// Writes one value to every element.
#pragma once

#include "tallow/scalar.h"
#include "tallow/tensor.h"

namespace tallow {

/// Writes a number as one element of a dtype.
void write_scalar(DType dtype, const Scalar& value, std::byte* element);
/// The only element of a tensor. Throws Error when there is not exactly one.
Scalar scalar_of(const Tensor& x);
/// Sets every element of a contiguous tensor that is not of a block dtype. Parallel.
void fill_elements(const Tensor& x, const Scalar& value);

}  // namespace tallow
