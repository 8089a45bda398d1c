// Linear algebra, as torch.linalg and the functions of torch that preceded it. Matrices are the
// last two dimensions of f32, f64, c64 or c128 tensors, those before them a batch. LAPACK does the
// work, so that pivots, signs and orders are its own. A matrix for which there is no result throws
// Error, which names its place in the batch.
#pragma once

#include "tallow/op.h"
#include "tallow/tensor.h"

namespace tallow {

struct QRResult {
  Tensor Q, R;
};
struct SVDResult {
  Tensor U, S, Vh;
};
struct SVDWithV {
  Tensor U, S, V;
};
struct EighResult {
  Tensor eigenvalues, eigenvectors;
};
struct SlogdetResult {
  Tensor sign, logabsdet;
};
struct LUFactors {
  Tensor LU, pivots;
};
struct LUFactorsInfo {
  Tensor LU, pivots, info;
};
struct LUMatrices {
  Tensor P, L, U;
};
struct InverseInfo {
  Tensor inverse, info;
};
struct ResultInfo {
  Tensor result, info;
};
struct CholeskyInfo {
  Tensor L, info;
};
struct LstsqResult {
  Tensor solution, residuals, rank, singular_values;
};
struct LDLFactors {
  Tensor LD, pivots;
};
struct LDLFactorsInfo {
  Tensor LD, pivots, info;
};
struct Reflectors {
  Tensor a, tau;
};
struct TriangularSolution {
  Tensor solution, cloned_coefficient;
};

namespace linalg {

/// A norm of vectors, or of matrices where `dim` names two dimensions (or A has two and `ord` is
/// given): vector_norm or matrix_norm. Without ord the square root of the sum of squares.
Tensor norm(const Tensor& A, const std::optional<Scalar>& ord = {}, const Dims& dim = {},
            bool keepdim = false, std::optional<DType> dtype = {});
/// The same for the matrix norms "fro" and "nuc".
Tensor norm(const Tensor& A, std::string_view ord, const Dims& dim = {}, bool keepdim = false,
            std::optional<DType> dtype = {});
/// (sum |x|^ord)^(1 / ord) over dim, or all; the largest |x| for inf, the smallest for -inf, the
/// count of those that are not 0 for 0. The gradient at 0 is 0.
Tensor vector_norm(const Tensor& x, const Scalar& ord = 2, const Dims& dim = {},
                   bool keepdim = false, std::optional<DType> dtype = {});
/// "fro": the root of the sum of squares; "nuc": the sum of singular values.
Tensor matrix_norm(const Tensor& A, std::string_view ord = "fro", const Dims& dim = {-2, -1},
                   bool keepdim = false, std::optional<DType> dtype = {});
/// 2, -2: the largest, smallest singular value; 1, -1: sum of a column; inf, -inf: of a row.
Tensor matrix_norm(const Tensor& A, const Scalar& ord, const Dims& dim = {-2, -1},
                   bool keepdim = false, std::optional<DType> dtype = {});

Tensor det(const Tensor& A);
/// The sign (or unit complex number) and the logarithm of the absolute value of det(A).
SlogdetResult slogdet(const Tensor& A);
Tensor inv(const Tensor& A);
/// The inverse, and for each matrix 0 or the place of the pivot that is 0.
InverseInfo inv_ex(const Tensor& A, bool check_errors = false);
/// The Moore-Penrose inverse: singular values up to max(atol, rtol * the largest) count as 0. rtol
/// defaults to max(m, n) times the dtype's epsilon, or 0 where atol is given.
Tensor pinv(const Tensor& A, const Tensor& rcond = {}, bool hermitian = false,
            const Tensor& atol = {}, const Tensor& rtol = {});
/// X of A X = B, or of X A = B where not `left`. B is [..., n, k], or a batch of vectors [..., n].
Tensor solve(const Tensor& A, const Tensor& B, bool left = true);
ResultInfo solve_ex(const Tensor& A, const Tensor& B, bool left = true, bool check_errors = false);
/// The least squares of A X - B. driver: gelsy (default), gels, gelsd, gelss.
LstsqResult lstsq(const Tensor& A, const Tensor& B, std::optional<double> rcond = {},
                  std::string_view driver = "");
/// X of A X = B (or X A = B) with A triangular; its other half is not read, nor is its diagonal
/// where `unitriangular`.
Tensor solve_triangular(const Tensor& A, const Tensor& B, bool upper, bool left = true,
                        bool unitriangular = false);

/// L of A = L L^H; with `upper` its adjoint. Only one triangle of A is read.
Tensor cholesky(const Tensor& A, bool upper = false);
CholeskyInfo cholesky_ex(const Tensor& A, bool upper = false, bool check_errors = false);
/// mode: "reduced", "complete" or "r" (Q is then empty).
QRResult qr(const Tensor& A, std::string_view mode = "reduced");
/// P, L and U of A = P L U; without pivot P is empty and rows stay in place.
LUMatrices lu(const Tensor& A, bool pivot = true);
/// L (below the diagonal) and U in one matrix; row i was swapped with pivots[i] (counted from 1).
LUFactors lu_factor(const Tensor& A, bool pivot = true);
LUFactorsInfo lu_factor_ex(const Tensor& A, bool pivot = true, bool check_errors = false);
/// X of A X = B (A^H X = B where adjoint, X A = B where not left) by the factors of A.
Tensor lu_solve(const Tensor& LU, const Tensor& pivots, const Tensor& B, bool left = true,
                bool adjoint = false);
/// The factors of a symmetric (or Hermitian) matrix: A = L D L^T, by Bunch and Kaufman.
LDLFactors ldl_factor(const Tensor& A, bool hermitian = false);
LDLFactorsInfo ldl_factor_ex(const Tensor& A, bool hermitian = false, bool check_errors = false);
Tensor ldl_solve(const Tensor& LD, const Tensor& pivots, const Tensor& B, bool hermitian = false);
/// The first columns of the product of the reflectors I - tau v v^H below A's diagonal.
Tensor householder_product(const Tensor& A, const Tensor& tau);

/// A = U diag(S) Vh. driver is accepted for its spelling; the CPU has one.
SVDResult svd(const Tensor& A, bool full_matrices = true, std::string_view driver = "");
Tensor svdvals(const Tensor& A, std::string_view driver = "");
/// Eigenvalues in ascending order and eigenvectors of a symmetric (or Hermitian) matrix, of which
/// the triangle UPLO ("L" or "U") is read.
EighResult eigh(const Tensor& A, std::string_view UPLO = "L");
Tensor eigvalsh(const Tensor& A, std::string_view UPLO = "L");
/// Complex eigenvalues and eigenvectors of any square matrix.
EighResult eig(const Tensor& A);
Tensor eigvals(const Tensor& A);

Tensor matrix_power(const Tensor& A, int64_t n);
/// The exponential, by scaling, Pade's approximant of degree 13 and squaring (Higham 2005).
Tensor matrix_exp(const Tensor& A);
/// The number of singular values (of |eigenvalues| where hermitian) above max(atol, rtol *
/// largest), with pinv's defaults.
Tensor matrix_rank(const Tensor& A, const Tensor& tol = {}, bool hermitian = false,
                   const Tensor& atol = {}, const Tensor& rtol = {});
/// The norm of A times that of its inverse; by default the ratio of the singular values.
Tensor cond(const Tensor& A, const std::optional<Scalar>& p = {});
Tensor cond(const Tensor& A, std::string_view p);
Tensor multi_dot(const Tensors& tensors);
Tensor matmul(const Tensor& input, const Tensor& other);
/// The vector product along `dim`, of size 3.
Tensor cross(const Tensor& input, const Tensor& other, int64_t dim = -1);
/// The sum over `dim` of conj(x) * y.
Tensor vecdot(const Tensor& x, const Tensor& y, int64_t dim = -1);
Tensor diagonal(const Tensor& A, int64_t offset = 0, int64_t dim1 = -2, int64_t dim2 = -1);
/// The inverse of A seen as a matrix whose rows are its first `ind` dimensions.
Tensor tensorinv(const Tensor& A, int64_t ind = 2);
/// X of tensordot(A, X) = B; `dims` of A are moved to its end first.
Tensor tensorsolve(const Tensor& A, const Tensor& B, const Dims& dims = {});
/// Powers 0 to N - 1 of x [..., n]: [..., n, N]; N defaults to n.
Tensor vander(const Tensor& x, std::optional<int64_t> N = {});

}  // namespace linalg

Tensor inverse(const Tensor& self);
Tensor det(const Tensor& self);
/// log det(self), nan where the determinant is negative.
Tensor logdet(const Tensor& self);
SlogdetResult slogdet(const Tensor& self);
Tensor pinverse(const Tensor& self, double rcond = 1e-15);
Tensor cholesky(const Tensor& self, bool upper = false);
/// X of A X = self by the Cholesky factor L of A (or its adjoint, where upper).
Tensor cholesky_solve(const Tensor& self, const Tensor& L, bool upper = false);
/// The inverse of A by its Cholesky factor.
Tensor cholesky_inverse(const Tensor& self, bool upper = false);
/// X of A X = self, with A triangular, transposed where `transpose`.
TriangularSolution triangular_solve(const Tensor& self, const Tensor& A, bool upper = true,
                                    bool transpose = false, bool unitriangular = false);
QRResult qr(const Tensor& self, bool some = true);
/// self = U diag(S) V^H, of reduced size where `some`; zeros for U and V unless compute_uv.
SVDWithV svd(const Tensor& self, bool some = true, bool compute_uv = true);
/// The factors LU, the pivots and, where get_infos, linalg.lu_factor_ex's info.
Tensors lu(const Tensor& self, bool pivot = true, bool get_infos = false);
/// P, L and U of what lu_factor gave; empty where not asked for.
LUMatrices lu_unpack(const Tensor& LU_data, const Tensor& LU_pivots, bool unpack_data = true,
                     bool unpack_pivots = true);
Tensor lu_solve(const Tensor& self, const Tensor& LU_data, const Tensor& LU_pivots);
/// R with the reflectors that give Q below its diagonal, and their factors.
Reflectors geqrf(const Tensor& self);
Tensor orgqr(const Tensor& self, const Tensor& input2);
/// Q (or its adjoint, where transpose) times other, or other times Q where not left.
Tensor ormqr(const Tensor& self, const Tensor& tau, const Tensor& other, bool left = true,
             bool transpose = false);
Tensor matrix_exp(const Tensor& self);

}  // namespace tallow
