// Cholesky factors. Gradient: Murray 2016, "Differentiation of the Cholesky decomposition".
#include "ops/linalg/lapack.h"
#include "ops/linalg/matrices.h"
#include "tallow/parallel.h"

namespace tallow {
namespace {

struct CholeskyOptions {
  bool upper;
};

void cpu(Inputs in, Outputs out, const CholeskyOptions& o) {
  with_lapack_type(in[0].dtype(), [&]<class T>(T) {
    parallel_for(out[1].numel(), 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) {
        const MatrixView<T> a(in[0], i), to(out[0], i);
        const int64_t n = a.rows;
        std::vector<T> l = a.read();
        out[1].data<int32_t>()[i] = lapack::potrf(o.upper ? 'U' : 'L', a.rows, l.data());
        for (int64_t c = 0; c < n; ++c) {
          const int64_t first = o.upper ? c + 1 : 0, last = o.upper ? n : c;
          std::fill(l.begin() + c * n + first, l.begin() + c * n + last, T(0));
        }
        to.write(l.data(), n);
      }
    });
  });
}

Tensors vjp(const Saved<CholeskyOptions>& saved, Inputs grads) {
  const bool upper = saved.options.upper;
  const Tensor l = upper ? adjoint_of(saved.outputs[0]) : saved.outputs[0];
  const Tensor gl = upper ? adjoint_of(grads[0]) : grads[0];
  const Tensor product = matmul(adjoint_of(l), lower_part(gl));
  // The lower triangle with half of the (real) diagonal.
  const Tensor below = lower_part(product, 1);
  const Tensor phi = below + diag_embed(real_of(diagonal_of(product)) * 0.5).to(below.dtype());
  const Tensor both = phi + adjoint_of(phi);
  const Tensor left = linalg::solve_triangular(adjoint_of(l), both * 0.5, true, true);
  return {linalg::solve_triangular(l, left, false, false)};
}

constinit Op<CholeskyOptions> cholesky_op{
    "linalg.cholesky",
    {.infer =
         [](Inputs in, const CholeskyOptions&) {
           return Specs{{in[0].shape(), in[0].dtype()}, {batch_shape(in[0]), DType::i32}};
         },
     .vjp = vjp,
     .cpu = cpu,
     .save_outputs = true}};

void check_factor(const char* op, const Tensor& b, const Tensor& l) {
  check_matrices(op, b);
  check_square(op, l);
  if (b.size(-2) != l.size(-1))
    fail(op, ": ", b, " does not fit the factor ", l, "; it needs ", l.size(-1), " rows");
}

}  // namespace

namespace linalg {

CholeskyInfo cholesky_ex(const Tensor& A, bool upper, bool check_errors) {
  check_square("linalg.cholesky", A);
  const Tensor inputs[] = {A};
  const Tensors result = apply_many(cholesky_op, inputs, {upper});
  if (check_errors) check_info("linalg.cholesky", result[1], "is not positive-definite");
  return {result[0], result[1]};
}

Tensor cholesky(const Tensor& A, bool upper) { return cholesky_ex(A, upper, true).L; }

}  // namespace linalg

Tensor cholesky(const Tensor& self, bool upper) { return linalg::cholesky(self, upper); }

Tensor cholesky_solve(const Tensor& self, const Tensor& L, bool upper) {
  check_factor("cholesky_solve", self, L);
  const Tensor l = upper ? adjoint_of(L) : L;
  const Tensor half = linalg::solve_triangular(l, self, false);
  return linalg::solve_triangular(adjoint_of(l), half, true);
}

Tensor cholesky_inverse(const Tensor& self, bool upper) {
  check_square("cholesky_inverse", self);
  return cholesky_solve(identity(self.size(-1), self.dtype()).expand(self.shape()), self, upper);
}

}  // namespace tallow
