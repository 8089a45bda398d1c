// The op of cross_entropy and nll_loss, for backends to bind.
#pragma once

#include "tallow/op.h"

namespace tallow {

struct ClassLossOptions {
  int64_t ignore_index;
  double smoothing;
  bool normalized;  // the input is log probabilities already
};
/// input [N, C, inner], target [N, inner], weight [C] or undefined: {loss, lse}, [N, inner] in f32
/// or f64.
extern Op<ClassLossOptions> class_loss_op;
/// input, target, weight, lse, and the gradient of loss: that of input.
extern Op<ClassLossOptions> class_loss_backward_op;

/// The loops over `width` rows of n logits, those of f32 for backends to replace. The rows are
/// columns in memory: element c of row i stands at c * stride + i. `width` is 1 where stride is.
template <class T>
struct LogitLoops {
  /// log(sum(exp(x))) of each row.
  void (*log_sum_exp)(const T* x, int64_t n, int64_t stride, int64_t width, T* result);
  /// y = exp(x - shifts) * scales, by rows.
  void (*exp_scaled)(const T* x, T* y, int64_t n, int64_t stride, int64_t width, const T* shifts,
                     const T* scales);
};
extern LogitLoops<float> logit_loops;

}  // namespace tallow
