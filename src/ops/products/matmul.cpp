// matmul: matrix products over broadcast batch dimensions, and of vectors, as PyTorch's.
#include <algorithm>
#include <vector>

#include "ops/elements.h"
#include "ops/registry.h"
#include "ops/rows.h"

namespace tallow {

namespace {

// Vectors seen as matrices: a [1, k], b [k, 1].
Tensor left_matrix(const Tensor& a) { return a.dim() == 1 ? a.unsqueeze(0) : a; }
Tensor right_matrix(const Tensor& b) { return b.dim() == 1 ? b.unsqueeze(1) : b; }

Shape batch_of(const Tensor& t) {
  return Shape(std::span(t.shape().begin(), static_cast<size_t>(std::max(0, t.dim() - 2))));
}

Specs infer(Inputs in, const NoOptions&) {
  const Tensor &a = in[0], &b = in[1];
  for (const Tensor* t : {&a, &b}) {
    if (is_block(t->dtype())) fail("matmul: ", *t, " is quantized; call .to(f32), or use linear");
    if (t->dim() == 0) fail("matmul: ", *t, " has no dimensions; it needs 1 or more");
  }
  if (a.dtype() != b.dtype())
    fail("matmul: a ", a, " and b ", b, " differ in dtype; convert one with .to()");
  const int64_t k = a.shape().back(), rows = b.dim() == 1 ? b.size(0) : b.size(-2);
  if (k != rows)
    fail("matmul: inner dims ", k, " and ", rows, " differ (a: ", a.shape(), ", b: ", b.shape(),
         ")");
  Shape shape = broadcast_shapes(batch_of(a), batch_of(b), "matmul");
  if (a.dim() > 1) shape.push_back(a.size(-2));
  if (b.dim() > 1) shape.push_back(b.size(-1));
  return {{shape, a.dtype()}};
}

Tensors vjp(const Saved<NoOptions>& saved, Inputs grads) {
  const Tensor a = left_matrix(saved.inputs[0]), b = right_matrix(saved.inputs[1]);
  Shape shape = broadcast_shapes(batch_of(a), batch_of(b), "matmul");
  shape.push_back(a.size(-2));
  shape.push_back(b.size(-1));
  const Tensor g = grads[0].reshape(shape);
  Tensors result(2);
  if (saved.inputs[0].requires_grad()) {
    result[0] = sum_to(matmul(g, b.transpose(-2, -1)), a.shape()).reshape(saved.inputs[0].shape());
  }
  if (saved.inputs[1].requires_grad()) {
    result[1] = sum_to(matmul(a.transpose(-2, -1), g), b.shape()).reshape(saved.inputs[1].shape());
  }
  return result;
}

// One pair of matrices, gathered into contiguous form; sums in the compute type.
template <class T>
void multiply(const Tensor& a, const Tensor& b, const Tensor& out) {
  const int64_t m = a.size(-2), k = a.size(-1), n = b.size(-1);
  Shape batch = batch_of(out), wide_a = batch, wide_b = batch;
  for (int64_t d : {m, k}) wide_a.push_back(d);
  for (int64_t d : {k, n}) wide_b.push_back(d);
  const ElementReader<T> read_a(a, wide_a), read_b(b, wide_b);
  const auto size = [](int64_t x) { return static_cast<size_t>(x); };
  std::vector<T> scratch_a(size(m * k)), scratch_b(size(k * n)), scratch_c(size(m * n));
  for (int64_t i = 0; i < batch.numel(); ++i) {
    const T* x = read_a.read(i * m * k, m * k, scratch_a.data());
    const T* w = read_b.read(i * k * n, k * n, scratch_b.data());
    std::fill(scratch_c.begin(), scratch_c.end(), T(0));
    for (int64_t r = 0; r < m; ++r) {
      for (int64_t j = 0; j < k; ++j) {
        for (int64_t c = 0; c < n; ++c) scratch_c[size(r * n + c)] += x[r * k + j] * w[j * n + c];
      }
    }
    write_elements<T>(out, i * m * n, m * n, scratch_c.data());
  }
}

void cpu(Inputs in, Outputs out, const NoOptions&) {
  if (out[0].numel() == 0) return;
  const Tensor a = left_matrix(in[0]), b = right_matrix(in[1]);
  Shape shape = broadcast_shapes(batch_of(a), batch_of(b), "matmul");
  shape.push_back(a.size(-2));
  shape.push_back(b.size(-1));
  with_compute_type(compute_type(a.dtype()),
                    [&]<class T>(T) { multiply<T>(a, b, out[0].reshape(shape)); });
}

Work work(Inputs in, Outputs out, const NoOptions&) {
  return {.flops = 2.0 * static_cast<double>(out[0].numel()) *
                   static_cast<double>(in[0].shape().back())};
}

}  // namespace

constinit Op<> matmul_op{"matmul", {.infer = infer, .vjp = vjp, .cpu = cpu, .work = work}};

Tensor matmul(const Tensor& a, const Tensor& b) { return apply(matmul_op, {a, b}); }

}  // namespace tallow
