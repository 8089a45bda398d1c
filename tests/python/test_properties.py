"""Random ops on random tensors (shapes with zeros and ones, strides from permuting, slicing and
expanding, every dtype) give what PyTorch gives: values, dtypes, gradients, and errors where it has
errors. TALLOW_PROPERTY_SECONDS sets the time (0, none, by default), TALLOW_PROPERTY_SEED the start."""

import os
import random
import time
import warnings

import pytest
import torch

from conformance import harness

import tallow

SECONDS = float(os.environ.get("TALLOW_PROPERTY_SECONDS", "0"))
SEED = int(os.environ.get("TALLOW_PROPERTY_SEED", "100"))

UNARY = """abs neg exp log sqrt sin cos tanh sigmoid relu square sign floor ceil round trunc
 reciprocal rsqrt erf isnan isinf logical_not log1p expm1 atan positive frac""".split()
BINARY = """add sub mul div maximum minimum eq ne lt le gt ge fmod remainder floor_divide atan2
 logical_and logical_or logical_xor fmax fmin hypot copysign where""".split()
REDUCTIONS = "sum mean prod amax amin any all logsumexp var std count_nonzero nansum".split()


class Draw:
    """Random choices of one case, told by its seed."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.generator = torch.Generator().manual_seed(seed)

    def choice(self, options):
        return self.random.choice(list(options))

    def shape(self, dims=None):
        dims = self.random.randint(0, 4) if dims is None else dims
        return [self.choice([0, 1, 1, 2, 3, 4, 5, 7, 16, 33]) for _ in range(dims)]

    def values(self, shape, dtype):
        if dtype == torch.bool:
            return torch.randint(0, 2, shape, generator=self.generator).bool()
        if not (dtype.is_floating_point or dtype.is_complex):
            low = 0 if dtype == torch.uint8 else -9
            return torch.randint(low, 10, shape, generator=self.generator).to(dtype)
        t = torch.randn(shape, generator=self.generator, dtype=torch.float64) * self.choice([1, 1, 30])
        if dtype.is_complex:
            t = torch.complex(t, torch.randn(shape, generator=self.generator, dtype=torch.float64))
        return t.to(dtype)

    def strided(self, shape, dtype):
        """A tensor of the shape with strides of its own."""
        kind = self.choice(["plain", "plain", "permuted", "sliced", "expanded", "offset"])
        if kind == "permuted" and shape:
            order = list(range(len(shape)))
            self.random.shuffle(order)
            inverse = [order.index(i) for i in range(len(order))]
            return self.values([shape[i] for i in order], dtype).permute(inverse)
        if kind == "sliced" and shape:
            step = self.choice([2, 3])
            d = self.random.randrange(len(shape))
            large = list(shape)
            large[d] = shape[d] * step + 1
            return self.values(large, dtype)[(slice(None),) * d + (slice(1, None, step),)]
        if kind == "expanded" and shape:
            small = [1 if self.random.random() < 0.4 else n for n in shape]
            return self.values(small, dtype).expand(shape)
        if kind == "offset" and shape:
            return self.values([shape[0] + 2, *shape[1:]], dtype)[2:]
        return self.values(shape, dtype)

    def tensor(self, dtypes=harness.DTYPES, shape=None):
        return self.strided(self.shape() if shape is None else shape, self.choice(dtypes))

    def broadcastable(self, shape):
        cut = shape[self.random.randint(0, len(shape)) :] if self.random.random() < 0.4 else shape
        return [1 if self.random.random() < 0.3 else n for n in cut]

    def dim(self, x):
        return self.random.randint(-x.dim(), x.dim() - 1) if x.dim() else self.choice([0, -1])


def unary(d):
    return d.choice(UNARY), [d.tensor()], {}


def binary(d):
    name = d.choice(BINARY)
    x = d.tensor()
    y = d.strided(d.broadcastable(list(x.shape)), d.choice(harness.DTYPES))
    if d.random.random() < 0.25:  # torch wraps a negative number around in u8
        y = d.choice([2, 0.5, True] if x.dtype == torch.uint8 else [2, -3, 0.5, True])
    if name == "where":
        return name, [d.strided(list(x.shape), torch.bool), x, y], {}
    return name, [x, y], {}


def reduction(d):
    name, x = d.choice(REDUCTIONS), d.tensor()
    if name == "logsumexp":
        return name, [x, d.dim(x)], {}
    if d.random.random() < 0.3 and name not in ("amax", "amin"):
        return name, [x], {}
    if name in ("prod", "any", "all"):
        return name, [x, d.dim(x)], {"keepdim": d.choice([True, False])}
    if name == "count_nonzero":
        return name, [x, d.dim(x)], {}
    count = d.random.randint(1, max(1, x.dim()))
    dims = d.random.sample(range(-x.dim(), 0), count) if x.dim() else [0]
    return name, [x, dims], {"keepdim": d.choice([True, False])}


def along(d):
    name = d.choice("cumsum cumprod softmax log_softmax sort argmax argmin flip logcumsumexp cummax "
                    "unbind chunk roll diff".split())
    x = d.tensor()
    if name == "topk":
        return name, [x, d.random.randint(0, 3), d.dim(x)], {}
    if name == "sort":
        return name, [x], {"dim": d.dim(x), "stable": True}
    if name == "flip":
        return name, [x, [d.dim(x)]], {}
    if name == "chunk":
        return name, [x, d.random.randint(1, 4), d.dim(x)], {}
    if name == "roll":
        return name, [x, d.random.randint(-5, 5), d.dim(x)], {}
    if name == "diff":
        return name, [x], {"dim": d.dim(x)}
    return name, [x, d.dim(x)], {}


def product(d):
    dtype = d.choice([torch.float64, torch.float32, torch.int64, torch.complex128, torch.bfloat16])
    m, k, n = (d.choice([0, 1, 2, 5, 17, 40]) for _ in range(3))
    batch = d.shape(d.random.randint(0, 2))
    x = d.strided([*batch, m, k], dtype)
    y = d.strided([*d.broadcastable(batch), k, n], dtype)
    if d.random.random() < 0.2:
        y = d.strided([k], dtype)
    return "matmul", [x, y], {}


def indexed(d):
    name = d.choice("index_select gather take_along_dim masked_fill masked_select index_add scatter_add "
                    "select narrow tril triu repeat_interleave nonzero".split())
    x = d.tensor()
    if not x.dim():
        x = d.tensor(shape=[3, 4])
    dim = d.dim(x)
    size = x.shape[dim]
    index = torch.randint(0, max(size, 1), (d.random.randint(0, 6),), generator=d.generator)
    if name == "index_select":
        return name, [x, dim, index], {}
    if name in ("gather", "take_along_dim", "scatter_add"):
        shape = [max(0, n - d.random.randint(0, 1)) for n in x.shape]
        full = torch.randint(0, max(size, 1), shape, generator=d.generator)
        if name == "gather":
            return name, [x, dim, full], {}
        if name == "scatter_add":
            return name, [x, dim, full, d.strided(shape, x.dtype)], {}
        return name, [x, full, dim], {}
    if name == "index_add":
        shape = list(x.shape)
        shape[dim] = len(index)
        return name, [x, dim, index, d.strided(shape, x.dtype)], {}
    mask = d.strided(d.broadcastable(list(x.shape)), torch.bool)
    if name == "masked_fill":
        return name, [x, mask, d.choice([0, 1, 2.5])], {}
    if name == "masked_select":
        return name, [x, mask], {}
    if name == "select":
        return name, [x, dim, d.random.randint(-size - 1, size)], {}
    if name == "narrow":
        start = d.random.randint(0, size)
        return name, [x, dim, start, d.random.randint(0, size - start + (d.random.random() < 0.1))], {}
    if name in ("tril", "triu"):
        return name, [x, d.random.randint(-3, 3)], {}
    if name == "repeat_interleave":
        return name, [x, d.random.randint(0, 3), dim], {}
    return name, [x], {}


def getitem(d):
    x = d.tensor()
    items = []
    for n in x.shape:
        kind = d.choice(["all", "int", "slice", "list", "mask", "none", "stop"])
        if kind == "stop":
            break
        items += {
            "all": lambda: [slice(None)],
            "int": lambda: [d.random.randint(-n, n - 1) if n else slice(None)],
            "slice": lambda: [slice(d.choice([None, 0, 1, -2]), d.choice([None, n, -1, 2]), d.choice([None, 1, 2]))],
            "list": lambda: [torch.randint(0, n, d.choice([(2,), (3, 1), ()]), generator=d.generator)
                             if n else slice(None)],
            "mask": lambda: [torch.randint(0, 2, (n,), generator=d.generator).bool()],
            "none": lambda: [None, slice(None)],
        }[kind]()
    if d.random.random() < 0.2:
        items.insert(d.random.randint(0, len(items)), Ellipsis)
    return "__getitem__", [x, tuple(items)], {}


def reshaping(d):
    name = d.choice("permute reshape transpose unsqueeze squeeze expand repeat cat stack movedim "
                    "flatten pad".split())
    x = d.tensor()
    if name == "permute":
        order = list(range(x.dim()))
        d.random.shuffle(order)
        return name, [x, order], {}
    if name == "reshape":
        return name, [x, d.choice([[-1], [x.numel()], [x.numel(), 1], [1, -1], [2, -1]])], {}
    if name in ("transpose", "movedim"):
        return name, [x, d.dim(x), d.dim(x)], {}
    if name in ("unsqueeze", "squeeze"):
        return name, [x, d.dim(x)], {}
    if name in ("expand", "repeat"):
        return name, [x, [d.random.randint(1, 3), *([1] * x.dim())]], {}
    if name in ("cat", "stack"):
        others = [d.strided(list(x.shape), d.choice([x.dtype, x.dtype, torch.float32])) for _ in range(2)]
        return name, [[x, *others], d.dim(x)], {}
    if name == "pad":
        pads = [d.random.randint(-1, 2) for _ in range(2 * d.random.randint(0, x.dim()))]
        return "nn.functional.pad", [x, pads], {}
    return name, [x], {}


KINDS = [unary, binary, binary, reduction, reduction, along, product, indexed, getitem, reshaping]


def torch_function(name):
    found = torch
    for part in name.split("."):
        found = getattr(found, part, None)
    return found if found is not None else getattr(torch.Tensor, name)


def tolerance(arguments):
    """What rounding the widest dtype of the case allows."""
    dtypes = {t.dtype for t in harness.leaves(arguments, torch.Tensor)}
    narrow = [d for d in (torch.bfloat16, torch.float16) if d in dtypes]
    return {torch.bfloat16: (4e-2, 4e-2), torch.float16: (5e-3, 5e-3)}[narrow[0]] if narrow else None


def check(seed):
    """One case. Returns the op's name."""
    draw = Draw(seed)
    name, args, kwargs = draw.choice(KINDS)(draw)
    if harness.function(name) is None:
        return name
    sample = type("Sample", (), {"input": args[0], "args": args[1:], "kwargs": kwargs})
    what = f"seed {seed}: {name}{harness.describe(sample)}"
    wants_gradient = draw.random.random() < 0.5
    for t in harness.leaves(args, torch.Tensor):
        if wants_gradient and t.dtype in (torch.float64, torch.complex128):
            t.requires_grad_()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs = torch_function(name)(*args, **kwargs)
        refused = None
    except Exception as e:
        refused = e
    ours_args, ours_kwargs = harness.to_tallow(args, True), harness.to_tallow(kwargs, True)
    try:
        ours = harness.function(name)(*ours_args, **ours_kwargs)
    except Exception as e:
        # torch looks at the dtype only where there are elements, and dimensions.
        empty = any(t.numel() == 0 or t.dim() == 0 for t in harness.leaves(args, torch.Tensor))
        assert refused is not None or empty, f"{what}: {type(e).__name__}: {e}"
        return name
    if refused is not None:
        # tallow may do what torch has not implemented, and take numbers as tensors.
        extended = "not implemented" in str(refused) or "not supported" in str(refused)
        extended |= any(t in str(refused) for t in ("must be Tensor, not", "does not support bool", "not support bool"))
        assert extended, f"{what}: not refused; torch says {refused}"
        return name
    if name in harness.PICKS and not kwargs.get("stable"):
        return harness.compare_picks(type("Row", (), {"name": name}), sample, ours, theirs, what) or name
    harness.compare(ours, theirs, what, tolerance(args))
    check_gradient(args, ours_args, theirs, ours, what)
    return name


def check_gradient(args, ours_args, theirs, ours, what):
    theirs_in = harness.differentiable(harness.leaves(args, torch.Tensor))
    theirs_out = harness.differentiable(harness.leaves(theirs, torch.Tensor))
    if not theirs_in or not theirs_out:
        return
    ours_in = harness.differentiable(harness.leaves(ours_args, tallow.Tensor))
    ours_out = harness.differentiable(harness.leaves(ours, tallow.Tensor))
    weights = [w.to(t.dtype) for w, t in zip(harness.weighted(theirs_out, lambda t: t, 0), theirs_out)]
    try:
        want = torch.autograd.grad(theirs_out, theirs_in, weights, allow_unused=True)
    except RuntimeError:  # torch has no gradient here
        return
    got = tallow.autograd.grad(ours_out, ours_in, [harness.to_tallow(w) for w in weights], allow_unused=True)
    harness.compare_gradients(got, want, f"gradient of {what}", tolerance(args))


@pytest.mark.skipif(SECONDS == 0, reason="TALLOW_PROPERTY_SECONDS is not set")
def test_random_cases_agree_with_torch():
    failures, seed, end, names = [], SEED, time.monotonic() + SECONDS, set()
    while time.monotonic() < end and len(failures) < 20:
        try:
            names.add(check(seed))
        except AssertionError as e:
            failures.append(str(e))
        seed += 1
    print(f"{seed - SEED} cases of {len(names)} ops")
    if failures:
        pytest.fail(f"{len(failures)} of {seed - SEED} cases differ:\n" + "\n".join(failures))
