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

}  // namespace tallow
