// fmt::print("{}", tensor), for programs that use {fmt}.
#pragma once

#include "tallow/print.h"

#if __has_include(<fmt/format.h>)
#include <fmt/format.h>

template <>
struct fmt::formatter<tallow::Tensor> : fmt::formatter<std::string> {
  template <class Context>
  auto format(const tallow::Tensor& tensor, Context& context) const {
    return fmt::formatter<std::string>::format(tallow::repr(tensor), context);
  }
};
#endif
