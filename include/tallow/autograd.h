// Reverse-mode automatic differentiation.
#pragma once

#include "tallow/tensor.h"

namespace tallow {

/// Whether ops record their history on this thread (true at first).
bool grad_enabled();
void set_grad_enabled(bool enabled);

/// No history is recorded while one lives.
class NoGrad {
 public:
  NoGrad() : before_(grad_enabled()) { set_grad_enabled(false); }
  ~NoGrad() { set_grad_enabled(before_); }
  NoGrad(const NoGrad&) = delete;
  NoGrad& operator=(const NoGrad&) = delete;

 private:
  bool before_;
};

struct GradOptions {
  bool create_graph = false;  ///< record the backward pass itself, for second derivatives
  bool allow_unused = false;  ///< an input that no output depends on gets an undefined gradient
};

/// d(outputs)/d(inputs), weighted by `grad_outputs` (ones when empty). Throws Error for an op
/// without a gradient, and for an input that is unused unless `allow_unused`.
Tensors grad(const Tensors& outputs, const Tensors& inputs, const Tensors& grad_outputs = {},
             const GradOptions& options = {});

}  // namespace tallow
