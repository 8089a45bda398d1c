// The functions that values of the elementwise tables are written with, for the types of the
// portable kernels: float, double, int64_t and Complex.
#pragma once

#include <cmath>
#include <complex>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <utility>

#include "ops/elements.h"

namespace tallow::elementwise {

using std::acos, std::acosh, std::asin, std::asinh, std::atan, std::atan2, std::atanh, std::ceil,
    std::copysign, std::cos, std::cosh, std::erf, std::erfc, std::exp, std::exp2, std::expm1,
    std::floor, std::hypot, std::isnan, std::log, std::log10, std::log1p, std::log2, std::pow,
    std::rint, std::sin, std::sinh, std::sqrt, std::tan, std::tanh, std::trunc;

template <class T>
inline constexpr bool kIsReal = std::is_floating_point_v<T>;
template <class T>
inline constexpr bool kIsComplexType = std::is_same_v<T, Complex>;

// Integers are whole, finite and not NaN.
inline int64_t ceil(int64_t x) { return x; }
inline int64_t floor(int64_t x) { return x; }
inline int64_t trunc(int64_t x) { return x; }
inline int64_t rint(int64_t x) { return x; }

template <class T>
bool is_nan(T x) {
  if constexpr (kIsComplexType<T>) {
    return std::isnan(x.real()) || std::isnan(x.imag());
  } else {
    return x != x;
  }
}
template <class T>
bool is_inf(T x) {
  if constexpr (kIsComplexType<T>) {
    return std::isinf(x.real()) || std::isinf(x.imag());
  } else if constexpr (kIsReal<T>) {
    return std::isinf(x);
  } else {
    return false;
  }
}
template <class T>
bool is_finite(T x) {
  return !is_nan(x) && !is_inf(x);
}
template <class T>
bool sign_bit(T x) {
  if constexpr (kIsReal<T>) {
    return std::signbit(x);
  } else {
    return x < T(0);
  }
}

/// |x|; of a complex number the modulus.
template <class T>
T magnitude(T x) {
  if constexpr (kIsComplexType<T>) {
    return Complex(std::abs(x));
  } else if constexpr (kIsReal<T>) {
    return std::fabs(x);
  } else {
    return x < 0 ? -x : x;
  }
}
/// x / |x|, 0 for 0.
template <class T>
T sgn(T x) {
  if constexpr (kIsComplexType<T>) {
    return x == Complex(0) ? Complex(0) : x / std::abs(x);
  } else {
    return T((x > T(0)) - (x < T(0)));
  }
}
/// The angle in the complex plane: 0 or pi for a real number.
template <class T>
T angle_of(T x) {
  if constexpr (kIsComplexType<T>) {
    return Complex(std::arg(x));
  } else {
    return x < T(0) ? T(3.14159265358979323846) : is_nan(x) ? x : T(0);
  }
}
template <class T>
T conjugate(T x) {
  if constexpr (kIsComplexType<T>) {
    return std::conj(x);
  } else {
    return x;
  }
}

/// The whole number that a / b is rounded to.
template <class T>
T divide_trunc(T a, T b) {
  if constexpr (kIsReal<T>) {
    return std::trunc(a / b);
  } else {
    return b == T(-1) ? T(0) - a : a / b;  // the lowest number by -1 would trap
  }
}
template <class T>
T divide_floor(T a, T b) {
  if constexpr (kIsReal<T>) {
    if (b == T(0)) return a / b;
    T mod = std::fmod(a, b), quotient = (a - mod) / b;
    if (mod != T(0) && (b < T(0)) != (mod < T(0))) quotient -= T(1);
    if (quotient == T(0)) return std::copysign(T(0), a / b);
    T down = std::floor(quotient);
    return quotient - down > T(0.5) ? down + T(1) : down;
  } else {
    T quotient = divide_trunc(a, b);
    return quotient * b != a && (a < T(0)) != (b < T(0)) ? quotient - T(1) : quotient;
  }
}
template <class T>
T modulo_trunc(T a, T b) {
  if constexpr (kIsReal<T>) {
    return std::fmod(a, b);
  } else {
    return b == T(-1) ? T(0) : a % b;
  }
}
template <class T>
T modulo_floor(T a, T b) {
  T mod = modulo_trunc(a, b);
  return mod != T(0) && (b < T(0)) != (mod < T(0)) ? mod + b : mod;
}

inline int64_t shift_left(int64_t a, int64_t b) {
  return b < 0 || b > 63 ? 0 : static_cast<int64_t>(static_cast<uint64_t>(a) << b);
}
inline int64_t shift_right(int64_t a, int64_t b) { return a >> (b < 0 || b > 63 ? 63 : b); }

/// a^b; of integers, with 0 for what is between 0 and 1.
inline int64_t power(int64_t a, int64_t b) {
  if (b < 0) return a == 1 ? 1 : a == -1 ? (b % 2 ? -1 : 1) : 0;
  uint64_t result = 1, base = static_cast<uint64_t>(a);
  for (; b; b >>= 1, base *= base) {
    if (b & 1) result *= base;
  }
  return static_cast<int64_t>(result);
}
inline float power(float a, float b) { return std::pow(a, b); }
inline double power(double a, double b) { return std::pow(a, b); }
inline Complex power(Complex a, Complex b) {
  if (b == Complex(0)) return Complex(1);
  if (b == Complex(2)) return a * a;
  return std::pow(a, b);
}

inline Complex log2(Complex x) { return std::log(x) * 1.4426950408889634; }
inline Complex exp2(Complex x) { return std::exp(x * 0.69314718055994531); }
inline Complex log1p(Complex x) {
  double re = x.real(), im = x.imag();
  return {0.5 * std::log1p(re * (re + 2) + im * im), std::atan2(im, re + 1)};
}
inline Complex expm1(Complex x) {
  double s = std::sin(x.imag() / 2), e = std::exp(x.real());
  return {std::expm1(x.real()) * std::cos(x.imag()) - 2 * s * s, e * std::sin(x.imag())};
}

/// The cumulative distribution of the standard normal.
template <class T>
T gaussian_cdf(T x) {
  return T(0.5) * std::erfc(x * T(-0.70710678118654752));
}

/// Whether |x| < 1/2.
template <class T>
bool near_zero(T x) {
  if constexpr (kIsComplexType<T>) {
    return std::abs(x) < 0.5;
  } else {
    return x < T(0.5) && x > T(-0.5);
  }
}

#define TALLOW_ROW_FUNCTION inline
#include "ops/elementwise/composed.h"
#undef TALLOW_ROW_FUNCTION

inline Complex log_add_exp(Complex a, Complex b) {
  if (a.real() < b.real()) std::swap(a, b);
  if (std::isinf(a.real()) && a == b) return a;
  return a + log1p(std::exp(b - a));
}

}  // namespace tallow::elementwise
