// matmul: matrix products over broadcast batch dimensions, and of vectors, as PyTorch's; mm, bmm,
// mv, dot and so on are matmul with narrower checks.
#include <algorithm>
#include <vector>

#include "ops/elements.h"
#include "ops/products/products.h"
#include "ops/registry.h"
#include "tallow/parallel.h"

namespace tallow {

Shape batch_shape(const Tensor& x) {
  return Shape(std::span(x.shape().begin(), static_cast<size_t>(std::max(0, x.dim() - 2))));
}

Shape with_matrix(Shape batch, int64_t rows, int64_t columns) {
  batch.push_back(rows);
  batch.push_back(columns);
  return batch;
}

void check_same_dtype(const char* op, const Tensor& a, const Tensor& b) {
  if (a.dtype() != b.dtype())
    fail(op, ": ", a, " and ", b, " differ in dtype; convert one with .to()");
}

void check_dims(const char* op, const char* name, const Tensor& x, int dims) {
  if (x.dim() != dims)
    fail(op, ": ", name, " is ", x, "; it needs ", dims, dims == 1 ? " dimension" : " dimensions");
}

namespace {

// Vectors seen as matrices: a [1, k], b [k, 1].
Tensor left_matrix(const Tensor& a) { return a.dim() == 1 ? a.unsqueeze(0) : a; }
Tensor right_matrix(const Tensor& b) { return b.dim() == 1 ? b.unsqueeze(1) : b; }

Specs infer(Inputs in, const NoOptions&) {
  const Tensor &a = in[0], &b = in[1];
  for (const Tensor* t : {&a, &b}) {
    if (is_block(t->dtype())) fail("matmul: ", *t, " is quantized; call .to(f32), or use linear");
    if (t->dtype() == DType::boolean)
      fail("matmul: ", *t, " has no sums of its own dtype; call .to(i64) first");
    if (t->dim() == 0) fail("matmul: ", *t, " has no dimensions; it needs 1 or more");
  }
  check_same_dtype("matmul", a, b);
  const int64_t k = a.shape().back(), rows = b.dim() == 1 ? b.size(0) : b.size(-2);
  if (k != rows)
    fail("matmul: inner dims ", k, " and ", rows, " differ (a: ", a.shape(), ", b: ", b.shape(),
         ")");
  Shape shape = broadcast_shapes(batch_shape(a), batch_shape(b), "matmul");
  if (a.dim() > 1) shape.push_back(a.size(-2));
  if (b.dim() > 1) shape.push_back(b.size(-1));
  return {{shape, a.dtype()}};
}

Shape product_shape(const Tensor& a, const Tensor& b) {
  return with_matrix(broadcast_shapes(batch_shape(a), batch_shape(b), "matmul"), a.size(-2),
                     b.size(-1));
}

// The gradient of b: where b repeats over a's batch, one product over all rows instead of a sum of
// products.
Tensor right_gradient(const Tensor& a, const Tensor& b, const Tensor& g) {
  if (b.dim() == 2 && a.dim() > 2) {
    const Tensor rows = a.reshape({g.numel() / std::max<int64_t>(1, b.size(1)), b.size(0)});
    return matmul(adjoint_of(rows), g.reshape({rows.size(0), b.size(1)}));
  }
  return sum_to(matmul(adjoint_of(a), g), b.shape());
}

Tensors vjp(const Saved<NoOptions>& saved, Inputs grads) {
  const Tensor a = left_matrix(saved.inputs[0]), b = right_matrix(saved.inputs[1]);
  const Tensor g = grads[0].reshape(product_shape(a, b));
  Tensors result(2);
  if (saved.inputs[0].requires_grad()) {
    result[0] = sum_to(matmul(g, adjoint_of(b)), a.shape()).reshape(saved.inputs[0].shape());
  }
  if (saved.inputs[1].requires_grad()) {
    result[1] = g.numel() == 0 && b.dim() == 2 && a.dim() > 2
                    ? Tensor::zeros(saved.inputs[1].shape(), b.dtype())
                    : right_gradient(a, b, g).reshape(saved.inputs[1].shape());
  }
  return result;
}

// Rows [r0, r1) of one product, summed in the compute type in blocks of k that stay in a cache.
template <class T>
void multiply_rows(const T* a, const T* b, T* c, int64_t r0, int64_t r1, int64_t k, int64_t n) {
  constexpr int64_t kBlock = 64;
  std::fill(c + r0 * n, c + r1 * n, T(0));
  for (int64_t k0 = 0; k0 < k; k0 += kBlock) {
    const int64_t k1 = std::min(k, k0 + kBlock);
    for (int64_t r = r0; r < r1; ++r) {
      for (int64_t j = k0; j < k1; ++j) {
        const T value = a[r * k + j];
        for (int64_t i = 0; i < n; ++i) c[r * n + i] += value * b[j * n + i];
      }
    }
  }
}

// Each pair of matrices is gathered into contiguous form.
template <class T>
void multiply(const Tensor& a, const Tensor& b, const Tensor& out) {
  const int64_t m = a.size(-2), k = a.size(-1), n = b.size(-1);
  const Shape batch = batch_shape(out);
  const ElementReader<T> read_a(a, with_matrix(batch, m, k)), read_b(b, with_matrix(batch, k, n));
  const auto size = [](int64_t x) { return static_cast<size_t>(x); };
  std::vector<T> scratch_a(size(m * k)), scratch_b(size(k * n)), scratch_c(size(m * n));
  for (int64_t i = 0; i < batch.numel(); ++i) {
    const T* x = read_a.read(i * m * k, m * k, scratch_a.data());
    const T* w = read_b.read(i * k * n, k * n, scratch_b.data());
    parallel_for(m, m * n * k > 100000 ? 8 : m, [&](int64_t begin, int64_t end, int) {
      multiply_rows(x, w, scratch_c.data(), begin, end, k, n);
    });
    write_elements<T>(out, i * m * n, m * n, scratch_c.data());
  }
}

void cpu(Inputs in, Outputs out, const NoOptions&) {
  if (out[0].numel() == 0) return;
  const Tensor a = left_matrix(in[0].detach()), b = right_matrix(in[1].detach());
  const Tensor wide = out[0].reshape(product_shape(a, b));
  with_any_compute_type(compute_type(a.dtype()), [&]<class T>(T) { multiply<T>(a, b, wide); });
}

Work work(Inputs in, Outputs out, const NoOptions&) {
  return {.flops = 2.0 * static_cast<double>(out[0].numel()) *
                   static_cast<double>(in[0].shape().back())};
}

void check_vectors(const char* op, const Tensor& a, const Tensor& b) {
  check_dims(op, "self", a, 1);
  check_dims(op, "other", b, 1);
  check_same_dtype(op, a, b);
  if (a.size(0) != b.size(0))
    fail(op, ": lengths ", a.size(0), " and ", b.size(0), " differ; both need one length");
}

}  // namespace

constinit Op<> matmul_op{"matmul", {.infer = infer, .vjp = vjp, .cpu = cpu, .work = work}};

Tensor matmul(const Tensor& self, const Tensor& other) { return apply(matmul_op, {self, other}); }

Tensor mm(const Tensor& self, const Tensor& mat2) {
  check_dims("mm", "self", self, 2);
  check_dims("mm", "mat2", mat2, 2);
  return matmul(self, mat2);
}

Tensor bmm(const Tensor& self, const Tensor& mat2) {
  check_dims("bmm", "self", self, 3);
  check_dims("bmm", "mat2", mat2, 3);
  if (self.size(0) != mat2.size(0))
    fail("bmm: batches ", self.size(0), " and ", mat2.size(0), " differ; both need one size");
  return matmul(self, mat2);
}

Tensor mv(const Tensor& self, const Tensor& vec) {
  check_dims("mv", "self", self, 2);
  check_dims("mv", "vec", vec, 1);
  return matmul(self, vec);
}

Tensor dot(const Tensor& self, const Tensor& tensor) {
  check_vectors("dot", self, tensor);
  return matmul(self, tensor);
}

Tensor vdot(const Tensor& self, const Tensor& other) {
  check_vectors("vdot", self, other);
  return matmul(conj_of(self), other);
}

Tensor inner(const Tensor& self, const Tensor& other) {
  check_same_dtype("inner", self, other);
  if (self.dim() == 0 || other.dim() == 0) return self * other;
  if (self.shape().back() != other.shape().back())
    fail("inner: the last dimensions of ", self, " and ", other, " differ; both need one size");
  const int64_t k = self.shape().back();
  Shape shape = self.shape();
  shape.back() = 1;
  Shape rows = other.shape();
  rows.back() = 1;
  const Tensor product =
      matmul(self.reshape({shape.numel(), k}), other.reshape({rows.numel(), k}).transpose(0, 1));
  shape.erase(shape.size() - 1);
  for (int i = 0; i + 1 < other.dim(); ++i) shape.push_back(other.shape()[i]);
  return product.reshape(shape);
}

Tensor outer(const Tensor& self, const Tensor& vec2) {
  check_dims("outer", "self", self, 1);
  check_dims("outer", "vec2", vec2, 1);
  return self.unsqueeze(1) * vec2;
}

Tensor ger(const Tensor& self, const Tensor& vec2) { return outer(self, vec2); }

}  // namespace tallow
