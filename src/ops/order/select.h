// Elements picked along a dimension by index, and the reverse, which their gradients are made of.
#pragma once

#include "ops/reduce/reduce.h"

namespace tallow {

/// out[.., i, ..] = x[.., index[.., i, ..], ..] along `dim`, for indices within the size.
Tensor pick_along(const Tensor& x, int64_t dim, const Tensor& index);
/// g added into zeros of `shape` at the indices along `dim`: the gradient of pick_along.
Tensor add_along(const Tensor& g, const Shape& shape, int64_t dim, const Tensor& index);
/// The same for a result that was reduced over the dimension that `o` names.
Tensor put_along(const Tensor& g, const Shape& shape, const ReduceOptions& o, const Tensor& index);

}  // namespace tallow
