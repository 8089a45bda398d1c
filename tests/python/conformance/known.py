"""What is known to differ from PyTorch: rules of a row and a part (values, gradients or errors) that
say which samples, and why. The samples are left out of the comparison; the reasons are in
docs/ops.md."""

import dataclasses
from typing import Callable

import torch

PARTS = ("values", "gradients", "errors")


@dataclasses.dataclass
class Rule:
    why: str
    applies: Callable


_HALF = Rule("c64 is the smallest complex dtype", lambda s: s.input.dtype == torch.float16)
# Where the arguments are poles, torch's sine of a multiple of pi is not 0.
_POLE = Rule("polygamma of negative integers is infinite: torch divides by the sine of rounded pi",
             lambda s: not s.input.is_floating_point() and bool((s.input <= 0).any()))

RULES: dict[tuple[str, str], Rule] = {
    ("linalg.norm.subgradients_at_zero", "gradients"): Rule(
        "the second gradient of an order below 1 at 0 is infinite or none: ours is 0",
        lambda s: s.args[0] in (0.5, -0.5, -1, -2, -3.5)),
    ("as_strided_scatter", "gradients"): Rule(
        "torch's gradient keeps what was replaced; ours agrees with differences (test_compatibility.py)",
        lambda s: True),
    ("view_as_complex", "values"): _HALF,
    ("complex", "values"): _HALF,
    ("istft", "gradients"): Rule(
        "torch loses the gradient of a window that was a view; of a copy, both agree with differences",
        lambda s: "window" in s.kwargs and s.kwargs["window"].numel() == 8),
}
for _name in ["polygamma", "special.polygamma"]:
    for _n in range(5):
        RULES[f"{_name}.{_name.replace('.', '_')}_n_{_n}", "values"] = _POLE


# Wider than what rounding allows, (relative, absolute).
TOLERANCES = {  # torch's polynomials of these are off by 1e-7, SciPy's and ours are not
    ("special.bessel_j0", torch.float64): (1e-5, 1e-6),
    ("special.bessel_y1", torch.float64): (1e-5, 1e-6),
}


def reason(title, part):
    rule = RULES.get((title, part))
    return rule and rule.why


def applies(title, part, sample):
    rule = RULES.get((title, part))
    return rule is not None and bool(rule.applies(sample))
