"""Rows for convolutions that PyTorch's table lacks, and for the sizes at which other kernels run:
Winograd's, tiles, images of few pixels, depthwise."""

import torch
import torch.nn.functional as F

from conformance.rows import ROWS, Row, Sample


def tbc_samples(make):
    yield Sample(make(7, 2, 3), (make(3, 3, 4), make(4)))
    yield Sample(make(7, 2, 3), (make(3, 3, 4), make(4), 2))
    yield Sample(make(3, 1, 2), (make(1, 2, 1), make(1)))


def large_samples(make):
    """(channels, size, outputs, kernel, stride, groups)"""
    for c, size, o, k, stride, groups in [
        (16, 50, 20, 3, 1, 1), (8, 17, 9, 3, 1, 1), (24, 7, 33, 3, 1, 1), (40, 7, 48, 1, 1, 1),
        (24, 13, 50, 1, 1, 1), (3, 30, 24, 7, 2, 1), (20, 21, 17, 3, 2, 1), (6, 19, 6, 3, 1, 6),
        (5, 33, 10, 3, 2, 5), (4, 15, 4, 5, 1, 4), (16, 12, 32, 3, 1, 2),
    ]:  # fmt: skip
        scale = (c // groups * k * k) ** -0.5
        weight = make(o, c // groups, k, k)
        weight = (weight.detach() * scale).requires_grad_(weight.requires_grad)
        yield Sample(make(2, c, size, size), (weight, make(o)), {"stride": stride, "padding": k // 2, "groups": groups})


ROWS += [
    Row("conv_tbc", torch.conv_tbc, tbc_samples),
    Row("nn.functional.conv2d", F.conv2d, large_samples, supports_autograd=True),
]
ROWS[-1].variant_test_name = "sizes"
