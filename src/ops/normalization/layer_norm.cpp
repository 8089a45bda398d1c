// layer_norm over the last dimensions. Statistics are kept in f32 (f64 for f64).
#include <algorithm>
#include <cmath>
#include <vector>

#include "ops/elements.h"
#include "ops/gradients.h"
#include "ops/normalization/norms.h"
#include "ops/reduce/reduce.h"
#include "ops/rows.h"
#include "tallow/parallel.h"

namespace tallow {
namespace {

int64_t row_length(const Shape& shape, int dims) {
  int64_t n = 1;
  for (int i = shape.size() - dims; i < shape.size(); ++i) n *= shape[i];
  return n;
}

Shape statistics_shape(const Shape& shape, int dims) {
  Shape out = shape;
  for (int i = shape.size() - dims; i < shape.size(); ++i) out[i] = 1;
  return out;
}

Specs infer(Inputs in, const LayerNormOptions& o) {
  const Tensor& x = in[0];
  check_real("layer_norm", "input", x, 1);
  const Shape shape(std::span(x.shape().end() - o.dims, x.shape().end()));
  for (int i = 1; i < 3; ++i) {
    if (in[i] && in[i].shape() != shape) {
      fail("layer_norm: ", i == 1 ? "weight " : "bias ", in[i], " does not fit; it needs ", shape);
    }
  }
  const Shape rows = statistics_shape(x.shape(), o.dims);
  const DType dtype = statistics_dtype(x.dtype());
  return {{x.shape(), x.dtype()}, {rows, dtype}, {rows, dtype}};
}

template <class T>
void forward_rows(Inputs in, Outputs out, const LayerNormOptions& o) {
  const Tensor& x = in[0];
  const int64_t n = row_length(x.shape(), o.dims);
  if (x.numel() == 0) return;
  const DType dtype = statistics_dtype(x.dtype());
  const Tensor weights = in[1] ? in[1].detach().to(dtype).contiguous() : Tensor();
  const Tensor biases = in[2] ? in[2].detach().to(dtype).contiguous() : Tensor();
  const T *weight = weights ? weights.data<T>() : nullptr,
          *bias = biases ? biases.data<T>() : nullptr;
  T *means = out[1].data<T>(), *inverses = out[2].data<T>();
  ElementReader<T> reader(x, x.shape());
  parallel_for(x.numel() / n, std::max<int64_t>(1, 8 * kChunk / n),
               [&](int64_t begin, int64_t end, int) {
                 std::vector<T> scratch(static_cast<size_t>(2 * n));
                 for (int64_t row = begin; row < end; ++row) {
                   const T* v = reader.read(row * n, n, scratch.data());
                   T* y = element_target(out[0], row * n, scratch.data() + n);
                   double sum = 0, squares = 0;
                   for (int64_t i = 0; i < n; ++i) sum += static_cast<double>(v[i]);
                   const double mean = sum / static_cast<double>(n);
                   for (int64_t i = 0; i < n; ++i) {
                     const double d = static_cast<double>(v[i]) - mean;
                     squares += d * d;
                   }
                   const double inverse = 1 / std::sqrt(squares / static_cast<double>(n) + o.eps);
                   const T m = means[row] = static_cast<T>(mean);
                   const T r = inverses[row] = static_cast<T>(inverse);
                   for (int64_t i = 0; i < n; ++i) {
                     const T normal = (v[i] - m) * r;
                     y[i] = (weight ? normal * weight[i] : normal) + (bias ? bias[i] : T(0));
                   }
                   write_elements(out[0], row * n, n, y);
                 }
               });
}

void cpu(Inputs in, Outputs out, const LayerNormOptions& o) {
  if (in[0].dtype() == DType::f64) return forward_rows<double>(in, out, o);
  forward_rows<float>(in, out, o);
}

// y alone, by simpler ops.
Tensors composite(Inputs in, const LayerNormOptions& o) {
  const Tensor& x = in[0];
  std::vector<int64_t> dims;
  for (int i = 1; i <= o.dims; ++i) dims.push_back(-i);
  const Tensor average = mean(x, dims, true), centred = x - average;
  const Tensor inverse = rsqrt(mean(square(centred), dims, true) + o.eps);
  Tensor y = centred * inverse;
  if (in[1]) y = y * in[1];
  if (in[2]) y = y + in[2];
  return {y, average, inverse};
}

Tensors vjp(const Saved<LayerNormOptions>& saved, Inputs grads) {
  if (grad_enabled()) {
    return gradients_of(saved.inputs, grads,
                        [&](Inputs in) { return composite(in, saved.options); });
  }
  const Tensor inputs[] = {grads[0], saved.inputs[0], saved.inputs[1], saved.outputs[1],
                           saved.outputs[2]};
  Tensors g = apply_many(layer_norm_backward_op, inputs, saved.options);
  if (!saved.inputs[1]) g[1] = {};
  if (!saved.inputs[2]) g[2] = {};
  return g;
}

Specs infer_backward(Inputs in, const LayerNormOptions& o) {
  const Shape& shape = in[1].shape();
  const Shape row(std::span(shape.end() - o.dims, shape.end()));
  const DType dtype = statistics_dtype(in[1].dtype());
  return {{shape, in[1].dtype()}, {row, dtype}, {row, dtype}};
}

// dx = r (w g - mean(w g) - normal mean(w g normal)).
template <class T>
void backward_rows(Inputs in, Outputs out, const LayerNormOptions& o) {
  const Tensor &g = in[0], &x = in[1];
  const int64_t n = row_length(x.shape(), o.dims);
  std::fill_n(out[1].data<T>(), n, T(0));
  std::fill_n(out[2].data<T>(), n, T(0));
  if (x.numel() == 0) return;
  const Tensor weights = in[2] ? in[2].detach().to(out[1].dtype()).contiguous() : Tensor();
  const T* weight = weights ? weights.data<T>() : nullptr;
  ElementReader<T> from_g(g, g.shape()), from_x(x, x.shape());
  std::vector<T> a(static_cast<size_t>(n)), b(static_cast<size_t>(n)), c(static_cast<size_t>(n));
  T *dw = out[1].data<T>(), *db = out[2].data<T>();
  for (int64_t row = 0; row < x.numel() / n; ++row) {
    const T* u = from_g.read(row * n, n, a.data());
    const T* v = from_x.read(row * n, n, b.data());
    T* to = element_target(out[0], row * n, c.data());
    const T m = in[3].data<T>()[row], r = in[4].data<T>()[row];
    double first = 0, second = 0;
    for (int64_t i = 0; i < n; ++i) {
      const T normal = (v[i] - m) * r, w = weight ? weight[i] * u[i] : u[i];
      first += static_cast<double>(w);
      second += static_cast<double>(w * normal);
      dw[i] += u[i] * normal;
      db[i] += u[i];
    }
    const T p = static_cast<T>(first / static_cast<double>(n)),
            q = static_cast<T>(second / static_cast<double>(n));
    for (int64_t i = 0; i < n; ++i) {
      const T w = weight ? weight[i] * u[i] : u[i];
      to[i] = r * (w - p - (v[i] - m) * r * q);
    }
    write_elements(out[0], row * n, n, to);
  }
}

void backward_cpu(Inputs in, Outputs out, const LayerNormOptions& o) {
  if (in[1].dtype() == DType::f64) return backward_rows<double>(in, out, o);
  backward_rows<float>(in, out, o);
}

LayerNormOptions checked(const char* op, const Tensor& x, const Shape& normalized, double eps) {
  const int dims = normalized.size();
  if (dims == 0) fail(op, ": normalized_shape is []; it needs a dimension or more");
  bool fits = x.dim() >= dims;
  for (int i = 0; i < dims && fits; ++i) fits = x.shape()[x.dim() - dims + i] == normalized[i];
  if (!fits) {
    fail(op, ": input ", x, " does not end with normalized_shape ", normalized);
  }
  return {dims, eps};
}

}  // namespace

constinit Op<LayerNormOptions> layer_norm_op{
    "layer_norm",
    {.infer = infer, .vjp = vjp, .cpu = cpu, .composite = composite, .save_outputs = true}};
constinit Op<LayerNormOptions> layer_norm_backward_op{
    "layer_norm_backward", {.infer = infer_backward, .cpu = backward_cpu}};

Tensors native_layer_norm(const Tensor& input, const Shape& normalized_shape, const Tensor& weight,
                          const Tensor& bias, double eps) {
  const LayerNormOptions options = checked("layer_norm", input, normalized_shape, eps);
  const Tensor inputs[] = {input, weight, bias};
  Tensors r = apply_many(layer_norm_op, inputs, options);
  const DType dtype = weight && weight.dtype() != input.dtype() ? weight.dtype() : input.dtype();
  return {r[0], r[1].detach().to(dtype), r[2].detach().to(dtype)};
}

Tensor layer_norm(const Tensor& input, const Shape& normalized_shape, const Tensor& weight,
                  const Tensor& bias, double eps) {
  const LayerNormOptions options = checked("layer_norm", input, normalized_shape, eps);
  return apply(layer_norm_op, {input, weight, bias}, options);
}

Tensor rms_norm(const Tensor& input, const Shape& normalized_shape, const Tensor& weight,
                std::optional<double> eps) {
  const int dims = checked("rms_norm", input, normalized_shape, 0).dims;
  const bool wide = input.dtype() == DType::f64 || input.dtype() == DType::c128;
  const double epsilon = eps.value_or(wide ? 2.220446049250313e-16 : 1.1920928955078125e-07);
  if (weight && weight.shape() != normalized_shape) {
    fail("rms_norm: weight ", weight, " does not fit; it needs ", normalized_shape);
  }
  if (!is_real(input.dtype())) {
    std::vector<int64_t> last;
    for (int i = 1; i <= dims; ++i) last.push_back(-i);
    const Tensor y = input * rsqrt(mean(square(input), last, true) + epsilon);
    return weight ? y * weight : y;
  }
  const int64_t n = normalized_shape.numel();
  const Tensor w = weight ? weight.reshape({n}) : Tensor::full({n}, 1, input.dtype());
  if (dims == 1) return apply(rms_norm_op, {input, w}, {epsilon});
  Shape rows = statistics_shape(input.shape(), dims);
  rows.push_back(n);
  return apply(rms_norm_op, {input.reshape(rows), w}, {epsilon}).reshape(input.shape());
}

}  // namespace tallow
