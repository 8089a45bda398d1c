// Reverse-mode automatic differentiation.
#pragma once

#include <functional>
#include <string>

#include "tallow/tensor.h"

namespace tallow {

/// Whether ops record their history on this thread (true at first).
bool grad_enabled();
void set_grad_enabled(bool enabled);

/// Sets whether history is recorded while it lives.
class GradMode {
 public:
  explicit GradMode(bool enabled) : before_(grad_enabled()) { set_grad_enabled(enabled); }
  ~GradMode() { set_grad_enabled(before_); }
  GradMode(const GradMode&) = delete;
  GradMode& operator=(const GradMode&) = delete;

 private:
  bool before_;
};
/// No history is recorded while one lives.
class NoGrad : public GradMode {
 public:
  NoGrad() : GradMode(false) {}
};

/// Whether tensors made on this thread are inference tensors: without history, versions or views
/// that autograd knows of, and refused where a gradient would need their values.
bool inference_mode_enabled();
void set_inference_mode(bool enabled);
class InferenceMode {
 public:
  explicit InferenceMode(bool enabled = true)
      : grad_(!enabled && grad_enabled()), before_(inference_mode_enabled()) {
    set_inference_mode(enabled);
  }
  ~InferenceMode() { set_inference_mode(before_); }
  InferenceMode(const InferenceMode&) = delete;
  InferenceMode& operator=(const InferenceMode&) = delete;

 private:
  GradMode grad_;
  bool before_;
};

/// Whether the backward pass looks for NaN in every gradient and, where it finds one, throws an
/// Error that names the op.
bool anomaly_detection();
void set_anomaly_detection(bool enabled);

struct GradOptions {
  bool create_graph = false;  ///< record the backward pass itself, for second derivatives
  bool allow_unused = false;  ///< an input that no output depends on gets an undefined gradient
  bool retain_graph = false;  ///< keep what the pass needs, for another one; so does create_graph
};

/// d(outputs)/d(inputs), weighted by `grad_outputs` (ones when empty). Throws Error for an op
/// without a gradient, for an input that is unused unless `allow_unused`, for values that were
/// changed in place since, and for a graph whose values an earlier pass has freed.
Tensors grad(const Tensors& outputs, const Tensors& inputs, const Tensors& grad_outputs = {},
             const GradOptions& options = {});

/// Accumulates d(tensors)/d(leaf) into the grad of each leaf that they depend on (of `inputs` only,
/// when given). Throws as grad.
void backward(const Tensors& tensors, const Tensors& gradients = {},
              const GradOptions& options = {}, const Tensors& inputs = {});

/// The gradient that a hook returns takes the place of the one it was given; an undefined one
/// leaves it.
using Hook = std::function<Tensor(const Tensor& gradient)>;

/// Calls `hook` with the leaf after each backward() that added to its gradient. Returns its number,
/// by which remove_hook takes it away.
int64_t register_post_accumulate_grad_hook(const Tensor& leaf,
                                           std::function<void(const Tensor& leaf)> hook);

/// Tensors with the values of `outputs`, whose gradient is `backward`: from the gradients of the
/// outputs to those of `inputs` (undefined where there is none). For ops written outside of tallow:
/// compute the outputs under NoGrad, then give them their history with this.
Tensors custom_gradient(const std::string& name, const Tensors& inputs, const Tensors& outputs,
                        std::function<Tensors(const Tensors& gradients)> backward);

/// f(inputs), keeping none of the values in between for the backward pass, which computes them
/// again. f must do the same each time. Chen et al., "Training deep nets with sublinear memory
/// cost", 2016.
Tensors checkpoint(const std::function<Tensors(const Tensors&)>& f, const Tensors& inputs);

/// Writes `result` into `self`, as `self.op_(...)` does: values, version and history, also of the
/// tensors that are views of the same memory. Throws Error, naming `op`, where PyTorch would: for a
/// leaf that requires a gradient, for a result that has another shape or does not convert to self's
/// dtype, for elements that overlap in memory.
Tensor& in_place(Tensor& self, const char* op, Tensor&& result);

}  // namespace tallow
