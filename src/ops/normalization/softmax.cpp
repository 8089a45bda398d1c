// softmax and log_softmax over one dimension, and their gradients.
#include <algorithm>
#include <cmath>

#include "ops/elements.h"
#include "ops/normalization/norms.h"
#include "ops/reduce/reduce.h"
#include "ops/rows.h"
#include "tallow/parallel.h"

namespace tallow {
namespace {

Specs infer(const char* op, Inputs in, const SoftmaxOptions& options) {
  check_real(op, "input", in[0], 0);
  if (in[0].dim() > 0) normalize_dim(options.dim, in[0].dim(), op);
  return {{in[0].shape(), in[0].dtype()}};
}

Specs infer_backward(Inputs in, const SoftmaxOptions&) { return {{in[1].shape(), in[1].dtype()}}; }

/// Calls fn(x, y, more) over lines of n elements, `stride` apart, in f32 or f64.
template <class F>
void over_lines(const Tensor& out, const SoftmaxOptions& o, const F& fn) {
  if (out.numel() == 0) return;
  const Planes p(out.shape(), o.dim);
  parallel_for(p.outer * p.inner, std::max<int64_t>(1, 16 * kChunk / p.n),
               [&](int64_t begin, int64_t end, int) {
                 for (int64_t i = begin; i < end; ++i) {
                   fn(i / p.inner * p.n * p.inner + i % p.inner, p.n, p.inner);
                 }
               });
}

template <class T, bool kLog>
void forward_lines(const Tensor& in, const Tensor& out, const SoftmaxOptions& o) {
  const T* x = in.data<T>();
  T* y = out.data<T>();
  over_lines(out, o, [&](int64_t at, int64_t n, int64_t stride) {
    const T* from = x + at;
    T* to = y + at;
    T top = from[0];
    double total = 0;
    for (int64_t j = 1; j < n; ++j) top = std::max(top, from[j * stride]);
    if constexpr (kLog) {
      for (int64_t j = 0; j < n; ++j)
        total += static_cast<double>(std::exp(from[j * stride] - top));
      const T shift = static_cast<T>(std::log(total));
      for (int64_t j = 0; j < n; ++j) to[j * stride] = from[j * stride] - top - shift;
    } else {
      for (int64_t j = 0; j < n; ++j) {
        const T e = std::exp(from[j * stride] - top);
        to[j * stride] = e;
        total += static_cast<double>(e);
      }
      for (int64_t j = 0; j < n; ++j) to[j * stride] = static_cast<T>(to[j * stride] / total);
    }
  });
}

// Of softmax: y (g - sum(g y)). Of log_softmax: g - exp(y) sum(g).
template <class T, bool kLog>
void backward_lines(const Tensor& grad, const Tensor& result, const Tensor& out,
                    const SoftmaxOptions& o) {
  const T *g = grad.data<T>(), *y = result.data<T>();
  T* to = out.data<T>();
  over_lines(out, o, [&](int64_t at, int64_t n, int64_t stride) {
    double total = 0;
    for (int64_t j = at, i = 0; i < n; ++i, j += stride) {
      total += static_cast<double>(kLog ? g[j] : g[j] * y[j]);
    }
    const T sum = static_cast<T>(total);
    for (int64_t j = at, i = 0; i < n; ++i, j += stride) {
      to[j] = kLog ? g[j] - std::exp(y[j]) * sum : y[j] * (g[j] - sum);
    }
  });
}

template <bool kLog>
void cpu(Inputs in, Outputs out, const SoftmaxOptions& o) {
  compute_real(out[0], [&](const Tensor& y) {
    const Tensor x = in[0].detach().to(y.dtype()).contiguous();
    if (y.dtype() == DType::f64) return forward_lines<double, kLog>(x, y, o);
    forward_lines<float, kLog>(x, y, o);
  });
}

template <bool kLog>
void backward_cpu(Inputs in, Outputs out, const SoftmaxOptions& o) {
  compute_real(out[0], [&](const Tensor& to) {
    const Tensor g = in[0].detach().to(to.dtype()).contiguous(),
                 y = in[1].detach().to(to.dtype()).contiguous();
    if (to.dtype() == DType::f64) return backward_lines<double, kLog>(g, y, to, o);
    backward_lines<float, kLog>(g, y, to, o);
  });
}

// Gradients by simpler ops, for second derivatives and devices without a kernel.
Tensors backward_composite(Inputs in, const SoftmaxOptions& o) {
  const Tensor weighted = in[0] * in[1];
  return {weighted - in[1] * sum(weighted, Dims{o.dim}, true)};
}
Tensors log_backward_composite(Inputs in, const SoftmaxOptions& o) {
  return {in[0] - exp(in[1]) * sum(in[0], Dims{o.dim}, true)};
}

Tensors composite(Inputs in, const SoftmaxOptions& options) {
  if (in[0].dim() == 0) return {in[0] * 0.0 + 1.0};
  const int64_t dims[] = {options.dim};
  const Tensor raised = exp(in[0] - amax(in[0], dims, true));
  return {raised / sum(raised, dims, true)};
}
Tensors log_composite(Inputs in, const SoftmaxOptions& options) {
  if (in[0].dim() == 0) return {in[0] * 0.0};
  const int64_t dims[] = {options.dim};
  return {in[0] - logsumexp(in[0], dims, true)};
}

Work work(Inputs in, Outputs, const SoftmaxOptions&) {
  return {.flops = 5.0 * static_cast<double>(in[0].numel())};
}

int axis_of(const char* op, const Tensor& x, int64_t dim) { return checked_dim(x, dim, op); }

}  // namespace

constinit Op<SoftmaxOptions> softmax_op{
    "softmax",
    {.infer = [](Inputs in, const SoftmaxOptions& o) { return infer("softmax", in, o); },
     .vjp =
         [](const Saved<SoftmaxOptions>& saved, Inputs grads) {
           return Tensors{apply(softmax_backward_op, {grads[0], saved.outputs[0]}, saved.options)};
         },
     .cpu = cpu<false>,
     .composite = composite,
     .work = work,
     .save_outputs = true,
     .shapes_only = true}};
constinit Op<SoftmaxOptions> log_softmax_op{
    "log_softmax",
    {.infer = [](Inputs in, const SoftmaxOptions& o) { return infer("log_softmax", in, o); },
     .vjp =
         [](const Saved<SoftmaxOptions>& saved, Inputs grads) {
           return Tensors{
               apply(log_softmax_backward_op, {grads[0], saved.outputs[0]}, saved.options)};
         },
     .cpu = cpu<true>,
     .composite = log_composite,
     .work = work,
     .save_outputs = true,
     .shapes_only = true}};
constinit Op<SoftmaxOptions> softmax_backward_op{
    "softmax_backward",
    {.infer = infer_backward, .cpu = backward_cpu<false>, .composite = backward_composite}};
constinit Op<SoftmaxOptions> log_softmax_backward_op{
    "log_softmax_backward",
    {.infer = infer_backward, .cpu = backward_cpu<true>, .composite = log_backward_composite}};

Tensor softmax(const Tensor& self, int64_t dim, std::optional<DType> dtype) {
  return apply(softmax_op, {as_dtype(self, dtype)}, {axis_of("softmax", self, dim)});
}
Tensor log_softmax(const Tensor& self, int64_t dim, std::optional<DType> dtype) {
  return apply(log_softmax_op, {as_dtype(self, dtype)}, {axis_of("log_softmax", self, dim)});
}
Tensor softmin(const Tensor& input, int64_t dim, std::optional<DType> dtype) {
  return softmax(-input, dim, dtype);
}

}  // namespace tallow
