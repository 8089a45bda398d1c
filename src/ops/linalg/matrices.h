// What the pages of linear algebra share: checks, matrices in and out of LAPACK's column order, and
// a loop over batches.
#pragma once

#include <algorithm>
#include <complex>
#include <vector>

#include "ops/elements.h"
#include "ops/linalg/lapack.h"
#include "ops/products/products.h"
#include "tallow/error.h"

namespace tallow {

/// Throws Error unless x has f32, f64, c64 or c128 elements and 2 dimensions or more.
void check_matrices(const char* op, const Tensor& x);
/// And has as many rows as columns.
void check_square(const char* op, const Tensor& x);
/// Throws Error that names the first matrix of a batch whose info [...] is not 0.
void check_info(const char* op, const Tensor& info, const char* what);
/// Both broadcast to one batch, in one dtype.
std::pair<Tensor, Tensor> broadcast_matrices(const char* op, const Tensor& a, const Tensor& b);
/// The number of rows or columns as LAPACK counts. Throws Error past 30000.
int lapack_size(int64_t n);

/// Calls f(T{}) with float, double or a complex of them: the dtype's own type.
template <class F>
void with_lapack_type(DType dtype, const F& f) {
  lapack::use_one_thread();
  if (dtype == DType::f32) return f(float{});
  if (dtype == DType::f64) return f(double{});
  if (dtype == DType::c64) return f(std::complex<float>{});
  f(std::complex<double>{});
}

/// Matrix number `index` of a batch, by strides.
template <class T>
struct MatrixView {
  T* data;
  int rows, columns;
  int64_t row_stride, column_stride;

  MatrixView(const Tensor& x, int64_t index)
      : data(static_cast<T*>(x.raw())),
        rows(lapack_size(x.size(-2))),
        columns(lapack_size(x.size(-1))),
        row_stride(x.strides()[x.dim() - 2]),
        column_stride(x.strides()[x.dim() - 1]) {
    for (int d = x.dim() - 3; d >= 0; --d) {
      data += index % x.shape()[d] * x.strides()[d];
      index /= x.shape()[d];
    }
  }
  /// Into columns `ld` apart.
  void read(T* to, int64_t ld) const {
    for (int64_t j = 0; j < columns; ++j) {
      const T* from = data + j * column_stride;
      for (int64_t i = 0; i < rows; ++i) to[j * ld + i] = from[i * row_stride];
    }
  }
  std::vector<T> read() const {
    std::vector<T> values(static_cast<size_t>(rows) * static_cast<size_t>(columns));
    read(values.data(), rows);
    return values;
  }
  void write(const T* from, int64_t ld) const {
    for (int64_t i = 0; i < rows; ++i) {
      T* to = data + i * row_stride;
      for (int64_t j = 0; j < columns; ++j) to[j * column_stride] = from[j * ld + i];
    }
  }
};

/// The elements of vector number `index` of a contiguous batch [..., n].
template <class T>
T* vector_at(const Tensor& x, int64_t index) {
  return static_cast<T*>(x.raw()) + index * x.shape().back();
}

/// x with zeros but for the triangle; `diagonal` is 0, or 1 (-1) to leave the diagonal out.
inline Tensor upper_part(const Tensor& x, int64_t diagonal = 0) { return triu(x, diagonal); }
inline Tensor lower_part(const Tensor& x, int64_t diagonal = 0) { return tril(x, -diagonal); }
/// A diagonal [..., n] times the rows or columns of x [..., m, n].
inline Tensor scale_columns(const Tensor& x, const Tensor& d) { return x * d.unsqueeze(-2); }
inline Tensor scale_rows(const Tensor& x, const Tensor& d) { return x * d.unsqueeze(-1); }
inline Tensor diagonal_of(const Tensor& x) { return diagonal(x, 0, -2, -1); }
inline Tensor real_of(const Tensor& x) { return is_complex(x.dtype()) ? real(x) : x; }
/// The shape of a batch with vectors [n] behind it.
Shape with_vector(Shape batch, int64_t n);
/// Pivots as the matrix P [..., m, m] of A = P L U.
Tensor permutation_matrix(const Tensor& pivots, int64_t m, DType dtype);

}  // namespace tallow
