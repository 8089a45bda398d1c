// softmax: exp(x - max) / sum over one dimension.
#include <algorithm>
#include <cmath>

#include "ops/registry.h"
#include "ops/rows.h"

namespace tallow {

namespace {

Specs infer(Inputs in, const SoftmaxOptions& options) {
  check_real("softmax", "x", in[0], 0);
  if (in[0].dim() > 0) normalize_dim(options.dim, in[0].dim(), "softmax");
  return {{in[0].shape(), in[0].dtype()}};
}

Tensors vjp(const Saved<SoftmaxOptions>& saved, Inputs grads) {
  const Tensor& y = saved.outputs[0];
  if (y.dim() == 0) return {grads[0] * 0.0};
  const int64_t dims[] = {saved.options.dim};
  Tensor weighted = grads[0] * y;
  return {weighted - y * sum(weighted, dims, true)};
}

/// x [outer, n, inner], normalized over n.
template <class T>
void normalize(const T* x, T* y, int64_t outer, int64_t n, int64_t inner) {
  for (int64_t o = 0; o < outer; ++o) {
    for (int64_t i = 0; i < inner; ++i) {
      const T* from = x + o * n * inner + i;
      T* to = y + o * n * inner + i;
      T top = from[0], total = 0;
      for (int64_t j = 1; j < n; ++j) top = std::max(top, from[j * inner]);
      for (int64_t j = 0; j < n; ++j) total += to[j * inner] = std::exp(from[j * inner] - top);
      for (int64_t j = 0; j < n; ++j) to[j * inner] /= total;
    }
  }
}

void cpu(Inputs in, Outputs out, const SoftmaxOptions& options) {
  if (in[0].numel() == 0) return;
  const Shape& shape = in[0].shape();
  int64_t outer = 1, n = 1, inner = 1;
  for (int d = 0; d < shape.size(); ++d) {
    (d < options.dim ? outer : d == options.dim ? n : inner) *= shape[d];
  }
  compute_real(out[0], [&](const Tensor& y) {
    const Tensor x = in[0].to(y.dtype()).contiguous();
    if (y.dtype() == DType::f64) {
      normalize(x.data<double>(), y.data<double>(), outer, n, inner);
    } else {
      normalize(x.data<float>(), y.data<float>(), outer, n, inner);
    }
  });
}

Tensors composite(Inputs in, const SoftmaxOptions& options) {
  if (in[0].dim() == 0) return {in[0] * 0.0 + 1.0};
  const int64_t dims[] = {options.dim};
  Tensor raised = exp(in[0] - amax(in[0], dims, true));
  return {raised / sum(raised, dims, true)};
}

Work work(Inputs in, Outputs, const SoftmaxOptions&) {
  return {.flops = 5.0 * static_cast<double>(in[0].numel())};
}

}  // namespace

constinit Op<SoftmaxOptions> softmax_op{"softmax",
                                        {.infer = infer,
                                         .vjp = vjp,
                                         .cpu = cpu,
                                         .composite = composite,
                                         .work = work,
                                         .save_outputs = true}};

Tensor softmax(const Tensor& x, int64_t dim) {
  const int axis = x.dim() == 0 ? 0 : normalize_dim(dim, x.dim(), "softmax");
  return apply(softmax_op, {x}, {axis});
}

}  // namespace tallow
