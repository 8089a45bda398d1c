"""The functions of torch.special."""

from . import _C
from ._names import take

take(globals(), _C, """
airy_ai bessel_j0 bessel_j1 bessel_y0 bessel_y1 digamma entr erf erfc erfcx erfinv exp2 expit expm1
gammainc gammaincc gammaln i0 i0e i1 i1e log1p log_ndtr log_softmax logit logsumexp
modified_bessel_i0 modified_bessel_i1 modified_bessel_k0 modified_bessel_k1 multigammaln ndtr ndtri
polygamma psi round scaled_modified_bessel_k0 scaled_modified_bessel_k1 sinc softmax
spherical_bessel_j0 xlog1py xlogy zeta chebyshev_polynomial_t chebyshev_polynomial_u
chebyshev_polynomial_v chebyshev_polynomial_w hermite_polynomial_h hermite_polynomial_he
laguerre_polynomial_l legendre_polynomial_p shifted_chebyshev_polynomial_t
shifted_chebyshev_polynomial_u shifted_chebyshev_polynomial_v shifted_chebyshev_polynomial_w
""", prefix="special_")

for _name, _other in {"expit": "sigmoid", "gammaln": "lgamma", "psi": "digamma",
                      "multigammaln": "mvlgamma", "gammainc": "igamma",
                      "gammaincc": "igammac"}.items():
    if _name not in globals() and hasattr(_C, _other):
        globals()[_name] = getattr(_C, _other)
