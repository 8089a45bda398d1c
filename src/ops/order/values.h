// A tensor's elements in one vector, for what looks at all of them.
#pragma once

#include <algorithm>
#include <vector>

#include "ops/elements.h"

namespace tallow {

/// The elements of x as T, in row-major order.
template <class T>
std::vector<T> values_of(const Tensor& x) {
  std::vector<T> values(static_cast<size_t>(x.numel()));
  const T* from = ElementReader<T>(x, x.shape()).read(0, x.numel(), values.data());
  if (from != values.data()) std::copy_n(from, x.numel(), values.data());
  return values;
}

}  // namespace tallow
