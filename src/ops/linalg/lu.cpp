// LU and LDL factors. Gradient of LU: Walter and Lehmann 2010, "Algorithmic differentiation of
// linear algebra functions", with wide and tall matrices as blocks.
#include "ops/linalg/lapack.h"
#include "ops/linalg/matrices.h"
#include "tallow/parallel.h"

namespace tallow {
namespace {

struct LUOptions {
  bool pivot;
};
struct LDLOptions {
  bool hermitian;
};

// Elimination without row exchanges; `info` as getrf's.
template <class T>
int factor_in_place(int m, int n, T* a) {
  int info = 0;
  for (int64_t k = 0; k < std::min(m, n); ++k) {
    const T pivot = a[k * m + k];
    if (pivot == T(0) && info == 0) info = static_cast<int>(k) + 1;
    for (int64_t i = k + 1; i < m; ++i) a[k * m + i] /= pivot;
    for (int64_t j = k + 1; j < n; ++j) {
      for (int64_t i = k + 1; i < m; ++i) a[j * m + i] -= a[k * m + i] * a[j * m + k];
    }
  }
  return info;
}

void lu_cpu(Inputs in, Outputs out, const LUOptions& o) {
  with_lapack_type(in[0].dtype(), [&]<class T>(T) {
    parallel_for(out[2].numel(), 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t b = begin; b < end; ++b) {
        const MatrixView<T> a(in[0], b), to(out[0], b);
        std::vector<T> lu = a.read();
        int32_t* pivots = vector_at<int32_t>(out[1], b);
        for (int i = 0; i < std::min(a.rows, a.columns); ++i) pivots[i] = i + 1;
        out[2].data<int32_t>()[b] = o.pivot ? lapack::getrf(a.rows, a.columns, lu.data(), pivots)
                                            : factor_in_place(a.rows, a.columns, lu.data());
        to.write(lu.data(), a.rows);
      }
    });
  });
}

Tensors lu_vjp(const Saved<LUOptions>& saved, Inputs grads) {
  const Tensor &lu = saved.outputs[0], &g = grads[0];
  const int64_t m = lu.size(-2), n = lu.size(-1), k = std::min(m, n);
  const Tensor square = lu.narrow(-2, 0, k).narrow(-1, 0, k);
  const Tensor l = lower_part(square, 1) + identity(k, lu.dtype()), u = upper_part(square);
  const Tensor lh = adjoint_of(l), uh = adjoint_of(u);
  const Tensor g_square = g.narrow(-2, 0, k).narrow(-1, 0, k);
  const Tensor gl = lower_part(g_square, 1), gu = upper_part(g_square);
  Tensor inner_l = matmul(lh, gl), inner_u = matmul(gu, uh);
  Tensor gu_right, gl_below;
  if (n > k) {
    gu_right = g.narrow(-1, k, n - k);
    inner_l = inner_l - matmul(gu_right, adjoint_of(lu.narrow(-1, k, n - k)));
  }
  if (m > k) {
    gl_below = g.narrow(-2, k, m - k);
    inner_u = inner_u - matmul(adjoint_of(lu.narrow(-2, k, m - k)), gl_below);
  }
  Tensor result =
      linalg::solve_triangular(uh, lower_part(inner_l, 1) + upper_part(inner_u), false, false);
  if (n > k) result = cat({result, gu_right}, -1);
  result = linalg::solve_triangular(lh, result, true, true, true);
  if (m > k) result = cat({result, linalg::solve_triangular(uh, gl_below, false, false)}, -2);
  if (!saved.options.pivot) return {result};
  return {matmul(permutation_matrix(saved.outputs[1], m, lu.dtype()), result)};
}

Specs lu_infer(Inputs in, const LUOptions&) {
  const Shape batch = batch_shape(in[0]);
  const int64_t k = std::min(in[0].size(-2), in[0].size(-1));
  return {{in[0].shape(), in[0].dtype()}, {with_vector(batch, k), DType::i32}, {batch, DType::i32}};
}

constinit Op<LUOptions> lu_op{
    "linalg.lu_factor", {.infer = lu_infer, .vjp = lu_vjp, .cpu = lu_cpu, .save_outputs = true}};

constinit Op<LDLOptions> ldl_op{
    "linalg.ldl_factor",
    {.infer = [](Inputs in, const LDLOptions&) { return lu_infer(in, {}); },
     .cpu =
         [](Inputs in, Outputs out, const LDLOptions& o) {
           with_lapack_type(in[0].dtype(), [&]<class T>(T) {
             for (int64_t b = 0; b < out[2].numel(); ++b) {
               const MatrixView<T> a(in[0], b), to(out[0], b);
               std::vector<T> ld = a.read();
               out[2].data<int32_t>()[b] =
                   lapack::sytrf(o.hermitian, a.rows, ld.data(), vector_at<int32_t>(out[1], b));
               for (int64_t c = 1; c < a.rows; ++c) {
                 std::fill_n(ld.begin() + c * a.rows, c, T(0));
               }
               to.write(ld.data(), a.rows);
             }
           });
         }}};

constinit Op<LDLOptions> ldl_solve_op{
    "linalg.ldl_solve",
    {.infer =
         [](Inputs in, const LDLOptions&) {
           return Specs{{in[2].shape(), in[2].dtype()}};
         },
     .cpu =
         [](Inputs in, Outputs out, const LDLOptions& o) {
           const Tensor pivots = in[1].contiguous();
           with_lapack_type(in[0].dtype(), [&]<class T>(T) {
             for (int64_t i = 0; i < batch_shape(out[0]).numel(); ++i) {
               const MatrixView<T> ld(in[0], i), b(in[2], i), x(out[0], i);
               std::vector<T> columns = b.read();
               lapack::sytrs(o.hermitian, ld.rows, b.columns, ld.read().data(),
                             vector_at<int32_t>(pivots, i), columns.data());
               x.write(columns.data(), b.rows);
             }
           });
         }}};

void check_pivots(const char* op, const Tensor& lu, const Tensor& pivots) {
  if (pivots.dtype() != DType::i32)
    fail(op, ": pivots are ", pivots, "; they need to be i32, as lu_factor gives them");
  const Shape shape = with_vector(batch_shape(lu), std::min(lu.size(-2), lu.size(-1)));
  if (pivots.shape() != shape)
    fail(op, ": pivots ", pivots, " do not fit ", lu, "; they need ", shape);
}

}  // namespace

LUMatrices lu_unpack(const Tensor& LU_data, const Tensor& LU_pivots, bool unpack_data,
                     bool unpack_pivots) {
  if (unpack_pivots) check_pivots("lu_unpack", LU_data, LU_pivots);
  check_matrices("lu_unpack", LU_data);
  const int64_t m = LU_data.size(-2), n = LU_data.size(-1), k = std::min(m, n);
  const DType type = LU_data.dtype();
  LUMatrices result;
  result.P = unpack_pivots ? permutation_matrix(LU_pivots, m, type) : Tensor::empty({0}, type);
  result.L = result.U = Tensor::empty({0}, type);
  if (!unpack_data) return result;
  Tensor unit = identity(std::max(m, k), type);
  if (m > k) unit = unit.narrow(-1, 0, k);
  result.L = lower_part(LU_data.narrow(-1, 0, k), 1) + unit;
  result.U = upper_part(LU_data.narrow(-2, 0, k));
  return result;
}

namespace linalg {

LUFactorsInfo lu_factor_ex(const Tensor& A, bool pivot, bool check_errors) {
  check_matrices("linalg.lu_factor", A);
  const Tensor inputs[] = {A};
  const Tensors result = apply_many(lu_op, inputs, {pivot});
  if (check_errors) check_info("linalg.lu_factor", result[2], "has a pivot that is 0");
  return {result[0], result[1], result[2]};
}

LUFactors lu_factor(const Tensor& A, bool pivot) {
  const LUFactorsInfo all = lu_factor_ex(A, pivot, false);
  return {all.LU, all.pivots};
}

LUMatrices lu(const Tensor& A, bool pivot) {
  const LUFactors factors = lu_factor(A, pivot);
  return lu_unpack(factors.LU, factors.pivots, true, pivot);
}

Tensor lu_solve(const Tensor& LU, const Tensor& pivots, const Tensor& B, bool left, bool adjoint) {
  check_square("linalg.lu_solve", LU);
  check_matrices("linalg.lu_solve", B);
  check_same_dtype("linalg.lu_solve", LU, B);
  check_pivots("linalg.lu_solve", LU, pivots);
  if (B.size(left ? -2 : -1) != LU.size(-1))
    fail("linalg.lu_solve: LU ", LU, " and B ", B, " do not fit; B needs ", LU.size(-1),
         left ? " rows" : " columns");
  // X A = B is A^H X^H = B^H.
  if (!left) return adjoint_of(lu_solve(LU, pivots, adjoint_of(B), true, !adjoint));
  const LUMatrices f = lu_unpack(LU, pivots, true, true);
  if (adjoint) {
    const Tensor y = solve_triangular(adjoint_of(f.U), B, false);
    return tallow::matmul(f.P, solve_triangular(adjoint_of(f.L), y, true, true, true));
  }
  const Tensor y = solve_triangular(f.L, tallow::matmul(adjoint_of(f.P), B), false, true, true);
  return solve_triangular(f.U, y, true);
}

LDLFactorsInfo ldl_factor_ex(const Tensor& A, bool hermitian, bool check_errors) {
  check_square("linalg.ldl_factor", A);
  const Tensor inputs[] = {A};
  const Tensors result = apply_many(ldl_op, inputs, {hermitian});
  if (check_errors) check_info("linalg.ldl_factor", result[2], "is singular");
  return {result[0], result[1], result[2]};
}

LDLFactors ldl_factor(const Tensor& A, bool hermitian) {
  const LDLFactorsInfo all = ldl_factor_ex(A, hermitian, true);
  return {all.LD, all.pivots};
}

Tensor ldl_solve(const Tensor& LD, const Tensor& pivots, const Tensor& B, bool hermitian) {
  check_square("linalg.ldl_solve", LD);
  check_matrices("linalg.ldl_solve", B);
  check_pivots("linalg.ldl_solve", LD, pivots);
  if (B.size(-2) != LD.size(-1))
    fail("linalg.ldl_solve: LD ", LD, " and B ", B, " do not fit; B needs ", LD.size(-1), " rows");
  const auto [ld, b] = broadcast_matrices("linalg.ldl_solve", LD, B);
  const Tensor inputs[] = {ld, pivots.expand(with_vector(batch_shape(ld), LD.size(-1))), b};
  return apply_many(ldl_solve_op, inputs, {hermitian})[0];
}

}  // namespace linalg

Tensors lu(const Tensor& self, bool pivot, bool get_infos) {
  const LUFactorsInfo all = linalg::lu_factor_ex(self, pivot, false);
  return get_infos ? Tensors{all.LU, all.pivots, all.info} : Tensors{all.LU, all.pivots};
}

Tensor lu_solve(const Tensor& self, const Tensor& LU_data, const Tensor& LU_pivots) {
  return linalg::lu_solve(LU_data, LU_pivots, self);
}

}  // namespace tallow
