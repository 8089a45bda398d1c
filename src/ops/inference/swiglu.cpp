// swiglu: silu(gate) * up, the gated activation of LLaMA's MLP. Shazeer 2020 (arXiv 2002.05202).
#include <cmath>

#include "ops/registry.h"
#include "ops/rows.h"

namespace tallow {

namespace {

Specs infer(Inputs in, const NoOptions&) {
  check_real("swiglu", "gate", in[0], 0);
  if (in[0].shape() != in[1].shape() || in[0].dtype() != in[1].dtype())
    fail("swiglu: gate ", in[0], " and up ", in[1], " differ; they need one shape and dtype");
  return {{in[0].shape(), in[0].dtype()}};
}

Tensors vjp(const Saved<NoOptions>& saved, Inputs grads) {
  const Tensor &gate = saved.inputs[0], &up = saved.inputs[1], &grad = grads[0];
  Tensor s = sigmoid(gate);
  Tensor activated = gate * s;
  return {grad * up * (s + activated - activated * s), grad * activated};
}

template <class T>
void gate_elements(const T* gate, const T* up, T* y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] = gate[i] / (T(1) + std::exp(-gate[i])) * up[i];
}

void cpu(Inputs in, Outputs out, const NoOptions&) {
  compute_real(out[0], [&](const Tensor& y) {
    const Tensor gate = in[0].to(y.dtype()).contiguous(), up = in[1].to(y.dtype()).contiguous();
    if (y.dtype() == DType::f64) {
      gate_elements(gate.data<double>(), up.data<double>(), y.data<double>(), y.numel());
    } else {
      gate_elements(gate.data<float>(), up.data<float>(), y.data<float>(), y.numel());
    }
  });
}

Tensors composite(Inputs in, const NoOptions&) { return {silu(in[0]) * in[1]}; }

Work work(Inputs in, Outputs, const NoOptions&) {
  return {.flops = 5.0 * static_cast<double>(in[0].numel())};
}

}  // namespace

constinit Op<> swiglu_op{
    "swiglu", {.infer = infer, .vjp = vjp, .cpu = cpu, .composite = composite, .work = work}};

Tensor swiglu(const Tensor& gate, const Tensor& up) { return apply(swiglu_op, {gate, up}); }

}  // namespace tallow
