"""Rows of our own, for ops that PyTorch's table lacks: a name, samples, what may be differentiated."""

import dataclasses
from typing import Any, Callable

import torch


@dataclasses.dataclass
class Sample:
    input: Any
    args: tuple = ()
    kwargs: dict = dataclasses.field(default_factory=dict)
    output_process_fn_grad: Any = None


@dataclasses.dataclass
class Row:
    """`samples(make)` yields Samples, where make(*shape) is a random tensor of the row's dtype."""

    name: str
    op: Callable
    samples: Callable
    dtypes: tuple = (torch.float64, torch.float32)
    supports_autograd: bool = True
    error_inputs_func: Any = None

    def sample_inputs(self, device, dtype, requires_grad=False):
        generator = torch.Generator().manual_seed(7)

        def make(*shape):
            if dtype.is_floating_point or dtype.is_complex:
                t = torch.randn(shape, generator=generator, dtype=dtype)
                return t.requires_grad_(requires_grad)
            return torch.randint(0, 2 if dtype == torch.bool else 9, shape, generator=generator).to(dtype)

        yield from self.samples(make)

    reference_inputs = sample_inputs


ROWS: list[Row] = []
