#include "ops/elementwise/gradients.h"

#include <complex>
#include <limits>

#include "ops/elementwise/rows.h"
#include "tallow/error.h"

namespace tallow {
namespace {

constexpr double kPi = 3.14159265358979323846;

}  // namespace

Tensor flat(const Tensor& g) { return Tensor::zeros(g.shape(), g.dtype(), g.device()); }

Tensor no_gradient(const char* op, const char* input) {
  fail(op, ": has no gradient for ", input, "; detach it");
}

Tensor larger_share(const Tensor& g, const Tensor& a, const Tensor& b) {
  return where(lt(a, b), 0, where(eq(a, b), g * 0.5, g));
}
Tensor smaller_share(const Tensor& g, const Tensor& a, const Tensor& b) {
  return where(gt(a, b), 0, where(eq(a, b), g * 0.5, g));
}

// y = x / |x|: the part of g / |x| that is at right angles to y.
Tensor sgn_backward(const Tensor& g, const Tensor& x, const Tensor& y) {
  if (!is_complex(x.dtype())) return flat(g);
  Tensor size = abs(x), along = real(g * conj(y));
  return where(eq(size, 0), 0, (g - along * y) / size);
}

Tensor angle_backward(const Tensor& g, const Tensor& x) {
  if (!is_complex(x.dtype())) return flat(g);
  Tensor size = abs(x);
  return where(eq(size, 0), 0, g * x * Scalar(std::complex<double>(0, 1)) / square(size));
}

Tensor pow_backward_base(const Tensor& g, const Tensor& a, const Tensor& b) {
  return where(eq(b, 0), 0, g * conj(b * pow(a, b - 1)));
}

// A number too, which alone would be taken in the default dtype.
Tensor in_dtype(const Tensor& a, DType dtype) {
  return a.is_number() ? Tensor::zeros({}, dtype) + a : a.to(dtype);
}

Tensor pow_backward_exponent(const Tensor& g, const Tensor& a, const Tensor& b, const Tensor& y) {
  Tensor positive = is_complex(b.dtype()) ? logical_and(eq(imag(b), 0), ge(real(b), 0)) : ge(b, 0);
  // In the result's dtype: a negative number to a complex power has a complex logarithm.
  return g * where(logical_and(eq(a, 0), positive), 0, conj(y * log(in_dtype(a, y.dtype()))));
}

Tensor inverse_square(const Tensor& a, const Tensor& b) {
  return where(logical_and(eq(a, 0), eq(b, 0)), 0, reciprocal(a * a + b * b));
}

Tensor sinc_backward(const Tensor& g, const Tensor& x) {
  Tensor t = x * kPi;
  return where(eq(x, 0), 0, g * conj((cos(t) * t - sin(t)) / (t * x)));
}

// A number stands in for 0, which they divide by, so that second derivatives are finite too.
Tensor bessel_i1_slope(const Tensor& x, const Tensor& y) {
  Tensor zero = eq(x, 0), safe = where(zero, 1, x);
  return where(zero, 0.5, i0(safe) - y / safe);
}
Tensor bessel_i1e_slope(const Tensor& x, const Tensor& y) {
  Tensor zero = eq(x, 0), safe = where(zero, 1, x);
  return where(zero, 0.5, special_i0e(safe) - y * (sgn(safe) + reciprocal(safe)));
}

Tensor logit_backward(const Tensor& g, const Tensor& x, double eps, double has_eps) {
  Tensor slope = g / (x * (1 - x));
  if (has_eps == 0) {
    return where(logical_and(ge(x, 0), le(x, 1)), slope, std::numeric_limits<double>::quiet_NaN());
  }
  return where(logical_and(ge(x, eps), le(x, 1 - eps)), slope, 0);
}

Tensor tanh_backward(const Tensor& g, const Tensor& y) {
  return is_complex(y.dtype()) ? g * conj(1 - y * y) : rows::tanh_grad(g, y);
}
Tensor sigmoid_backward(const Tensor& g, const Tensor& y) {
  return is_complex(y.dtype()) ? g * conj(y * (1 - y)) : rows::sigmoid_grad(g, y);
}
Tensor silu_backward(const Tensor& g, const Tensor& x) {
  if (!is_complex(x.dtype())) return rows::silu_grad(g, x);
  Tensor s = sigmoid(x);
  return g * conj(s * (1 + x * (1 - s)));
}
Tensor softsign_backward(const Tensor& g, const Tensor& x) {
  Tensor size = abs(x), below = size + 1;
  if (!is_complex(x.dtype())) return g / square(below);
  // x / (1 + |x|) by the product rule, |x| being real.
  return g / below - sgn(x) * real(g * conj(x)) / square(below);
}

Tensor silu_curvature(const Tensor& x) {
  Tensor s = sigmoid(x);
  return s * (1 - s) * (2 + x * (1 - s * 2));
}

Tensor gelu_tanh_curvature(const Tensor& x) {
  constexpr double k = 0.79788456080286536, c = 0.044715;
  Tensor t = tanh((x + x * x * x * c) * k), sech2 = 1 - t * t;
  Tensor slope = (x * x * (3 * c) + 1) * k;
  return sech2 * (slope + x * 0.5 * (x * (6 * c * k) - t * slope * slope * 2));
}

Tensor mish_curvature(const Tensor& x) {
  Tensor s = sigmoid(x), t = tanh(softplus(x));
  return s * (1 - t * t) * (2 + x * ((1 - s) - t * s * 2));
}

}  // namespace tallow
