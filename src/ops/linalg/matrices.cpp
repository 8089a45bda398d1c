// Checks of matrices, and permutations.
#include "ops/linalg/matrices.h"

#include <numeric>

namespace tallow {

void check_matrices(const char* op, const Tensor& x) {
  const DType d = x.dtype();
  if (d != DType::f32 && d != DType::f64 && d != DType::c64 && d != DType::c128)
    fail(op, ": ", x, " is not of f32, f64, c64 or c128; call .to(f32) first");
  if (x.dim() < 2) fail(op, ": ", x, " is no matrix; it needs 2 dimensions or more");
}

void check_square(const char* op, const Tensor& x) {
  check_matrices(op, x);
  if (x.size(-1) != x.size(-2))
    fail(op, ": ", x, " is not of square matrices; it needs [..., n, n]");
}

void check_info(const char* op, const Tensor& info, const char* what) {
  const int32_t* values = info.data<int32_t>();
  for (int64_t i = 0; i < info.numel(); ++i) {
    if (values[i] == 0) continue;
    const std::string which =
        info.dim() == 0 ? str("the matrix") : str("matrix ", i, " of the batch");
    fail(op, ": ", which, " ", what, " (at ", values[i], ")");
  }
}

std::pair<Tensor, Tensor> broadcast_matrices(const char* op, const Tensor& a, const Tensor& b) {
  check_same_dtype(op, a, b);
  const Shape batch = broadcast_shapes(batch_shape(a), batch_shape(b), op);
  return {a.expand(with_matrix(batch, a.size(-2), a.size(-1))),
          b.expand(with_matrix(batch, b.size(-2), b.size(-1)))};
}

int lapack_size(int64_t n) {
  if (n > 30000) fail("linear algebra: a matrix with ", n, " rows or columns; 30000 is the most");
  return static_cast<int>(n);
}

Shape with_vector(Shape batch, int64_t n) {
  batch.push_back(n);
  return batch;
}

Tensor permutation_matrix(const Tensor& pivots, int64_t m, DType dtype) {
  const int64_t k = pivots.shape().back();
  Shape batch = pivots.shape();
  batch.erase(batch.size() - 1);
  const Tensor p = Tensor::zeros(with_matrix(batch, m, m), dtype);
  const Tensor rows = pivots.detach().contiguous();
  std::vector<int64_t> order(static_cast<size_t>(m));
  const float one = 1;
  for (int64_t b = 0; b < batch.numel(); ++b) {
    std::iota(order.begin(), order.end(), 0);
    const int32_t* swaps = rows.data<int32_t>() + b * k;
    for (int64_t i = 0; i < k; ++i) {
      if (swaps[i] < 1 || swaps[i] > m)
        fail("linear algebra: pivot ", swaps[i], " is outside 1 to ", m);
      std::swap(order[static_cast<size_t>(i)], order[static_cast<size_t>(swaps[i] - 1)]);
    }
    for (int64_t i = 0; i < m; ++i) {
      write_elements<float>(p, (b * m + order[static_cast<size_t>(i)]) * m + i, 1, &one);
    }
  }
  return p;
}

}  // namespace tallow
