"""Runs a row of the op table against PyTorch: values, gradients, second gradients, errors.

A row is an OpInfo of PyTorch's own table of sample inputs, or a `Row` of ours (rows.py) of the same
form. Every argument is made by torch, handed to tallow without a copy, and every result compared
with torch's by torch.testing's tolerances."""

import collections.abc
import math
import types
import warnings

import numpy as np
import torch

from conformance import known

import tallow

# torch's dtypes that tallow computes in.
DTYPES = [
    torch.float64,
    torch.float32,
    torch.float16,
    torch.bfloat16,
    torch.complex64,
    torch.complex128,
    torch.int64,
    torch.int32,
    torch.int16,
    torch.int8,
    torch.uint8,
    torch.bool,
]
NAMES = {d: str(d).removeprefix("torch.") for d in DTYPES}

# Of reduced precision both sides round: as torch's own tests of these dtypes against f32.
TOLERANCES = {
    torch.float16: (2e-3, 2e-3),
    torch.bfloat16: (2e-2, 2e-2),
    torch.float32: (2e-5, 2e-5),
    torch.complex64: (2e-5, 2e-5),
    torch.float64: (1e-7, 1e-7),
    torch.complex128: (1e-7, 1e-7),
}


class Mismatch(AssertionError):
    """A result that is not torch's; the message tells the sample."""


# Rows of torch's table that call their op in a way of their own.
CALLS = {
    "einsum": lambda operands, equation: tallow.einsum(equation, operands),
}


def function(name):
    """tallow's function or method of an op's name in torch's table, or None."""
    if name in CALLS:
        return CALLS[name]
    found = tallow
    for part in name.split("."):
        found = getattr(found, part, None)
        if found is None:
            break
    if (found is None or isinstance(found, tallow.dtype)) and "." not in name:
        found = getattr(tallow.Tensor, name, None)
    return found


def to_tallow(x, grad=False):
    """The same argument for tallow: tensors share memory and keep their strides."""
    if isinstance(x, torch.Tensor):
        plain = x.detach().resolve_conj().resolve_neg()
        t = tallow.from_dlpack(plain)
        return t.requires_grad_() if grad and x.requires_grad else t
    if isinstance(x, torch.dtype):
        return getattr(tallow, str(x).removeprefix("torch."))
    if isinstance(x, torch.device):
        return tallow.device("cpu")
    if isinstance(x, torch.Size):
        return tuple(x)
    if isinstance(x, torch.nn.PairwiseDistance):
        return lambda a, b: tallow.nn.functional.pairwise_distance(a, b, x.norm, x.eps, x.keepdim)
    if isinstance(x, (torch.memory_format, torch.layout)):
        return getattr(tallow, str(x).removeprefix("torch."))
    if isinstance(x, tuple) and hasattr(x, "_fields"):
        return tuple(to_tallow(v, grad) for v in x)
    if isinstance(x, (list, tuple)):
        return type(x)(to_tallow(v, grad) for v in x)
    if isinstance(x, dict):
        return {k: to_tallow(v, grad) for k, v in x.items()}
    return x


def to_torch(x):
    if isinstance(x, tallow.Tensor):
        return torch.from_dlpack(x.detach())
    return x


def leaves(x, kind):
    """All tensors of a nested argument or result, in order."""
    if isinstance(x, kind):
        return [x]
    if isinstance(x, dict):
        return [t for v in x.values() for t in leaves(v, kind)]
    if isinstance(x, (list, tuple)):
        return [t for v in x for t in leaves(v, kind)]
    return []


def describe(sample):
    def brief(x):
        if isinstance(x, torch.Tensor):
            strides = "" if x.is_contiguous() else f", strides {list(x.stride())}"
            return f"{NAMES.get(x.dtype, x.dtype)}{list(x.shape)}{strides}"
        if isinstance(x, (list, tuple)):
            return "[" + ", ".join(map(brief, x)) + "]"
        return repr(x)

    parts = [brief(sample.input), *map(brief, sample.args)]
    parts += [f"{k}={brief(v)}" for k, v in sample.kwargs.items()]
    return f"({', '.join(parts)})"


def compare(ours, theirs, what, tolerance=None):
    if isinstance(theirs, torch.Tensor):
        if not isinstance(ours, tallow.Tensor):
            raise Mismatch(f"{what}: {type(ours).__name__} instead of a tensor")
        got, want = to_torch(ours), theirs.detach().resolve_conj().resolve_neg()
        if got.dtype != want.dtype or got.shape != want.shape:
            raise Mismatch(
                f"{what}: {got.dtype} {list(got.shape)}, torch {want.dtype} {list(want.shape)}"
            )
        rtol, atol = tolerance or TOLERANCES.get(want.dtype, (0, 0))
        try:
            torch.testing.assert_close(got, want, rtol=rtol, atol=atol, equal_nan=True)
        except AssertionError as e:
            shown = f"\n  tallow {got.flatten()[:8].tolist()}\n  torch  {want.flatten()[:8].tolist()}"
            raise Mismatch(f"{what}: {' '.join(str(e).split())}{shown}") from None
    elif isinstance(theirs, (list, tuple)):
        if not isinstance(ours, collections.abc.Sequence) or len(ours) != len(theirs):
            raise Mismatch(f"{what}: {ours!r} instead of {len(theirs)} results")
        for i, (a, b) in enumerate(zip(ours, theirs)):
            compare(a, b, f"{what}[{i}]", tolerance)
    elif isinstance(theirs, (float, complex)):
        if not np.isclose(ours, theirs, rtol=1e-6, equal_nan=True):
            raise Mismatch(f"{what}: {ours!r}, torch {theirs!r}")
    elif isinstance(theirs, (bool, int, str)) and ours != theirs:
        raise Mismatch(f"{what}: {ours!r}, torch {theirs!r}")


def our_function(row):
    """tallow's function; where the row's is a Python function around torch's (it reorders arguments,
    say), the same text with tallow in torch's place."""
    theirs = row.op
    if isinstance(theirs, types.FunctionType) and "torch/testing/" in theirs.__code__.co_filename:
        names = {**theirs.__globals__, "torch": tallow}
        ours = types.FunctionType(theirs.__code__, names, theirs.__name__, theirs.__defaults__,
                                  theirs.__closure__)
        ours.__kwdefaults__ = theirs.__kwdefaults__
        return ours
    return function(row.name)


def with_memory(x, grad):
    """The tensor as a view of all of its memory, which as_strided reaches."""
    whole = x.detach().as_strided((x.untyped_storage().nbytes() // x.itemsize,), (1,), 0)
    t = to_tallow(whole).as_strided(tuple(x.shape), x.stride(), x.storage_offset())
    return t.requires_grad_() if grad and x.requires_grad else t


def title(row):
    variant = getattr(row, "variant_test_name", "")
    return f"{row.name}.{variant}" if variant else row.name


def call_ours(row, sample, grad=False):
    args = to_tallow([sample.input, *sample.args], grad)
    if title(row) == "as_strided.partial_views":
        args[0] = with_memory(sample.input, grad)
    kwargs = to_tallow(sample.kwargs, grad)
    result = our_function(row)(*args, **kwargs)
    return result, leaves([args, kwargs], tallow.Tensor)


WIDER = {torch.float16: torch.float32, torch.bfloat16: torch.float32,
         torch.float32: torch.float64, torch.complex64: torch.complex128}


def widened(x):
    """The argument in a wider dtype."""
    if isinstance(x, torch.Tensor):
        return x.to(WIDER.get(x.dtype, x.dtype))
    if isinstance(x, torch.dtype):
        return WIDER.get(x, x)
    if isinstance(x, (list, tuple)):
        return type(x)(map(widened, x))
    return x


def compare_rounded(row, sample, ours, theirs, what):
    """torch rounds some ops at every step. A result that is not torch's must be what torch gives in
    the next wider dtype, rounded once."""
    wide = row.op(widened(sample.input), *widened(sample.args),
                  **{k: widened(v) for k, v in sample.kwargs.items()})
    dtypes = [t.dtype for t in leaves(theirs, torch.Tensor)]

    def narrowed(x):
        if isinstance(x, torch.Tensor):
            return x.to(dtypes.pop(0))
        return type(x)(map(narrowed, x)) if type(x) in (list, tuple) else tuple(map(narrowed, x))

    exact = unwrap(row, sample, wide)
    try:
        compare(ours, narrowed(exact), what)
    except Mismatch:
        triples = zip(leaves(ours, tallow.Tensor), leaves(theirs, torch.Tensor), leaves(exact, torch.Tensor))
        if not all(nearer(to_torch(a), b.detach(), w.detach()) for a, b, w in triples):
            raise


def nearer(a, b, exact):
    """Whether a is as near to the exact result as torch's b, or nearly so."""
    if a.dtype != b.dtype or a.shape != b.shape or a.shape != exact.shape:
        return False
    if not (a.dtype.is_floating_point or a.dtype.is_complex):
        return torch.equal(a, b)
    kind = torch.complex128 if a.dtype.is_complex else torch.float64
    rounded = exact.to(a.dtype)
    eps = 4 * torch.finfo(a.dtype).eps**2
    a, b, rounded = a.to(kind), b.to(kind), rounded.to(kind)
    same = (a == rounded) | (a == b) | (a.isnan() & b.isnan()) | (a.isnan() & rounded.isnan())
    off, allowed = (a - rounded).abs(), (b - rounded).abs()
    if bool((same | (off <= 4 * allowed.nan_to_num(0, math.inf, math.inf) + eps)).all()):
        return True
    worst = allowed[allowed.isfinite()]
    return bool((same | (off <= 2 * worst.max())).all()) if worst.numel() else False


# Which of several equal elements they name is torch's accident: the element itself is compared.
PICKS = {"topk", "kthvalue", "mode", "median", "nanmedian", "sort", "argsort", "msort"}


def compare_picks(row, sample, ours, theirs, what):
    """Values, and that the indices lead to them."""
    if row.name == "argsort":
        ours, theirs = (None, ours), (None, theirs)
    if row.name == "msort" or isinstance(ours, tallow.Tensor):
        return compare(ours, theirs, what)
    dim = sample.kwargs.get("dim", next((a for a in sample.args[-2:] if isinstance(a, int)
                                         and not isinstance(a, bool)), -1))
    if row.name in ("kthvalue", "topk"):
        dim = sample.kwargs.get("dim", sample.args[1] if len(sample.args) > 1 else -1)
    x, index, want = sample.input.detach(), to_torch(ours[1]), theirs[1]
    if ours[0] is not None:
        compare(ours[0], theirs[0], f"{what}[0]")
    if index.shape != want.shape or index.dtype != want.dtype:
        raise Mismatch(f"{what}[1]: {index.dtype} {list(index.shape)}, torch {list(want.shape)}")
    if x.dim() == 0:
        return
    if index.dim() < x.dim():
        index, want = index.unsqueeze(dim), want.unsqueeze(dim)
    compare(to_tallow(x.gather(dim, index)), x.gather(dim, want), f"{what}: the elements picked")


def unwrap(row, sample, result):
    """What the row says should be compared, of results that are not unique (signs of vectors)."""
    chosen = getattr(sample, "output_process_fn_grad", None)
    return chosen(result) if chosen else result


def is_random(row, sample):
    """Whether the result depends on the generator."""
    dropout = sample.kwargs.get("dropout_p", 0)
    if row.name == "nn.functional.multi_head_attention_forward":
        dropout = sample.args[9] if sample.kwargs["training"] else 0
    return dropout > 0


def check_forward(row, dtype, limit=None, reference=False):
    """Values of every sample. Returns how many were compared."""
    make = row.reference_inputs if reference else row.sample_inputs
    count = 0
    for sample in make("cpu", dtype, requires_grad=False):
        if limit and count >= limit:
            break
        if is_random(row, sample) or known.applies(title(row), "values", sample):
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                theirs = row.op(sample.input, *sample.args, **sample.kwargs)
        except Exception:  # torch itself refuses it
            continue
        what = f"{row.name}{describe(sample)}"
        try:
            ours, _ = call_ours(row, sample)
        except Exception as e:
            raise Mismatch(f"{what}: {type(e).__name__}: {e}") from None
        ours, theirs = unwrap(row, sample, ours), unwrap(row, sample, theirs)
        if row.name in PICKS and not sample.kwargs.get("stable"):
            compare_picks(row, sample, ours, theirs, what)
            continue
        try:
            compare(ours, theirs, what, row_tolerance(row, dtype))
        except Mismatch:
            if dtype not in WIDER:
                raise
            compare_rounded(row, sample, ours, theirs, what)
        count += 1
    return count


def row_tolerance(row, dtype):
    return (getattr(row, "tallow_tolerances", {}).get(dtype)
            or known.TOLERANCES.get((title(row), dtype)))


def gradient_tolerance(row, inputs):
    """Wider where an input of single precision takes part."""
    single = any(t.dtype in (torch.float32, torch.complex64) for t in inputs)
    return (1e-4, 1e-4) if single else row_tolerance(row, inputs[0].dtype)


# They read one triangle of a matrix, and torch spreads its gradient over both in ways that differ:
# what counts is the sum of an element's and its mirror's.
TRIANGLES = {"linalg.eigh", "linalg.eigvalsh"}


def folded(row, gradients):
    if row.name not in TRIANGLES:
        return gradients
    return [g if g is None else g + g.mH for g in gradients]


def weighted(outputs, torch_like, seed):
    """A real number of all differentiable outputs, weighted at random, and its weights."""
    generator = torch.Generator().manual_seed(seed)
    weights = []
    for t in outputs:
        real = torch.randn(tuple(t.shape), generator=generator, dtype=torch.float64)
        if torch_like(t).is_complex():
            real = torch.complex(real, torch.randn(tuple(t.shape), generator=generator, dtype=torch.float64))
        weights.append(real)
    return weights


def differentiable(tensors):
    return [t for t in tensors if t.requires_grad]


def check_gradients(row, dtype, second=True, limit=None):
    """First and second gradients of every sample against torch.autograd's."""
    count = 0
    for sample in row.sample_inputs("cpu", dtype, requires_grad=True):
        if limit and count >= limit:
            break
        if is_random(row, sample) or known.applies(title(row), "gradients", sample):
            continue
        what = f"{row.name}{describe(sample)}"
        theirs_in = differentiable(leaves([sample.input, sample.args, sample.kwargs], torch.Tensor))
        try:
            theirs_out = unwrap(row, sample, row.op(sample.input, *sample.args, **sample.kwargs))
        except Exception:
            continue
        theirs_out = differentiable(leaves(theirs_out, torch.Tensor))
        if not theirs_in or not theirs_out:
            continue
        weights = weighted(theirs_out, lambda t: t, count)
        try:
            theirs = torch.autograd.grad(
                theirs_out, theirs_in, [w.to(t.dtype) for w, t in zip(weights, theirs_out)],
                create_graph=second, allow_unused=True)
        except Exception:
            continue
        try:
            ours_out, ours_all = call_ours(row, sample, grad=True)
            ours_in = differentiable(ours_all)
            ours_out = differentiable(leaves(unwrap(row, sample, ours_out), tallow.Tensor))
            if len(ours_out) != len(theirs_out):
                raise Mismatch(f"{len(ours_out)} outputs with history, torch {len(theirs_out)}")
            ours = tallow.autograd.grad(
                ours_out, ours_in, [to_tallow(w.to(t.dtype)) for w, t in zip(weights, theirs_out)],
                create_graph=second, allow_unused=True)
        except Exception as e:
            raise Mismatch(f"gradient of {what}: {type(e).__name__}: {e}") from None
        ours, theirs = folded(row, ours), folded(row, theirs)
        compare_gradients(ours, theirs, f"gradient of {what}", gradient_tolerance(row, theirs_in))
        if second:
            check_second(row, sample, ours, ours_in, theirs, theirs_in, f"second gradient of {what}", count)
        count += 1
    return count


def compare_gradients(ours, theirs, what, tolerance):
    for i, (a, b) in enumerate(zip(ours, theirs)):
        if b is None and a is not None:  # torch: nothing, ours: zeros is as right
            b = torch.zeros_like(to_torch(a))
        if a is None and b is not None and not b.detach().any():
            continue
        if a is None and b is not None:
            raise Mismatch(f"{what}, input {i}: no gradient")
        if b is not None:
            compare(a, b, f"{what}, input {i}", tolerance)


def check_second(row, sample, ours, ours_in, theirs, theirs_in, what, seed):
    pairs = [(a, b) for a, b in zip(ours, theirs) if b is not None and b.requires_grad]
    if not pairs:
        return
    weights = weighted([b for _, b in pairs], lambda t: t, seed + 1000)
    try:
        want = torch.autograd.grad([b for _, b in pairs], theirs_in,
                                   [w.to(b.dtype) for w, (_, b) in zip(weights, pairs)], allow_unused=True)
    except Exception:
        return
    # What torch records and we do not is a gradient of zero, for which ours may have no history.
    kept = [(a, w.to(b.dtype)) for w, (a, b) in zip(weights, pairs) if a is not None and a.requires_grad]
    try:
        got = (tallow.autograd.grad([a for a, _ in kept], ours_in, [to_tallow(w) for _, w in kept],
                                    allow_unused=True)
               if kept else [None] * len(ours_in))
    except Exception as e:
        raise Mismatch(f"{what}: {type(e).__name__}: {e}") from None
    compare_gradients(folded(row, got), folded(row, want), what, gradient_tolerance(row, theirs_in))


def check_errors(row):
    """What torch refuses, tallow refuses. Returns how many cases there were."""
    count = 0
    if row.error_inputs_func is None:
        return 0
    for case in row.error_inputs("cpu"):
        sample = case.sample_input
        try:
            row.op(sample.input, *sample.args, **sample.kwargs)
            continue  # torch does not refuse it here
        except TypeError:
            if not isinstance(sample.input, torch.Tensor) or any(
                    isinstance(a, (int, float)) for a in sample.args):
                continue  # a number where torch insists on a tensor: tallow takes both
        except Exception:
            pass
        try:
            args = to_tallow([sample.input, *sample.args])
            kwargs = to_tallow(sample.kwargs)
        except Exception:
            continue  # of a kind that tallow has not: other devices, sparse tensors
        what = f"{row.name}{describe(sample)}"
        try:
            our_function(row)(*args, **kwargs)
        except Exception as e:
            if isinstance(e, SystemError):
                raise Mismatch(f"{what}: {e}") from None
            count += 1
            continue
        raise Mismatch(f"{what}: not refused; torch says {case.error_regex!r}")
    return count
