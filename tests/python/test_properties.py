"""Random ops on random tensors (shapes with zeros and ones, strides from permuting, slicing and
expanding, every dtype) give what PyTorch gives: values, dtypes, gradients, and errors where it has
errors. TALLOW_PROPERTY_SEED is the first case; TALLOW_PROPERTY_SECONDS sets a time in place of a number
of cases, which is the same on every machine."""

import os
import time
import traceback

import pytest
import torch

from properties import check, kinds, kinds_indexing, kinds_layers
from properties.draw import Draw

SECONDS = float(os.environ.get("TALLOW_PROPERTY_SECONDS", "0"))
CASES = 20_000
SEED = int(os.environ.get("TALLOW_PROPERTY_SEED", "100"))

KINDS = [
    kinds.unary, kinds.binary, kinds.binary, kinds.ternary, kinds.reduction, kinds.reduction,
    kinds.along, kinds.along, kinds.product, kinds.reshaping, kinds.reshaping, kinds.in_place, kinds.out,
    kinds_indexing.indexed, kinds_indexing.indexed, kinds_indexing.scattered, kinds_indexing.getitem,
    kinds_indexing.setitem, kinds_indexing.index_put, kinds_indexing.view_write,
    kinds_layers.convolution, kinds_layers.pooling, kinds_layers.normalized, kinds_layers.loss,
    kinds_layers.attention, kinds_layers.image, kinds_layers.spectrum, kinds_layers.matrix,
    kinds_layers.statistics,
]  # fmt: skip


def run(seed):
    """One case. Returns the op's name."""
    draw = Draw(seed)
    case = draw.choice(KINDS)(draw)
    if case.known():
        check.check(case, draw.flag())
    return case.name


@pytest.fixture
def without_onednn():
    """Its convolutions read beyond small images."""
    torch._C._set_mkldnn_enabled(False)
    yield
    torch._C._set_mkldnn_enabled(True)


def test_random_cases_agree_with_torch(without_onednn):
    failures, seed, end, names = [], SEED, time.monotonic() + SECONDS, set()
    while (time.monotonic() < end if SECONDS else seed < SEED + CASES) and len(failures) < 20:
        try:
            names.add(run(seed))
        except AssertionError as e:
            failures.append(f"seed {seed}: {e}")
        except Exception:  # of torch's comparison, or of a gradient
            failures.append(f"seed {seed}: {traceback.format_exc(limit=-4)}")
        seed += 1
    print(f"{seed - SEED} cases of {len(names)} ops")
    if failures:
        pytest.fail(f"{len(failures)} of {seed - SEED} cases differ:\n" + "\n".join(failures))
