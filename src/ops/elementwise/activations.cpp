// The public activations: rows with their scalars checked, and composites.
#include "ops/elements.h"
#include "ops/elementwise/rows.h"
#include "tallow/error.h"
#include "tallow/ops.h"

namespace tallow {
namespace {

Tensor finish(const Tensor& input, const Tensor& result, bool inplace) {
  if (!inplace) return result;
  Tensor self = input;
  return self.copy_(result);
}

}  // namespace

Tensor relu(const Tensor& self, bool inplace) { return finish(self, rows::relu(self), inplace); }
Tensor relu6(const Tensor& input, bool inplace) { return hardtanh(input, 0, 6, inplace); }
Tensor elu(const Tensor& input, double alpha, bool inplace) {
  return finish(input, rows::elu(input, alpha), inplace);
}
Tensor selu(const Tensor& input, bool inplace) { return finish(input, rows::selu(input), inplace); }
Tensor celu(const Tensor& input, double alpha, bool inplace) {
  if (alpha == 0) fail("celu: ZeroDivisionError: alpha is 0; it divides");
  return finish(input, rows::celu(input, alpha), inplace);
}

Tensor gelu(const Tensor& input, std::string_view approximate) {
  if (approximate == "none") return rows::gelu(input);
  if (approximate == "tanh") return rows::gelu_tanh(input);
  fail("gelu: approximate '", approximate, "' is neither 'none' nor 'tanh'");
}
Tensor silu(const Tensor& input, bool inplace) { return finish(input, rows::silu(input), inplace); }
Tensor mish(const Tensor& input, bool inplace) { return finish(input, rows::mish(input), inplace); }
Tensor softplus(const Tensor& input, double beta, double threshold) {
  return rows::softplus(input, beta, threshold);
}
Tensor softshrink(const Tensor& input, double lambd) {
  if (!(lambd >= 0)) fail("softshrink: lambd is ", lambd, "; it must not be below 0");
  return rows::softshrink(input, lambd);
}
Tensor hardshrink(const Tensor& input, double lambd) { return rows::hardshrink(input, lambd); }

Tensor hardtanh(const Tensor& input, double min_val, double max_val, bool inplace) {
  if (min_val > max_val) fail("hardtanh: min_val ", min_val, " exceeds max_val ", max_val);
  if (min_val < 0 && input.dtype() >= DType::u8 && input.dtype() <= DType::u64) {
    fail("hardtanh: min_val is ", min_val, " and ", input, " has no negative numbers");
  }
  return finish(input, rows::hardtanh(input, min_val, max_val), inplace);
}
Tensor hardsigmoid(const Tensor& input, bool inplace) {
  return finish(input, rows::hardsigmoid(input), inplace);
}
Tensor hardswish(const Tensor& input, bool inplace) {
  return finish(input, rows::hardswish(input), inplace);
}
Tensor leaky_relu(const Tensor& input, double negative_slope, bool inplace) {
  return finish(input, rows::leaky_relu(input, negative_slope), inplace);
}

Tensor prelu(const Tensor& self, const Tensor& weight) {
  if (weight.dim() > 1) fail("prelu: weight is ", weight, "; it has at most one dimension");
  if (weight.numel() == 1 || weight.dim() == 0) {
    return rows::prelu(self, weight.reshape(Shape{}));
  }
  int64_t channels = self.dim() > 1 ? self.size(1) : 1;
  if (self.dim() == 0 || weight.numel() != channels) {
    fail("prelu: ", weight.numel(), " weights for ", channels, " channels of ", self);
  }
  Shape shape = Shape::filled(self.dim(), 1);
  shape[self.dim() > 1 ? 1 : 0] = weight.numel();
  return rows::prelu(self, weight.reshape(shape));
}

Tensor threshold(const Tensor& input, double threshold, double value, bool inplace) {
  return finish(input, rows::threshold(input, threshold, value), inplace);
}

Tensor glu(const Tensor& input, int64_t dim) {
  if (input.dim() == 0) fail("glu: ", input, " has no dimension to halve");
  int d = normalize_dim(dim, input.dim(), "glu");
  int64_t size = input.shape()[d];
  if (size % 2 != 0) fail("glu: dimension ", d, " of ", input, " is odd; it cannot be halved");
  return input.narrow(d, 0, size / 2) * sigmoid(input.narrow(d, size / 2, size / 2));
}

Tensor rrelu(const Tensor& self, double lower, double upper, bool training, bool inplace) {
  if (lower > upper) fail("rrelu: lower ", lower, " exceeds upper ", upper);
  if (!training) return leaky_relu(self, (lower + upper) / 2, inplace);
  return finish(self, rows::prelu(self, uniform_like(self, lower, upper)), inplace);
}

Tensor gumbel_softmax(const Tensor& logits, double tau, bool hard, double, int64_t dim) {
  Tensor soft = softmax((logits - log(exponential_like(logits))) / tau, dim);
  if (!hard) return soft;
  // The value is one-hot, and the gradient that of the soft one.
  Tensor chosen = soft.detach(), index = argmax(chosen, dim, true);
  Tensor one = scatter(chosen * 0.0, dim, index, ones_like(index).to(chosen.dtype()));
  return one - chosen + soft;
}

}  // namespace tallow
