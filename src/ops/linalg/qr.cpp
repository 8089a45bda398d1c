// QR factors and products of Householder reflectors. Gradient of QR: Roberts and Roberts 2020, "QR
// and LQ decomposition matrix backpropagation algorithms for square, wide, and deep matrices".
#include "ops/linalg/lapack.h"
#include "ops/linalg/matrices.h"
#include "tallow/parallel.h"

namespace tallow {
namespace {

struct QROptions {
  enum class Mode : uint8_t { reduced, complete, r } mode;
};
struct MultiplyOptions {
  bool left, adjoint;
};

Specs qr_infer(Inputs in, const QROptions& o) {
  const Shape batch = batch_shape(in[0]);
  const int64_t m = in[0].size(-2), n = in[0].size(-1), k = std::min(m, n);
  const int64_t columns = o.mode == QROptions::Mode::complete ? m : k;
  const Shape q = o.mode == QROptions::Mode::r ? Shape{0} : with_matrix(batch, m, columns);
  return {{q, in[0].dtype()}, {with_matrix(batch, columns, n), in[0].dtype()}};
}

template <class T>
void qr_one(const Tensor& in, Outputs out, int64_t index, bool wants_q) {
  const MatrixView<T> a(in, index), r(out[1], index);
  const int m = a.rows, n = a.columns, k = std::min(m, n), columns = r.rows;
  std::vector<T> matrix(static_cast<size_t>(m) * static_cast<size_t>(std::max(n, columns)));
  std::vector<T> tau(static_cast<size_t>(k) + 1);
  a.read(matrix.data(), m);
  if (k > 0) lapack::geqrf(m, n, matrix.data(), tau.data());
  for (int64_t i = 0; i < columns; ++i) {
    for (int64_t j = 0; j < n; ++j) {
      r.data[i * r.row_stride + j] = i <= j ? matrix[static_cast<size_t>(j * m + i)] : T(0);
    }
  }
  if (!wants_q || m == 0 || columns == 0) return;
  lapack::gqr(m, columns, k, matrix.data(), tau.data());
  MatrixView<T>(out[0], index).write(matrix.data(), m);
}

void qr_cpu(Inputs in, Outputs out, const QROptions& o) {
  with_lapack_type(in[0].dtype(), [&]<class T>(T) {
    parallel_for(batch_shape(in[0]).numel(), 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) {
        qr_one<T>(in[0], out, i, o.mode != QROptions::Mode::r);
      }
    });
  });
}

// X + X^H with the diagonal's real part counted once.
Tensor symmetrized(const Tensor& x) {
  const Tensor both = x + adjoint_of(x);
  return both - diag_embed(real_of(diagonal_of(both)) * 0.5).to(both.dtype());
}

// For Q [m, n], R [n, n] with m >= n.
Tensor tall_gradient(const Tensor& q, const Tensor& r, const Tensor& gq, const Tensor& gr) {
  const Tensor rh = adjoint_of(r);
  const Tensor m = matmul(gr, rh) - matmul(adjoint_of(q), gq);
  const Tensor right = gq + matmul(q, symmetrized(upper_part(m)));
  return linalg::solve_triangular(rh, right, false, false);
}

Tensors qr_vjp(const Saved<QROptions>& saved, Inputs grads) {
  const Tensor &q = saved.outputs[0], &r = saved.outputs[1];
  const int64_t m = saved.inputs[0].size(-2), n = saved.inputs[0].size(-1);
  if (saved.options.mode == QROptions::Mode::r)
    fail("linalg.qr: mode \"r\" has no gradient, which needs Q; use \"reduced\"");
  if (saved.options.mode == QROptions::Mode::complete && m > n)
    fail(
        "linalg.qr: mode \"complete\" has no gradient for more rows than columns; use "
        "\"reduced\"");
  if (m >= n) return {tall_gradient(q, r, grads[0], grads[1])};
  // R = [U | V] and A = [Q U | Q V].
  const Tensor u = r.narrow(-1, 0, m), v = r.narrow(-1, m, n - m);
  const Tensor gu = grads[1].narrow(-1, 0, m), gv = grads[1].narrow(-1, m, n - m);
  const Tensor y = matmul(q, v);
  const Tensor first = tall_gradient(q, u, grads[0] + matmul(y, adjoint_of(gv)), gu);
  return {cat({first, matmul(q, gv)}, -1)};
}

constinit Op<QROptions> qr_op{
    "linalg.qr", {.infer = qr_infer, .vjp = qr_vjp, .cpu = qr_cpu, .save_outputs = true}};

constinit Op<> geqrf_op{"geqrf",
                        {.infer =
                             [](Inputs in, const NoOptions&) {
                               const int64_t k = std::min(in[0].size(-2), in[0].size(-1));
                               return Specs{{in[0].shape(), in[0].dtype()},
                                            {with_vector(batch_shape(in[0]), k), in[0].dtype()}};
                             },
                         .cpu =
                             [](Inputs in, Outputs out, const NoOptions&) {
                               with_lapack_type(in[0].dtype(), [&]<class T>(T) {
                                 for (int64_t i = 0; i < batch_shape(in[0]).numel(); ++i) {
                                   const MatrixView<T> a(in[0], i), to(out[0], i);
                                   std::vector<T> matrix = a.read();
                                   if (a.rows > 0 && a.columns > 0)
                                     lapack::geqrf(a.rows, a.columns, matrix.data(),
                                                   vector_at<T>(out[1], i));
                                   to.write(matrix.data(), a.rows);
                                 }
                               });
                             }}};

// Reflector i as a column [..., m, 1]: zeros, a one in row i, and what is below it in a.
Tensor reflector(const Tensor& a, int64_t i) {
  const int64_t m = a.size(-2);
  const Tensor column = a.narrow(-1, i, 1);
  const Tensor head = identity(m, a.dtype()).narrow(-1, i, 1);
  Shape shape = column.shape();
  shape[shape.size() - 2] = i + 1;
  const Tensor top = Tensor::zeros(shape, a.dtype());
  return cat({top, column.narrow(-2, i + 1, m - i - 1)}, -2) + head;
}

// c times the reflectors of a one by one, which every gradient follows.
Tensor reflect(const Tensor& a, const Tensor& tau, Tensor c, bool left, bool adjoint) {
  const int64_t k = tau.shape().back();
  const bool forward = left == adjoint;  // the first reflector comes first
  for (int64_t step = 0; step < k; ++step) {
    const int64_t i = forward ? step : k - 1 - step;
    const Tensor v = reflector(a, i);
    Tensor t = tau.narrow(-1, i, 1).unsqueeze(-1);
    if (adjoint) t = conj_of(t);
    c = left ? c - matmul(v * t, matmul(adjoint_of(v), c))
             : c - matmul(matmul(c, v), adjoint_of(v) * t);
  }
  return c;
}

constinit Op<> householder_op{
    "linalg.householder_product",
    {.infer =
         [](Inputs in, const NoOptions&) {
           return Specs{{in[0].shape(), in[0].dtype()}};
         },
     .cpu =
         [](Inputs in, Outputs out, const NoOptions&) {
           const Tensor tau = in[1].contiguous();
           with_lapack_type(in[0].dtype(), [&]<class T>(T) {
             const int k = lapack_size(tau.shape().back());
             for (int64_t i = 0; i < batch_shape(in[0]).numel(); ++i) {
               const MatrixView<T> a(in[0], i), to(out[0], i);
               std::vector<T> matrix = a.read();
               if (a.columns > 0)
                 lapack::gqr(a.rows, a.columns, k, matrix.data(), vector_at<T>(tau, i));
               to.write(matrix.data(), a.rows);
             }
           });
         },
     .composite =
         [](Inputs in, const NoOptions&) {
           const Tensor unit = identity(in[0].size(-2), in[0].dtype());
           const Tensor c = unit.narrow(-1, 0, in[0].size(-1)).expand(in[0].shape());
           return Tensors{reflect(in[0], in[1], c, true, false)};
         }}};

constinit Op<MultiplyOptions> ormqr_op{
    "ormqr",
    {.infer =
         [](Inputs in, const MultiplyOptions&) {
           return Specs{{in[2].shape(), in[2].dtype()}};
         },
     .cpu =
         [](Inputs in, Outputs out, const MultiplyOptions& o) {
           const Tensor tau = in[1].contiguous();
           with_lapack_type(in[0].dtype(), [&]<class T>(T) {
             const int k = lapack_size(tau.shape().back());
             for (int64_t i = 0; i < batch_shape(in[2]).numel(); ++i) {
               const MatrixView<T> a(in[0], i), c(in[2], i), to(out[0], i);
               std::vector<T> columns = c.read();
               if (!columns.empty() && k > 0)
                 lapack::mqr(o.left ? 'L' : 'R', o.adjoint, c.rows, c.columns, k, a.read().data(),
                             vector_at<T>(tau, i), columns.data());
               to.write(columns.data(), c.rows);
             }
           });
         },
     .composite =
         [](Inputs in, const MultiplyOptions& o) {
           return Tensors{reflect(in[0], in[1], in[2], o.left, o.adjoint)};
         }}};

void check_reflectors(const char* op, const Tensor& a, const Tensor& tau) {
  check_matrices(op, a);
  check_same_dtype(op, a, tau);
  if (a.size(-2) < a.size(-1))
    fail(op, ": ", a, " has more columns than rows; it needs as many rows or more");
  if (tau.dim() != a.dim() - 1 || tau.shape().back() > a.size(-1) ||
      batch_shape(tau.unsqueeze(-1)) != batch_shape(a))
    fail(op, ": tau ", tau, " does not fit ", a, "; it needs one factor a column");
}

}  // namespace

namespace linalg {

QRResult qr(const Tensor& A, std::string_view mode) {
  check_matrices("linalg.qr", A);
  QROptions options{QROptions::Mode::reduced};
  if (mode == "complete") {
    options.mode = QROptions::Mode::complete;
  } else if (mode == "r") {
    options.mode = QROptions::Mode::r;
  } else if (mode != "reduced") {
    fail("linalg.qr: mode is \"", mode, "\"; it is one of reduced, complete, r");
  }
  const Tensor inputs[] = {A};
  const Tensors result = apply_many(qr_op, inputs, options);
  return {result[0], result[1]};
}

Tensor householder_product(const Tensor& A, const Tensor& tau) {
  check_reflectors("linalg.householder_product", A, tau);
  return apply(householder_op, {A, tau});
}

}  // namespace linalg

QRResult qr(const Tensor& self, bool some) {
  return linalg::qr(self, some ? "reduced" : "complete");
}

Reflectors geqrf(const Tensor& self) {
  check_matrices("geqrf", self);
  const Tensor inputs[] = {self};
  const Tensors result = apply_many(geqrf_op, inputs);
  return {result[0], result[1]};
}

Tensor orgqr(const Tensor& self, const Tensor& input2) {
  return linalg::householder_product(self, input2);
}

Tensor ormqr(const Tensor& self, const Tensor& tau, const Tensor& other, bool left,
             bool transpose) {
  check_matrices("ormqr", self);
  check_matrices("ormqr", other);
  check_same_dtype("ormqr", self, other);
  check_same_dtype("ormqr", self, tau);
  if (tau.dim() != self.dim() - 1 || tau.shape().back() > self.size(-1) ||
      tau.shape().back() > self.size(-2))
    fail("ormqr: tau ", tau, " does not fit ", self, "; it needs a factor for each reflector");
  if (other.dim() != self.dim() || batch_shape(other) != batch_shape(self) ||
      batch_shape(tau.unsqueeze(-1)) != batch_shape(self))
    fail("ormqr: ", self, ", tau ", tau, " and other ", other, " differ in their batch");
  if (other.size(left ? -2 : -1) != self.size(-2))
    fail("ormqr: other ", other, " does not fit ", self, "; it needs ", self.size(-2),
         left ? " rows" : " columns");
  return apply(ormqr_op, {self, tau, other}, {left, transpose});
}

}  // namespace tallow
