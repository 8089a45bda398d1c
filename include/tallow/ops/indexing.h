// Indexing: picking and writing elements by position, index or mask.
#pragma once

#include "tallow/op.h"
#include "tallow/tensor.h"

namespace tallow {

/// Rows of weight [vocab, dim] (any real or block dtype) picked by ids [...]: f32 [..., dim].
/// Throws Error for an id outside [0, vocab).
Tensor embedding(const Tensor& weight, const Tensor& ids);
/// Rows (or slices along `dim`) of self picked by index [n].
Tensor index_select(const Tensor& self, int64_t dim, const Tensor& index);

}  // namespace tallow
