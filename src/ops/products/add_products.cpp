// addmm and its kin: beta times a tensor plus alpha times a product.
#include "ops/elements.h"
#include "ops/products/products.h"
#include "tallow/error.h"

namespace tallow {
namespace {

bool is_one(const Scalar& s) { return s.complex() == std::complex<double>(1); }
bool is_zero(const Scalar& s) { return s.complex() == std::complex<double>(0); }

void check_factors(const char* op, DType dtype, const Scalar& beta, const Scalar& alpha) {
  for (const Scalar* s : {&beta, &alpha}) {
    const char* name = s == &beta ? "beta" : "alpha";
    if (is_integral(dtype) && !s->is_integer())
      fail(op, ": ", name, " is ", *s, ", which ", dtype, " does not hold; give an integer");
    if (!is_complex(dtype) && s->is_complex())
      fail(op, ": ", name, " is ", *s, ", which ", dtype, " does not hold; give a real number");
  }
}

// The product is new memory, with the final shape.
Tensor combine(const char* op, const Tensor& self, const Tensor& product, const Scalar& beta,
               const Scalar& alpha) {
  check_same_dtype(op, self, product);
  check_factors(op, product.dtype(), beta, alpha);
  if (broadcast_shapes(self.shape(), product.shape(), op) != product.shape())
    fail(op, ": self ", self, " does not broadcast to ", product.shape());
  const Tensor scaled = is_one(alpha) ? product : product * Tensor(alpha);
  if (is_zero(beta)) return scaled;
  return scaled + (is_one(beta) ? self : self * Tensor(beta));
}

}  // namespace

Tensor addmm(const Tensor& self, const Tensor& mat1, const Tensor& mat2, const Scalar& beta,
             const Scalar& alpha) {
  check_dims("addmm", "mat1", mat1, 2);
  check_dims("addmm", "mat2", mat2, 2);
  return combine("addmm", self, matmul(mat1, mat2), beta, alpha);
}

Tensor addmv(const Tensor& self, const Tensor& mat, const Tensor& vec, const Scalar& beta,
             const Scalar& alpha) {
  check_dims("addmv", "mat", mat, 2);
  check_dims("addmv", "vec", vec, 1);
  return combine("addmv", self, matmul(mat, vec), beta, alpha);
}

Tensor addr(const Tensor& self, const Tensor& vec1, const Tensor& vec2, const Scalar& beta,
            const Scalar& alpha) {
  check_dims("addr", "vec1", vec1, 1);
  check_dims("addr", "vec2", vec2, 1);
  const Tensor inputs[] = {self, vec1, vec2};
  const DType type = promote(inputs, "addr");
  return combine("addr", self.to(type), outer(vec1, vec2).to(type), beta, alpha);
}

Tensor addbmm(const Tensor& self, const Tensor& batch1, const Tensor& batch2, const Scalar& beta,
              const Scalar& alpha) {
  check_dims("addbmm", "batch1", batch1, 3);
  check_dims("addbmm", "batch2", batch2, 3);
  if (batch1.size(0) != batch2.size(0) || batch1.size(2) != batch2.size(1))
    fail("addbmm: batch1 ", batch1, " and batch2 ", batch2,
         " do not fit; they need [b, m, k] and [b, k, n]");
  // The sum over the batch is one product with the batch beside k.
  const int64_t k = batch1.size(0) * batch1.size(2);
  const Tensor rows = batch1.permute({1, 0, 2}).reshape({batch1.size(1), k});
  return combine("addbmm", self, matmul(rows, batch2.reshape({k, batch2.size(2)})), beta, alpha);
}

Tensor baddbmm(const Tensor& self, const Tensor& batch1, const Tensor& batch2, const Scalar& beta,
               const Scalar& alpha) {
  check_dims("baddbmm", "batch1", batch1, 3);
  check_dims("baddbmm", "batch2", batch2, 3);
  return combine("baddbmm", self, bmm(batch1, batch2), beta, alpha);
}

}  // namespace tallow
