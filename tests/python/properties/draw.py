"""Random tensors, shapes and keys of one case, told by its seed."""

import random

import torch

from conformance import harness

INTEGERS = [torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8]
FLOATS = [torch.float64, torch.float32, torch.float16, torch.bfloat16]
WIDE = [torch.float64, torch.float64, torch.float32]  # for ops of many roundings


class Draw:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.generator = torch.Generator().manual_seed(seed)

    def choice(self, options):
        return self.random.choice(list(options))

    def chance(self, probability):
        return self.random.random() < probability

    def integer(self, low, high):
        return self.random.randint(low, high)

    def flag(self):
        return self.chance(0.5)

    def shape(self, dims=None, sizes=(0, 1, 1, 2, 3, 4, 5, 7, 16, 33)):
        dims = self.integer(0, 4) if dims is None else dims
        return [self.choice(sizes) for _ in range(dims)]

    def values(self, shape, dtype):
        if dtype == torch.bool:
            return torch.randint(0, 2, shape, generator=self.generator).bool()
        if not (dtype.is_floating_point or dtype.is_complex):
            low = 0 if dtype == torch.uint8 else -9
            return torch.randint(low, 10, shape, generator=self.generator).to(dtype)
        t = torch.randn(shape, generator=self.generator, dtype=torch.float64) * self.choice([1, 1, 30])
        if dtype.is_complex:
            t = torch.complex(t, torch.randn(shape, generator=self.generator, dtype=torch.float64))
        elif self.chance(0.08) and t.numel():
            at = torch.randint(0, t.numel(), (1,), generator=self.generator).item()
            t.view(-1)[at] = self.choice([float("inf"), -float("inf"), float("nan"), 0.0, -0.0])
        return t.to(dtype)

    def strided(self, shape, dtype, expanded=True):
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
        if kind == "expanded" and shape and expanded:
            small = [1 if self.chance(0.4) else n for n in shape]
            return self.values(small, dtype).expand(shape)
        if kind == "offset" and shape:
            return self.values([shape[0] + 2, *shape[1:]], dtype)[2:]
        return self.values(shape, dtype)

    def tensor(self, dtypes=harness.DTYPES, shape=None, **options):
        return self.strided(self.shape() if shape is None else shape, self.choice(dtypes), **options)

    def like(self, x, shape=None):
        """A tensor of the dtype of x."""
        return self.strided(list(x.shape) if shape is None else shape, x.dtype)

    def broadcastable(self, shape):
        cut = shape[self.integer(0, len(shape)) :] if self.chance(0.4) else shape
        return [1 if self.chance(0.3) else n for n in cut]

    def dim(self, x):
        return self.integer(-x.dim(), x.dim() - 1) if x.dim() else self.choice([0, -1])

    def dims(self, x):
        count = self.integer(1, max(1, x.dim()))
        return self.random.sample(range(-x.dim(), 0), count) if x.dim() else [0]

    def indices(self, size, shape, dtype=torch.int64):
        """Indices into a dimension; now and then negative, or just outside."""
        low = -size if self.chance(0.2) else 0
        high = size + 1 if self.chance(0.03) else size
        return torch.randint(low, max(high, low + 1), shape, generator=self.generator).to(dtype)

    def mask(self, shape):
        return torch.randint(0, 2, shape, generator=self.generator).bool()

    def slice(self, n):
        bounds = [None, 0, 1, -1, -2, 2, n, n + 3, -n - 2]
        return slice(self.choice(bounds), self.choice(bounds), self.choice([None, None, 1, 2, 3, 40]))

    def key(self, shape):
        """A key of [] for a tensor of the shape: numbers, slices, lists, masks, None, Ellipsis."""
        items, at = [], 0
        while at < len(shape):
            n = shape[at]
            kind = self.choice(["all", "int", "slice", "slice", "list", "mask", "masks", "none", "number", "stop"])
            if kind == "stop":
                break
            if kind == "masks" and at + 1 < len(shape):
                items.append(self.mask(shape[at : at + 2]))
                at += 2
                continue
            if kind == "none":
                items.append(self.choice([None, None, True, False]))
                continue
            items.append({
                "all": lambda: slice(None),
                "int": lambda: self.integer(-n - self.chance(0.05), n - 1) if n else slice(None),
                "number": lambda: torch.tensor(self.integer(-n, n - 1)) if n else slice(None),
                "slice": lambda: self.slice(n),
                "list": lambda: self.list(n),
            }.get(kind, lambda: self.mask([n]))())
            at += 1
        if self.chance(0.2):
            items.insert(self.integer(0, len(items)), Ellipsis)
        return items[0] if len(items) == 1 and self.flag() else tuple(items)

    def list(self, n):
        if n == 0:
            return slice(None)
        found = self.indices(n, self.choice([(2,), (3,), (3, 1), (), (0,)]),
                             self.choice([torch.int64, torch.int64, torch.int32]))
        return found.tolist() if found.dim() == 1 and len(found) and self.chance(0.3) else found
