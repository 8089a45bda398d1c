// Determinants. The gradient of det is its cofactors, which exist for singular matrices too.
#include <cmath>

#include "ops/linalg/lapack.h"
#include "ops/linalg/matrices.h"
#include "tallow/parallel.h"

namespace tallow {
namespace {

// Calls f(matrix number, LU factors in columns, n, whether rows were swapped an odd number of
// times).
template <class T, class F>
void for_each_lu(const Tensor& x, const F& f) {
  parallel_for(batch_shape(x).numel(), 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      const MatrixView<T> a(x, i);
      std::vector<T> lu = a.read();
      std::vector<int> pivots(static_cast<size_t>(a.rows));
      if (a.rows > 0) lapack::getrf(a.rows, a.rows, lu.data(), pivots.data());
      bool odd = false;
      for (int r = 0; r < a.rows; ++r) odd ^= pivots[static_cast<size_t>(r)] != r + 1;
      f(i, lu, a.rows, odd);
    }
  });
}

template <class T>
T at_diagonal(const std::vector<T>& lu, int64_t n, int64_t i) {
  return lu[static_cast<size_t>(i * n + i)];
}

void det_cpu(Inputs in, Outputs out, const NoOptions&) {
  with_lapack_type(in[0].dtype(), [&]<class T>(T) {
    for_each_lu<T>(in[0], [&](int64_t index, const std::vector<T>& lu, int64_t n, bool odd) {
      T product = odd ? T(-1) : T(1);
      for (int64_t i = 0; i < n; ++i) product *= at_diagonal(lu, n, i);
      static_cast<T*>(out[0].raw())[index] = product;
    });
  });
}

// The product of all values but each one.
template <class T>
std::vector<T> products_without(const std::vector<T>& values) {
  std::vector<T> result(values.size(), T(1));
  T left = 1, right = 1;
  for (size_t i = 0; i < values.size(); ++i) result[i] *= left, left *= values[i];
  for (size_t i = values.size(); i-- > 0;) result[i] *= right, right *= values[i];
  return result;
}

// For A = U S Vh: det(U Vh) U diag(products of S without s_i) Vh, conjugated where complex. It
// holds for every rank (Higham 2020, "What is the adjugate of a matrix?").
template <class T>
void cofactors_of(const MatrixView<T>& a, const MatrixView<T>& to) {
  using R = lapack::Real<T>;
  const int n = a.rows;
  const size_t size = static_cast<size_t>(n);
  std::vector<T> matrix = a.read(), u(size * size), vh(size * size), product(size * size);
  std::vector<R> s(size);
  if (lapack::gesdd('A', n, n, matrix.data(), s.data(), u.data(), vh.data()) != 0)
    fail("linalg.det: the gradient's singular values did not converge");
  std::vector<T> sign{T(1)};
  lapack::gemm(n, n, n, u.data(), vh.data(), product.data());
  std::vector<int> pivots(size);
  lapack::getrf(n, n, product.data(), pivots.data());
  T det = 1;
  for (int i = 0; i < n; ++i) {
    det *= at_diagonal(product, n, i) * (pivots[static_cast<size_t>(i)] != i + 1 ? T(-1) : T(1));
  }
  if constexpr (lapack::kComplex<T>) det = std::conj(det);
  const std::vector<R> others = products_without(s);
  for (size_t j = 0; j < size; ++j) {
    for (size_t i = 0; i < size; ++i) u[j * size + i] *= det * others[j];
  }
  lapack::gemm(n, n, n, u.data(), vh.data(), matrix.data());
  to.write(matrix.data(), n);
}

// d conj(det(A)) / d conj(A): conj(det A) A^-H, whose own gradient is that of this product. It is
// not defined for singular matrices, whose second derivatives come from the inverse of a neighbour.
Tensors cofactor_vjp(const Saved<NoOptions>& saved, Inputs grads) {
  const Tensor& a = saved.inputs[0];
  const Tensor h = adjoint_of(linalg::inv_ex(a).inverse), d = conj_of(det(a));
  const Tensor factor = d.unsqueeze(-1).unsqueeze(-1);
  const Tensor gh = grads[0] * conj_of(factor);
  const Tensor gd = sum(grads[0] * conj_of(h), {-2, -1});
  // h = inv(A)^H: the inverse's gradient is gh^H, and A's is -h gh^H h.
  const Tensor from_inverse = -matmul(h, matmul(adjoint_of(gh), h));
  return {from_inverse + (conj_of(gd) * d).unsqueeze(-1).unsqueeze(-1) * h};
}

constinit Op<> cofactor_op{"cofactors",
                           {.infer =
                                [](Inputs in, const NoOptions&) {
                                  return Specs{{in[0].shape(), in[0].dtype()}};
                                },
                            .vjp = cofactor_vjp,
                            .cpu =
                                [](Inputs in, Outputs out, const NoOptions&) {
                                  with_lapack_type(in[0].dtype(), [&]<class T>(T) {
                                    for (int64_t i = 0; i < batch_shape(in[0]).numel(); ++i) {
                                      const MatrixView<T> a(in[0], i);
                                      if (a.rows > 0) cofactors_of(a, MatrixView<T>(out[0], i));
                                    }
                                  });
                                }}};

constinit Op<> det_op{"linalg.det",
                      {.infer =
                           [](Inputs in, const NoOptions&) {
                             return Specs{{batch_shape(in[0]), in[0].dtype()}};
                           },
                       .vjp =
                           [](const Saved<NoOptions>& saved, Inputs grads) {
                             const Tensor g = grads[0].unsqueeze(-1).unsqueeze(-1);
                             return Tensors{g * apply(cofactor_op, {saved.inputs[0]})};
                           },
                       .cpu = det_cpu}};

void slogdet_cpu(Inputs in, Outputs out, const NoOptions&) {
  with_lapack_type(in[0].dtype(), [&]<class T>(T) {
    using R = lapack::Real<T>;
    for_each_lu<T>(in[0], [&](int64_t index, const std::vector<T>& lu, int64_t n, bool odd) {
      T sign = odd ? T(-1) : T(1);
      R log = 0;
      for (int64_t i = 0; i < n; ++i) {
        const T value = at_diagonal(lu, n, i);
        const R size = std::abs(value);
        log += std::log(size);
        sign *= size == R(0) ? T(0) : value / size;
      }
      static_cast<T*>(out[0].raw())[index] = sign;
      static_cast<R*>(out[1].raw())[index] = log;
    });
  });
}

// Of the sign only the phase moves: g - conj-symmetric part, along i sign.
Tensors slogdet_vjp(const Saved<NoOptions>& saved, Inputs grads) {
  const Tensor& a = saved.inputs[0];
  Tensor g = grads[1].unsqueeze(-1).unsqueeze(-1);
  if (is_complex(a.dtype())) {
    const Tensor turn = imag(conj_of(grads[0]) * saved.outputs[0]);
    g = complex(grads[1], -turn).unsqueeze(-1).unsqueeze(-1);
  }
  const Tensor unit = identity(a.size(-1), a.dtype()).expand(a.shape());
  return {linalg::solve(adjoint_of(a), unit * g)};
}

constinit Op<> slogdet_op{"linalg.slogdet",
                          {.infer =
                               [](Inputs in, const NoOptions&) {
                                 const Shape batch = batch_shape(in[0]);
                                 const DType type = in[0].dtype();
                                 return Specs{{batch, type}, {batch, to_real(type)}};
                               },
                           .vjp = slogdet_vjp,
                           .cpu = slogdet_cpu,
                           .save_outputs = true}};

}  // namespace

namespace linalg {

Tensor det(const Tensor& A) {
  check_square("linalg.det", A);
  return apply(det_op, {A});
}

SlogdetResult slogdet(const Tensor& A) {
  check_square("linalg.slogdet", A);
  const Tensor inputs[] = {A};
  const Tensors result = apply_many(slogdet_op, inputs);
  return {result[0], result[1]};
}

}  // namespace linalg

Tensor det(const Tensor& self) { return linalg::det(self); }

SlogdetResult slogdet(const Tensor& self) { return linalg::slogdet(self); }

Tensor logdet(const Tensor& self) {
  check_square("logdet", self);
  const SlogdetResult f = linalg::slogdet(self);
  if (is_complex(self.dtype())) return log(f.sign) + f.logabsdet;
  return where(eq(f.sign, -1.0), std::nan(""), f.logabsdet);
}

}  // namespace tallow
