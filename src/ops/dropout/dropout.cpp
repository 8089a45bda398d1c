// dropout and its kin. Which elements are kept is a function of the seed, the call and the
// element's number, so that the backward pass draws them again and no mask is kept.
#include "tallow/ops/dropout.h"

#include <cmath>

#include "ops/creation/random.h"
#include "ops/elements.h"
#include "ops/rows.h"
#include "tallow/error.h"
#include "tallow/ops.h"
#include "tallow/parallel.h"
#include "tallow/random.h"

namespace tallow {

namespace {

struct DropoutOptions {
  double p, scale;  // of what is kept
  Generator::Blocks blocks;
};

Specs infer(Inputs in, const DropoutOptions&) { return {{in[0].shape(), in[0].dtype()}}; }

Tensors vjp(const Saved<DropoutOptions>& saved, Inputs grads);

template <class T>
void drop(const Tensor& x, const Tensor& out, const DropoutOptions& o) {
  const ElementReader<T> reader(x, out.shape());
  const T scale = static_cast<T>(o.scale);
  const auto threshold = static_cast<uint64_t>(std::llround(o.p * 4294967296.0));
  parallel_for(out.numel(), 32 * kChunk, [&](int64_t begin, int64_t end, int) {
    T scratch[kChunk], result[kChunk];
    uint32_t words[kChunk];  // one for each element
    for (int64_t at = begin; at < end; at += kChunk) {
      const int64_t n = std::min(kChunk, end - at);
      draw_kernels.philox(o.blocks.seed, o.blocks.first + static_cast<uint64_t>(at) / 4,
                          (n + 3) / 4, words);
      const T* from = reader.read(at, n, scratch);
      T* to = element_target<T>(out, at, result);
      for (int64_t i = 0; i < n; ++i) to[i] = words[i] >= threshold ? from[i] * scale : T(0);
      if (to == result) write_elements<T>(out, at, n, result);
    }
  });
}

void cpu(Inputs in, Outputs out, const DropoutOptions& o) {
  with_any_compute_type(compute_type(in[0].dtype()),
                        [&]<class T>(T) { drop<T>(in[0], out[0], o); });
}

constinit Op<DropoutOptions> dropout_op{
    "dropout", {.infer = infer, .vjp = vjp, .cpu = cpu, .shapes_only = true}};

Tensors vjp(const Saved<DropoutOptions>& saved, Inputs grads) {
  return {apply(dropout_op, {grads[0]}, saved.options)};
}

/// The options of a call that drops some of n elements: each takes words of its own.
DropoutOptions next_options(double p, double scale, int64_t n) {
  return {p, scale, default_generator().take(static_cast<uint64_t>(n / 4 + 1))};
}

double keep_scale(double p) { return p < 1 ? 1 / (1 - p) : 0; }

void check(const char* op, const Tensor& x, double p) {
  if (!is_differentiable(x.dtype())) fail(op, ": input is ", x, "; call .to(f32)");
  if (!(p >= 0 && p <= 1)) fail(op, ": p is ", p, "; it needs a probability in [0, 1]");
}

/// Ones of a channel each, [N, C, 1, ...], of a type that x multiplies without a promotion.
Tensor channel_ones(const char* op, const Tensor& x) {
  if (x.dim() < 2) fail(op, ": input is ", x, "; it needs [N, C, ...]");
  Shape shape = Shape::filled(x.dim(), 1);
  shape[0] = x.size(0), shape[1] = x.size(1);
  return Tensor::full(shape, 1, x.dtype());
}

Tensor over_channels(const char* op, const Tensor& x, double p, bool training, int dims) {
  check(op, x, p);
  if (dims > 0 && x.dim() != dims && x.dim() != dims - 1)
    fail(op, ": input is ", x, "; it needs ", dims, " dimensions, or ", dims - 1,
         " without a batch");
  if (!training || p == 0) return x;
  const bool batched = dims == 0 || x.dim() == dims;
  const Tensor y = batched ? x : x.unsqueeze(0);
  if (y.numel() == 0) return x;
  const Tensor ones = channel_ones(op, y);
  const Tensor result = y * apply(dropout_op, {ones}, next_options(p, keep_scale(p), ones.numel()));
  return batched ? result : result.squeeze(0);
}

/// Dropped elements become the value to which a SELU saturates; then mean and variance are
/// restored.
Tensor alpha(const Tensor& x, const Tensor& ones, double p) {
  constexpr double kAlpha = 1.7580993408473766;
  if (p == 1) return x * 0.0;
  const double a = 1 / std::sqrt((kAlpha * kAlpha * p + 1) * (1 - p));
  // 1 where kept, 0 where dropped.
  const Tensor kept = apply(dropout_op, {ones}, next_options(p, 1, ones.numel()));
  return x * (kept * a) + ((kept - 1.0) * (kAlpha * a) + kAlpha * a * p);
}

}  // namespace

Tensor dropout(const Tensor& input, double p, bool training) {
  check("dropout", input, p);
  if (!training || p == 0 || input.numel() == 0) return input;
  return apply(dropout_op, {input}, next_options(p, keep_scale(p), input.numel()));
}
Tensor feature_dropout(const Tensor& input, double p, bool training) {
  return over_channels("feature_dropout", input, p, training, 0);
}
Tensor dropout1d(const Tensor& input, double p, bool training) {
  return over_channels("dropout1d", input, p, training, 3);
}
Tensor dropout2d(const Tensor& input, double p, bool training) {
  return over_channels("dropout2d", input, p, training, 4);
}
Tensor dropout3d(const Tensor& input, double p, bool training) {
  return over_channels("dropout3d", input, p, training, 5);
}
Tensor alpha_dropout(const Tensor& input, double p, bool training) {
  check("alpha_dropout", input, p);
  if (!training || p == 0 || input.numel() == 0) return input;
  return alpha(input, Tensor::full(input.shape(), 1, input.dtype()), p);
}
Tensor feature_alpha_dropout(const Tensor& input, double p, bool training) {
  check("feature_alpha_dropout", input, p);
  if (!training || p == 0 || input.numel() == 0) return input;
  return alpha(input, channel_ones("feature_alpha_dropout", input), p);
}

}  // namespace tallow
