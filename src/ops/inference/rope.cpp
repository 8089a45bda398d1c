// rope: rotary position embedding, Su et al. 2021 (arXiv 2104.09864), in the two pairings in use:
// (i, i + rotated/2) of GPT-NeoX and LLaMA checkpoints, (2i, 2i+1) of the paper and GPT-J.
#include <cmath>

#include "ops/registry.h"
#include "ops/rows.h"

namespace tallow {

namespace {

int64_t axes_of(const Tensor& positions) { return positions.dim() == 2 ? positions.size(1) : 1; }

Specs infer(Inputs in, const RopeCallOptions&) {
  const Tensor &x = in[0], &positions = in[1], &frequencies = in[2];
  check_real("rope", "x", x, 3);
  if (x.dim() != 3) fail("rope: x is ", x, "; it needs [tokens, heads, dim]");
  if (positions.dtype() != DType::i32 || positions.dim() < 1 || positions.dim() > 2 ||
      positions.size(0) != x.size(0))
    fail("rope: positions are ", positions, "; x ", x, " needs i32 [", x.size(0), "]");
  const int64_t axes = axes_of(positions);
  if (axes < 1 || x.size(2) % axes != 0)
    fail("rope: positions are ", positions, ", which do not divide the features of x ", x);
  if (frequencies.dtype() != DType::f32 || frequencies.dim() != 1 ||
      2 * frequencies.size(0) > x.size(2) / axes)
    fail("rope: frequencies are ", frequencies, "; x ", x, " takes f32 of up to ",
         x.size(2) / axes / 2);
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
void rotate(const Tensor& from, const Tensor& to, const int32_t* positions, int64_t axes,
            const float* frequencies, int64_t half, const RopeCallOptions& options) {
  const int64_t tokens = from.size(0), heads = from.size(1), dim = from.size(2) / axes;
  std::vector<T> cosines(static_cast<size_t>(half)), sines(static_cast<size_t>(half));
  for (int64_t part = 0; part < tokens * axes; ++part) {
    for (int64_t i = 0; i < half; ++i) {
      // The product is rounded to f32 first, as transformers does.
      const float angle = static_cast<float>(positions[part]) * frequencies[i];
      cosines[static_cast<size_t>(i)] = T(std::cos(static_cast<double>(angle))) * T(options.scale);
      sines[static_cast<size_t>(i)] = T(std::sin(static_cast<double>(angle))) * T(options.scale);
    }
    for (int64_t h = 0; h < heads; ++h) {
      const int64_t at = ((part / axes * heads + h) * axes + part % axes) * dim;
      rotate_head(from.data<T>() + at, to.data<T>() + at, cosines.data(), sines.data(), half, dim,
                  options.interleaved);
    }
  }
}

void cpu(Inputs in, Outputs out, const RopeCallOptions& options) {
  const Tensor positions = in[1].contiguous(), frequencies = in[2].contiguous();
  const int32_t* at = positions.data<int32_t>();
  const float* speeds = frequencies.data<float>();
  compute_real(out[0], [&](const Tensor& y) {
    const Tensor x = in[0].to(y.dtype()).contiguous();
    if (y.dtype() == DType::f64) {
      rotate<double>(x, y, at, axes_of(positions), speeds, frequencies.size(0), options);
    } else {
      rotate<float>(x, y, at, axes_of(positions), speeds, frequencies.size(0), options);
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
  const int64_t tokens = in[0].size(0), heads = in[0].size(1), axes = axes_of(in[1]),
                half = in[2].size(0);
  const Tensor x = in[0].reshape({tokens, heads * axes, in[0].size(2) / axes});
  const Tensor split = pairs(x, half, options.interleaved);
  const Tensor angles = (in[1].to(DType::f32).reshape({tokens, 1, axes, 1}) * in[2])
                            .expand({tokens, heads, axes, half})
                            .reshape({tokens, heads * axes, half});
  const Tensor c = cos(angles) * options.scale, s = sin(angles) * options.scale;
  const Tensor a = split.select(3, 0), b = split.select(3, 1);
  const Tensor first = a * c - b * s, second = b * c + a * s;
  Tensor turned = options.interleaved ? cat({first.unsqueeze(3), second.unsqueeze(3)}, 3)
                                      : cat({first, second}, 2);
  turned = turned.reshape({x.size(0), x.size(1), 2 * half});
  turned = turned.to(x.dtype());
  if (2 * half < x.size(2)) turned = cat({turned, x.narrow(2, 2 * half, x.size(2) - 2 * half)}, 2);
  return {turned.reshape(in[0].shape())};
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
