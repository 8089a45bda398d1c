"""Rows for the elementwise ops that PyTorch's table lacks: most are other names of ops that it has."""

import torch
import torch.nn.functional as F

from conformance.rows import ROWS, Row, Sample

NUMBERS = (torch.float64, torch.float32, torch.bfloat16, torch.complex64, torch.int64, torch.uint8)
REALS = (torch.float64, torch.float32, torch.bfloat16, torch.int64, torch.bool)
FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)


def unary(make):
    yield Sample(make(5, 7))
    yield Sample(make(7, 5).t())
    yield Sample(make(6, 8)[::2, 1::3])
    yield Sample(make(0, 3))
    yield Sample(make())


def binary(make):
    yield Sample(make(5, 7), (make(5, 7),))
    yield Sample(make(5, 7), (make(7),))
    yield Sample(make(5, 1), (make(1, 7),))
    yield Sample(make(70, 3), (make(3),))
    yield Sample(make(7, 5).t(), (make(5, 7),))
    yield Sample(make(0, 3), (make(1, 3),))
    yield Sample(make(), (make(4),))


def with_number(make):
    yield Sample(make(5, 7), (3,))
    yield Sample(make(), (2,))


def of(name):
    found = torch
    for part in name.split("."):
        found = getattr(found, part)
    return found


def rows(names, samples, dtypes, **kwargs):
    return [Row(n, of(n), samples, dtypes=dtypes, **kwargs) for n in names]


def binary_or_number(make):
    yield from binary(make)
    yield from with_number(make)


def bounds(make):
    yield Sample(make(5, 7), (), {"min": 1})
    yield Sample(make(5, 7), (), {"max": 1})
    yield Sample(make(5, 7), (0, 2))
    yield Sample(make(5, 7), (make(7), make(5, 1)))


def modes(make):
    yield Sample(make(5, 7), (3,), {"rounding_mode": "floor"})
    yield Sample(make(5, 7), (3,), {"rounding_mode": "trunc"})
    yield Sample(make(5, 7), (3,))


def dimension(make):
    yield Sample(make(5, 7), (2,))


REAL_UNARY = ["arcsin", "arccos", "arctan", "arcsinh", "arccosh", "arctanh", "special.expit"]
ROWS += rows(REAL_UNARY, unary, NUMBERS)
ROWS += rows(["absolute", "negative", "positive"], unary, NUMBERS)
ROWS += rows(["special.psi", "special.gammaln", "special.exp2", "special.expm1", "special.log1p"], unary, REALS)
ROWS += rows(["special.sinc", "special.erf", "special.erfc", "special.i0", "special.digamma"], unary, REALS)
ROWS += rows(["fix"], unary, (torch.float64, torch.float32, torch.int64))
ROWS += rows(["nn.functional.sigmoid", "nn.functional.tanh"], unary, FLOATS)
ROWS += rows(["subtract", "multiply"], binary_or_number, NUMBERS)
ROWS += rows(["divide"], modes, (torch.float64, torch.float32, torch.int64))
ROWS += rows(["not_equal", "less", "less_equal", "greater", "greater_equal"], binary_or_number,
             (torch.float32, torch.int64, torch.bool), supports_autograd=False)
ROWS += rows(["arctan2", "special.xlogy"], binary, REALS)
ROWS += rows(["special.gammainc", "special.gammaincc"], binary, (torch.float64, torch.float32),
             supports_autograd=False)
ROWS += rows(["clip"], bounds, (torch.float64, torch.float32, torch.int64))
ROWS += rows(["special.multigammaln"], dimension, (torch.float64, torch.float32), supports_autograd=False)
ROWS += rows(["special.round", "special.logit"], unary, (torch.float64, torch.float32))
