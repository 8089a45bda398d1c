// Special functions, computed in f64 whatever the type: Abramowitz and Stegun 1964, and Moshier's
// Cephes for the zeta function.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>

#include "ops/elementwise/math.h"

namespace tallow::elementwise {

inline constexpr double kPi = 3.14159265358979323846;
inline constexpr double kInf = std::numeric_limits<double>::infinity();
inline constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
inline constexpr double kEpsilon = 1.11022302462515654042e-16;
inline constexpr double kRootHalf = 0.70710678118654752440;

inline int64_t gcd_of(int64_t a, int64_t b) {
  auto size = [](int64_t x) {
    return x < 0 ? 0 - static_cast<uint64_t>(x) : static_cast<uint64_t>(x);
  };
  return static_cast<int64_t>(std::gcd(size(a), size(b)));
}
inline int64_t lcm_of(int64_t a, int64_t b) {
  int64_t g = gcd_of(a, b);
  if (g == 0) return 0;
  int64_t product = static_cast<int64_t>(static_cast<uint64_t>(a / g) * static_cast<uint64_t>(b));
  return product < 0 ? -product : product;
}

template <class T>
T logit_of(T x, T eps, T has_eps) {
  if (has_eps != T(0)) x = x < eps ? eps : x > T(1) - eps ? T(1) - eps : x;
  return std::log(x / (T(1) - x));
}

double log_gamma(double x);
double digamma_of(double x);
double polygamma_of(double n, double x);
double hurwitz_zeta(double s, double q);
double lower_gamma(double a, double x);
double upper_gamma(double a, double x);
double inverse_erf(double x);
double scaled_erfc(double x);
double normal_cdf(double x);
double log_normal_cdf(double x);
double inverse_normal_cdf(double x);
double entropy_of(double x);
double bessel_i0(double x);
double bessel_i0e(double x);
double bessel_i1(double x);
double bessel_i1e(double x);
double bessel_j0(double x);
double bessel_j1(double x);
double bessel_y0(double x);
double bessel_y1(double x);
double bessel_k0(double x);
double bessel_k1(double x);
double bessel_k0e(double x);
double bessel_k1e(double x);
double spherical_j0(double x);
double airy_ai(double x);

/// Orthogonal polynomials of degree n (rounded to 0), 0 for a negative one.
double chebyshev_polynomial_t(double x, double n);
double chebyshev_polynomial_u(double x, double n);
double chebyshev_polynomial_v(double x, double n);
double chebyshev_polynomial_w(double x, double n);
double shifted_chebyshev_polynomial_t(double x, double n);
double shifted_chebyshev_polynomial_u(double x, double n);
double shifted_chebyshev_polynomial_v(double x, double n);
double shifted_chebyshev_polynomial_w(double x, double n);
double hermite_polynomial_h(double x, double n);
double hermite_polynomial_he(double x, double n);
double laguerre_polynomial_l(double x, double n);
double legendre_polynomial_p(double x, double n);

}  // namespace tallow::elementwise
