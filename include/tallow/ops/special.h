// Special functions: the error, gamma and Bessel families, as torch.special. The `special_` prefix
// stands where torch itself has no function of that name.
#pragma once

#include "tallow/op.h"
#include "tallow/tensor.h"

namespace tallow {

Tensor erf(const Tensor& self);
Tensor erfc(const Tensor& self);
Tensor erfinv(const Tensor& self);
/// e^(x^2) erfc(x).
Tensor special_erfcx(const Tensor& input);
/// The cumulative distribution of the standard normal, its logarithm, and its inverse.
Tensor special_ndtr(const Tensor& input);
Tensor special_log_ndtr(const Tensor& input);
Tensor special_ndtri(const Tensor& input);
/// -x log(x), 0 at 0, -inf below.
Tensor special_entr(const Tensor& input);
/// log(x / (1 - x)); with eps, x is first clamped to [eps, 1 - eps].
Tensor logit(const Tensor& self, std::optional<double> eps = {});
/// self * log1p(other), 0 where self is 0.
Tensor special_xlog1py(const Tensor& input, const Tensor& other);

/// log |gamma(x)|.
Tensor lgamma(const Tensor& self);
Tensor digamma(const Tensor& self);
/// The n-th derivative of digamma; n >= 0.
Tensor polygamma(int64_t n, const Tensor& input);
Tensor polygamma(const Tensor& self, int64_t n);
/// log of the multivariate gamma function of dimension p.
Tensor mvlgamma(const Tensor& self, int64_t p);
/// The regularized lower and upper incomplete gamma functions.
Tensor igamma(const Tensor& self, const Tensor& other);
Tensor igammac(const Tensor& self, const Tensor& other);
/// Hurwitz's zeta function: the sum of (k + other)^-input over k >= 0.
Tensor special_zeta(const Tensor& input, const Tensor& other);

/// Modified Bessel functions of the first kind; the `e` ones times e^-|x|.
Tensor i0(const Tensor& self);
Tensor special_i0e(const Tensor& input);
Tensor special_i1(const Tensor& input);
Tensor special_i1e(const Tensor& input);
Tensor special_airy_ai(const Tensor& input);
Tensor special_bessel_j0(const Tensor& input);
Tensor special_bessel_j1(const Tensor& input);
Tensor special_bessel_y0(const Tensor& input);
Tensor special_bessel_y1(const Tensor& input);
Tensor special_modified_bessel_i0(const Tensor& input);
Tensor special_modified_bessel_i1(const Tensor& input);
Tensor special_modified_bessel_k0(const Tensor& input);
Tensor special_modified_bessel_k1(const Tensor& input);
Tensor special_scaled_modified_bessel_k0(const Tensor& input);
Tensor special_scaled_modified_bessel_k1(const Tensor& input);
Tensor special_spherical_bessel_j0(const Tensor& input);

/// Orthogonal polynomials in x of degree n; no gradients.
Tensor special_chebyshev_polynomial_t(const Tensor& input, const Tensor& n);
Tensor special_chebyshev_polynomial_u(const Tensor& input, const Tensor& n);
Tensor special_chebyshev_polynomial_v(const Tensor& input, const Tensor& n);
Tensor special_chebyshev_polynomial_w(const Tensor& input, const Tensor& n);
Tensor special_shifted_chebyshev_polynomial_t(const Tensor& input, const Tensor& n);
Tensor special_shifted_chebyshev_polynomial_u(const Tensor& input, const Tensor& n);
Tensor special_shifted_chebyshev_polynomial_v(const Tensor& input, const Tensor& n);
Tensor special_shifted_chebyshev_polynomial_w(const Tensor& input, const Tensor& n);
Tensor special_hermite_polynomial_h(const Tensor& input, const Tensor& n);
Tensor special_hermite_polynomial_he(const Tensor& input, const Tensor& n);
Tensor special_laguerre_polynomial_l(const Tensor& input, const Tensor& n);
Tensor special_legendre_polynomial_p(const Tensor& input, const Tensor& n);

// torch.special's names of functions that stand elsewhere under another.
Tensor special_expit(const Tensor& input);
Tensor special_psi(const Tensor& input);
Tensor special_gammaln(const Tensor& input);
Tensor special_multigammaln(const Tensor& input, int64_t p);
Tensor special_gammainc(const Tensor& input, const Tensor& other);
Tensor special_gammaincc(const Tensor& input, const Tensor& other);

}  // namespace tallow
