// Gradients of an op by those of a function of simpler ops: for second derivatives of a fused one,
// and for its rare forms.
#pragma once

#include "tallow/autograd.h"
#include "tallow/op.h"

namespace tallow {

/// The gradients of `function(inputs)` (Tensors of Inputs), for each input that wants one. Where
/// the pass is recorded, so is this.
template <class F>
Tensors gradients_of(Inputs inputs, Inputs grads, const F& function) {
  const bool record = grad_enabled();
  // Of its own identity each, also where one tensor stands for several inputs.
  Tensors own(inputs.begin(), inputs.end()), wanted;
  for (Tensor& t : own) {
    if (!t.defined() || !t.requires_grad()) continue;
    t = record ? t.expand(t.shape()) : t.detach().requires_grad_();
    wanted.push_back(t);
  }
  Tensors outputs;
  {
    GradMode recording(true);
    outputs = function(Inputs(own));
  }
  Tensors from, weights;
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (!outputs[i].requires_grad()) continue;
    from.push_back(outputs[i]);
    weights.push_back(grads[i]);
  }
  const Tensors found = grad(from, wanted, weights, {.create_graph = record, .allow_unused = true});
  Tensors result(inputs.size());
  for (size_t i = 0, j = 0; i < inputs.size(); ++i) {
    if (own[i].defined() && own[i].requires_grad()) result[i] = found[j++];
  }
  return result;
}

}  // namespace tallow
