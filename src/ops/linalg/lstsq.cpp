// Least squares.
#include <limits>

#include "ops/linalg/lapack.h"
#include "ops/linalg/matrices.h"
#include "tallow/autograd.h"

namespace tallow {
namespace {

enum class Driver : uint8_t { gels, gelsy, gelsd, gelss };

struct LstsqOptions {
  Driver driver;
  double rcond;
};

template <class T>
void lstsq_one(Inputs in, Outputs out, int64_t index, const LstsqOptions& o) {
  using R = lapack::Real<T>;
  const MatrixView<T> a(in[0], index), b(in[1], index), x(out[0], index);
  const int most = std::max(a.rows, a.columns), columns = b.columns;
  std::vector<T> matrix = a.read();
  std::vector<T> rhs(static_cast<size_t>(most) * static_cast<size_t>(columns) + 1);
  b.read(rhs.data(), most);
  std::vector<R> s(static_cast<size_t>(std::min(a.rows, a.columns)) + 1);
  const R rcond = static_cast<R>(o.rcond);
  int rank = 0, info = 0;
  if (a.rows > 0 && a.columns > 0) {
    switch (o.driver) {
      case Driver::gels:
        info = lapack::gels(a.rows, a.columns, columns, matrix.data(), rhs.data());
        break;
      case Driver::gelsy:
        info = lapack::gelsy(a.rows, a.columns, columns, matrix.data(), rhs.data(), rcond, &rank);
        break;
      case Driver::gelsd:
        info = lapack::gelsd(a.rows, a.columns, columns, matrix.data(), rhs.data(), s.data(), rcond,
                             &rank);
        break;
      case Driver::gelss:
        info = lapack::gelss(a.rows, a.columns, columns, matrix.data(), rhs.data(), s.data(), rcond,
                             &rank);
        break;
    }
  }
  if (info != 0) fail("linalg.lstsq: matrix ", index, " of the batch has no full rank");
  x.write(rhs.data(), most);
  out[1].data<int64_t>()[index] = rank;
  if (out[2].numel() > 0) {
    std::copy_n(s.data(), out[2].shape().back(), vector_at<R>(out[2], index));
  }
}

constinit Op<LstsqOptions> lstsq_op{
    "linalg.lstsq",
    {.infer =
         [](Inputs in, const LstsqOptions& o) {
           const Shape batch = batch_shape(in[0]);
           const int64_t m = in[0].size(-2), n = in[0].size(-1);
           const bool values = o.driver == Driver::gelsd || o.driver == Driver::gelss;
           return Specs{
               {with_matrix(batch, n, in[1].size(-1)), in[0].dtype()},
               {batch, DType::i64},
               {values ? with_vector(batch, std::min(m, n)) : Shape{0}, to_real(in[0].dtype())}};
         },
     .cpu =
         [](Inputs in, Outputs out, const LstsqOptions& o) {
           with_lapack_type(in[0].dtype(), [&]<class T>(T) {
             for (int64_t i = 0; i < batch_shape(in[0]).numel(); ++i) {
               lstsq_one<T>(in, out, i, o);
             }
           });
         }}};

Driver driver_of(std::string_view name) {
  if (name.empty() || name == "gelsy") return Driver::gelsy;
  if (name == "gels") return Driver::gels;
  if (name == "gelsd") return Driver::gelsd;
  if (name == "gelss") return Driver::gelss;
  fail("linalg.lstsq: driver is \"", name, "\"; it is one of gels, gelsy, gelsd, gelss");
}

// The sums of squares that remain, where A has more rows than columns and its full rank.
Tensor residuals_of(const Tensor& a, const Tensor& b, const Tensor& x, const Tensor& rank,
                    Driver driver) {
  const DType type = to_real(a.dtype());
  bool full = a.size(-2) > a.size(-1) && driver != Driver::gelsy;
  for (int64_t i = 0; full && driver != Driver::gels && i < rank.numel(); ++i) {
    full = rank.data<int64_t>()[i] == a.size(-1);
  }
  const bool tracked = x.requires_grad();
  if (!full && !tracked) return Tensor::empty({0}, type);
  const Tensor rest = matmul(a, x) - b;
  const Tensor squares = sum(real_of(rest * conj_of(rest)), -2);
  return full ? squares : squares.reshape({squares.numel()}).narrow(0, 0, 0);
}

}  // namespace

namespace linalg {

LstsqResult lstsq(const Tensor& A, const Tensor& B, std::optional<double> rcond,
                  std::string_view driver) {
  check_matrices("linalg.lstsq", A);
  check_same_dtype("linalg.lstsq", A, B);
  if (B.dim() == 0) fail("linalg.lstsq: B ", B, " needs 1 dimension or more");
  const Driver kind = driver_of(driver);
  const bool vectors = B.dim() + 1 == A.dim();
  const Tensor rhs = vectors ? B.unsqueeze(-1) : B;
  if (rhs.dim() < 2 || rhs.size(-2) != A.size(-2))
    fail("linalg.lstsq: A ", A, " and B ", B, " do not fit; B needs ", A.size(-2), " rows");
  const auto [a, b] = broadcast_matrices("linalg.lstsq", A, rhs);
  const double eps = to_real(A.dtype()) == DType::f64 ? std::numeric_limits<double>::epsilon()
                                                      : std::numeric_limits<float>::epsilon();
  const double least = rcond ? *rcond : eps * static_cast<double>(std::max(A.size(-2), A.size(-1)));
  const Tensor inputs[] = {a.detach(), b.detach()};
  const Tensors result = apply_many(lstsq_op, inputs, {kind, least});
  const bool tracked = grad_enabled() && (A.requires_grad() || B.requires_grad());
  Tensor x = tracked ? tallow::matmul(pinv(a), b) : result[0];
  const Tensor residuals = residuals_of(a, b, x, result[1], kind);
  if (vectors) x = x.squeeze(-1);
  const Tensor rank = kind == Driver::gels ? Tensor::empty({0}, DType::i64) : result[1];
  return {x, residuals, rank, result[2]};
}

}  // namespace linalg
}  // namespace tallow
