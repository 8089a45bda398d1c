// Solutions of square systems: solve, inv, and of triangular ones. Gradients: Giles 2008, "An
// extended collection of matrix derivative results".
#include "ops/linalg/lapack.h"
#include "ops/linalg/matrices.h"
#include "tallow/parallel.h"

namespace tallow {
namespace {

struct TriangularOptions {
  bool upper, left, unit;
};

Specs solve_infer(Inputs in, const NoOptions&) {
  return {{in[1].shape(), in[1].dtype()}, {batch_shape(in[0]), DType::i32}};
}

void solve_cpu(Inputs in, Outputs out, const NoOptions&) {
  with_lapack_type(in[0].dtype(), [&]<class T>(T) {
    parallel_for(out[1].numel(), 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) {
        const MatrixView<T> a(in[0], i), b(in[1], i), x(out[0], i);
        std::vector<T> lu = a.read(), columns = b.read();
        std::vector<int> pivots(static_cast<size_t>(a.rows));
        const int info = lapack::getrf(a.rows, a.rows, lu.data(), pivots.data());
        out[1].data<int32_t>()[i] = info;
        if (a.rows > 0 && b.columns > 0)
          lapack::getrs(a.rows, b.columns, lu.data(), pivots.data(), columns.data());
        x.write(columns.data(), b.rows);
      }
    });
  });
}

Tensors solve_vjp(const Saved<NoOptions>& saved, Inputs grads) {
  const Tensor &a = saved.inputs[0], &b = saved.inputs[1], &x = saved.outputs[0];
  Tensors result(2);
  const Tensor gb = linalg::solve(adjoint_of(a), grads[0]);
  if (a.requires_grad()) result[0] = -matmul(gb, adjoint_of(x));
  if (b.requires_grad()) result[1] = gb;
  return result;
}

constinit Op<> solve_op{
    "linalg.solve",
    {.infer = solve_infer, .vjp = solve_vjp, .cpu = solve_cpu, .save_outputs = true}};

Specs inv_infer(Inputs in, const NoOptions&) {
  return {{in[0].shape(), in[0].dtype()}, {batch_shape(in[0]), DType::i32}};
}

void inv_cpu(Inputs in, Outputs out, const NoOptions&) {
  const Tensor unit = identity(in[0].size(-1), in[0].dtype()).expand(in[0].shape());
  const Tensor both[] = {in[0], unit};
  solve_cpu(both, out, {});
}

Tensors inv_vjp(const Saved<NoOptions>& saved, Inputs grads) {
  const Tensor h = adjoint_of(saved.outputs[0]);
  return {-matmul(h, matmul(grads[0], h))};
}

constinit Op<> inv_op{"linalg.inv",
                      {.infer = inv_infer, .vjp = inv_vjp, .cpu = inv_cpu, .save_outputs = true}};

// x of a x = b, or of x a = b.
void triangular_cpu(Inputs in, Outputs out, const TriangularOptions& o) {
  with_lapack_type(in[0].dtype(), [&]<class T>(T) {
    const int64_t batches = batch_shape(out[0]).numel();
    parallel_for(batches, 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) {
        const MatrixView<T> a(in[0], i), b(in[1], i), x(out[0], i);
        std::vector<T> matrix = a.read(), columns = b.read();
        lapack::trsm(o.left ? 'L' : 'R', o.upper ? 'U' : 'L', o.unit, b.rows, b.columns,
                     matrix.data(), columns.data());
        x.write(columns.data(), b.rows);
      }
    });
  });
}

Tensor triangular(const Tensor& a, const Tensor& b, const TriangularOptions& o);

Tensors triangular_vjp(const Saved<TriangularOptions>& saved, Inputs grads) {
  const Tensor &a = saved.inputs[0], &b = saved.inputs[1], &x = saved.outputs[0];
  const TriangularOptions& o = saved.options;
  Tensors result(2);
  const Tensor gb = triangular(adjoint_of(a), grads[0], {!o.upper, o.left, o.unit});
  if (a.requires_grad()) {
    const Tensor ga = o.left ? matmul(gb, adjoint_of(x)) : matmul(adjoint_of(x), gb);
    result[0] = -(o.upper ? upper_part(ga, o.unit) : lower_part(ga, o.unit));
  }
  if (b.requires_grad()) result[1] = gb;
  return result;
}

constinit Op<TriangularOptions> triangular_op{"linalg.solve_triangular",
                                              {.infer =
                                                   [](Inputs in, const TriangularOptions&) {
                                                     return Specs{{in[1].shape(), in[1].dtype()}};
                                                   },
                                               .vjp = triangular_vjp,
                                               .cpu = triangular_cpu,
                                               .save_outputs = true}};

Tensor triangular(const Tensor& a, const Tensor& b, const TriangularOptions& o) {
  return apply(triangular_op, {a, b}, o);
}

// B is a batch of vectors where it has one dimension, or A's shape without its last.
bool is_vectors(const Tensor& a, const Tensor& b) {
  if (b.dim() == 1) return true;
  Shape shape = a.shape();
  shape.erase(shape.size() - 1);
  return b.shape() == shape;
}

}  // namespace

namespace linalg {

ResultInfo solve_ex(const Tensor& A, const Tensor& B, bool left, bool check_errors) {
  check_square("linalg.solve", A);
  check_same_dtype("linalg.solve", A, B);
  if (B.dim() == 0) fail("linalg.solve: B ", B, " needs 1 dimension or more");
  const bool vectors = is_vectors(A, B);
  const Tensor rhs = vectors ? B.unsqueeze(-1) : B;
  if (rhs.size(left ? -2 : -1) != A.size(-1))
    fail("linalg.solve: A ", A, " and B ", B, " do not fit; B needs ", A.size(-1),
         left ? " rows" : " columns");
  if (vectors && !left) fail("linalg.solve: B ", B, " is of vectors; left needs to be true");
  auto [a, b] = broadcast_matrices("linalg.solve", A, rhs);
  if (!left) a = a.transpose(-2, -1), b = b.transpose(-2, -1);
  const Tensor inputs[] = {a, b};
  Tensors result = apply_many(solve_op, inputs);
  if (check_errors) check_info("linalg.solve", result[1], "is singular");
  if (!left) result[0] = result[0].transpose(-2, -1);
  return {vectors ? result[0].squeeze(-1) : result[0], result[1]};
}

Tensor solve(const Tensor& A, const Tensor& B, bool left) {
  return solve_ex(A, B, left, true).result;
}

InverseInfo inv_ex(const Tensor& A, bool check_errors) {
  check_square("linalg.inv", A);
  const Tensor inputs[] = {A};
  const Tensors result = apply_many(inv_op, inputs);
  if (check_errors) check_info("linalg.inv", result[1], "is singular");
  return {result[0], result[1]};
}

Tensor inv(const Tensor& A) { return inv_ex(A, true).inverse; }

Tensor solve_triangular(const Tensor& A, const Tensor& B, bool upper, bool left,
                        bool unitriangular) {
  check_square("linalg.solve_triangular", A);
  check_matrices("linalg.solve_triangular", B);
  if (B.size(left ? -2 : -1) != A.size(-1))
    fail("linalg.solve_triangular: A ", A, " and B ", B, " do not fit; B needs ", A.size(-1),
         left ? " rows" : " columns");
  const auto [a, b] = broadcast_matrices("linalg.solve_triangular", A, B);
  return triangular(a, b, {upper, left, unitriangular});
}

Tensor tensorinv(const Tensor& A, int64_t ind) {
  if (ind <= 0) fail("linalg.tensorinv: ind is ", ind, "; it needs 1 or more");
  Shape rows, columns;
  for (int i = 0; i < A.dim(); ++i) (i < ind ? rows : columns).push_back(A.shape()[i]);
  if (rows.numel() != columns.numel())
    fail("linalg.tensorinv: ", A, " is not square: ", rows, " and ", columns, " differ in size");
  Shape shape = columns;
  for (int64_t n : rows) shape.push_back(n);
  const InverseInfo result = inv_ex(A.reshape({rows.numel(), columns.numel()}), false);
  check_info("linalg.tensorinv", result.info, "is singular");
  return result.inverse.reshape(shape);
}

Tensor tensorsolve(const Tensor& A, const Tensor& B, const Dims& dims) {
  Shape order;
  const uint32_t moved = dims.given() ? dim_bits(dims, A.dim(), "linalg.tensorsolve") : 0;
  for (int i = 0; i < A.dim(); ++i) {
    if (!(moved >> i & 1)) order.push_back(i);
  }
  for (int64_t d : dims) order.push_back(normalize_dim(d, A.dim(), "linalg.tensorsolve"));
  const Tensor a = A.permute(Dims(order));
  Shape shape;
  for (int i = B.dim(); i < a.dim(); ++i) shape.push_back(a.shape()[i]);
  if (shape.numel() != B.numel() || a.numel() != B.numel() * B.numel())
    fail("linalg.tensorsolve: A ", A, " and B ", B, " do not fit; ", shape, " needs ", B.numel(),
         " elements");
  const Tensor x = solve(a.reshape({B.numel(), shape.numel()}), B.reshape({B.numel()}), true);
  return x.reshape(shape);
}

}  // namespace linalg

Tensor inverse(const Tensor& self) { return linalg::inv(self); }

TriangularSolution triangular_solve(const Tensor& self, const Tensor& A, bool upper, bool transpose,
                                    bool unitriangular) {
  check_square("triangular_solve", A);
  check_matrices("triangular_solve", self);
  const auto [a, b] = broadcast_matrices("triangular_solve", A, self);
  const Tensor matrix = transpose ? a.transpose(-2, -1) : a;
  return {linalg::solve_triangular(matrix, b, upper != transpose, true, unitriangular), a.clone()};
}

}  // namespace tallow
