// Rows of weights whose columns may stand in an order of their own (Buffer::column_order).
#pragma once

#include <vector>

#include "tallow/tensor.h"

namespace tallow {

/// The order in which a weight's columns stand, or null where it is the natural one. Throws Error
/// for a view of some of the columns.
const std::vector<int32_t>* column_order(const Tensor& weight);

/// The row of `weight` at `source` in f32, with its columns where they belong.
void block_row_to_f32(const Tensor& weight, const std::byte* source, float* target);

/// The last dimension of x [..., k] in the order of the weight's columns; x itself where that is
/// the natural one.
Tensor in_column_order(const Tensor& x, const Tensor& weight);

/// Whether columns of both stand in the same order.
bool same_column_order(const Tensor& a, const Tensor& b);

}  // namespace tallow
