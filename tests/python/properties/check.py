"""One random case on both sides: values, dtypes, gradients, errors."""

import dataclasses
import warnings
from typing import Any, Callable

import torch

from conformance import harness

import tallow

# torch may do what tallow refuses only where it looks at no element; tallow may do what torch has
# not implemented, and take numbers as tensors.
EXTENDED = ("not implemented", "not supported", "unsupported ScalarType", "must be Tensor, not",
            "does not support bool", "not support bool", "step must be greater than zero",
            "should be Tensor", "should have the same dtype as", "Unsupported dtype", "expected scalar type",
            "expected m1 and m2", "got mismatched dtype", "to have the same dtype", "must have the same dtype",
            "destination dtypes match", "out tensor to have dtype", "returns multiple views",
            "not differentiable with respect to", "Found dtype", "smaller than kernel size",
            "range of [-1, 0], but got 1", "does not support automatic differentiation",
            "view size is not compatible", "Unsupported input type",
            "without overflow", "result dtype",
            "Unsupported memory format")


@dataclasses.dataclass
class Case:
    """A call of the function `name` of torch and tallow; or `run(module, *args, **kwargs)`."""

    name: str
    args: list
    kwargs: dict = dataclasses.field(default_factory=dict)
    run: Callable | None = None
    tolerance: Any = None

    def __str__(self):
        sample = type("Sample", (), {"input": self.args[0], "args": self.args[1:], "kwargs": self.kwargs})
        return f"{self.name}{harness.describe(sample)}"

    def call(self, module, args, kwargs):
        if self.run is not None:
            return self.run(module, *args, **kwargs)
        return find(module, self.name)(*args, **kwargs)

    def known(self):
        return self.run is not None or harness.function(self.name) is not None


def find(module, name):
    if module is tallow:
        return harness.function(name)
    found = module
    for part in name.split("."):
        found = getattr(found, part, None)
    return found if found is not None else getattr(module.Tensor, name)


def quietly(function, *args):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*args)


def check(case, wants_gradient):
    """Raises AssertionError where the two differ."""
    tensors = harness.leaves([case.args, case.kwargs], torch.Tensor)
    for t in tensors:
        if wants_gradient and t.dtype in (torch.float64, torch.complex128):
            t.requires_grad_()
    what = str(case)
    ours_args, ours_kwargs = harness.to_tallow(case.args, True), harness.to_tallow(case.kwargs, True)
    before = [t.detach().clone() for t in tensors]
    theirs, refused = attempt(case, torch, case.args, case.kwargs)
    try:
        ours = case.call(tallow, ours_args, ours_kwargs)
    except Exception as e:
        if isinstance(e, IndexError) or "would have size" in str(e):
            return  # torch does not look at every index and size
        # torch looks at the dtype only where there are elements, and dimensions.
        empty = any(t.numel() == 0 or t.dim() == 0 for t in tensors)
        fair = isinstance(e, (tallow.Error, TypeError, ValueError, IndexError, RuntimeError, NotImplementedError))
        assert fair, f"{what}: {type(e).__name__}: {e}"
        assert refused is not None or empty, f"{what}: {type(e).__name__}: {e}"
        return
    if refused is not None:
        assert any(t in str(refused) for t in EXTENDED), f"{what}: not refused; torch says {refused}"
        return
    for t, old in zip(tensors, before):
        assert torch.equal(t.detach().nan_to_num(7), old.nan_to_num(7)), f"{what}: changed an argument"
    if any(t.dtype == torch.complex32 for t in harness.leaves(theirs, torch.Tensor)):
        return  # tallow has c64 in its place
    compare(case, ours, theirs, what)
    check_gradient(case, ours_args, ours_kwargs, theirs, ours, what)


def attempt(case, module, args, kwargs):
    try:
        return quietly(case.call, module, args, kwargs), None
    except Exception as e:
        return None, e


def compare(case, ours, theirs, what):
    if case.run is None and case.name in harness.PICKS and not case.kwargs.get("stable"):
        sample = type("Sample", (), {"input": case.args[0], "args": case.args[1:], "kwargs": case.kwargs})
        return harness.compare_picks(type("Row", (), {"name": case.name}), sample, ours, theirs, what)
    try:
        harness.compare(*alike(case, ours, theirs), what, tolerance(case))
    except harness.Mismatch:
        if not as_good(case, ours, theirs):
            raise


def alike(case, ours, theirs):
    """Both, with what is not finite on either side alike where the order of the steps decides: complex
    infinity times infinity is any of inf, NaN and their pairs, also in the views of its parts (torch
    multiplies by 1 + 0i to add a real infinity), and torch's running mean beside a variance is NaN or
    infinite by where an infinity stands."""
    if case.name == "sinh" and theirs.dtype == torch.float32:  # torch's overflows at 89, not at 89.4
        theirs = torch.where(theirs.isinf(), case.args[0].double().sinh().float(), theirs)
    of_complex = any(t.is_complex() for t in harness.leaves([case.args, theirs], torch.Tensor))
    if not of_complex and case.name not in ("var_mean", "std_mean"):
        return ours, theirs
    if not isinstance(theirs, (list, tuple)) or len(ours) != len(theirs):
        return without_endless(ours, theirs)
    pairs = [without_endless(a, b) for a, b in zip(ours, theirs)]
    return [a for a, _ in pairs], [b for _, b in pairs]


def without_endless(ours, theirs):
    if not isinstance(ours, tallow.Tensor) or not isinstance(theirs, torch.Tensor):
        return ours, theirs
    got, want = harness.to_torch(ours), theirs.detach()
    if got.shape != want.shape or got.dtype != want.dtype:
        return ours, theirs
    endless = ~got.isfinite() & ~want.isfinite()
    return harness.to_tallow(got.masked_fill(endless, 0)), want.masked_fill(endless, 0)


def tolerance(case):
    """What rounding the widest dtype of the case allows."""
    if case.tolerance:
        return case.tolerance
    dtypes = {t.dtype for t in harness.leaves([case.args, case.kwargs], torch.Tensor)}
    narrow = [d for d in (torch.bfloat16, torch.float16) if d in dtypes]
    return {torch.bfloat16: (4e-2, 4e-2), torch.float16: (5e-3, 5e-3)}[narrow[0]] if narrow else None


def as_good(case, ours, theirs):
    """Whether each result is as near as torch's to torch's in a wider dtype, or nearly so."""
    tensors = harness.leaves([case.args, case.kwargs], torch.Tensor)
    if not any(t.dtype in harness.WIDER for t in tensors):
        return False
    wide, refused = attempt(case, torch, harness.widened(harness.widened(case.args)),
                            {k: harness.widened(harness.widened(v)) for k, v in case.kwargs.items()})
    if refused is not None:
        return False
    pairs = zip(harness.leaves(ours, tallow.Tensor), harness.leaves(theirs, torch.Tensor),
                harness.leaves(wide, torch.Tensor), strict=True)
    return all(harness.nearer(harness.to_torch(a), b.detach(), w.detach()) for a, b, w in pairs)


def check_gradient(case, ours_args, ours_kwargs, theirs, ours, what):
    theirs_in = harness.differentiable(harness.leaves([case.args, case.kwargs], torch.Tensor))
    theirs_out = harness.differentiable(harness.leaves(theirs, torch.Tensor))
    if not theirs_in or not theirs_out:
        return
    ours_in = harness.differentiable(harness.leaves([ours_args, ours_kwargs], tallow.Tensor))
    ours_out = harness.differentiable(harness.leaves(ours, tallow.Tensor))
    if not all(t.numel() for t in theirs_out):
        return  # nothing flows
    if case.name == "nn.functional.hardtanh" and case.args[0].isnan().any():
        return  # in torch 0 or the gradient, by the lane
    weights = [w.to(t.dtype) for w, t in zip(harness.weighted(theirs_out, lambda t: t, 0), theirs_out)]
    try:
        want = quietly(lambda: torch.autograd.grad(theirs_out, theirs_in, weights, allow_unused=True))
    except Exception:  # torch has no gradient here
        return
    assert len(ours_out) == len(theirs_out), (
        f"{what}: {len(ours_out)} outputs with history, torch {len(theirs_out)}")
    try:
        got = tallow.autograd.grad(ours_out, ours_in, [harness.to_tallow(w) for w in weights], allow_unused=True)
    except Exception as e:
        raise harness.Mismatch(f"gradient of {what}: {type(e).__name__}: {e}") from None
    tensors = harness.leaves([case.args, case.kwargs], torch.Tensor)
    single = any(t.dtype in (torch.float32, torch.complex64) for t in tensors)
    allowed = tolerance(case) or ((1e-4, 1e-4) if single else None)
    harness.compare_gradients(*finite(got, want), f"gradient of {what}", allowed)


def finite(ours, theirs):
    """Both without the elements where torch's are not finite: at corners either may give 0 or NaN."""
    def zeroed(g, where):
        return g if g is None or where is None else g.masked_fill(where, 0)

    corners = [None if g is None or g.isfinite().all() else ~g.isfinite() for g in theirs]
    return ([zeroed(g, harness.to_tallow(c)) for g, c in zip(ours, corners)],
            [zeroed(g, c) for g, c in zip(theirs, corners)])
