// Orthogonal polynomials, by their recurrences (A&S 22.7).
#include "ops/elementwise/special_math.h"

namespace tallow::elementwise {
namespace {

// p(0) = 1, p(1) = first, p(k + 1) = next(k, p(k), p(k - 1)).
template <class F>
double recur(double x, double degree, double first, const F& next) {
  if (std::isnan(degree) || degree <= -1) return 0;
  if (degree < 1) return 1;
  if (degree > 1e6) return NAN;  // more steps than a number is worth
  double before = 1, now = first;
  for (int64_t k = 1, n = static_cast<int64_t>(degree); k < n && !std::isnan(now); ++k) {
    double after = next(static_cast<double>(k), now, before);
    before = now;
    now = after;
  }
  return std::isnan(x) ? x : now;
}

double chebyshev(double x, double n, double first) {
  return recur(x, n, first, [x](double, double p, double q) { return 2 * x * p - q; });
}

}  // namespace

double chebyshev_polynomial_t(double x, double n) { return chebyshev(x, n, x); }
double chebyshev_polynomial_u(double x, double n) { return chebyshev(x, n, 2 * x); }
double chebyshev_polynomial_v(double x, double n) { return chebyshev(x, n, 2 * x - 1); }
double chebyshev_polynomial_w(double x, double n) { return chebyshev(x, n, 2 * x + 1); }
double shifted_chebyshev_polynomial_t(double x, double n) {
  return chebyshev_polynomial_t(2 * x - 1, n);
}
double shifted_chebyshev_polynomial_u(double x, double n) {
  return chebyshev_polynomial_u(2 * x - 1, n);
}
double shifted_chebyshev_polynomial_v(double x, double n) {
  return chebyshev_polynomial_v(2 * x - 1, n);
}
double shifted_chebyshev_polynomial_w(double x, double n) {
  return chebyshev_polynomial_w(2 * x - 1, n);
}
double hermite_polynomial_h(double x, double n) {
  return recur(x, n, 2 * x, [x](double k, double p, double q) { return 2 * x * p - 2 * k * q; });
}
double hermite_polynomial_he(double x, double n) {
  return recur(x, n, x, [x](double k, double p, double q) { return x * p - k * q; });
}
double laguerre_polynomial_l(double x, double n) {
  return recur(x, n, 1 - x, [x](double k, double p, double q) {
    return ((2 * k + 1 - x) * p - k * q) / (k + 1);
  });
}
double legendre_polynomial_p(double x, double n) {
  return recur(x, n, x, [x](double k, double p, double q) {
    return ((2 * k + 1) * x * p - k * q) / (k + 1);
  });
}

}  // namespace tallow::elementwise
