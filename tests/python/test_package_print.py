"""repr of the Python package against torch's."""

import math
import random
import re

import pytest
import torch

import tallow


def same(x):
    ours = tallow.from_dlpack(x.detach())
    if x.requires_grad:
        ours.requires_grad_()
    assert plain(repr(ours)) == plain(repr(x).replace("torch.", "tallow."))


def plain(text):
    """Without the line break before a dtype, whose name is a letter longer than torch's."""
    return re.sub(r",\s+dtype=", ", dtype=", text)


DTYPES = [
    torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32,
    torch.int8, torch.uint8, torch.bool, torch.complex64, torch.complex128, torch.float8_e4m3fn,
    torch.uint16,
]  # fmt: skip
SHAPES = [(), (1,), (0,), (0, 3), (5,), (30,), (2, 3), (3, 1, 4), (1001,), (50, 50), (7, 7, 30),
          (2, 3, 4, 5), (1, 1), (100, 0), (4, 300)]  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_random_tensors_print_as_torch(dtype):
    random.seed(1)
    torch.manual_seed(1)
    for shape in SHAPES:
        for scale in (1, 1e-6, 1e5, 1e10, 100):
            x = torch.randn(shape, dtype=torch.float64) * scale
            same(x.abs().clamp(0, 200).to(dtype) if dtype in (torch.uint8, torch.uint16) else x.to(dtype))
            if dtype.is_floating_point:
                same((x * 10).round().to(dtype))


def test_special_values_print_as_torch():
    for values in (
        [math.nan, 1.0], [math.inf, -math.inf], [math.nan], [0.0, -0.0], [1e-5, 1.0], [1e9, 1.0],
        [1.0, 2.5, math.nan, math.inf], [1e-30], [123456.0], [0.1, 1000.1], [0.1, 99.0],
    ):  # fmt: skip
        same(torch.tensor(values))
        same(-torch.tensor(values))
        same(torch.tensor(values, dtype=torch.float64))
        same(torch.complex(torch.tensor(values), -torch.tensor(values)))
    same(torch.tensor(-math.nan))
    same(torch.tensor(2 + 3j))


def test_views_and_leaves_print_as_torch():
    x = torch.arange(24.0).reshape(2, 3, 4)
    same(x.transpose(0, 2))
    same(x[:, ::2])
    same(x.requires_grad_())
    same(torch.randn(2, 2, dtype=torch.float64, requires_grad=True))


def test_results_name_their_op():
    x = tallow.tensor([1.0, 2.0], requires_grad=True)
    y = torch.tensor([1.0, 2.0], requires_grad=True)
    assert repr(x * 2) == repr(y * 2)
    assert repr((x + 1).sum()) == repr((y + 1).sum())


@pytest.mark.parametrize("options", [
    {"precision": 2}, {"threshold": 5}, {"edgeitems": 2, "threshold": 10}, {"linewidth": 40},
    {"profile": "full"}, {"profile": "short"}, {"sci_mode": True}, {"sci_mode": False},
], ids=str)  # fmt: skip
def test_print_options_are_torchs(options):
    for shape in ((3,), (40,), (12, 13)):
        x = torch.randn(shape)
        torch.set_printoptions(**options)
        tallow.set_printoptions(**options)
        try:
            same(x)
        finally:
            torch.set_printoptions(profile="default")
            tallow.set_printoptions(profile="default")
