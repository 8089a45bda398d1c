// Softmax and the normalization layers.
#pragma once

#include "tallow/op.h"
#include "tallow/tensor.h"

namespace tallow {

Tensor softmax(const Tensor& self, int64_t dim);
/// x / sqrt(mean(x^2) + eps) * weight over the last dimension. Zhang and Sennrich, 2019.
Tensor rms_norm(const Tensor& x, const Tensor& weight, double eps = 1e-6);

}  // namespace tallow
