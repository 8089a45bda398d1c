// An op of one's own: shapes, kernel and gradient stand side by side. It works like any other: with
// autograd, and second derivatives since its gradient is written with ops.
#include <cmath>
#include <iostream>

#include <tallow/autograd.h>
#include <tallow/error.h>
#include <tallow/from_data.h>
#include <tallow/op.h>
#include <tallow/ops.h>
#include <tallow/print.h>

using namespace tallow;

namespace {

// swish(x) = x / (1 + e^(-beta x))
struct SwishOptions {
  double beta;
};

Specs infer(Inputs in, const SwishOptions&) {
  if (in[0].dtype() != DType::f32) fail("swish: x is ", in[0], "; call .to(f32)");
  return {{in[0].shape(), DType::f32}};
}

void cpu(Inputs in, Outputs out, const SwishOptions& o) {
  const Tensor x = in[0].contiguous();
  const float *from = x.data<float>(), beta = static_cast<float>(o.beta);
  float* to = out[0].data<float>();
  for (int64_t i = 0; i < x.numel(); ++i) to[i] = from[i] / (1 + std::exp(-beta * from[i]));
}

Tensors vjp(const Saved<SwishOptions>& saved, Inputs grads) {
  const Tensor& x = saved.inputs[0];
  const Tensor s = sigmoid(x * saved.options.beta);
  return {grads[0] * (s + x * s * (1.0 - s) * saved.options.beta)};
}

constinit Op<SwishOptions> swish_op{"swish", {.infer = infer, .vjp = vjp, .cpu = cpu}};

Tensor swish(const Tensor& x, double beta) { return apply(swish_op, {x}, {beta}); }

}  // namespace

int main() {
  const Tensor x = tensor({-1.0, 0.0, 1.0}).requires_grad_();
  const Tensor y = swish(x, 1.0);
  std::cout << y.detach() << "\n" << grad({sum(y)}, {x})[0] << "\n";
  std::cout << (silu(x) - y).detach() << "\n";
}
