// Tensors as text, as PyTorch prints them.
#pragma once

#include <iosfwd>
#include <optional>
#include <string>

#include "tallow/tensor.h"

namespace tallow {

struct PrintOptions {
  int precision = 4;         ///< digits behind the point
  int64_t threshold = 1000;  ///< tensors of more elements are summarized
  int edge_items = 3;        ///< elements shown at each end of a dimension that is summarized
  int line_width = 80;
  std::optional<bool> scientific = {};  ///< 1.0000e-05; chosen by the values when not given
};

/// The options that are used where none are given.
PrintOptions print_options();
void set_print_options(const PrintOptions& options);

/// "tensor([1., 2.], dtype=tallow.float64, requires_grad=True)". `name` stands in front.
std::string repr(const Tensor& tensor, const PrintOptions& options = print_options(),
                 const std::string& name = "tensor");

std::ostream& operator<<(std::ostream& out, const Tensor& tensor);

}  // namespace tallow
