// group_norm: groups of channels of [n, channels, ..], each by its own mean and variance.
#include <cmath>
#include <vector>

#include "ops/elements.h"
#include "ops/gradients.h"
#include "ops/normalization/norms.h"
#include "ops/rows.h"
#include "tallow/parallel.h"

namespace tallow {
namespace {

Specs infer(Inputs in, const GroupNormOptions& o) {
  const Tensor& x = in[0];
  check_real("group_norm", "input", x, 2);
  const int64_t channels = x.size(1);
  if (o.groups <= 0 || channels % o.groups != 0) {
    fail("group_norm: num_groups is ", o.groups, ", which does not divide ", channels, " channels");
  }
  for (int i = 1; i < 3; ++i) {
    if (in[i] && (in[i].dim() != 1 || in[i].numel() != channels)) {
      fail("group_norm: ", i == 1 ? "weight " : "bias ", in[i], " does not fit; it needs [",
           channels, "]");
    }
  }
  const Shape groups = {x.size(0), o.groups};
  const DType dtype = statistics_dtype(x.dtype());
  return {{x.shape(), x.dtype()}, {groups, dtype}, {groups, dtype}};
}

template <class T>
void forward(Inputs in, Outputs out, const GroupNormOptions& o) {
  const Tensor& x = in[0];
  const Planes p(x.shape(), 1);
  if (x.numel() == 0) return;
  const DType dtype = statistics_dtype(x.dtype());
  auto values = [&](const Tensor& t) { return t ? t.detach().to(dtype).contiguous() : t; };
  const Tensor weight = values(in[1]), bias = values(in[2]);
  const int64_t per_group = p.n / o.groups, length = per_group * p.inner;
  ElementReader<T> reader(x, x.shape());
  parallel_for(
      p.outer * o.groups, std::max<int64_t>(1, 8 * kChunk / length),
      [&](int64_t begin, int64_t end, int) {
        std::vector<T> scratch(static_cast<size_t>(2 * length));
        for (int64_t i = begin; i < end; ++i) {
          const T* v = reader.read(i * length, length, scratch.data());
          T* y = element_target(out[0], i * length, scratch.data() + length);
          double sum = 0, squares = 0;
          for (int64_t j = 0; j < length; ++j) sum += static_cast<double>(v[j]);
          const double mean = sum / static_cast<double>(length);
          for (int64_t j = 0; j < length; ++j) {
            const double d = static_cast<double>(v[j]) - mean;
            squares += d * d;
          }
          const double inverse = 1 / std::sqrt(squares / static_cast<double>(length) + o.eps);
          out[1].data<T>()[i] = static_cast<T>(mean);
          out[2].data<T>()[i] = static_cast<T>(inverse);
          for (int64_t c = 0; c < per_group; ++c) {
            const int64_t channel = i % o.groups * per_group + c;
            const T scale = weight ? weight.data<T>()[channel] : T(1);
            const T shift = bias ? bias.data<T>()[channel] : T(0);
            for (int64_t j = c * p.inner; j < (c + 1) * p.inner; ++j) {
              y[j] = (v[j] - static_cast<T>(mean)) * static_cast<T>(inverse) * scale + shift;
            }
          }
          write_elements(out[0], i * length, length, y);
        }
      });
}

void cpu(Inputs in, Outputs out, const GroupNormOptions& o) {
  if (in[0].dtype() == DType::f64) return forward<double>(in, out, o);
  forward<float>(in, out, o);
}

Tensors composite(Inputs in, const GroupNormOptions& o) {
  const Tensor& x = in[0];
  Shape beside = Shape::filled(x.dim(), 1);
  beside[1] = x.size(1);
  Tensor y = x;
  if (x.numel() > 0) {
    const int64_t length = x.numel() / (x.size(0) * o.groups);
    y = layer_norm(x.reshape({x.size(0) * o.groups, length}), {length}, {}, {}, o.eps);
    y = y.reshape(x.shape());
  }
  if (in[1]) y = y * in[1].reshape(beside);
  if (in[2]) y = y + in[2].reshape(beside);
  return {y.to(x.dtype())};
}

Tensors vjp(const Saved<GroupNormOptions>& saved, Inputs grads) {
  return gradients_of(saved.inputs, grads, [&](Inputs in) { return composite(in, saved.options); });
}

}  // namespace

constinit Op<GroupNormOptions> group_norm_op{"group_norm",
                                             {.infer = infer, .vjp = vjp, .cpu = cpu}};

Tensor group_norm(const Tensor& input, int64_t num_groups, const Tensor& weight, const Tensor& bias,
                  double eps) {
  return apply(group_norm_op, {input, weight, bias}, {num_groups, eps});
}

Tensors native_group_norm(const Tensor& input, const Tensor& weight, const Tensor& bias, int64_t N,
                          int64_t C, int64_t HxW, int64_t group, double eps) {
  check_real("native_group_norm", "input", input, 2);
  if (input.size(0) != N || input.size(1) != C || input.numel() != N * C * HxW) {
    fail("native_group_norm: input ", input, " is not of N ", N, ", C ", C, ", HxW ", HxW);
  }
  const Tensor y = group_norm(input, group, weight, bias, eps);
  const DType dtype = weight && weight.dtype() != input.dtype() ? weight.dtype() : input.dtype();
  const Tensor rows =
      input.to(statistics_dtype(input.dtype())).reshape({N, group, C / group * HxW});
  const Tensors moments = var_mean(rows, -1, 0.0);
  return {y, moments[1].to(dtype), rsqrt(moments[0] + eps).to(dtype)};
}

}  // namespace tallow
