// Padding: the argument of convolutions that is numbers or a mode.
#pragma once

#include <string_view>

#include "tallow/shape.h"

namespace tallow {

/// The zeros that a convolution adds around its input: their number, a number for each spatial
/// dimension, "same" (as many as keep the size; stride 1 only) or "valid" (none).
class Padding {
 public:
  template <std::integral T>
  Padding(T zeros) : zeros_(zeros) {}            // NOLINT(google-explicit-constructor): as Dims
  Padding(const Dims& zeros) : zeros_(zeros) {}  // NOLINT
  Padding(std::initializer_list<int64_t> zeros) : zeros_(zeros) {}  // NOLINT
  Padding(const char* mode) : mode_(mode) {}                        // NOLINT
  Padding(std::string_view mode) : mode_(mode) {}                   // NOLINT

  const Dims& zeros() const { return zeros_; }
  std::string_view mode() const { return mode_; }  ///< empty where numbers were given

 private:
  Dims zeros_;
  std::string_view mode_;
};

}  // namespace tallow
