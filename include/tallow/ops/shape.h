// Shape: views, joins, repeats and the order of dimensions.
#pragma once

#include "tallow/op.h"
#include "tallow/tensor.h"

namespace tallow {

Tensor cat(const Tensors& tensors, int64_t dim = 0);
/// self with the order of the elements along each of `dims` reversed. Throws Error for a dimension
/// that is named twice.
Tensor flip(const Tensor& self, const Dims& dims);

}  // namespace tallow
