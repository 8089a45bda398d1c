// Linear layers of Gemma 4's towers.
#pragma once

#include <cmath>

#include "tallow/nn.h"

namespace tallow {

/// x between bounds, which may be infinite.
Tensor clipped(const Tensor& x, double low, double high);

/// A linear layer whose input and output stay within bounds that the checkpoint holds.
struct ClippedLinear {
  nn::Linear linear;
  double in_min, in_max, out_min, out_max;

  ClippedLinear() = default;
  /// Without bounds where it is not `bounded`; nothing comes out of it that is larger than `limit`.
  ClippedLinear(const Weights& w, bool bounded, int64_t in, int64_t out, double limit = INFINITY);
  Tensor operator()(const Tensor& x) const;
};

}  // namespace tallow
