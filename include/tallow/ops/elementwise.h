// Elementwise ops: a row each in src/ops/elementwise/elementwise.def, or made of such. Inputs
// broadcast and promote as PyTorch's; a number may stand for a tensor. Where it says "real",
// integers become the default dtype first.
#pragma once

#include <string_view>

#include "tallow/op.h"
#include "tallow/ops/results.h"
#include "tallow/tensor.h"

namespace tallow {

// Arithmetic.
/// self + alpha * other.
Tensor add(const Tensor& self, const Tensor& other, const Scalar& alpha = 1);
/// self - alpha * other. Throws Error for two bools: use logical_xor.
Tensor sub(const Tensor& self, const Tensor& other, const Scalar& alpha = 1);
Tensor subtract(const Tensor& self, const Tensor& other, const Scalar& alpha = 1);
/// other - alpha * self.
Tensor rsub(const Tensor& self, const Tensor& other, const Scalar& alpha = 1);
Tensor mul(const Tensor& self, const Tensor& other);
Tensor multiply(const Tensor& self, const Tensor& other);
/// The quotient; with rounding_mode "trunc" or "floor" rounded to that side, integers staying
/// integers. Throws Error for another mode, and for an integer division by zero.
Tensor div(const Tensor& self, const Tensor& other, std::string_view rounding_mode = {});
Tensor divide(const Tensor& self, const Tensor& other, std::string_view rounding_mode = {});
Tensor true_divide(const Tensor& self, const Tensor& other);
/// floor(self / other).
Tensor floor_divide(const Tensor& self, const Tensor& other);
/// self - other * floor(self / other), of other's sign.
Tensor remainder(const Tensor& self, const Tensor& other);
/// self - other * trunc(self / other), of self's sign.
Tensor fmod(const Tensor& self, const Tensor& other);
/// Throws Error for an integer to the power of a negative integer.
Tensor pow(const Tensor& self, const Tensor& exponent);
/// pow in f64 (c128 for complex numbers).
Tensor float_power(const Tensor& self, const Tensor& exponent);
Tensor square(const Tensor& self);
Tensor neg(const Tensor& self);
Tensor negative(const Tensor& self);
Tensor positive(const Tensor& self);
/// The modulus of complex numbers.
Tensor abs(const Tensor& self);
Tensor absolute(const Tensor& self);
/// -1, 0 or 1.
Tensor sign(const Tensor& self);
/// self / |self|, 0 for 0; sign for real numbers.
Tensor sgn(const Tensor& self);
Tensor reciprocal(const Tensor& self);
/// self + value * tensor1 * tensor2.
Tensor addcmul(const Tensor& self, const Tensor& tensor1, const Tensor& tensor2,
               const Scalar& value = 1);
/// self + value * tensor1 / tensor2.
Tensor addcdiv(const Tensor& self, const Tensor& tensor1, const Tensor& tensor2,
               const Scalar& value = 1);
/// self + weight * (end - self).
Tensor lerp(const Tensor& self, const Tensor& end, const Tensor& weight);
Tensor gcd(const Tensor& self, const Tensor& other);
Tensor lcm(const Tensor& self, const Tensor& other);

// Rounding.
Tensor ceil(const Tensor& self);
Tensor floor(const Tensor& self);
Tensor trunc(const Tensor& self);
Tensor fix(const Tensor& self);
/// To the nearest number with so many decimals, halves to even.
Tensor round(const Tensor& self, int64_t decimals = 0);
/// self - trunc(self).
Tensor frac(const Tensor& self);

// Choice and bounds.
/// `input` where the bool condition is true, else `other`.
Tensor where(const Tensor& condition, const Tensor& input, const Tensor& other);
/// min(max(self, min), max). Throws Error where neither bound is given.
Tensor clamp(const Tensor& self, const Tensor& min = {}, const Tensor& max = {});
Tensor clip(const Tensor& self, const Tensor& min = {}, const Tensor& max = {});
Tensor clamp_min(const Tensor& self, const Tensor& min);
Tensor clamp_max(const Tensor& self, const Tensor& max);
/// The larger; NaN where either is.
Tensor maximum(const Tensor& self, const Tensor& other);
Tensor minimum(const Tensor& self, const Tensor& other);
/// The larger; where one is NaN the other.
Tensor fmax(const Tensor& self, const Tensor& other);
Tensor fmin(const Tensor& self, const Tensor& other);
/// 0 below 0, 1 above, `values` at 0.
Tensor heaviside(const Tensor& self, const Tensor& values);
/// NaN and the infinities replaced; without a number for these, by the dtype's extremes.
Tensor nan_to_num(const Tensor& self, std::optional<double> nan = {},
                  std::optional<double> posinf = {}, std::optional<double> neginf = {});
/// The magnitude of self with the sign of other.
Tensor copysign(const Tensor& self, const Tensor& other);
/// The number after self towards other.
Tensor nextafter(const Tensor& self, const Tensor& other);

// Comparison: the result is bool.
Tensor eq(const Tensor& self, const Tensor& other);
Tensor ne(const Tensor& self, const Tensor& other);
Tensor lt(const Tensor& self, const Tensor& other);
Tensor le(const Tensor& self, const Tensor& other);
Tensor gt(const Tensor& self, const Tensor& other);
Tensor ge(const Tensor& self, const Tensor& other);
Tensor not_equal(const Tensor& self, const Tensor& other);
Tensor less(const Tensor& self, const Tensor& other);
Tensor less_equal(const Tensor& self, const Tensor& other);
Tensor greater(const Tensor& self, const Tensor& other);
Tensor greater_equal(const Tensor& self, const Tensor& other);
/// |self - other| <= atol + rtol * |other|, or equal.
Tensor isclose(const Tensor& self, const Tensor& other, double rtol = 1e-05, double atol = 1e-08,
               bool equal_nan = false);
bool allclose(const Tensor& self, const Tensor& other, double rtol = 1e-05, double atol = 1e-08,
              bool equal_nan = false);
/// Whether both have the same shape and elements.
bool equal(const Tensor& self, const Tensor& other);
Tensor isnan(const Tensor& self);
Tensor isinf(const Tensor& self);
Tensor isfinite(const Tensor& self);
Tensor isposinf(const Tensor& self);
Tensor isneginf(const Tensor& self);
/// Whether the imaginary part is 0.
Tensor isreal(const Tensor& self);
Tensor signbit(const Tensor& self);

// Logic (numbers are true where they are not 0; the result is bool) and bits of integers.
Tensor logical_and(const Tensor& self, const Tensor& other);
Tensor logical_or(const Tensor& self, const Tensor& other);
Tensor logical_xor(const Tensor& self, const Tensor& other);
Tensor logical_not(const Tensor& self);
Tensor bitwise_and(const Tensor& self, const Tensor& other);
Tensor bitwise_or(const Tensor& self, const Tensor& other);
Tensor bitwise_xor(const Tensor& self, const Tensor& other);
Tensor bitwise_not(const Tensor& self);
Tensor bitwise_left_shift(const Tensor& self, const Tensor& other);
Tensor bitwise_right_shift(const Tensor& self, const Tensor& other);

// Exponentials, logarithms and roots.
Tensor exp(const Tensor& self);
Tensor exp2(const Tensor& self);
/// e^self - 1.
Tensor expm1(const Tensor& self);
Tensor log(const Tensor& self);
Tensor log2(const Tensor& self);
Tensor log10(const Tensor& self);
/// log(1 + self).
Tensor log1p(const Tensor& self);
Tensor sqrt(const Tensor& self);
/// 1 / sqrt(self).
Tensor rsqrt(const Tensor& self);
/// log(e^self + e^other).
Tensor logaddexp(const Tensor& self, const Tensor& other);
Tensor logaddexp2(const Tensor& self, const Tensor& other);
/// self * log(other), 0 where self is 0.
Tensor xlogy(const Tensor& self, const Tensor& other);
/// self * 2^other.
Tensor ldexp(const Tensor& self, const Tensor& other);
struct MantissaExponent {
  Tensor mantissa, exponent;
};
/// self = mantissa * 2^exponent, the mantissa from 0.5 to 1; the exponent is i32.
MantissaExponent frexp(const Tensor& self);

// Trigonometry, of radians, and hyperbolic functions.
Tensor sin(const Tensor& self);
Tensor cos(const Tensor& self);
Tensor tan(const Tensor& self);
Tensor asin(const Tensor& self);
Tensor acos(const Tensor& self);
Tensor atan(const Tensor& self);
Tensor sinh(const Tensor& self);
Tensor cosh(const Tensor& self);
Tensor tanh(const Tensor& self);
Tensor asinh(const Tensor& self);
Tensor acosh(const Tensor& self);
Tensor atanh(const Tensor& self);
Tensor arcsin(const Tensor& self);
Tensor arccos(const Tensor& self);
Tensor arctan(const Tensor& self);
Tensor arcsinh(const Tensor& self);
Tensor arccosh(const Tensor& self);
Tensor arctanh(const Tensor& self);
/// The angle of the point (other, self).
Tensor atan2(const Tensor& self, const Tensor& other);
Tensor arctan2(const Tensor& self, const Tensor& other);
/// sqrt(self^2 + other^2).
Tensor hypot(const Tensor& self, const Tensor& other);
/// sin(pi x) / (pi x).
Tensor sinc(const Tensor& self);
Tensor deg2rad(const Tensor& self);
Tensor rad2deg(const Tensor& self);

// Complex numbers.
bool is_complex(const Tensor& self);
bool is_floating_point(const Tensor& self);
/// A view of the real parts; a real tensor itself.
Tensor real(const Tensor& self);
/// A view of the imaginary parts. Throws Error for a real tensor.
Tensor imag(const Tensor& self);
Tensor conj(const Tensor& self);
Tensor conj_physical(const Tensor& self);
/// self: conj() is never lazy.
Tensor resolve_conj(const Tensor& self);
Tensor resolve_neg(const Tensor& self);
/// The angle in the complex plane.
Tensor angle(const Tensor& self);
/// abs * e^(i angle).
Tensor polar(const Tensor& abs, const Tensor& angle);
/// real + i imag.
Tensor complex(const Tensor& real, const Tensor& imag);
/// A view of complex self [...] as [..., 2].
Tensor view_as_real(const Tensor& self);
/// A view of self [..., 2] as complex [...].
Tensor view_as_complex(const Tensor& self);

inline Tensor operator+(const Tensor& a, const Tensor& b) { return add(a, b); }
inline Tensor operator-(const Tensor& a, const Tensor& b) { return sub(a, b); }
inline Tensor operator*(const Tensor& a, const Tensor& b) { return mul(a, b); }
inline Tensor operator/(const Tensor& a, const Tensor& b) { return div(a, b); }
inline Tensor operator-(const Tensor& x) { return neg(x); }

}  // namespace tallow
