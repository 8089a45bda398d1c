"""Rows for the shape and indexing ops that PyTorch's table lacks."""

import torch
import torch.nn.functional as F

from conformance.rows import ROWS, Row, Sample


def fold_samples(make):
    yield Sample(make(2, 12, 12), ((4, 5), (2, 2)))
    yield Sample(make(2, 12, 4), ((4, 5), (2, 2)), {"stride": 2})
    yield Sample(make(12, 9), ((5, 5), 2), {"dilation": 2})
    yield Sample(make(1, 6, 20), ((4, 3), (2, 3)), {"padding": 1, "stride": (1, 1)})


def vander_samples(make):
    yield Sample(make(4))
    yield Sample(make(4), (6,), {"increasing": True})
    yield Sample(make(0), (3,))


def combination_samples(make):
    yield Sample(make(5))
    yield Sample(make(4), (3,), {"with_replacement": True})
    yield Sample(make(2), (3,))


def named(name, *samples, **kwargs):
    """A row of a function of torch with fixed samples."""

    def of(make):
        for shape, args, keywords in samples:
            yield Sample(make(*shape), args, keywords)

    return Row(name, getattr(torch, name), of, **kwargs)


ROWS += [
    Row("nn.functional.fold", F.fold, fold_samples),
    Row("vander", torch.vander, vander_samples),
    Row("combinations", torch.combinations, combination_samples),
    named("swapaxes", ((2, 3, 4), (0, -1), {})),
    named("moveaxis", ((2, 3, 4), ((0, 1), (-1, 0)), {})),
    named("narrow_copy", ((4, 3), (0, 1, 2), {})),
    named("trace", ((3, 4), (), {})),
]
