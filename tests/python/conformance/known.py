"""What is known to differ from PyTorch, each with its reason: (row, part) -> why. A part is values,
gradients or errors. Printed as skipped tests and in docs/ops.md."""

PARTS = ("values", "gradients", "errors")
_MEMORY = "as_strided reaches the memory around the tensor, which DLPack does not hand over"
_SIGN = "the signs of eigenvectors of the upper triangle are LAPACK's, which MKL turns"
_ROUND = "PyTorch rounds the product to half precision before it adds"
_NUMBER = "a number may stand for a tensor"
_BESSEL = "PyTorch's is off by 1e-7, SciPy's is not"
_OUT = "out= converts to any dtype that the result converts to, as most of PyTorch's ops do"
_OVERLAP = "out= of elements that share memory: the last one written stays"
_SPARSE = "sparse gradients are not part of tallow"
_HALF = "one element of bf16, rounded at another step"
_WIDE = "a difference of 4e-7, from 2^x in f64 on both sides"
KNOWN: dict[tuple[str, str], str] = {
    ("maximum", "errors"): _NUMBER,
    ("minimum", "errors"): _NUMBER,
    ("special.bessel_j0", "values"): _BESSEL,
    ("special.bessel_y1", "values"): _BESSEL,
    ("linalg.eigh", "gradients"): _SIGN,
    ("linalg.eigvalsh", "gradients"): "the second gradient of a matrix that is not symmetric",
    ("addbmm", "values"): _ROUND,
    ("addr", "values"): _ROUND,
    ("matrix_exp", "values"): "PyTorch's overflows in half precision, and loses digits in f32",
    ("linalg.norm.subgradients_at_zero", "gradients"): "the second gradient of p = 0.5 at 0 is 0",
    ("as_strided.partial_views", "values"): _MEMORY,
    ("as_strided.partial_views", "gradients"): _MEMORY,
    ("as_strided_scatter", "gradients"): "PyTorch's, of a part without dimensions, keeps what was replaced",
    ("amax", "errors"): _OUT,
    ("amin", "errors"): _OUT,
    ("aminmax", "errors"): _OUT,
    ("gather", "errors"): _OUT,
    ("complex", "errors"): _OUT,
    ("arange", "errors"): _OUT,
    ("kthvalue", "errors"): _OVERLAP,
    ("masked_select", "errors"): _OVERLAP,
    ("cat", "errors"): _OVERLAP,
    ("index_select", "errors"): _OVERLAP,
    ("take", "errors"): _OVERLAP,
    ("nn.functional.embedding", "values"): _SPARSE,
    ("nn.functional.embedding_bag", "values"): _SPARSE,
    ("nn.functional.scaled_dot_product_attention", "values"): _HALF,
    ("nn.functional.hinge_embedding_loss", "values"): _HALF,
    ("ldexp", "gradients"): _WIDE,
    ("cov", "gradients"): "the second gradient of f32 weights, 5e-5 of f32's",
    ("istft", "gradients"): "a complex window shorter than n_fft, which PyTorch takes as unused",
    ("lu", "gradients"): "the second gradient of complex matrices differs",
    ("linalg.lu", "gradients"): "the second gradient of complex matrices differs",
    ("nn.functional.triplet_margin_with_distance_loss", "values"): "the row's distance is a torch module",
    ("nn.functional.triplet_margin_with_distance_loss", "gradients"): "the row's distance is a torch module",
    ("index_fill", "gradients"): "an index that names a place twice (-1 and n - 1) counts once",
    ("sum_to_size", "values"): "PyTorch widens an integer that it does not sum",
    ("sort", "values"): "which of equal elements comes first is open without stable=True; ours is stable (test_reduce.py)",
    ("argsort", "values"): "which of equal elements comes first is open without stable=True; ours is stable (test_reduce.py)",
}


def reason(title, part):
    return KNOWN.get((title, part))
