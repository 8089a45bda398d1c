// What torch.linalg has besides factorizations: other names, and compositions of ops.
#include "ops/elements.h"
#include "ops/linalg/matrices.h"

namespace tallow::linalg {

Tensor matrix_power(const Tensor& A, int64_t n) { return tallow::matrix_power(A, n); }

Tensor matmul(const Tensor& input, const Tensor& other) { return tallow::matmul(input, other); }

Tensor cross(const Tensor& input, const Tensor& other, int64_t dim) {
  if (input.dim() != other.dim())
    fail("linalg.cross: ", input, " and ", other,
         " differ in their number of dimensions; unsqueeze one");
  return tallow::cross(input, other, dim);
}

Tensor vecdot(const Tensor& x, const Tensor& y, int64_t dim) {
  check_same_dtype("linalg.vecdot", x, y);
  if (!is_differentiable(x.dtype()))
    fail("linalg.vecdot: ", x, " is of integers; call .to(f32) first");
  const Shape shape = broadcast_shapes(x.shape(), y.shape(), "linalg.vecdot");
  const int64_t d = normalize_dim(dim, shape.size(), "linalg.vecdot") - shape.size();
  const auto rows = [&](const Tensor& t) { return t.expand(shape).transpose(d, -1); };
  const Tensor product =
      tallow::matmul(conj_of(rows(x)).unsqueeze(-2), rows(y).unsqueeze(-1)).squeeze(-1);
  return product.transpose(d, -1).squeeze(d);
}

Tensor diagonal(const Tensor& A, int64_t offset, int64_t dim1, int64_t dim2) {
  return tallow::diagonal(A, offset, dim1, dim2);
}

Tensor vander(const Tensor& x, std::optional<int64_t> N) {
  if (x.dim() == 0 && !N) fail("linalg.vander: ", x, " needs 1 dimension or more");
  if (N && (*N <= 1 || *N > 1 << 20)) fail("linalg.vander: N is ", *N, ", outside 2..2^20");
  if (x.dim() == 0) return linalg::vander(x.unsqueeze(0), N);
  const int64_t n = N.value_or(x.size(-1));
  const Tensor base = is_integral(x.dtype()) ? x.to(DType::i64) : x;
  Shape shape = x.shape();
  shape.push_back(1);
  Tensors powers{Tensor::full(shape, 1.0, base.dtype())};
  const Tensor column = base.unsqueeze(-1);
  for (int64_t i = 1; i < n; ++i) powers.push_back(powers.back() * column);
  return n == 0 ? powers[0].narrow(-1, 0, 0) : cat(powers, -1);
}

}  // namespace tallow::linalg
