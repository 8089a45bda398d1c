#include "ops/elementwise/special_math.h"

#include <algorithm>

namespace tallow::elementwise {
namespace {

// The sum of (x^2 / 4)^k / (k! (k + order)!), which has no cancellation.
double bessel_i_series(double x, int order) {
  double term = 1, sum = 1, z = x * x / 4;
  for (int k = 1; term > sum * kEpsilon / 4; ++k) {
    term *= z / (static_cast<double>(k) * (k + order));
    sum += term;
  }
  return sum;
}

// The asymptotic series of sqrt(2 pi x) e^-x I(x), or with sign -1 of sqrt(2 x / pi) e^x K(x)
// (A&S 9.7.1, 9.7.2). Beyond 20 its smallest term is below the precision.
double bessel_asymptotic(double x, int order, double sign) {
  double term = 1, sum = 1, mu = 4.0 * order * order;
  for (int k = 1; k < 60; ++k) {
    double next = term * -sign * (mu - (2 * k - 1.0) * (2 * k - 1.0)) / (k * 8 * x);
    if (std::fabs(next) >= std::fabs(term) || std::fabs(next) < kEpsilon / 4) break;
    sum += term = next;
  }
  return sum;
}

constexpr double kFar = 20;

double bessel_ie(double x, int order) {
  if (std::isnan(x)) return x;
  double size = std::fabs(x), sign = order == 1 && x < 0 ? -1 : 1;
  if (std::isinf(size)) return 0;
  if (size > kFar) return sign * bessel_asymptotic(size, order, 1) / std::sqrt(2 * kPi * size);
  return sign * bessel_i_series(size, order) * (order == 1 ? size / 2 : 1) * std::exp(-size);
}
double bessel_i(double x, int order) {
  double size = std::fabs(x), sign = order == 1 && x < 0 ? -1 : 1;
  if (!(size <= kFar)) {
    if (std::isinf(size)) return sign * size;
    // The exponential in halves, so that it overflows only where the product does.
    double half = std::exp(size / 2);
    return bessel_ie(x, order) * half * half;
  }
  return sign * bessel_i_series(size, order) * (order == 1 ? size / 2 : 1);
}

double bessel_ke(double x, int order) {
  if (std::isnan(x) || x < 0) return kNan;
  if (x == 0) return kInf;
  if (std::isinf(x)) return 0;
  if (x > kFar) return bessel_asymptotic(x, order, -1) * std::sqrt(kPi / (2 * x));
  return std::cyl_bessel_k(order, x) * std::exp(x);
}
double bessel_k(double x, int order) {
  if (x > kFar) return bessel_ke(x, order) * std::exp(-x);
  if (std::isnan(x) || x < 0) return kNan;
  return x == 0 ? kInf : std::cyl_bessel_k(order, x);
}

// x^a e^-x / gamma(a).
double gamma_density(double a, double x) { return std::exp(a * std::log(x) - x - log_gamma(a)); }

double lower_series(double a, double x) {
  double r = a, term = 1, sum = 1;
  for (int i = 0; i < 100000 && term > sum * kEpsilon; ++i) {
    r += 1;
    term *= x / r;
    sum += term;
  }
  return sum * gamma_density(a, x) / a;
}

// Legendre's continued fraction by Lentz's method.
double upper_fraction(double a, double x) {
  constexpr double tiny = 1e-300;
  double b = x + 1 - a, c = 1 / tiny, d = 1 / b, h = d;
  for (int i = 1; i < 100000; ++i) {
    double an = -i * (i - a);
    b += 2;
    d = an * d + b;
    if (std::fabs(d) < tiny) d = tiny;
    c = b + an / c;
    if (std::fabs(c) < tiny) c = tiny;
    d = 1 / d;
    h *= d * c;
    if (std::fabs(d * c - 1) < kEpsilon) break;
  }
  return h * gamma_density(a, x);
}

double trigamma(double x) {
  double sign = 1, result = 0;
  if (x < 0.5) {
    sign = -1;
    double s = std::sin(kPi * x);
    result -= kPi * kPi / (s * s);
    x = 1 - x;
  }
  for (; x < 20; ++x) result += 1 / (x * x);
  double z = 1 / (x * x);
  result += (1 + 0.5 / x + z * (1.0 / 6 - z * (1.0 / 30 - z * (1.0 / 42 - z / 30)))) / x;
  return sign * result;
}

}  // namespace

double log_gamma(double x) {
  int sign;
  return ::lgamma_r(x, &sign);
}

double digamma_of(double x) {
  if (x == 0) return std::copysign(kInf, -x);
  double result = 0;
  if (x < 0) {
    if (x == std::trunc(x)) return kNan;
    double whole;
    result = -kPi / std::tan(kPi * std::modf(x, &whole));
    x = 1 - x;
  }
  if (std::isinf(x)) return x;
  for (; x < 12; ++x) result -= 1 / x;
  double z = 1 / (x * x);
  double tail =
      z * (1.0 / 12 - z * (1.0 / 120 -
                           z * (1.0 / 252 -
                                z * (1.0 / 240 - z * (1.0 / 132 - z * (691.0 / 32760 - z / 12))))));
  return result + std::log(x) - 0.5 / x - tail;
}

double polygamma_of(double n, double x) {
  if (n == 0) return digamma_of(x);
  if (n == 1) return trigamma(x);
  double sign = std::fmod(n, 2) == 0 ? -1 : 1;
  return sign * std::exp(log_gamma(n + 1)) * hurwitz_zeta(n + 1, x);
}

double hurwitz_zeta(double s, double q) {
  // (2k)! / B(2k), of the Euler-Maclaurin formula.
  constexpr double scale[] = {12.0,
                              -720.0,
                              30240.0,
                              -1209600.0,
                              47900160.0,
                              -1.8924375803183791606e9,
                              7.47242496e10,
                              -2.950130727918164224e12,
                              1.1646782814350067249e14,
                              -4.5979787224074726105e15,
                              1.8152105401943546773e17,
                              -7.1661652561756670113e18};
  if (s == 1) return kInf;
  if (!(s >= 1)) return kNan;
  if (q <= 0) {
    if (q == std::floor(q)) return kInf;
    if (s != std::floor(s)) return kNan;
  }
  double sum = std::pow(q, -s), a = q, b = 0;
  for (int i = 0; i < 9 || a <= 9; ++i) {
    a += 1;
    b = std::pow(a, -s);
    sum += b;
    if (std::fabs(b) < kEpsilon * std::fabs(sum)) return sum;
  }
  double w = a, factor = 1, k = 0;
  sum += b * w / (s - 1) - 0.5 * b;
  for (double divisor : scale) {
    factor *= s + k;
    b /= w;
    double t = factor * b / divisor;
    sum += t;
    if (std::fabs(t) < kEpsilon * std::fabs(sum)) break;
    k += 1;
    factor *= s + k;
    b /= w;
    k += 1;
  }
  return sum;
}

double lower_gamma(double a, double x) {
  if (!(x >= 0) || !(a >= 0)) return kNan;
  if (a == 0) return x > 0 ? 1 : kNan;
  if (x == 0) return 0;
  if (std::isinf(a)) return std::isinf(x) ? kNan : 0;
  if (std::isinf(x)) return 1;
  return x > 1 && x > a ? 1 - upper_fraction(a, x) : lower_series(a, x);
}
double upper_gamma(double a, double x) {
  if (!(x >= 0) || !(a >= 0)) return kNan;
  if (a == 0) return x > 0 ? 0 : kNan;
  if (x == 0) return 1;
  if (std::isinf(a)) return std::isinf(x) ? kNan : 1;
  if (std::isinf(x)) return 0;
  return x > 1 && x > a ? upper_fraction(a, x) : 1 - lower_series(a, x);
}

double inverse_erf(double y) {
  if (std::isnan(y) || std::fabs(y) > 1) return kNan;
  if (std::fabs(y) == 1) return std::copysign(kInf, y);
  double x, size = std::fabs(y);
  if (size <= 0.7) {  // a rational start, then Newton's steps
    double z = y * y;
    x = y * (((-0.140543331 * z + 0.914624893) * z - 1.645349621) * z + 0.886226899) /
        ((((0.012229801 * z - 0.329097515) * z + 1.442710462) * z - 2.118377725) * z + 1);
  } else {
    double z = std::sqrt(-std::log((1 - size) / 2));
    x = std::copysign(((1.641345311 * z + 3.429567803) * z - 1.624906493) * z - 1.970840454, y) /
        ((1.6370678 * z + 3.5438892) * z + 1);
  }
  for (int i = 0; i < 2; ++i) x -= (std::erf(x) - y) / (2 / std::sqrt(kPi) * std::exp(-x * x));
  return x;
}

double scaled_erfc(double x) {
  if (x < -26.7) return kInf;
  if (x < 20) return std::exp(x * x) * std::erfc(x);
  double z = 1 / (2 * x * x);
  return (1 - z * (1 - 3 * z * (1 - 5 * z * (1 - 7 * z)))) / (x * std::sqrt(kPi));
}

double normal_cdf(double x) { return 0.5 * std::erfc(-x * kRootHalf); }

double log_normal_cdf(double x) {
  if (x < -1) return std::log(scaled_erfc(-x * kRootHalf) / 2) - x * x / 2;
  return std::log1p(-std::erfc(x * kRootHalf) / 2);
}

// Acklam's rational start, then Halley's steps on the lower half, where erfc loses nothing.
double inverse_normal_cdf(double p) {
  if (!(p >= 0 && p <= 1)) return kNan;
  if (p == 0) return -kInf;
  if (p > 0.5) return -inverse_normal_cdf(1 - p);
  double x;
  if (p < 0.02425) {
    double q = std::sqrt(-2 * std::log(p));
    x = (((((-7.784894002430293e-03 * q - 3.223964580411365e-01) * q - 2.400758277161838) * q -
           2.549732539343734) *
              q +
          4.374664141464968) *
             q +
         2.938163982698783) /
        ((((7.784695709041462e-03 * q + 3.224671290700398e-01) * q + 2.445134137142996) * q +
          3.754408661907416) *
             q +
         1);
  } else {
    double q = p - 0.5, r = q * q;
    x = (((((-3.969683028665376e+01 * r + 2.209460984245205e+02) * r - 2.759285104469687e+02) * r +
           1.383577518672690e+02) *
              r -
          3.066479806614716e+01) *
             r +
         2.506628277459239) *
        q /
        (((((-5.447609879822406e+01 * r + 1.615858368580409e+02) * r - 1.556989798598866e+02) * r +
           6.680131188771972e+01) *
              r -
          1.328068155288572e+01) *
             r +
         1);
  }
  for (int i = 0; i < 2; ++i) {
    double u = (normal_cdf(x) - p) * std::sqrt(2 * kPi) * std::exp(x * x / 2);
    if (!std::isfinite(u)) break;
    x -= u / (1 + x * u / 2);
  }
  return x;
}

double entropy_of(double x) {
  if (std::isnan(x)) return x;
  return x > 0 ? -x * std::log(x) : x == 0 ? 0 : -kInf;
}

double bessel_i0(double x) { return bessel_i(x, 0); }
double bessel_i0e(double x) { return bessel_ie(x, 0); }
double bessel_i1(double x) { return bessel_i(x, 1); }
double bessel_i1e(double x) { return bessel_ie(x, 1); }
double bessel_j0(double x) { return ::j0(x); }
double bessel_j1(double x) { return ::j1(x); }
double bessel_y0(double x) { return x < 0 ? kNan : ::y0(x); }
double bessel_y1(double x) { return x < 0 ? kNan : ::y1(x); }
double bessel_k0(double x) { return bessel_k(x, 0); }
double bessel_k1(double x) { return bessel_k(x, 1); }
double bessel_k0e(double x) { return bessel_ke(x, 0); }
double bessel_k1e(double x) { return bessel_ke(x, 1); }

double spherical_j0(double x) {
  if (std::isinf(x)) return 0;
  return std::fabs(x) < 1e-4 ? 1 - x * x / 6 : std::sin(x) / x;
}

// By Bessel functions of order 1/3 (A&S 10.4.14, 10.4.15).
double airy_ai(double x) {
  if (std::isnan(x)) return x;
  if (std::isinf(x)) return x > 0 ? 0 : kNan;
  if (x == 0) return 0.35502805388781723926;
  double size = std::fabs(x), z = 2.0 / 3 * size * std::sqrt(size);
  if (x > 0) return z > 700 ? 0 : std::sqrt(x / 3) / kPi * std::cyl_bessel_k(1.0 / 3, z);
  double j = std::cyl_bessel_j(1.0 / 3, z), y = std::cyl_neumann(1.0 / 3, z);
  return std::sqrt(size) / 3 * (1.5 * j - std::sqrt(0.75) * y);
}

}  // namespace tallow::elementwise
