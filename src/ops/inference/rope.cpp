// rope: rotary position embedding, Su et al. 2021 (arXiv 2104.09864), in the two pairings in use:
// (i, i + rotated/2) of GPT-NeoX and LLaMA checkpoints, (2i, 2i+1) of the paper and GPT-J.
#include <cmath>

#include "ops/registry.h"
#include "ops/rows.h"

namespace tallow {

namespace {

Specs infer(Inputs in, const RopeCallOptions&) {
  const Tensor &x = in[0], &positions = in[1], &frequencies = in[2];
  check_real("rope", "x", x, 3);
  if (x.dim() != 3) fail("rope: x is ", x, "; it needs [tokens, heads, dim]");
  if (positions.dtype() != DType::i32 || positions.dim() != 1 || positions.size(0) != x.size(0))
    fail("rope: positions are ", positions, "; x ", x, " needs i32 [", x.size(0), "]");
  if (frequencies.dtype() != DType::f32 || frequencies.dim() != 1 ||
      2 * frequencies.size(0) > x.size(2))
    fail("rope: frequencies are ", frequencies, "; x ", x, " takes f32 of up to ", x.size(2) / 2);
  return {{x.shape(), x.dtype()}};
}

// The inverse rotation is the rotation by the negative angles.
Tensors vjp(const Saved<RopeCallOptions>& saved, Inputs grads) {
  return {rope(grads[0], saved.inputs[1], neg(saved.inputs[2]), {saved.options.interleaved},
               saved.options.scale),
          {},
          {}};
}

template <class T>
void rotate_head(const T* x, T* y, const T* cosines, const T* sines, int64_t half, int64_t dim,
                 bool interleaved) {
  const int64_t apart = interleaved ? 1 : half, next = interleaved ? 2 : 1;
  for (int64_t i = 0; i < half; ++i) {
    const T a = x[i * next], b = x[i * next + apart];
    y[i * next] = a * cosines[i] - b * sines[i];
    y[i * next + apart] = b * cosines[i] + a * sines[i];
  }
  for (int64_t i = 2 * half; i < dim; ++i) y[i] = x[i];
}

template <class T>
void rotate(const Tensor& from, const Tensor& to, const int32_t* positions,
            const float* frequencies, int64_t half, const RopeCallOptions& options) {
  const T* x = from.data<T>();
  T* y = to.data<T>();
  const int64_t tokens = from.size(0), heads = from.size(1), dim = from.size(2);
  std::vector<T> cosines(static_cast<size_t>(half)), sines(static_cast<size_t>(half));
  for (int64_t t = 0; t < tokens; ++t) {
    for (int64_t i = 0; i < half; ++i) {
      // The product is rounded to f32 first, as transformers does.
      const float angle = static_cast<float>(positions[t]) * frequencies[i];
      cosines[static_cast<size_t>(i)] = T(std::cos(static_cast<double>(angle))) * T(options.scale);
      sines[static_cast<size_t>(i)] = T(std::sin(static_cast<double>(angle))) * T(options.scale);
    }
    for (int64_t h = 0; h < heads; ++h, x += dim, y += dim)
      rotate_head(x, y, cosines.data(), sines.data(), half, dim, options.interleaved);
  }
}

void cpu(Inputs in, Outputs out, const RopeCallOptions& options) {
  const Tensor positions = in[1].contiguous(), frequencies = in[2].contiguous();
  const int32_t* at = positions.data<int32_t>();
  const float* speeds = frequencies.data<float>();
  compute_real(out[0], [&](const Tensor& y) {
    const Tensor x = in[0].to(y.dtype()).contiguous();
    if (y.dtype() == DType::f64) {
      rotate<double>(x, y, at, speeds, frequencies.size(0), options);
    } else {
      rotate<float>(x, y, at, speeds, frequencies.size(0), options);
    }
  });
}

/// x with its rotated features as [tokens, heads, half, 2].
Tensor pairs(const Tensor& x, int64_t half, bool interleaved) {
  const Tensor part = x.narrow(2, 0, 2 * half);
  if (interleaved) return part.reshape({x.size(0), x.size(1), half, 2});
  return part.reshape({x.size(0), x.size(1), 2, half}).transpose(2, 3);
}

Tensors composite(Inputs in, const RopeCallOptions& options) {
  const Tensor& x = in[0];
  const int64_t half = in[2].size(0);
  const Tensor split = pairs(x, half, options.interleaved);
  const Tensor angles = in[1].to(DType::f32).unsqueeze(1).unsqueeze(2) * in[2];
  const Tensor c = cos(angles) * options.scale, s = sin(angles) * options.scale;
  const Tensor a = split.select(3, 0), b = split.select(3, 1);
  const Tensor first = a * c - b * s, second = b * c + a * s;
  Tensor turned = options.interleaved ? cat({first.unsqueeze(3), second.unsqueeze(3)}, 3)
                                      : cat({first, second}, 2);
  turned = turned.reshape({x.size(0), x.size(1), 2 * half});
  turned = turned.to(x.dtype());
  if (2 * half == x.size(2)) return {turned};
  return {cat({turned, x.narrow(2, 2 * half, x.size(2) - 2 * half)}, 2)};
}

Work work(Inputs in, Outputs, const RopeCallOptions&) {
  return {.flops = 3.0 * static_cast<double>(in[0].numel())};
}

}  // namespace

constinit Op<RopeCallOptions> rope_op{
    "rope", {.infer = infer, .vjp = vjp, .cpu = cpu, .composite = composite, .work = work}};

Tensor rope(const Tensor& x, const Tensor& positions, const Tensor& frequencies,
            const RopeOptions& options, double scale) {
  return apply(rope_op, {x, positions, frequencies},
               {options.interleaved, static_cast<float>(scale)});
}

}  // namespace tallow
