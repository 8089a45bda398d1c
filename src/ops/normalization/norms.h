// The op objects of the normalization layers, and what their kernels are told.
#pragma once

#include "ops/registry.h"

namespace tallow {

struct LayerNormOptions {
  int dims = 1;  ///< how many of the last dimensions are normalized
  double eps = 1e-5;
};
struct GroupNormOptions {
  int64_t groups = 1;
  double eps = 1e-5;
};
struct BatchNormOptions {
  bool training = true;
  double eps = 1e-5;
};

extern Op<SoftmaxOptions> log_softmax_op;
/// g and the softmax (its logarithm): the gradient of the input.
extern Op<SoftmaxOptions> softmax_backward_op, log_softmax_backward_op;
/// x, weight, bias: y, mean, 1 / sqrt(var + eps).
extern Op<LayerNormOptions> layer_norm_op;
/// g, x, weight, mean, 1 / sqrt(var + eps): gradients of x, weight, bias.
extern Op<LayerNormOptions> layer_norm_backward_op;
/// x, weight, bias: y, mean, 1 / sqrt(var + eps), of [n, groups].
extern Op<GroupNormOptions> group_norm_op;
/// x, weight, bias, running_mean, running_var: y, mean, variance (biased).
extern Op<BatchNormOptions> batch_norm_op;
/// g, x, weight, mean, variance: gradients of x, weight, bias.
extern Op<BatchNormOptions> batch_norm_backward_op;

/// What a layer's statistics are kept in: f64 for f64, else f32.
inline DType statistics_dtype(DType dtype) { return dtype == DType::f64 ? dtype : DType::f32; }

/// x seen as [outer, n, inner] around a dimension.
struct Planes {
  int64_t outer = 1, n = 1, inner = 1;
  Planes(const Shape& shape, int dim) {
    for (int d = 0; d < shape.size(); ++d) (d < dim ? outer : d == dim ? n : inner) *= shape[d];
  }
};

}  // namespace tallow
