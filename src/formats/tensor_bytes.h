// The bytes of tensors on their way to files, and of files whose byte order is another.
#pragma once

#include <cstddef>
#include <functional>
#include <span>

#include "tallow/tensor.h"

namespace tallow {

using ByteSpan = std::span<const std::byte>;
using ByteSink = std::function<void(ByteSpan)>;

/// Gives the elements in row-major order, wherever the strides lead: in one piece where they lie
/// so, else in pieces of about a megabyte.
void give_bytes(const Tensor& tensor, const ByteSink& sink);

/// Reverses the bytes of each number of `width` bytes.
void swap_bytes(std::span<std::byte> bytes, int width);

/// The bytes of one number of a dtype: half of a complex element, 1 of a block.
int number_bytes(DType dtype);

}  // namespace tallow
