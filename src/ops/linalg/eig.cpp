// Eigenvalues and eigenvectors. Gradients: Giles 2008; Boeddeker et al. 2019, "On the computation
// of complex-valued gradients with application to statistically optimum beamforming".
#include "ops/linalg/lapack.h"
#include "ops/linalg/matrices.h"
#include "tallow/autograd.h"
#include "tallow/parallel.h"

namespace tallow {
namespace {

struct EighOptions {
  bool upper, vectors;
};
struct EigOptions {
  bool vectors;
};

void eigh_cpu(Inputs in, Outputs out, const EighOptions& o) {
  with_lapack_type(in[0].dtype(), [&]<class T>(T) {
    parallel_for(batch_shape(in[0]).numel(), 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) {
        const MatrixView<T> a(in[0], i);
        if (a.rows == 0) continue;
        std::vector<T> matrix = a.read();
        const int info = lapack::heevd(o.vectors, o.upper ? 'U' : 'L', a.rows, matrix.data(),
                                       vector_at<lapack::Real<T>>(out[0], i));
        if (info != 0) fail("linalg.eigh: matrix ", i, " of the batch did not converge");
        if (o.vectors) MatrixView<T>(out[1], i).write(matrix.data(), a.rows);
      }
    });
  });
}

// E_ij = l_j - l_i, and 1 where they are equal, as on the diagonal: there vectors have no gradient.
Tensor gaps(const Tensor& l) {
  const Tensor e = l.unsqueeze(-2) - l.unsqueeze(-1);
  return where(eq(e, 0.0), 1.0, e);
}

Tensor with_diagonal(const Tensor& x, const Tensor& d) {
  return x - diag_embed(diagonal_of(x)) + diag_embed(d).to(x.dtype());
}

Tensors eigh_vjp(const Saved<EighOptions>& saved, Inputs grads) {
  if (!saved.options.vectors) {
    const Tensor v = linalg::eigh(saved.inputs[0], saved.options.upper ? "U" : "L").eigenvectors;
    return {matmul(scale_columns(v, grads[0]), adjoint_of(v))};
  }
  const Tensor &l = saved.outputs[0], &v = saved.outputs[1], vh = adjoint_of(v);
  const Tensor inner = matmul(vh, grads[1]) / gaps(l);
  return {matmul(v, matmul(with_diagonal(inner, grads[0]), vh))};
}

constinit Op<EighOptions> eigh_op{
    "linalg.eigh",
    {.infer =
         [](Inputs in, const EighOptions& o) {
           const Shape batch = batch_shape(in[0]);
           const DType type = in[0].dtype();
           Specs specs{{with_vector(batch, in[0].size(-1)), to_real(type)}};
           if (o.vectors) specs.push_back({in[0].shape(), type});
           return specs;
         },
     .vjp = eigh_vjp,
     .cpu = eigh_cpu,
     .save_outputs = true}};

void eig_cpu(Inputs in, Outputs out, const EigOptions& o) {
  with_lapack_type(in[0].dtype(), [&]<class T>(T) {
    using C = std::complex<lapack::Real<T>>;
    parallel_for(batch_shape(in[0]).numel(), 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) {
        const MatrixView<T> a(in[0], i);
        if (a.rows == 0) continue;
        std::vector<T> matrix = a.read();
        std::vector<C> vectors(o.vectors ? matrix.size() : 0);
        const int info = lapack::geev(a.rows, matrix.data(), vector_at<C>(out[0], i),
                                      o.vectors ? vectors.data() : nullptr);
        if (info != 0) fail("linalg.eig: matrix ", i, " of the batch did not converge");
        if (o.vectors) MatrixView<C>(out[1], i).write(vectors.data(), a.rows);
      }
    });
  });
}

Tensors eig_vjp(const Saved<EigOptions>& saved, Inputs grads) {
  if (!saved.options.vectors) {
    const Tensor v = linalg::eig(saved.inputs[0]).eigenvectors, vh = adjoint_of(v);
    return {linalg::solve(vh, scale_rows(vh, grads[0]))};
  }
  const Tensor &l = saved.outputs[0], &v = saved.outputs[1], vh = adjoint_of(v);
  const Tensor vgv = matmul(vh, grads[1]);
  const Tensor inner = vgv - matmul(vh, scale_columns(v, real_of(diagonal_of(vgv)).to(v.dtype())));
  const Tensor rows = with_diagonal(inner / gaps(conj_of(l)), grads[0]);
  return {linalg::solve(vh, matmul(rows, vh))};
}

constinit Op<EigOptions> eig_op{
    "linalg.eig",
    {.infer =
         [](Inputs in, const EigOptions& o) {
           const DType type = to_complex(in[0].dtype());
           Specs specs{{with_vector(batch_shape(in[0]), in[0].size(-1)), type}};
           if (o.vectors) specs.push_back({in[0].shape(), type});
           return specs;
         },
     .vjp = eig_vjp,
     .cpu = eig_cpu,
     .save_outputs = true}};

bool is_upper(std::string_view uplo) {
  if (uplo == "U" || uplo == "u") return true;
  if (uplo != "L" && uplo != "l") fail("linalg.eigh: UPLO is \"", uplo, "\"; it is L or U");
  return false;
}

// LAPACK loops for ever on some matrices that hold what is no number.
void check_finite(const char* op, const Tensor& x) {
  with_lapack_type(x.dtype(), [&]<class T>(T) {
    for (int64_t i = 0; i < batch_shape(x).numel(); ++i) {
      for (const T& value : MatrixView<T>(x, i).read()) {
        if (!std::isfinite(std::real(value)) || !std::isfinite(std::imag(value)))
          fail(op, ": matrix ", i, " of the batch holds values that are not finite");
      }
    }
  });
}

}  // namespace

namespace linalg {

EighResult eigh(const Tensor& A, std::string_view UPLO) {
  check_square("linalg.eigh", A);
  const Tensor inputs[] = {A};
  const Tensors result = apply_many(eigh_op, inputs, {is_upper(UPLO), true});
  return {result[0], result[1]};
}

Tensor eigvalsh(const Tensor& A, std::string_view UPLO) {
  check_square("linalg.eigvalsh", A);
  return apply(eigh_op, {A}, {is_upper(UPLO), false});
}

EighResult eig(const Tensor& A) {
  check_square("linalg.eig", A);
  check_finite("linalg.eig", A);
  const Tensor inputs[] = {A};
  const Tensors result = apply_many(eig_op, inputs, {true});
  return {result[0], result[1]};
}

Tensor eigvals(const Tensor& A) {
  check_square("linalg.eigvals", A);
  check_finite("linalg.eigvals", A);
  return apply(eig_op, {A}, {false});
}

}  // namespace linalg
}  // namespace tallow
