// addmm and its kin: beta times a tensor plus alpha times a product.
#include "ops/elements.h"
#include "ops/products/products.h"
#include "tallow/error.h"

namespace tallow {
namespace {

bool is_one(const Scalar& s) { return s.complex() == std::complex<double>(1); }
bool is_zero(const Scalar& s) { return s.complex() == std::complex<double>(0); }

// A factor of integers is cut to one, as PyTorch does.
Scalar held_by(DType dtype, const Scalar& s) {
  return is_integral(dtype) && !s.is_integer() ? Scalar(s.integer()) : s;
}

void check_factors(const char* op, DType dtype, const Scalar& beta, const Scalar& alpha) {
  for (const Scalar* s : {&beta, &alpha}) {
    const char* name = s == &beta ? "beta" : "alpha";
    if (!is_complex(dtype) && s->is_complex())
      fail(op, ": ", name, " is ", *s, ", which ", dtype, " does not hold; give a real number");
  }
}

// The product is new memory, with the final shape.
Tensor combine(const char* op, const Tensor& self, const Tensor& product, const Scalar& beta_given,
               const Scalar& alpha_given) {
  check_same_dtype(op, self, product);
  const Scalar beta = held_by(product.dtype(), beta_given);
  const Scalar alpha = held_by(product.dtype(), alpha_given);
  check_factors(op, product.dtype(), beta, alpha);
  if (broadcast_shapes(self.shape(), product.shape(), op) != product.shape())
    fail(op, ": self ", self, " does not broadcast to ", product.shape());
  const DType type = product.dtype();  // that of booleans times a number is an integer's
  const Tensor scaled = is_one(alpha) ? product : (product * Tensor(alpha)).to(type);
  if (is_zero(beta)) return scaled;
  return scaled + (is_one(beta) ? self : (self * Tensor(beta)).to(type));
}

// Half precision is rounded once, at the end.
bool is_narrow(const Tensor& x) { return x.dtype() == DType::f16 || x.dtype() == DType::bf16; }
Tensor widened(const Tensor& x) { return is_narrow(x) ? x.to(DType::f32) : x; }

// The common case of a bias row, which one product takes along.
bool is_linear(const Tensor& self, const Tensor& mat1, const Tensor& mat2, const Scalar& beta,
               const Scalar& alpha) {
  return self.dim() == 1 && self.dtype() == mat1.dtype() && mat1.dtype() == mat2.dtype() &&
         is_narrow(self) && is_one(beta) && is_one(alpha) && self.size(0) == mat2.size(1) &&
         mat1.size(1) == mat2.size(0);
}

}  // namespace

Tensor addmm(const Tensor& self, const Tensor& mat1, const Tensor& mat2, const Scalar& beta,
             const Scalar& alpha) {
  check_dims("addmm", "mat1", mat1, 2);
  check_dims("addmm", "mat2", mat2, 2);
  if (is_linear(self, mat1, mat2, beta, alpha)) {
    return linear(mat1, mat2.transpose(0, 1), self);
  }
  check_same_dtype("addmm", self, mat1);
  return combine("addmm", widened(self), matmul(widened(mat1), widened(mat2)), beta, alpha)
      .to(self.dtype());
}

Tensor addmv(const Tensor& self, const Tensor& mat, const Tensor& vec, const Scalar& beta,
             const Scalar& alpha) {
  check_dims("addmv", "mat", mat, 2);
  check_dims("addmv", "vec", vec, 1);
  check_same_dtype("addmv", self, mat);
  return combine("addmv", widened(self), matmul(widened(mat), widened(vec)), beta, alpha)
      .to(self.dtype());
}

Tensor addr(const Tensor& self, const Tensor& vec1, const Tensor& vec2, const Scalar& beta,
            const Scalar& alpha) {
  check_dims("addr", "vec1", vec1, 1);
  check_dims("addr", "vec2", vec2, 1);
  const Tensor inputs[] = {self, vec1, vec2};
  const DType type = promote(inputs, "addr");
  if (is_integral(type) && !(beta.is_integer() && alpha.is_integer()))
    fail("addr: beta ", beta, " and alpha ", alpha, " need to be integers for ", type);
  const Tensor product = outer(widened(vec1), widened(vec2));
  const DType wide =
      is_narrow(product) || type == DType::f16 || type == DType::bf16 ? DType::f32 : type;
  return combine("addr", self.to(wide), product.to(wide), beta, alpha).to(type);
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
  check_same_dtype("addbmm", self, batch1);
  check_same_dtype("addbmm", batch1, batch2);
  const Tensor rows = widened(batch1).permute({1, 0, 2}).reshape({batch1.size(1), k});
  const Tensor product = matmul(rows, widened(batch2).reshape({k, batch2.size(2)}));
  return combine("addbmm", widened(self), product, beta, alpha).to(self.dtype());
}

Tensor baddbmm(const Tensor& self, const Tensor& batch1, const Tensor& batch2, const Scalar& beta,
               const Scalar& alpha) {
  check_dims("baddbmm", "batch1", batch1, 3);
  check_dims("baddbmm", "batch2", batch2, 3);
  check_same_dtype("baddbmm", self, batch1);
  return combine("baddbmm", widened(self), bmm(widened(batch1), widened(batch2)), beta, alpha)
      .to(self.dtype());
}

}  // namespace tallow
