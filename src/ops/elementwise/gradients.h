// Gradients of rows that are more than an expression, written with tensor ops; g is the gradient of
// the result.
#pragma once

#include "tallow/ops.h"

namespace tallow {

/// Zeros like g.
Tensor flat(const Tensor& g);
/// Throws Error: the op has no gradient for this input.
Tensor no_gradient(const char* op, const char* input);

/// Of a where max(a, b) is taken: half of g where they are equal.
Tensor larger_share(const Tensor& g, const Tensor& a, const Tensor& b);
Tensor smaller_share(const Tensor& g, const Tensor& a, const Tensor& b);

Tensor sgn_backward(const Tensor& g, const Tensor& x, const Tensor& y);
Tensor angle_backward(const Tensor& g, const Tensor& x);
Tensor in_dtype(const Tensor& a, DType dtype);
Tensor pow_backward_base(const Tensor& g, const Tensor& a, const Tensor& b);
Tensor pow_backward_exponent(const Tensor& g, const Tensor& a, const Tensor& b, const Tensor& y);
/// 1 / (a^2 + b^2), 0 where both are 0.
Tensor inverse_square(const Tensor& a, const Tensor& b);
Tensor sinc_backward(const Tensor& g, const Tensor& x);
/// The derivatives of the Bessel functions special_i1 and special_i1e, whose values are y.
Tensor bessel_i1_slope(const Tensor& x, const Tensor& y);
Tensor bessel_i1e_slope(const Tensor& x, const Tensor& y);
Tensor logit_backward(const Tensor& g, const Tensor& x, double eps, double has_eps);

Tensor tanh_backward(const Tensor& g, const Tensor& y);
Tensor sigmoid_backward(const Tensor& g, const Tensor& y);
Tensor silu_backward(const Tensor& g, const Tensor& x);
Tensor softsign_backward(const Tensor& g, const Tensor& x);
/// Second derivatives.
Tensor silu_curvature(const Tensor& x);
Tensor gelu_tanh_curvature(const Tensor& x);
Tensor mish_curvature(const Tensor& x);

}  // namespace tallow
