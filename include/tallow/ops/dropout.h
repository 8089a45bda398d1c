// The dropout family of torch.nn.functional. Elements (or channels) are drawn from the global
// generator, so that a seed gives the same ones on every device and number of threads.
#pragma once

#include "tallow/op.h"
#include "tallow/tensor.h"

namespace tallow {

/// Zeros each element with probability p, and scales the others by 1 / (1 - p), where `training`.
Tensor dropout(const Tensor& input, double p = 0.5, bool training = true);
/// dropout of whole channels of input [N, C, ...].
Tensor feature_dropout(const Tensor& input, double p = 0.5, bool training = true);
/// dropout of channels of input [N, C, L] or [C, L].
Tensor dropout1d(const Tensor& input, double p = 0.5, bool training = true);
/// dropout of channels of input [N, C, H, W] or [C, H, W].
Tensor dropout2d(const Tensor& input, double p = 0.5, bool training = true);
/// dropout of channels of input [N, C, D, H, W] or [C, D, H, W].
Tensor dropout3d(const Tensor& input, double p = 0.5, bool training = true);
/// dropout that keeps mean and variance of a SELU's output. Klambauer et al. 2017 (arXiv
/// 1706.02515).
Tensor alpha_dropout(const Tensor& input, double p = 0.5, bool training = false);
/// alpha_dropout of whole channels of input [N, C, ...].
Tensor feature_alpha_dropout(const Tensor& input, double p = 0.5, bool training = false);

}  // namespace tallow
