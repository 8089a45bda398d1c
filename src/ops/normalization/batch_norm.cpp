// batch_norm: channels of [n, channels, ..] by the statistics of the batch or by running ones.
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

enum In { kX, kWeight, kBias, kMean, kVariance };

// All dimensions but the channels'.
std::vector<int64_t> other_dims(const Tensor& x) {
  std::vector<int64_t> dims;
  for (int i = 0; i < x.dim(); ++i) {
    if (i != 1) dims.push_back(i);
  }
  return dims;
}

// A value per channel, seen beside x.
Tensor per_channel(const Tensor& v, const Tensor& x) {
  Shape shape = Shape::filled(x.dim(), 1);
  shape[1] = v.numel();
  return v.reshape(shape);
}

Specs infer(Inputs in, const BatchNormOptions& o) {
  const Tensor& x = in[kX];
  check_real("batch_norm", "input", x, 2);
  const int64_t channels = x.size(1);
  const char* names[] = {"input", "weight", "bias", "running_mean", "running_var"};
  for (int i = kWeight; i <= kVariance; ++i) {
    if (in[i] && in[i].numel() != channels) {
      fail("batch_norm: ", names[i], " ", in[i], " does not fit; it needs [", channels, "]");
    }
  }
  if (!o.training && (!in[kMean] || !in[kVariance])) {
    fail("batch_norm: running_mean and running_var are needed where training is false");
  }
  const DType dtype = statistics_dtype(x.dtype());
  return {{x.shape(), x.dtype()}, {{channels}, dtype}, {{channels}, dtype}};
}

// y = scale x + shift per channel of x [outer, channels, inner].
template <class T>
void scale_channels(const Tensor& x, const Tensor& y, const std::vector<T>& scale,
                    const std::vector<T>& shift) {
  const Planes p(x.shape(), 1);
  if (x.numel() == 0) return;
  ElementReader<T> reader(x, x.shape());
  parallel_for(x.numel(), 32 * kChunk, [&](int64_t begin, int64_t end, int) {
    T source[kChunk], target[kChunk];
    for (int64_t i = begin; i < end; i += kChunk) {
      const int64_t n = std::min(kChunk, end - i);
      const T* from = reader.read(i, n, source);
      T* to = element_target(y, i, target);
      for (int64_t j = 0; j < n;) {
        const int64_t plane = (i + j) / p.inner, channel = plane % p.n;
        const int64_t stop = std::min(n, (plane + 1) * p.inner - i);
        for (; j < stop; ++j) to[j] = from[j] * scale[channel] + shift[channel];
      }
      write_elements(y, i, n, to);
    }
  });
}

template <class T>
std::vector<T> values_or(const Tensor& x, int64_t n, T otherwise) {
  std::vector<T> values(static_cast<size_t>(n), otherwise);
  if (!x) return values;
  const T* from = ElementReader<T>(x, x.shape()).read(0, n, values.data());
  if (from != values.data()) std::copy_n(from, n, values.data());
  return values;
}

template <class T>
void forward(Inputs in, Outputs out, const BatchNormOptions& o) {
  const int64_t channels = in[kX].size(1);
  const Tensor x = in[kX].detach();
  if (o.training) {
    const Tensors moments = var_mean(x.to(out[1].dtype()), other_dims(x), 0.0);
    for (int i = 0; i < 2; ++i) {
      const std::vector<T> v = values_or<T>(moments[1 - i], channels, 0);
      write_elements(out[1 + i], 0, channels, v.data());
    }
  } else {
    for (int i = 0; i < 2; ++i) {
      const std::vector<T> v = values_or<T>(in[kMean + i], channels, 0);
      write_elements(out[1 + i], 0, channels, v.data());
    }
  }
  std::vector<T> scale = values_or<T>(in[kWeight], channels, 1),
                 shift = values_or<T>(in[kBias], channels, 0);
  for (int64_t c = 0; c < channels; ++c) {
    const double inverse = 1 / std::sqrt(static_cast<double>(out[2].data<T>()[c]) + o.eps);
    scale[c] = static_cast<T>(scale[c] * inverse);
    shift[c] -= out[1].data<T>()[c] * scale[c];
  }
  scale_channels<T>(x, out[0], scale, shift);
}

void cpu(Inputs in, Outputs out, const BatchNormOptions& o) {
  if (in[kX].dtype() == DType::f64) return forward<double>(in, out, o);
  forward<float>(in, out, o);
}

Tensors composite(Inputs in, const BatchNormOptions& o) {
  const Tensor& x = in[kX];
  Tensor average, variance, centred;
  if (o.training) {
    average = mean(x, other_dims(x), true);
    centred = x - average;
    variance = mean(square(centred), other_dims(x), true);
  } else {
    average = per_channel(in[kMean], x);
    variance = per_channel(in[kVariance], x);
    centred = x - average;
  }
  Tensor y = centred * rsqrt(variance + o.eps);
  if (in[kWeight]) y = y * per_channel(in[kWeight], x);
  if (in[kBias]) y = y + per_channel(in[kBias], x);
  return {y.to(x.dtype()), average.reshape({-1}), variance.reshape({-1})};
}

Tensors vjp(const Saved<BatchNormOptions>& saved, Inputs grads) {
  if (grad_enabled()) {
    return gradients_of(saved.inputs, grads,
                        [&](Inputs in) { return Tensors{composite(in, saved.options)[0]}; });
  }
  const Tensor inputs[] = {grads[0], saved.inputs[kX], saved.inputs[kWeight], saved.outputs[1],
                           saved.outputs[2]};
  Tensors g = apply_many(batch_norm_backward_op, inputs, saved.options);
  if (!saved.inputs[kWeight]) g[1] = {};
  if (!saved.inputs[kBias]) g[2] = {};
  return g;
}

Specs infer_backward(Inputs in, const BatchNormOptions&) {
  const DType dtype = statistics_dtype(in[1].dtype());
  const Shape channels = {in[1].size(1)};
  return {{in[1].shape(), in[1].dtype()}, {channels, dtype}, {channels, dtype}};
}

// With normal = (x - mean) r: dx = w r (g - mean(g) - normal mean(g normal)).
template <class T>
void backward(Inputs in, Outputs out, const BatchNormOptions& o) {
  const Tensor g = in[0].detach().to(out[1].dtype()).contiguous(),
               x = in[1].detach().to(out[1].dtype()).contiguous();
  const Planes p(x.shape(), 1);
  const bool wide = out[0].dtype() == out[1].dtype();
  const Tensor dx = wide ? out[0] : Tensor::empty(x.shape(), out[1].dtype());
  const std::vector<T> weight = values_or<T>(in[2], p.n, 1);
  const auto count = static_cast<double>(p.outer * p.inner);
  parallel_for(
      p.n, std::max<int64_t>(1, 8 * kChunk / std::max<int64_t>(1, p.outer * p.inner)),
      [&](int64_t begin, int64_t end, int) {
        for (int64_t c = begin; c < end; ++c) {
          const T m = in[3].data<T>()[c];
          const double variance = static_cast<double>(in[4].data<T>()[c]);
          const T r = static_cast<T>(1 / std::sqrt(variance + o.eps));
          double first = 0, second = 0;
          auto each = [&](const auto& f) {
            for (int64_t n = 0; n < p.outer; ++n) {
              const int64_t at = (n * p.n + c) * p.inner;
              for (int64_t i = at; i < at + p.inner; ++i) f(i);
            }
          };
          const T *u = g.data<T>(), *v = x.data<T>();
          each([&](int64_t i) {
            first += static_cast<double>(u[i]);
            second += static_cast<double>(u[i] * ((v[i] - m) * r));
          });
          out[1].data<T>()[c] = static_cast<T>(second);
          out[2].data<T>()[c] = static_cast<T>(first);
          const T a = o.training ? static_cast<T>(first / count) : T(0),
                  b = o.training ? static_cast<T>(second / count) : T(0);
          T* to = dx.data<T>();
          each([&](int64_t i) { to[i] = weight[c] * r * (u[i] - a - (v[i] - m) * r * b); });
        }
      });
  if (!wide) write_elements(out[0], 0, dx.numel(), dx.data<T>());
}

void backward_cpu(Inputs in, Outputs out, const BatchNormOptions& o) {
  if (in[1].dtype() == DType::f64) return backward<double>(in, out, o);
  backward<float>(in, out, o);
}

// running = (1 - momentum) running + momentum now, in its memory.
void move_running(const Tensor& running, const Tensor& now, double momentum) {
  if (!running) return;
  NoGrad no_grad;
  Tensor target = running;
  target.copy_(running.detach() * (1 - momentum) + now.reshape(running.shape()) * momentum);
}

Tensors run(const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor& mean,
            const Tensor& variance, bool training, double momentum, double eps) {
  const Tensor inputs[] = {x, weight, bias, training ? Tensor() : mean,
                           training ? Tensor() : variance};
  Tensors r = apply_many(batch_norm_op, inputs, {training, eps});
  if (!training) return r;
  const auto count = static_cast<double>(x.numel() / std::max<int64_t>(1, x.size(1)));
  NoGrad no_grad;
  move_running(mean, r[1].detach(), momentum);
  move_running(variance, r[2].detach() * (count / (count - 1)), momentum);
  return r;
}

}  // namespace

constinit Op<BatchNormOptions> batch_norm_op{
    "batch_norm",
    {.infer = infer, .vjp = vjp, .cpu = cpu, .composite = composite, .save_outputs = true}};
constinit Op<BatchNormOptions> batch_norm_backward_op{
    "batch_norm_backward", {.infer = infer_backward, .cpu = backward_cpu}};

Tensor batch_norm(const Tensor& input, const Tensor& running_mean, const Tensor& running_var,
                  const Tensor& weight, const Tensor& bias, bool training, double momentum,
                  double eps) {
  if (input.dim() == 1 && input.numel() == 0) return input.clone();
  if (training && input.dim() >= 2 && input.numel() == input.size(1)) {
    fail("batch_norm: input ", input, " has one value per channel, which has no variance");
  }
  return run(input, weight, bias, running_mean, running_var, training, momentum, eps)[0];
}

Tensors native_batch_norm(const Tensor& input, const Tensor& weight, const Tensor& bias,
                          const Tensor& running_mean, const Tensor& running_var, bool training,
                          double momentum, double eps) {
  Tensors r = run(input, weight, bias, running_mean, running_var, training, momentum, eps);
  NoGrad no_grad;
  if (!training) {
    const Tensor none = Tensor::empty({0}, input.dtype());
    return {r[0], none, none};
  }
  const DType dtype = weight && weight.dtype() != input.dtype() ? weight.dtype() : input.dtype();
  return {r[0], r[1].detach().to(dtype), rsqrt(r[2].detach() + eps).to(dtype)};
}

Tensor instance_norm(const Tensor& input, const Tensor& running_mean, const Tensor& running_var,
                     const Tensor& weight, const Tensor& bias, bool use_input_stats,
                     double momentum, double eps) {
  check_real("instance_norm", "input", input, 2);
  if (!use_input_stats && (!running_mean || !running_var)) {
    fail("instance_norm: running_mean and running_var are needed where use_input_stats is false");
  }
  const int64_t batch = input.size(0), channels = input.size(1);
  int64_t spatial = 1;
  for (int i = 2; i < input.dim(); ++i) spatial *= input.size(i);
  if (use_input_stats && spatial == 1) {
    fail("instance_norm: input ", input, " has one value per channel, which has no variance");
  }
  for (const Tensor& t : {running_mean, running_var, weight, bias}) {
    if (t && t.numel() != channels) {
      fail("instance_norm: ", t, " does not fit input ", input, "; it needs [", channels, "]");
    }
  }
  auto repeated = [&](const Tensor& v) {
    return v ? v.reshape({1, channels}).expand({batch, channels}).reshape({-1}) : v;
  };
  Shape shape = input.shape();
  shape[0] = 1;
  shape[1] = batch * channels;
  const Tensor x = input.reshape(shape);
  Tensors r =
      run(x, repeated(weight), repeated(bias), use_input_stats ? Tensor() : repeated(running_mean),
          use_input_stats ? Tensor() : repeated(running_var), use_input_stats, momentum, eps);
  if (use_input_stats && (running_mean || running_var)) {
    NoGrad no_grad;
    const auto count = static_cast<double>(spatial);
    const Tensor means = mean(r[1].detach().reshape({batch, channels}), Dims{0});
    const Tensor variances = mean(r[2].detach().reshape({batch, channels}), Dims{0});
    move_running(running_mean, means, momentum);
    move_running(running_var, variances * (count / (count - 1)), momentum);
  }
  return r[0].reshape(input.shape());
}

}  // namespace tallow
