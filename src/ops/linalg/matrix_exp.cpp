// The matrix exponential: Higham 2005, "The scaling and squaring method for the matrix exponential
// revisited". Its gradient is a block of the exponential of a matrix twice the size (Mathias 1996).
#include <cmath>

#include "ops/linalg/lapack.h"
#include "ops/linalg/matrices.h"
#include "tallow/parallel.h"

namespace tallow {
namespace {

// Sums and products of square matrices in columns.
template <class T>
struct Square {
  int n;
  std::vector<T> values;

  Square(int size, T diagonal) : n(size), values(count(size), T(0)) {
    for (size_t i = 0; i < values.size(); i += static_cast<size_t>(n) + 1) values[i] = diagonal;
  }
  static size_t count(int n) { return static_cast<size_t>(n) * static_cast<size_t>(n); }
  Square& add(const Square& other, double factor) {
    const T f = static_cast<T>(static_cast<lapack::Real<T>>(factor));
    for (size_t i = 0; i < values.size(); ++i) values[i] += other.values[i] * f;
    return *this;
  }
  Square operator*(const Square& other) const {
    Square result(n, T(0));
    lapack::gemm(n, n, n, values.data(), other.values.data(), result.values.data());
    return result;
  }
};

// The largest sum of absolute values in a column.
template <class T>
double norm_1(const Square<T>& a) {
  double largest = 0;
  for (int64_t j = 0; j < a.n; ++j) {
    double total = 0;
    for (int64_t i = 0; i < a.n; ++i) total += std::abs(a.values[static_cast<size_t>(j * a.n + i)]);
    largest = total > largest || total != total ? total : largest;
  }
  return largest;
}

// Pade's approximant of degree 13 for a norm under 5.4.
template <class T>
Square<T> approximant(const Square<T>& a) {
  constexpr double b[] = {64764752532480000.,
                          32382376266240000.,
                          7771770303897600.,
                          1187353796428800.,
                          129060195264000.,
                          10559470521600.,
                          670442572800.,
                          33522128640.,
                          1323241920.,
                          40840800.,
                          960960.,
                          16380.,
                          182.,
                          1.};
  constexpr double scale = 1 / b[0];  // keeps f32 in range
  const int n = a.n;
  const Square<T> unit(n, T(1)), a2 = a * a, a4 = a2 * a2, a6 = a2 * a4;
  Square<T> u =
      a6 * Square<T>(n, T(0)).add(a6, b[13] * scale).add(a4, b[11] * scale).add(a2, b[9] * scale);
  u.add(a6, b[7] * scale).add(a4, b[5] * scale).add(a2, b[3] * scale).add(unit, b[1] * scale);
  u = a * u;
  Square<T> v =
      a6 * Square<T>(n, T(0)).add(a6, b[12] * scale).add(a4, b[10] * scale).add(a2, b[8] * scale);
  v.add(a6, b[6] * scale).add(a4, b[4] * scale).add(a2, b[2] * scale).add(unit, b[0] * scale);
  Square<T> denominator = v;
  denominator.add(u, -1);
  v.add(u, 1);
  std::vector<int> pivots(static_cast<size_t>(n));
  lapack::getrf(n, n, denominator.values.data(), pivots.data());
  lapack::getrs(n, n, denominator.values.data(), pivots.data(), v.values.data());
  return v;
}

template <class T>
Square<T> exponential(Square<T> a) {
  constexpr double kLargest = 5.371920351148152;
  const double norm = norm_1(a);
  if (!std::isfinite(norm)) return Square<T>(a.n, T(0)).add(a, std::nan(""));
  int squarings = 0;
  if (norm > kLargest)
    squarings = std::max(0, static_cast<int>(std::ceil(std::log2(norm / kLargest))));
  a.add(a, std::ldexp(1.0, -squarings) - 1);
  Square<T> result = approximant(a);
  for (int i = 0; i < squarings; ++i) result = result * result;
  return result;
}

constinit Op<> matrix_exp_op{
    "linalg.matrix_exp",
    {.infer =
         [](Inputs in, const NoOptions&) {
           return Specs{{in[0].shape(), in[0].dtype()}};
         },
     .vjp =
         [](const Saved<NoOptions>& saved, Inputs grads) {
           const Tensor h = adjoint_of(saved.inputs[0]);
           const int64_t n = h.size(-1);
           const Tensor zeros = Tensor::zeros(h.shape(), h.dtype());
           const Tensor blocks = cat({cat({h, grads[0]}, -1), cat({zeros, h}, -1)}, -2);
           return Tensors{linalg::matrix_exp(blocks).narrow(-2, 0, n).narrow(-1, n, n)};
         },
     .cpu =
         [](Inputs in, Outputs out, const NoOptions&) {
           with_lapack_type(in[0].dtype(), [&]<class T>(T) {
             parallel_for(batch_shape(in[0]).numel(), 1, [&](int64_t begin, int64_t end, int) {
               for (int64_t i = begin; i < end; ++i) {
                 const MatrixView<T> a(in[0], i);
                 if (a.rows == 0) continue;
                 // In f64: squaring loses digits.
                 using Wide = std::conditional_t<lapack::kComplex<T>, std::complex<double>, double>;
                 const std::vector<T> values = a.read();
                 Square<Wide> matrix(a.rows, Wide(0));
                 std::copy(values.begin(), values.end(), matrix.values.begin());
                 matrix = exponential(matrix);
                 std::vector<T> result(values.size());
                 std::transform(matrix.values.begin(), matrix.values.end(), result.begin(),
                                [](const Wide& x) { return static_cast<T>(x); });
                 MatrixView<T>(out[0], i).write(result.data(), a.rows);
               }
             });
           });
         }}};

}  // namespace

namespace linalg {

Tensor matrix_exp(const Tensor& A) {
  check_not_block("linalg.matrix_exp", A);
  if (A.dtype() == DType::f16 || A.dtype() == DType::bf16) {
    return linalg::matrix_exp(A.to(DType::f32)).to(A.dtype());
  }
  check_square("linalg.matrix_exp", A);
  return apply(matrix_exp_op, {A});
}

}  // namespace linalg

Tensor matrix_exp(const Tensor& self) { return linalg::matrix_exp(self); }

}  // namespace tallow
