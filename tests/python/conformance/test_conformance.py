"""Every op of the table against PyTorch, live. TALLOW_CONFORMANCE=full takes every dtype and sample;
else the dtypes that differ in kind, and a limited number of samples."""

import os

import pytest
import torch

from conformance import harness, known, table

FULL = os.environ.get("TALLOW_CONFORMANCE") == "full"
QUICK = [torch.float32, torch.float64, torch.bfloat16, torch.int64, torch.uint8, torch.bool, torch.complex64]
LIMIT = None if FULL else 24

ROWS = [row for row in table.all_rows() if table.has(row)]


def parametrize(rows):
    return pytest.mark.parametrize("row", rows, ids=[table.title(r) for r in rows])


def run(check, row, part):
    reason = known.reason(table.title(row), part)
    if reason:
        pytest.skip(reason)
    check()


@parametrize(ROWS)
def test_values(row):
    def check():
        for dtype in table.dtypes(row):
            if FULL or dtype in QUICK:
                harness.check_forward(row, dtype, LIMIT)

    run(check, row, "values")


@parametrize([r for r in ROWS if r.supports_autograd])
def test_gradients(row):
    def check():
        for dtype in table.gradient_dtypes(row):
            second = getattr(row, "supports_gradgrad", True)
            harness.check_gradients(row, dtype, second, LIMIT)

    run(check, row, "gradients")


@parametrize([r for r in ROWS if r.error_inputs_func is not None])
def test_errors(row):
    run(lambda: harness.check_errors(row), row, "errors")
