"""What is known to differ from PyTorch, each with its reason: (row, part) -> why. A part is values,
gradients or errors. Printed as skipped tests and in docs/ops.md."""

PARTS = ("values", "gradients", "errors")
_MEMORY = "as_strided reaches the memory around the tensor, which DLPack does not hand over"
_LAMBDA = "the row calls the op on arguments that it makes of its own"
_SIGN = "the signs of eigenvectors of the upper triangle are LAPACK's, which MKL turns"
_ROUND = "PyTorch rounds the product to half precision before it adds"
_NUMBER = "a number may stand for a tensor"
_BESSEL = "PyTorch's is off by 1e-7, SciPy's is not"
KNOWN: dict[tuple[str, str], str] = {
    ("maximum", "errors"): _NUMBER,
    ("minimum", "errors"): _NUMBER,
    ("special.bessel_j0", "values"): _BESSEL,
    ("special.bessel_y1", "values"): _BESSEL,
    ("linalg.pinv.singular", "values"): _LAMBDA,
    ("linalg.pinv.singular", "gradients"): _LAMBDA,
    ("linalg.lstsq.grad_oriented", "values"): _LAMBDA,
    ("linalg.eigh", "gradients"): _SIGN,
    ("linalg.eigvalsh", "gradients"): "the second gradient of a matrix that is not symmetric",
    ("addbmm", "values"): _ROUND,
    ("addr", "values"): _ROUND,
    ("matrix_exp", "values"): "PyTorch's overflows in half precision, and loses digits in f32",
    ("linalg.norm.subgradients_at_zero", "gradients"): "the second gradient of p = 0.5 at 0 is 0",
    ("as_strided.partial_views", "values"): _MEMORY,
    ("as_strided.partial_views", "gradients"): _MEMORY,
    ("as_strided_scatter", "gradients"): "PyTorch's, of a part without dimensions, keeps what was replaced",
    ("sort", "values"): "which of equal elements comes first is open without stable=True; ours is stable (test_reduce.py)",
    ("argsort", "values"): "which of equal elements comes first is open without stable=True; ours is stable (test_reduce.py)",
}


def reason(title, part):
    return KNOWN.get((title, part))
