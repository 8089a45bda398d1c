// rms_norm and add_rms_norm: root-mean-square normalization of the rows of x, Zhang and Sennrich
// 2019 (arXiv 1910.07467); the second adds a residual first and returns the sum too.
#include <cmath>

#include "ops/registry.h"
#include "ops/rows.h"

namespace tallow {

namespace {

const int64_t kLast[] = {-1};

Specs infer(Inputs in, const RmsNormOptions&) {
  check_real("rms_norm", "x", in[0], 1);
  check_row_weight("rms_norm", in[0], in[1]);
  return {{in[0].shape(), in[0].dtype()}};
}

Specs add_infer(Inputs in, const RmsNormOptions&) {
  check_real("add_rms_norm", "x", in[0], 1);
  check_row_weight("add_rms_norm", in[0], in[2]);
  if (in[1].shape() != in[0].shape() || in[1].dtype() != in[0].dtype())
    fail("add_rms_norm: x ", in[0], " and delta ", in[1], " differ; they need one shape and dtype");
  return {{in[0].shape(), in[0].dtype()}, {in[0].shape(), in[0].dtype()}};
}

/// The sum of x over every dimension but the last.
Tensor sum_rows(const Tensor& x) {
  if (x.dim() < 2) return x;
  const int64_t first[] = {0};
  return sum(x.reshape({-1, x.shape().back()}), first);
}

/// The gradients with respect to x and weight.
Tensors rms_gradients(const Tensor& x, const Tensor& weight, const Tensor& grad, double eps) {
  Tensor inverse = rsqrt(mean(square(x), kLast, true) + eps);
  Tensor normal = x * inverse;
  Tensor weighted = grad * weight;
  return {inverse * (weighted - normal * mean(weighted * normal, kLast, true)),
          sum_rows(grad * normal)};
}

Tensors vjp(const Saved<RmsNormOptions>& saved, Inputs grads) {
  return rms_gradients(saved.inputs[0], saved.inputs[1], grads[0], saved.options.eps);
}

Tensors add_vjp(const Saved<RmsNormOptions>& saved, Inputs grads) {
  Tensor total = grads[0], weight_grad;
  if (grads[1]) {
    Tensor sum_of_inputs = saved.inputs[0] + saved.inputs[1];
    Tensors through = rms_gradients(sum_of_inputs, saved.inputs[2], grads[1], saved.options.eps);
    total = total ? total + through[0] : through[0];
    weight_grad = through[1];
  }
  return {total, total, weight_grad};
}

template <class T>
void normalize_rows(const T* x, const T* weight, T* y, int64_t rows, int64_t n, double eps) {
  for (int64_t r = 0; r < rows; ++r, x += n, y += n) {
    T squares = 0;
    for (int64_t i = 0; i < n; ++i) squares += x[i] * x[i];
    const T inverse = T(1) / std::sqrt(squares / T(n) + T(eps));
    for (int64_t i = 0; i < n; ++i) y[i] = x[i] * inverse * weight[i];
  }
}

void normalize(const Tensor& x, const Tensor& weight, const Tensor& out, double eps) {
  const int64_t n = x.shape().back();
  const int64_t rows = n == 0 ? 0 : x.numel() / n;
  compute_real(out, [&](const Tensor& y) {
    const Tensor from = x.to(y.dtype()).contiguous(), w = weight.to(y.dtype()).contiguous();
    if (y.dtype() == DType::f64) {
      normalize_rows(from.data<double>(), w.data<double>(), y.data<double>(), rows, n, eps);
    } else {
      normalize_rows(from.data<float>(), w.data<float>(), y.data<float>(), rows, n, eps);
    }
  });
}

void cpu(Inputs in, Outputs out, const RmsNormOptions& options) {
  normalize(in[0], in[1], out[0], options.eps);
}

void add_cpu(Inputs in, Outputs out, const RmsNormOptions& options) {
  compute_real(out[0], [&](const Tensor& y) {
    const Tensor x = in[0].to(y.dtype()).contiguous(), delta = in[1].to(y.dtype()).contiguous();
    for (int64_t i = 0; i < y.numel(); ++i) {
      if (y.dtype() == DType::f64) {
        y.data<double>()[i] = x.data<double>()[i] + delta.data<double>()[i];
      } else {
        y.data<float>()[i] = x.data<float>()[i] + delta.data<float>()[i];
      }
    }
  });
  normalize(out[0], in[2], out[1], options.eps);
}

Tensors composite(Inputs in, const RmsNormOptions& options) {
  return {in[0] * rsqrt(mean(square(in[0]), kLast, true) + options.eps) * in[1]};
}

Tensors add_composite(Inputs in, const RmsNormOptions& options) {
  Tensor total = in[0] + in[1];
  return {total, apply(rms_norm_op, {total, in[2]}, options)};
}

Work work(Inputs in, Outputs, const RmsNormOptions&) {
  return {.flops = 4.0 * static_cast<double>(in[0].numel())};
}

}  // namespace

constinit Op<RmsNormOptions> rms_norm_op{
    "rms_norm", {.infer = infer, .vjp = vjp, .cpu = cpu, .composite = composite, .work = work}};
constinit Op<RmsNormOptions> add_rms_norm_op{
    "add_rms_norm",
    {.infer = add_infer, .vjp = add_vjp, .cpu = add_cpu, .composite = add_composite, .work = work}};

Tensors add_rms_norm(const Tensor& x, const Tensor& delta, const Tensor& weight, double eps) {
  const Tensor inputs[] = {x, delta, weight};
  return apply_many(add_rms_norm_op, inputs, {eps});
}

}  // namespace tallow
