// The helper ops of elementwise.def that gradients use and the public header does not show.
#pragma once

#include "tallow/ops.h"

namespace tallow {

Tensor sign_of(const Tensor& x);     ///< -1, 0 or 1
Tensor step_of(const Tensor& x);     ///< 1 where x > 0, else 0
Tensor normal_cdf(const Tensor& x);  ///< of the standard normal distribution
/// 1 where a == b, else 0, in the operands' dtype.
Tensor equal_to(const Tensor& a, const Tensor& b);
/// 1 where a > b, 0 where a < b, a half where they are equal: the gradient's share of a maximum.
Tensor share_of(const Tensor& a, const Tensor& b);

}  // namespace tallow
