// Helpers of ops whose kernels walk the rows of the last dimension.
#pragma once

#include "tallow/error.h"
#include "tallow/op.h"

namespace tallow {

/// Throws unless `x` is a real tensor of at least `dims` dimensions.
inline void check_real(const char* op, const char* what, const Tensor& x, int dims) {
  if (!is_real(x.dtype())) fail(op, ": ", what, " is ", x, "; call .to(f32)");
  if (x.dim() < dims) fail(op, ": ", what, " is ", x, "; it needs ", dims, " dimensions or more");
}

/// Throws unless `x` is a vector of `n` real elements.
inline void check_row_weight(const char* op, const Tensor& x, const Tensor& weight) {
  check_real(op, "weight", weight, 1);
  if (weight.dim() != 1 || weight.size(0) != x.shape().back())
    fail(op, ": weight ", weight, " does not fit x ", x, "; it needs [", x.shape().back(), "]");
}

/// The elements of `x` as contiguous f32: itself where it is that already.
inline Tensor as_f32(const Tensor& x) { return x.to(DType::f32).contiguous(); }

/// Calls fn(T*) kernels in f64 for f64 and in f32 for everything else, converting at the edges:
/// `fn` gets a tensor of that type to write, in the place of `out`.
template <class F>
void compute_real(const Tensor& out, const F& fn) {
  if (out.dtype() == DType::f32 || out.dtype() == DType::f64) return fn(out);
  Tensor wide = Tensor::empty(out.shape(), DType::f32);
  fn(wide);
  info(out.dtype()).from_f32(wide.data<float>(), out.raw(), out.numel());
}

}  // namespace tallow
