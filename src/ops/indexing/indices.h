// Index tensors: their values checked, and the kernels that pick and write by them.
#pragma once

#include <complex>

#include "tallow/tensor.h"

namespace tallow {

/// Throws Error, naming the op, unless `index` holds integers (i32 or i64).
void check_index_dtype(const char* op, const Tensor& index);

/// The index's values as contiguous i64, not checked.
Tensor as_indices(const Tensor& index);

/// The index's values as contiguous i64, in [0, size): negative ones count from the end where
/// `wraps`. Throws IndexError, naming the op, for others.
Tensor checked_index(const char* op, const Tensor& index, int64_t size, bool wraps);

/// The positions of the true elements of a mask in row-major order: i64 [count].
Tensor true_positions(const Tensor& mask);

/// The dtype that many values of a dtype are combined in: as wide as sums need.
DType accumulation_dtype(DType dtype);
/// Calls f(T{}) with the C++ type of an accumulation dtype.
template <class F>
void with_accumulation_type(DType dtype, const F& f) {
  switch (dtype) {
    case DType::f64: return f(double{});
    case DType::i64: return f(int64_t{});
    case DType::c64: return f(std::complex<float>{});
    case DType::c128: return f(std::complex<double>{});
    default: return f(float{});
  }
}

/// Slices of a tensor at positions: shaped [outer, positions, inner], which count elements from the
/// tensor's first.
struct Slices {
  Shape outer, outer_strides, inner, inner_strides;
  const int64_t* positions;  // of the slices, in elements
  int64_t count;
};

/// out [outer, count, inner] = those slices of x.
void read_slices(const Tensor& x, const Slices& slices, const Tensor& out);
/// The slices of `out` (contiguous, of accumulation_dtype to add) replaced by
/// values [outer, count, inner], contiguous and of out's dtype, or added to, in order.
void write_slices(const Tensor& out, const Slices& slices, const Tensor& values, bool add);

}  // namespace tallow
