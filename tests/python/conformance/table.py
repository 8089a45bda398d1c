"""The op table: PyTorch's own rows (OpInfo) and ours for what it lacks, without those that are not
tallow's to have."""

import functools
import re

import torch
from torch.testing._internal.common_methods_invocations import op_db

from conformance import harness, rows
from conformance import rows_convolution  # noqa: F401  adds its rows
from conformance import rows_elementwise  # noqa: F401  adds its rows
from conformance import rows_recurrent  # noqa: F401  adds its rows
from conformance import rows_shape  # noqa: F401  adds its rows
from conformance import rows_signal  # noqa: F401  adds its rows

# Not part of tallow: other layouts and devices, PyTorch's inner workings, and its RNG's own stream.
LEFT_OUT = re.compile(
    r"^_|^masked\.|^sparse\.|^torch\.|jiterator|^to_sparse|^resize|^ops\.|^nested|_copy$|quantize"
)
# Their results are random: checked in distribution (test_random.py), not by value.
RANDOM = {
    "bernoulli", "cauchy", "empty", "empty_like", "empty_strided", "empty_permuted", "exponential",
    "geometric", "log_normal", "multinomial", "new_empty", "new_empty_strided", "normal", "rand_like",
    "randint", "randint_like", "randn", "randn_like", "randperm", "uniform",
    "nn.functional.dropout", "nn.functional.dropout2d", "nn.functional.dropout3d",
    "nn.functional.alpha_dropout", "nn.functional.feature_alpha_dropout",
    "nn.functional.rrelu", "nn.functional.fractional_max_pool2d",
    "nn.functional.fractional_max_pool3d", "svd_lowrank", "pca_lowrank",
}  # fmt: skip


@functools.cache
def all_rows():
    found = [op for op in op_db if not LEFT_OUT.search(op.name) or op.name.startswith("__")]
    return [op for op in found if op.name not in RANDOM] + rows.ROWS


def has(row):
    return harness.function(row.name) is not None


def dtypes(row):
    allowed = row.supported_dtypes("cpu") if hasattr(row, "supported_dtypes") else row.dtypes
    return [d for d in harness.DTYPES if d in allowed]


def gradient_dtypes(row):
    if not row.supports_autograd:
        return []
    allowed = row.supported_backward_dtypes("cpu") if hasattr(row, "supported_backward_dtypes") else row.dtypes
    return [d for d in (torch.float64, torch.complex128) if d in allowed]
