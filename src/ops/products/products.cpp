// Products that are made of matmul and elementwise ops.
#include <limits>

#include "ops/elements.h"
#include "ops/products/products.h"
#include "tallow/error.h"

namespace tallow {
namespace {

// x with zeros' place taken by itself shifted along a dimension of size 3.
Tensor rotated(const Tensor& x, int dim, int64_t by) {
  return cat({x.narrow(dim, by, 3 - by), x.narrow(dim, 0, by)}, dim);
}

int cross_dim(const Tensor& a, const Tensor& b, std::optional<int64_t> dim) {
  const Shape shape = broadcast_shapes(a.shape(), b.shape(), "cross");
  if (a.dim() != b.dim())
    fail("cross: ", a, " and ", b, " differ in their number of dimensions; unsqueeze one");
  if (dim) {
    const int d = normalize_dim(*dim, shape.size(), "cross");
    if (a.size(d) != 3 || b.size(d) != 3)
      fail("cross: dimension ", d, " of ", a, " and ", b, " needs size 3");
    return d;
  }
  for (int d = 0; d < shape.size(); ++d) {
    if (a.size(d) == 3 && b.size(d) == 3) return d;
  }
  fail("cross: no dimension of ", a, " and ", b, " has size 3");
}

// The cheapest order of a chain of products (Cormen et al., chapter 15): split[i][j] is the last
// product of matrices i to j.
std::vector<std::vector<size_t>> chain_order(const std::vector<double>& sizes) {
  const size_t n = sizes.size() - 1;
  std::vector<std::vector<double>> cost(n, std::vector<double>(n, 0));
  std::vector<std::vector<size_t>> split(n, std::vector<size_t>(n, 0));
  for (size_t length = 1; length < n; ++length) {
    for (size_t i = 0; i + length < n; ++i) {
      const size_t j = i + length;
      cost[i][j] = std::numeric_limits<double>::infinity();
      for (size_t k = i; k < j; ++k) {
        const double c = cost[i][k] + cost[k + 1][j] + sizes[i] * sizes[k + 1] * sizes[j + 1];
        if (c < cost[i][j]) cost[i][j] = c, split[i][j] = k;
      }
    }
  }
  return split;
}

Tensor chain_product(const Tensors& matrices, const std::vector<std::vector<size_t>>& split,
                     size_t i, size_t j) {
  if (i == j) return matrices[i];
  const size_t k = split[i][j];
  return matmul(chain_product(matrices, split, i, k), chain_product(matrices, split, k + 1, j));
}

}  // namespace

Tensor identity(int64_t n, DType dtype) {
  const Tensor x = Tensor::zeros({n, n}, dtype);
  const float one = 1;
  for (int64_t i = 0; i < n; ++i) write_elements<float>(x, i * (n + 1), 1, &one);
  return x;
}

Tensor bilinear(const Tensor& input1, const Tensor& input2, const Tensor& weight,
                const Tensor& bias) {
  check_dims("bilinear", "weight", weight, 3);
  if (input1.dim() == 0 || input1.dim() != input2.dim())
    fail("bilinear: ", input1, " and ", input2, " need one number of dimensions, 1 or more");
  for (int d = 0; d + 1 < input1.dim(); ++d) {
    if (input1.size(d) != input2.size(d))
      fail("bilinear: ", input1, " and ", input2, " differ in dimension ", d);
  }
  if (input1.shape().back() != weight.size(1) || input2.shape().back() != weight.size(2))
    fail("bilinear: weight ", weight, " does not fit ", input1, " and ", input2, "; it needs [n, ",
         input1.shape().back(), ", ", input2.shape().back(), "]");
  if (bias && bias.shape() != Shape{weight.size(0)})
    fail("bilinear: bias is ", bias, "; it needs [", weight.size(0), "]");
  const Tensor y = einsum("...i,oij,...j->...o", {input1, weight, input2});
  return bias ? y + bias : y;
}

Tensor kron(const Tensor& self, const Tensor& other) {
  const int dims = std::max(self.dim(), other.dim());
  Shape a, b, shape;
  for (int d = 0; d < dims; ++d) {
    const int i = d - dims + self.dim(), j = d - dims + other.dim();
    const int64_t n = i < 0 ? 1 : self.shape()[i], m = j < 0 ? 1 : other.shape()[j];
    a.push_back(n), a.push_back(1);
    b.push_back(1), b.push_back(m);
    shape.push_back(n * m);
  }
  return (self.reshape(a) * other.reshape(b)).reshape(shape);
}

Tensor cross(const Tensor& self, const Tensor& other, std::optional<int64_t> dim) {
  const int d = cross_dim(self, other, dim);
  return rotated(self, d, 1) * rotated(other, d, 2) - rotated(self, d, 2) * rotated(other, d, 1);
}

Tensor matrix_power(const Tensor& self, int64_t n) {
  if (self.dim() < 2 || self.size(-1) != self.size(-2))
    fail("matrix_power: ", self, " is not of square matrices; it needs [..., n, n]");
  if (n < 0) {
    const Tensor inverse = linalg::inv(self);
    return n == -1 ? inverse : matmul(inverse, matrix_power(inverse, -(n + 1)));
  }
  if (n == 0) {  // a constant, yet of self's history
    return where(Tensor::zeros({}, DType::boolean), self, identity(self.size(-1), self.dtype()));
  }
  Tensor result, square = self;
  for (;;) {
    if (n & 1) result = result ? matmul(result, square) : square;
    n >>= 1;
    if (n == 0) return result;
    square = matmul(square, square);
  }
}

Tensor chain_matmul(const Tensors& matrices) {
  if (matrices.empty()) fail("chain_matmul: no matrices; give at least one");
  for (const Tensor& m : matrices) check_dims("chain_matmul", "a matrix", m, 2);
  return matrices.size() == 1 ? matrices[0] : linalg::multi_dot(matrices);
}

namespace linalg {

Tensor multi_dot(const Tensors& tensors) {
  if (tensors.size() < 2) fail("linalg.multi_dot: needs at least 2 tensors");
  Tensors chain = tensors;
  const bool row = chain.front().dim() == 1, column = chain.back().dim() == 1;
  if (row) chain.front() = chain.front().unsqueeze(0);
  if (column) chain.back() = chain.back().unsqueeze(1);
  std::vector<double> sizes;
  for (size_t i = 0; i < chain.size(); ++i) {
    const Tensor& m = chain[i];
    check_dims("linalg.multi_dot", "a tensor between the first and the last", m, 2);
    check_same_dtype("linalg.multi_dot", chain[0], m);
    if (i > 0 && chain[i - 1].size(1) != m.size(0))
      fail("linalg.multi_dot: ", chain[i - 1], " and ", m, " do not fit; inner sizes differ");
    sizes.push_back(static_cast<double>(m.size(0)));
  }
  sizes.push_back(static_cast<double>(chain.back().size(1)));
  Tensor result = chain_product(chain, chain_order(sizes), 0, chain.size() - 1);
  if (column) result = result.squeeze(-1);
  return row ? result.squeeze(0) : result;
}

}  // namespace linalg
}  // namespace tallow
