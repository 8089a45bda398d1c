// Windows along a dimension, and views of any strides.
#pragma once

#include "tallow/tensor.h"

namespace tallow {

/// Windows of `size` elements that lie `dilation` apart; the windows are `step` apart.
struct Windows {
  int dim;
  int64_t size, step, dilation;
  int64_t count(int64_t length) const {
    const int64_t reach = (size - 1) * dilation + 1;
    return length < reach ? 0 : (length - reach) / step + 1;
  }
};

/// x [.., n, ..] as [.., windows, .., size]: a view. The windows fit.
Tensor windows_of(const Tensor& x, const Windows& windows);
/// Its adjoint: windows [.., windows, .., size] added up to `length` elements.
Tensor add_windows(const Tensor& g, const Windows& windows, int64_t length);

}  // namespace tallow
