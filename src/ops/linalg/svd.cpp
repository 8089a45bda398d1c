// Singular values and vectors, and what is made of them. Gradients: Townsend 2016, "Differentiating
// the singular value decomposition"; Golub and Pereyra 1973 for the pseudoinverse.
#include <limits>

#include "ops/linalg/lapack.h"
#include "ops/linalg/matrices.h"
#include "tallow/autograd.h"
#include "tallow/parallel.h"

namespace tallow {
namespace {

struct SVDOptions {
  bool full;
};
struct HermitianOptions {
  bool hermitian;
};

template <class T>
void svd_one(const Tensor& in, Outputs out, int64_t index, char job) {
  using R = lapack::Real<T>;
  const MatrixView<T> a(in, index);
  const int64_t m = a.rows, n = a.columns, k = std::min(m, n);
  const int64_t rows_v = job == 'A' ? n : k, columns_u = job == 'A' ? m : k;
  const bool vectors = job != 'N';
  std::vector<T> matrix = a.read();
  std::vector<T> u(static_cast<size_t>(vectors ? m * columns_u : 1) + 1);
  std::vector<T> vh(static_cast<size_t>(vectors ? rows_v * n : 1) + 1);
  Tensor s = out[vectors ? 1 : 0];
  if (k > 0) {
    const int info = lapack::gesdd(job, a.rows, a.columns, matrix.data(), vector_at<R>(s, index),
                                   u.data(), vh.data());
    if (info < 0)
      fail("linalg.svd: matrix ", index, " of the batch holds values that are not finite");
    if (info > 0) fail("linalg.svd: matrix ", index, " of the batch did not converge");
  } else {  // an empty matrix: identities
    for (int64_t i = 0; vectors && i < columns_u; ++i) u[static_cast<size_t>(i * m + i)] = T(1);
    for (int64_t i = 0; vectors && i < rows_v; ++i) vh[static_cast<size_t>(i * n + i)] = T(1);
  }
  if (!vectors) return;
  MatrixView<T>(out[0], index).write(u.data(), m);
  MatrixView<T>(out[2], index).write(vh.data(), rows_v);
}

void svd_cpu(const Tensor& in, Outputs out, char job) {
  with_lapack_type(in.dtype(), [&]<class T>(T) {
    parallel_for(batch_shape(in).numel(), 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) svd_one<T>(in, out, i, job);
    });
  });
}

// E [.., k, k] with E_ij = s_j^2 - s_i^2, and 1 on the diagonal and where two values are equal, for
// which singular vectors have no gradient.
Tensor gaps(const Tensor& values) {
  const Tensor e = values.unsqueeze(-2) - values.unsqueeze(-1);
  return where(eq(e, 0.0), 1.0, e);
}

Tensor skew(const Tensor& x) { return x - adjoint_of(x); }

Tensors svd_vjp(const Saved<SVDOptions>& saved, Inputs grads) {
  const Tensor& s = saved.outputs[1];
  const int64_t k = s.shape().back();
  const Tensor u = saved.outputs[0].narrow(-1, 0, k), vh = saved.outputs[2].narrow(-2, 0, k);
  const Tensor gu = grads[0].narrow(-1, 0, k), gvh = grads[2].narrow(-2, 0, k);
  const int64_t m = u.size(-2), n = vh.size(-1);
  const Tensor ugu = skew(matmul(adjoint_of(u), gu)), vgv = skew(matmul(vh, adjoint_of(gvh)));
  Tensor inner = (scale_columns(ugu, s) + scale_rows(vgv, s)) / gaps(square(s));
  const Tensor diagonal_gap = diag_embed(diagonal_of(inner));
  inner = inner - diagonal_gap + diag_embed(grads[1]).to(inner.dtype());
  if (is_complex(u.dtype())) {
    const Tensor twice = where(eq(s, 0.0), 1.0, s * 2.0);
    inner = inner + diag_embed(diagonal_of(ugu) / twice);
  }
  const Tensor safe = where(eq(s, 0.0), 1.0, s);
  Tensor result;
  if (m > k) {
    const Tensor scaled = gu / safe.unsqueeze(-2);
    result = matmul(u, inner) + scaled - matmul(u, matmul(adjoint_of(u), scaled));
    return {matmul(result, vh)};
  }
  result = matmul(inner, vh);
  if (n > k) {
    const Tensor scaled = gvh / safe.unsqueeze(-1);
    result = result + scaled - matmul(matmul(scaled, adjoint_of(vh)), vh);
  }
  return {matmul(u, result)};
}

constinit Op<SVDOptions> svd_op{
    "linalg.svd",
    {.infer =
         [](Inputs in, const SVDOptions& o) {
           const Shape batch = batch_shape(in[0]);
           const int64_t m = in[0].size(-2), n = in[0].size(-1), k = std::min(m, n);
           const DType type = in[0].dtype();
           return Specs{{with_matrix(batch, m, o.full ? m : k), type},
                        {with_vector(batch, k), to_real(type)},
                        {with_matrix(batch, o.full ? n : k, n), type}};
         },
     .vjp = svd_vjp,
     .cpu = [](Inputs in, Outputs out,
               const SVDOptions& o) { svd_cpu(in[0], out, o.full ? 'A' : 'S'); },
     .save_outputs = true}};

constinit Op<> svdvals_op{
    "linalg.svdvals",
    {.infer =
         [](Inputs in, const NoOptions&) {
           const int64_t k = std::min(in[0].size(-2), in[0].size(-1));
           return Specs{{with_vector(batch_shape(in[0]), k), to_real(in[0].dtype())}};
         },
     .vjp =
         [](const Saved<NoOptions>& saved, Inputs grads) {
           const SVDResult f = linalg::svd(saved.inputs[0], false);
           return Tensors{matmul(scale_columns(f.U, grads[0]), f.Vh)};
         },
     .cpu = [](Inputs in, Outputs out, const NoOptions&) { svd_cpu(in[0], out, 'N'); }}};

// max(atol, rtol * largest) [...], or one of defaults.
Tensor tolerance(const Tensor& A, const Tensor& largest, const Tensor& atol, const Tensor& rtol) {
  const DType type = largest.dtype();
  const double eps = type == DType::f64 ? std::numeric_limits<double>::epsilon()
                                        : std::numeric_limits<float>::epsilon();
  const auto most = static_cast<double>(std::max(A.size(-2), A.size(-1)));
  const Tensor relative = rtol ? rtol.to(type) * largest : largest * (atol ? 0.0 : eps * most);
  if (!atol) return relative;
  const Tensor default_relative = largest * (eps * most);
  const Tensor absolute = atol.to(type);
  return rtol ? maximum(absolute, relative)
              : where(gt(absolute, 0.0), absolute, maximum(absolute, default_relative));
}

// inputs: A, atol, rtol.
Tensors pinv_composite(Inputs in, const HermitianOptions& o) {
  const Tensor& A = in[0];
  Shape shape = A.shape();
  std::swap(shape[A.dim() - 1], shape[A.dim() - 2]);
  if (A.numel() == 0) return {Tensor::zeros(shape, A.dtype())};
  const auto inverted = [&](const Tensor& values) {
    const Tensor size = abs(values);
    const Tensor least = tolerance(A, amax(size, -1), in[1], in[2]).unsqueeze(-1);
    return where(gt(size, least), reciprocal(values), 0.0);
  };
  if (o.hermitian) {
    const EighResult f = linalg::eigh(A);
    return {
        matmul(scale_columns(f.eigenvectors, inverted(f.eigenvalues)), adjoint_of(f.eigenvectors))};
  }
  const SVDResult f = linalg::svd(A, false);
  return {matmul(scale_columns(adjoint_of(f.Vh), inverted(f.S)), adjoint_of(f.U))};
}

Tensors pinv_vjp(const Saved<HermitianOptions>& saved, Inputs grads) {
  const Tensor &a = saved.inputs[0], &p = saved.outputs[0];
  const Tensor ph = adjoint_of(p), gh = adjoint_of(grads[0]);
  Tensor result;
  if (a.size(-2) <= a.size(-1)) {
    const Tensor k = matmul(gh, p), kph = matmul(k, ph);
    result = kph - adjoint_of(matmul(p, k)) - matmul(matmul(a, p), kph) +
             matmul(matmul(ph, p), gh - matmul(k, a));
  } else {
    const Tensor k = matmul(p, gh), phk = matmul(ph, k);
    result = phk - adjoint_of(matmul(k, p)) + matmul(matmul(gh - matmul(a, k), p), ph) -
             matmul(matmul(phk, p), a);
  }
  return {result, {}, {}};
}

constinit Op<HermitianOptions> pinv_op{"linalg.pinv",
                                       {.infer =
                                            [](Inputs in, const HermitianOptions&) {
                                              Shape shape = in[0].shape();
                                              std::swap(shape[in[0].dim() - 1],
                                                        shape[in[0].dim() - 2]);
                                              return Specs{{shape, in[0].dtype()}};
                                            },
                                        .vjp = pinv_vjp,
                                        .composite = pinv_composite,
                                        .save_outputs = true}};

void check_driver(std::string_view driver) {
  if (driver.empty()) return;
  fail("linalg.svd: driver \"", driver, "\" is of CUDA; the CPU takes none");
}

}  // namespace

namespace linalg {

SVDResult svd(const Tensor& A, bool full_matrices, std::string_view driver) {
  check_matrices("linalg.svd", A);
  check_driver(driver);
  const Tensor inputs[] = {A};
  const Tensors result = apply_many(svd_op, inputs, {full_matrices});
  return {result[0], result[1], result[2]};
}

Tensor svdvals(const Tensor& A, std::string_view driver) {
  check_matrices("linalg.svdvals", A);
  check_driver(driver);
  return apply(svdvals_op, {A});
}

Tensor pinv(const Tensor& A, const Tensor& rcond, bool hermitian, const Tensor& atol,
            const Tensor& rtol) {
  check_matrices("linalg.pinv", A);
  if (hermitian) check_square("linalg.pinv", A);
  return apply(pinv_op, {A, atol, rcond ? rcond : rtol}, {hermitian});
}

Tensor matrix_rank(const Tensor& A, const Tensor& tol, bool hermitian, const Tensor& atol,
                   const Tensor& rtol) {
  check_matrices("linalg.matrix_rank", A);
  if (hermitian) check_square("linalg.matrix_rank", A);
  for (const Tensor* t : {&tol, &atol, &rtol}) {
    if (t->defined()) check_not_complex("linalg.matrix_rank", *t);
  }
  NoGrad no_grad;
  const Shape batch = batch_shape(A);
  if (A.numel() == 0) return Tensor::zeros(batch, DType::i64);
  const Tensor values = hermitian ? abs(eigvalsh(A)) : svdvals(A);
  const Tensor least = tol ? tol.to(values.dtype()) : tolerance(A, amax(values, -1), atol, rtol);
  const Tensor bound = least.dim() == 0 ? least : least.unsqueeze(-1);
  return sum(gt(values, bound).to(DType::i64), -1);
}

}  // namespace linalg

Tensor pinverse(const Tensor& self, double rcond) { return linalg::pinv(self, rcond); }

SVDWithV svd(const Tensor& self, bool some, bool compute_uv) {
  if (!compute_uv) {
    const int64_t m = self.size(-2), n = self.size(-1);
    const Shape batch = batch_shape(self);
    return {Tensor::zeros(with_matrix(batch, m, m), self.dtype()), linalg::svdvals(self),
            Tensor::zeros(with_matrix(batch, n, n), self.dtype())};
  }
  const SVDResult f = linalg::svd(self, !some);
  return {f.U, f.S, adjoint_of(f.Vh)};
}

}  // namespace tallow
