"""Every op of the table against PyTorch, live. TALLOW_CONFORMANCE=full takes every dtype and sample;
else the dtypes that differ in kind, and a limited number of samples."""

import os

import pytest
import torch

from conformance import harness, table

FULL = os.environ.get("TALLOW_CONFORMANCE") == "full"
QUICK = [torch.float32, torch.float64, torch.bfloat16, torch.int64, torch.uint8, torch.bool, torch.complex64]
LIMIT = None if FULL else 24

ROWS = [row for row in table.all_rows() if table.has(row)]


def parametrize(rows):
    return pytest.mark.parametrize("row", rows, ids=[harness.title(r) for r in rows])


@parametrize(ROWS)
def test_values(row):
    for dtype in table.dtypes(row):
        if FULL or dtype in QUICK:
            harness.check_forward(row, dtype, LIMIT)


@parametrize([r for r in ROWS if r.supports_autograd])
def test_gradients(row):
    for dtype in table.gradient_dtypes(row):
        second = getattr(row, "supports_gradgrad", True)
        harness.check_gradients(row, dtype, second, LIMIT)


@parametrize([r for r in ROWS if r.error_inputs_func is not None])
def test_errors(row):
    harness.check_errors(row)
