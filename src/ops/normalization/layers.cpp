// Normalizations made of other ops: local_response_norm, normalize, cosine_similarity,
// pairwise_distance.
#include <cmath>

#include "ops/reduce/reduce.h"

namespace tallow {

Tensor local_response_norm(const Tensor& input, int64_t size, double alpha, double beta, double k) {
  if (input.dim() < 3) fail("local_response_norm: input ", input, " needs 3 dimensions or more");
  if (size < 1) fail("local_response_norm: size is ", size, "; it must be positive");
  if (input.numel() == 0) return input;
  auto zeros = [&](int64_t n) {
    Shape shape = input.shape();
    shape[1] = n;
    return Tensor::zeros(shape, input.dtype());
  };
  const Tensor padded = cat({zeros(size / 2), square(input), zeros((size - 1) / 2)}, 1);
  const int64_t channels = input.size(1);
  Tensor total = padded.narrow(1, 0, channels);
  for (int64_t i = 1; i < size; ++i) total = total + padded.narrow(1, i, channels);
  // Of integers the mean is one too, as PyTorch's.
  const Tensor average =
      is_integral(input.dtype()) ? floor_divide(total, size) : total / static_cast<double>(size);
  return input / pow(average * alpha + k, beta);
}

Tensor normalize(const Tensor& input, double p, int64_t dim, double eps) {
  return input / maximum(norm(input, p, dim, true), eps);
}

Tensor cosine_similarity(const Tensor& x1, const Tensor& x2, int64_t dim, double eps) {
  const DType dtype = promote(x1, x2, "cosine_similarity");
  if (!is_differentiable(dtype)) {
    fail("cosine_similarity: ", x1, " and ", x2, " must be real; call .to(f32) first");
  }
  const Shape shape = broadcast_shapes(x1.shape(), x2.shape(), "cosine_similarity");
  const Tensor a = x1.to(dtype).expand(shape), b = x2.to(dtype).expand(shape);
  const Tensor unit_a = a / maximum(norm(a, 2.0, dim, true), eps),
               unit_b = b / maximum(norm(b, 2.0, dim, true), eps);
  return sum(unit_a * unit_b, dim);
}

Tensor pairwise_distance(const Tensor& x1, const Tensor& x2, double p, double eps, bool keepdim) {
  const Tensor apart = sub(x1, x2) + eps;
  if (apart.dim() == 0) return norm(apart, p, Dims(), keepdim);
  return norm(apart, p, apart.dim() - 1, keepdim);
}

}  // namespace tallow
