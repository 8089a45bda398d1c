"""Cases of indexing, of views that are written to, and of scattered writes."""

import torch

from conformance import harness
from properties.check import Case

SCATTERS = "scatter scatter_add scatter_reduce index_add index_copy index_fill index_reduce".split()


def indexed(d):
    name = d.choice("index_select gather take_along_dim masked_fill masked_select select narrow tril triu "
                    "nonzero take diagonal diag_embed masked_scatter argwhere bucketize searchsorted "
                    "select_scatter slice_scatter diagonal_scatter unfold diag nn.functional.one_hot "
                    "nn.functional.embedding unravel_index bincount histc unique isin trace put".split())
    x = d.tensor()
    if not x.dim():
        x = d.tensor(shape=[3, 4])
    dim = d.dim(x)
    size = x.shape[dim]
    kind = d.choice([torch.int64, torch.int64, torch.int32])
    if name == "index_select":
        return Case(name, [x, dim, d.indices(size, (d.integer(0, 6),), kind).abs()])
    if name in ("gather", "take_along_dim"):
        shape = [max(0, n - d.integer(0, 1)) for n in x.shape]
        if name == "take_along_dim":
            shape = list(x.shape)
        shape[dim] = d.integer(0, 4)
        full = d.indices(size, shape).abs()
        return Case(name, [x, dim, full] if name == "gather" else [x, full, dim])
    if name in ("take", "put"):
        index = d.indices(x.numel(), d.shape(d.integer(0, 2), (0, 1, 3)))
        if name == "put":  # one write to each place, since their order is open
            index = torch.randperm(max(1, x.numel()), generator=d.generator)[: d.integer(0, 4)]
            return Case(name, [x, index, d.like(x, [len(index)])], {"accumulate": d.flag()})
        return Case(name, [x, index])
    mask = d.strided(d.broadcastable(list(x.shape)), torch.bool)
    if name == "masked_fill":
        return Case(name, [x, mask, d.choice([0, 1, 2.5, d.like(x, [])])])
    if name == "masked_select":
        return Case(name, [x, mask])
    if name == "masked_scatter":
        return Case(name, [x, mask, d.like(x, [x.numel() + d.integer(0, 2)])])
    if name == "select":
        return Case(name, [x, dim, d.integer(-size - 1, size)])
    if name == "narrow":
        start = d.integer(0, size)
        return Case(name, [x, dim, start, d.integer(0, size - start + d.chance(0.1))])
    if name in ("tril", "triu"):
        return Case(name, [x, d.integer(-3, 3)])
    if name in ("diagonal", "diagonal_scatter") and x.dim() > 1:
        a, b = d.random.sample(range(x.dim()), 2)
        offset = d.integer(-3, 3)
        if name == "diagonal":
            return Case(name, [x, offset, a, b])
        part = list(torch.diagonal(x, offset, a, b).shape)
        return Case(name, [x, d.like(x, part), offset, a, b])
    if name == "diag_embed":
        return Case(name, [x, d.integer(-2, 2)])
    if name in ("select_scatter", "slice_scatter"):
        if name == "select_scatter":
            shape = list(x.shape)
            del shape[dim % x.dim()]
            return Case(name, [x, d.like(x, shape), dim, d.integer(-size, size)])
        key = d.slice(size)
        key = slice(key.start, key.stop, key.step or 1)
        shape = list(x.shape)
        shape[dim] = len(range(*key.indices(size)))
        return Case(name, [x, d.like(x, shape), dim, key.start, key.stop, key.step])
    if name == "unfold":
        return Case(name, [x, dim, d.integer(0, size + 1), d.integer(1, 3)])
    if name in ("bucketize", "searchsorted"):
        dtype = d.choice([torch.float64, torch.float32, torch.int64, torch.int32])
        edges = d.values([d.integer(0, 6)], dtype).nan_to_num(0, 9, -9).sort().values
        values = d.strided(d.shape(), dtype)
        return Case(name, [values, edges] if name == "bucketize" else [edges, values], {"right": d.flag()})
    if name == "nn.functional.one_hot":
        return Case(name, [d.indices(5, d.shape(d.integer(0, 2))).abs(), d.choice([6, 7])])
    if name == "nn.functional.embedding":
        table = d.strided([5, 3], torch.float64)
        return Case(name, [d.indices(5, d.shape(d.integer(0, 2)), kind).abs(), table],
                    {"padding_idx": d.choice([None, 0, 4, -1])})
    if name == "unravel_index":
        return Case(name, [torch.randint(0, 12, d.shape(d.integer(0, 2)), generator=d.generator), (3, 4)])
    if name == "bincount":
        values = d.indices(6, [d.integer(0, 9)]).abs()
        weights = {"weights": d.values([len(values)], torch.float64)} if d.flag() else {}
        return Case(name, [values], {**weights, "minlength": d.integer(0, 8)})
    if name == "histc":
        return Case(name, [d.tensor([torch.float64, torch.float32]).nan_to_num(0, 1, 1), d.integer(1, 5), -2, 2])
    if name == "unique":
        return Case(name, [d.tensor().nan_to_num()], {"return_inverse": True, "return_counts": True})
    if name == "isin":
        return Case(name, [x, d.like(x, [3])], {"invert": d.flag()})
    if name in ("diag", "trace"):
        x = d.tensor(shape=d.shape(2 if name == "trace" else d.integer(1, 2)))
        return Case(name, [x] if name == "trace" else [x, d.integer(-2, 2)])
    return Case(name, [x])


def scattered(d):
    """Writes at random places. Where torch leaves the order open, each place is named once."""
    name = d.choice(SCATTERS)
    x = d.tensor(shape=d.shape(d.integer(1, 3), (0, 1, 2, 3, 5, 9)))
    if name in ("scatter_reduce", "index_reduce"):
        x = d.tensor([torch.float64, torch.float32, torch.int64], shape=list(x.shape))
    dim = d.dim(x)
    size = x.shape[dim]
    if name in ("scatter", "scatter_add", "scatter_reduce"):
        shape = [max(0, n - d.integer(0, 1)) for n in x.shape]
        if name == "scatter":  # a permutation along the dimension
            full = torch.rand(list(x.shape), generator=d.generator).argsort(dim)
            index = full[tuple(slice(n) for n in shape)]
        else:
            shape[dim] = d.integer(0, 4)
            index = d.indices(size, shape).abs()
        source = d.like(x, list(index.shape))
        if name == "scatter" and d.flag():
            return Case(name, [x, dim, index, d.choice([0, 1, 2.5])])
        if name == "scatter_reduce":
            reduce = d.choice(["sum", "prod", "mean", "amax", "amin"])
            return Case(name, [x, dim, index, source, reduce], {"include_self": d.flag()})
        return Case(name, [x, dim, index, source])
    count = d.integer(0, size if name == "index_copy" else 5)
    index = (torch.randperm(max(1, size), generator=d.generator)[:count] if name in ("index_copy", "index_fill")
             else d.indices(size, (count,)).abs())
    if name == "index_fill":
        return Case(name, [x, dim, index, d.choice([0, 1, 2.5])])
    shape = list(x.shape)
    shape[dim] = len(index)
    source = d.like(x, shape)
    if name == "index_reduce":
        return Case(name, [x, dim, index, source, d.choice(["prod", "mean", "amax", "amin"])],
                    {"include_self": d.flag()})
    return Case(name, [x, dim, index, source], {"alpha": d.choice([1, 2])} if name == "index_add" else {})


def getitem(d):
    x = d.tensor()
    return Case("__getitem__", [x, d.key(list(x.shape))])


def distinct(x, key):
    """Whether no element is named twice by x[key]."""
    names = torch.arange(x.numel()).reshape(x.shape)[key]
    return names.unique().numel() == names.numel()


def setitem(d):
    x = d.tensor(expanded=False)
    key = d.key(list(x.shape))
    try:
        if not distinct(x, key):
            key = ()
        part = list(x.detach()[key].shape)
    except Exception:
        part = []
    value = d.choice([2, 1.5, True, d.strided(d.broadcastable(part), d.choice([x.dtype, *harness.DTYPES]))])

    def run(module, x, key, value):
        x = x.clone()
        x[key] = value
        return x

    return Case("__setitem__", [x, key, value], run=run)


def index_put(d):
    x = d.tensor(shape=d.shape(d.integer(1, 3), (1, 2, 3, 5)), expanded=False)
    keys = [d.indices(n, d.choice([(3,), (1,), (2, 3), (2, 1)])) for n in x.shape[: d.integer(1, x.dim())]]
    try:
        part = list(x[tuple(keys)].shape)
    except Exception:
        part = []
    return Case("index_put", [x, tuple(keys), d.like(x, d.broadcastable(part))], {"accumulate": True})


VIEWS = {
    "getitem": lambda d, x: (lambda v, key=basic(d, list(x.shape)): v[key]),
    "permute": lambda d, x: (lambda v, order=tuple(d.random.sample(range(x.dim()), x.dim())): v.permute(order)),
    "transpose": lambda d, x: (lambda v, a=d.dim(x), b=d.dim(x): v.transpose(a, b)),
    "unsqueeze": lambda d, x: (lambda v, a=d.dim(x): v.unsqueeze(a)),
    "squeeze": lambda d, x: (lambda v: v.squeeze()),
    "flatten": lambda d, x: (lambda v: v.reshape(-1)),
    "diagonal": lambda d, x: (lambda v, k=d.integer(-1, 1): v.diagonal(k) if v.dim() > 1 else v),
    "narrow": lambda d, x: (lambda v, a=d.dim(x): v.narrow(a, 0, max(0, v.shape[a] - 1)) if v.dim() else v),
    "unbind": lambda d, x: (lambda v: v.unbind(0)[-1] if v.dim() and v.shape[0] else v),
    "chunk": lambda d, x: (lambda v: v.chunk(2)[0] if v.dim() else v),
    "split": lambda d, x: (lambda v: v.split(2, -1)[-1] if v.dim() else v),
    "real": lambda d, x: (lambda v: v.real if v.is_complex() else v),
    "imag": lambda d, x: (lambda v: v.imag if v.is_complex() else v),
}


def basic(d, shape):
    return tuple(d.choice([d.slice(n), slice(None), d.integer(-n, n - 1) if n else slice(None)]) for n in shape)


def write(d, x):
    """A write in place to a view of the shape of x."""
    y = d.strided(d.broadcastable(list(x.shape)), d.choice([x.dtype, torch.float32]))
    mask = d.strided(d.broadcastable(list(x.shape)), torch.bool)
    dim = d.dim(x)
    index = torch.zeros(1, dtype=torch.int64)
    return d.choice([
        (lambda v, y, mask, index: v.add_(y)), (lambda v, y, mask, index: v.mul_(2)),
        (lambda v, y, mask, index: v.copy_(y)), (lambda v, y, mask, index: v.zero_()),
        (lambda v, y, mask, index: v.fill_(3)), (lambda v, y, mask, index: v.masked_fill_(mask, 5)),
        (lambda v, y, mask, index: v.sin_()), (lambda v, y, mask, index: v.sub_(v)),
        (lambda v, y, mask, index: v.__setitem__(mask if mask.shape == v.shape else ..., 4)),
        (lambda v, y, mask, index: v.index_fill_(dim, index, 2) if v.dim() and v.shape[dim] else v.add_(1)),
        (lambda v, y, mask, index: v.mul_(v.clone())), (lambda v, y, mask, index: v.copy_(v.flip(0)) if v.dim() else v),
    ]), y, mask, index


def view_write(d):
    """Views of views of one tensor, written to in turns; then all of them."""
    x = d.tensor([torch.float64, torch.float64, torch.float32, torch.complex128, torch.int64, torch.bool],
                 shape=d.shape(d.integer(0, 3), (0, 1, 2, 3, 5)), expanded=False)
    views, writes, trial, arguments = [], [], [x.detach().contiguous()], [x]
    for _ in range(d.integer(1, 4)):
        base = d.integer(0, len(trial) - 1)
        make = VIEWS[d.choice(VIEWS)](d, trial[base])
        try:
            trial.append(make(trial[base]))
        except Exception:
            continue
        views.append((base, make))
    for _ in range(d.integer(1, 3)):
        at = d.integer(0, len(trial) - 1)
        step, *given = write(d, trial[at])
        writes.append((at, step))
        arguments += given

    def run(module, x, *given):
        made = [x.contiguous() * 1]  # torch's clone keeps strides
        for base, make in views:
            made.append(make(made[base]))
        for i, (at, step) in enumerate(writes):
            step(made[at], *given[3 * i : 3 * i + 3])
        return [v * 1 for v in made]

    return Case("views and writes", arguments, run=run)

