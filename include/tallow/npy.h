// NumPy's .npy files: one tensor each.
// Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
#pragma once

#include <memory>
#include <span>
#include <string>

#include "tallow/tensor.h"

namespace tallow {

/// Writes a tensor in C order. A regular file is replaced as a whole, or left as it was when
/// writing fails; a device or pipe is written to. Throws Error for a dtype that NumPy lacks (bf16,
/// f8, block types), and when the file cannot be written.
void save_npy(const std::string& path, const Tensor& tensor);

/// Reads versions 1 to 3, little-endian, in C or Fortran order (then a strided view); the data
/// stays mapped. Throws Error: `file: field: offset N: reason`.
Tensor load_npy(const std::string& path);
/// The same over a copy of `bytes`; `what` takes the place of the path.
Tensor load_npy(std::span<const std::byte> bytes, std::string what);

}  // namespace tallow
