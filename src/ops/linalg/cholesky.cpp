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
  const Tensor both = lower_part(product) + adjoint_of(lower_part(product, 1));
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

// x of l l^H x = b (or of l^H l x = b), with l triangular.
Tensor solve_by_factor(const Tensor& b, const Tensor& factor, bool upper) {
  const Tensor l = upper ? adjoint_of(factor) : factor;
  const Tensor half = linalg::solve_triangular(l, b, false);
  return linalg::solve_triangular(adjoint_of(l), half, true);
}

// What a symmetric gradient of A is for its factor, in PyTorch's form: not cut to the triangle.
Tensor factor_gradient(const Tensor& g, const Tensor& factor, bool upper) {
  const Tensor both = g + adjoint_of(g);
  return -(upper ? matmul(factor, both) : matmul(both, factor));
}

// inputs: b, factor.
constinit Op<CholeskyOptions> cholesky_solve_op{
    "cholesky_solve",
    {.infer =
         [](Inputs in, const CholeskyOptions&) {
           return Specs{{in[0].shape(), in[0].dtype()}};
         },
     .vjp =
         [](const Saved<CholeskyOptions>& saved, Inputs grads) {
           const Tensor& factor = saved.inputs[1];
           const bool upper = saved.options.upper;
           const Tensor gb = cholesky_solve(grads[0], factor, upper);
           Tensors result{gb, {}};
           if (factor.requires_grad()) {
             result[1] = factor_gradient(matmul(gb, adjoint_of(saved.outputs[0])), factor, upper);
           }
           return result;
         },
     .composite =
         [](Inputs in, const CholeskyOptions& o) {
           return Tensors{solve_by_factor(in[0], in[1], o.upper)};
         },
     .save_outputs = true}};

constinit Op<CholeskyOptions> cholesky_inverse_op{
    "cholesky_inverse",
    {.infer =
         [](Inputs in, const CholeskyOptions&) {
           return Specs{{in[0].shape(), in[0].dtype()}};
         },
     .vjp =
         [](const Saved<CholeskyOptions>& saved, Inputs grads) {
           const Tensor& y = saved.outputs[0];
           const Tensor both = matmul(y, matmul(grads[0] + adjoint_of(grads[0]), y));
           const Tensor& factor = saved.inputs[0];
           return Tensors{-(saved.options.upper ? matmul(factor, both) : matmul(both, factor))};
         },
     .composite =
         [](Inputs in, const CholeskyOptions& o) {
           const Tensor unit = identity(in[0].size(-1), in[0].dtype()).expand(in[0].shape());
           return Tensors{solve_by_factor(unit, in[0], o.upper)};
         },
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
  const auto [b, factor] = broadcast_matrices("cholesky_solve", self, L);
  return apply(cholesky_solve_op, {b, factor}, {upper});
}

Tensor cholesky_inverse(const Tensor& self, bool upper) {
  check_square("cholesky_inverse", self);
  return apply(cholesky_inverse_op, {self}, {upper});
}

}  // namespace tallow
