"""Cases of elementwise ops, reductions, orders, products and shapes. A kind makes a Case of a Draw."""

import torch

from conformance import harness
from properties.check import Case
from properties.draw import FLOATS, WIDE

UNARY = """abs neg exp log sqrt sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh sigmoid square
 sign sgn floor ceil round trunc frac reciprocal rsqrt erf erfc isnan isinf isfinite isposinf isneginf
 logical_not bitwise_not log1p log2 log10 expm1 exp2 positive nan_to_num deg2rad rad2deg signbit sinc
 relu real conj angle clone zeros_like ones_like numel special.entr special.log_ndtr special.i0e
 nn.functional.gelu nn.functional.silu nn.functional.softplus nn.functional.hardswish nn.functional.mish
 nn.functional.elu nn.functional.leaky_relu nn.functional.hardtanh nn.functional.logsigmoid
 nn.functional.relu6 nn.functional.hardsigmoid nn.functional.softsign nn.functional.tanhshrink
 nn.functional.hardshrink nn.functional.softshrink nn.functional.selu nn.functional.celu""".split()
BINARY = """add sub mul div true_divide maximum minimum eq ne lt le gt ge fmod remainder floor_divide
 atan2 pow logical_and logical_or logical_xor bitwise_and bitwise_or bitwise_xor fmax fmin hypot copysign
 where logaddexp xlogy rsub heaviside isclose float_power max min lcm gcd nextafter squeeze_multiple
 """.replace("squeeze_multiple", "").split()
REDUCTIONS = """sum mean prod amax amin any all logsumexp var std count_nonzero nansum nanmean norm
 median nanmedian max min argmax argmin var_mean std_mean aminmax""".split()
IN_PLACE = """abs neg exp sqrt sin tanh sigmoid square floor reciprocal add sub mul div pow eq lt clamp
 fmod remainder maximum masked_fill nan_to_num cumsum tril triu lerp addcmul relu round zero
 """.split()


def unary(d):
    name, x = d.choice(UNARY), d.tensor()
    if name == "acosh" and x.is_complex():
        x = x.real  # torch's gradient is on the wrong side of the cut
    if name in ("cosh", "nn.functional.relu6") and x.is_floating_point():
        x = x.nan_to_num().clamp(-80, 80)  # beyond, torch's vectors and single elements differ
    return Case(name, [x])


def number(d, x):
    """A number beside x; torch wraps a negative number around in u8."""
    return d.choice([2, 0.5, True] if x.dtype == torch.uint8 else [2, -3, 0.5, True, 0])


def binary(d):
    name = d.choice(BINARY)
    x = d.tensor()
    y = d.strided(d.broadcastable(list(x.shape)), d.choice(harness.DTYPES))
    if name == "pow":  # 0 to complex powers is NaN or 1 in torch, by the number of elements
        x = x if not (x.is_complex() or y.is_complex()) else x.masked_fill(x == 0, 1)
        if x.dtype == torch.bool and y.dtype == torch.bool:
            y = y.to(torch.int64)
    if name == "atan2":  # torch's gradient negates u8
        x, y = (t.to(torch.int16) if t.dtype == torch.uint8 else t for t in (x, y))
    if name == "where":
        return Case(name, [d.strided(list(x.shape), torch.bool), x, y])
    if d.chance(0.25) and name not in ("max", "min"):
        y = number(d, x)
        if name == "pow" and isinstance(y, (int, float)) and y == 0 and x.is_complex():
            y = 2
    if name in ("add", "sub") and d.chance(0.2):
        return Case(name, [x, y], {"alpha": d.choice([2, -1, 0.5])})
    if name == "div" and d.chance(0.4):
        return Case(name, [x, y], {"rounding_mode": d.choice(["floor", "trunc"])})
    return Case(name, [x, y])


def ternary(d):
    name = d.choice("clamp lerp addcmul addcdiv where clamp_min clamp_max".split())
    dtype = d.choice(harness.DTYPES)
    x = d.strided(d.shape(), dtype)
    other = [d.strided(d.broadcastable(list(x.shape)), dtype if d.chance(0.8) else d.choice(harness.DTYPES))
             for _ in range(2)]
    if name == "clamp" and d.flag():
        other = [d.choice([None, -1, 0.5]), d.choice([None, 2, 1.5])]
    if name in ("clamp_min", "clamp_max"):
        return Case(name, [x, d.choice([other[0], 1, 0.5])])
    if name == "where":
        return Case(name, [d.strided(d.broadcastable(list(x.shape)), torch.bool), x, other[0]])
    if name == "lerp" and d.flag():
        return Case(name, [x, other[0], d.choice([0.25, 1.5])])
    return Case(name, [x, *other])


def reduction(d):
    name, x = d.choice(REDUCTIONS), d.tensor()
    keepdim = {"keepdim": d.flag()}
    if name in ("median", "nanmedian"):
        x = x.contiguous()  # torch reads beyond expanded memory
    if name in ("std", "std_mean"):  # rounding decides whether equal elements deviate
        x = d.tensor(expanded=False)
    if name == "aminmax":
        return Case(name, [x], {"dim": d.dim(x), **keepdim} if d.flag() else {})
    if name == "logsumexp":
        return Case(name, [x, d.dims(x)], keepdim)
    if name == "norm":
        p = d.choice([2, 1, 0, 0.5, 3, float("inf"), "fro"])
        return Case(name, [x, p, d.dims(x) if d.flag() else d.dim(x)], keepdim)
    if d.chance(0.3) and name not in ("amax", "amin"):
        return Case(name, [x])
    if name in "prod any all median nanmedian max min argmax argmin".split():
        return Case(name, [x, d.dim(x)], keepdim)
    if name == "count_nonzero":
        return Case(name, [x, d.dim(x)])
    if name in ("var", "std", "var_mean", "std_mean"):
        return Case(name, [x], {"dim": d.dims(x), "correction": d.choice([0, 1, 1, 2]), **keepdim})
    return Case(name, [x, d.dims(x)], keepdim)


def along(d):
    name = d.choice("cumsum cumprod softmax log_softmax sort argmax argmin flip logcumsumexp cummax "
                    "cummin unbind chunk split roll diff topk kthvalue msort argsort tensor_split fliplr "
                    "unique_consecutive rot90 trapezoid cumulative_trapezoid nn.functional.normalize "
                    "nn.functional.softmin nn.functional.glu renorm".split())
    x = d.tensor()
    if name in ("cumprod", "renorm"):
        x = d.tensor(WIDE + [torch.int64, torch.complex128])
    dim = d.dim(x)
    size = x.shape[dim] if x.dim() else 1
    if name in ("topk", "kthvalue"):
        k = d.integer(0, size) if d.chance(0.95) else d.choice([-1, size + 1])
        if x.dim() == 0 and k == 0:
            k = 1  # torch's is not initialized
        largest = {"largest": d.flag()} if name == "topk" else {"keepdim": d.flag()}
        return Case(name, [x, k, dim], largest)
    if name == "sort":
        return Case(name, [x], {"dim": dim, "stable": True, "descending": d.flag()})
    if name == "argsort":
        return Case(name, [x], {"dim": dim, "stable": True, "descending": d.flag()})
    if name == "flip":
        return Case(name, [x, d.dims(x)])
    if name in ("msort", "fliplr"):
        return Case(name, [x])
    if name in ("chunk", "split", "tensor_split"):
        count = d.integer(1, 4)
        if name != "chunk" and d.chance(0.4) and name == "split":
            first = d.integer(0, size)
            count = [first, size - first]
        return Case(name, [x, count, dim])
    if name == "roll":
        return Case(name, [x, d.integer(-5, 5), dim])
    if name == "rot90":
        return Case(name, [x, d.integer(-5, 5), d.random.sample(range(max(2, x.dim())), 2)])
    if name == "diff":
        return Case(name, [x], {"dim": dim, "n": d.choice([1, 1, 2, 0])})
    if name == "unique_consecutive":
        return Case(name, [x.nan_to_num()], {"return_inverse": True, "return_counts": True})
    if name == "renorm":
        return Case(name, [x.nan_to_num(0, 1, -1), d.choice([1, 2, 3]), dim, 2.0])
    if name in ("trapezoid", "cumulative_trapezoid"):  # torch takes the ends from the sum
        half = (2e-2, 5e-2) if x.dtype == torch.float16 else None  # terms cancel
        return Case(name, [x.nan_to_num(0, 1, -1)], {"dim": dim}, tolerance=half)
    if name == "nn.functional.normalize":
        return Case(name, [x], {"dim": dim, "p": d.choice([1, 2, 3.0])})
    return Case(name, [x, dim])


def product(d):
    dtype = d.choice([torch.float64, torch.float32, torch.int64, torch.complex128, torch.bfloat16])
    m, k, n = (d.choice([0, 1, 2, 5, 17, 40]) for _ in range(3))
    batch = d.shape(d.integer(0, 2), (0, 1, 1, 2, 3, 5))
    x = d.strided([*batch, m, k], dtype)
    y = d.strided([*d.broadcastable(batch), k, n], dtype)
    wanted = d.choice(["matmul", "matmul", "mm", "addmm", "bmm", "baddbmm", "mv", "outer", "tensordot",
                       "linear", "einsum", "kron", "cdist", "dot", "cross", "multi_dot"])
    real = dtype if dtype.is_floating_point else torch.float64
    if wanted == "mm":
        return Case("mm", [d.strided([m, k], dtype), d.strided([k, n], dtype)])
    if wanted == "addmm":
        bias = d.strided(d.choice([[m, n], [n], [1, n], []]), dtype)
        return Case("addmm", [bias, d.strided([m, k], dtype), d.strided([k, n], dtype)],
                    {"beta": d.choice([0, 1, 2]), "alpha": d.choice([1, -1, 3])})
    if wanted in ("bmm", "baddbmm"):
        b = d.choice([0, 1, 3])
        pair = [d.strided([b, m, k], dtype), d.strided([b, k, n], dtype)]
        return Case(wanted, pair if wanted == "bmm" else [d.strided(d.choice([[b, m, n], [n]]), dtype), *pair])
    if wanted == "mv":
        return Case("mv", [d.strided([m, k], dtype), d.strided([k], dtype)])
    if wanted == "dot":
        return Case(d.choice(["dot", "vdot", "inner"]), [d.strided([k], dtype), d.strided([k], dtype)])
    if wanted == "outer":
        return Case("outer", [d.strided([m], dtype), d.strided([n], d.choice(harness.DTYPES))])
    if wanted == "tensordot":
        return Case("tensordot", [d.strided([m, 2, k], dtype), d.strided([k, 2, n], dtype)],
                    {"dims": ([2, 1], [0, 1])})
    if wanted == "linear":
        bias = [d.strided([n], real)] if d.flag() else []
        return Case("nn.functional.linear", [d.strided([*batch, k], real), d.strided([n, k], real), *bias])
    if wanted == "einsum":
        equation, *shapes = d.choice([("ij,jk->ik", [m, k], [k, n]), ("bij,bjk->bk", [2, m, k], [2, k, n]),
                                      ("ii->i", [m, m]), ("...ij,jk->...ki", [3, m, k], [k, n]),
                                      ("ij,kj,kl->il", [m, k], [n, k], [n, 2]), ("i,j->", [m], [n])])
        given = [d.strided(s, dtype) for s in shapes]
        if len(given) > 2:  # infinities cancel, or not, by the order of contraction
            given = [x.nan_to_num(0, 1, -1) for x in given]
        return Case("einsum", [equation, *given],
                    run=lambda module, *given: module.einsum(*given))
    if wanted == "kron":
        return Case("kron", [d.tensor([dtype], shape=d.shape(2, (0, 1, 2, 3))),
                             d.tensor([dtype], shape=d.shape(2, (0, 1, 2, 3)))])
    if wanted == "cdist":
        dtype = d.choice([torch.float64, torch.float32])
        x, y = d.values([m, 4], dtype).nan_to_num(0, 1, 1), d.values([n, 4], dtype).nan_to_num(0, 1, 1)
        return Case("cdist", [x, y], {"p": d.choice([1.0, 2.0, 3.0, float("inf")])},
                    tolerance=(1e-3, 1e-3) if dtype == torch.float32 else (1e-6, 1e-6))
    if wanted == "cross":
        return Case("linalg.cross", [d.strided([m, 3], dtype), d.strided(d.choice([[m, 3], [1, 3], [3]]), dtype)])
    if wanted == "multi_dot":
        sizes = [m, k, n, 3]
        return Case("linalg.multi_dot", [[d.strided(sizes[i : i + 2], real) for i in range(3)]])
    if d.chance(0.2):
        y = d.strided([k], dtype)
    elif d.chance(0.2):
        x = d.strided([k], dtype)
    return Case("matmul", [x, y])


def reshaping(d):
    name = d.choice("permute reshape transpose unsqueeze squeeze expand repeat cat stack movedim "
                    "flatten pad tile broadcast_to hstack vstack dstack unflatten swapdims meshgrid "
                    "view_as_real narrow atleast_2d ravel repeat_interleave block_diag "
                    "cartesian_prod vander pixel_shuffle as_strided expand_as concat".split())
    x = d.tensor()
    if name == "permute":
        order = list(range(x.dim()))
        d.random.shuffle(order)
        return Case(name, [x, order])
    if name == "reshape":
        return Case(name, [x, d.choice([[-1], [x.numel()], [x.numel(), 1], [1, -1], [2, -1], [-1, 0], [-2]])])
    if name in ("transpose", "movedim", "swapdims"):
        return Case(name, [x, d.dim(x), d.dim(x)])
    if name in ("unsqueeze", "squeeze"):
        return Case(name, [x, d.dims(x) if name == "squeeze" and d.flag() else d.dim(x)])
    if name in ("expand", "repeat", "tile", "broadcast_to"):
        large = x.numel() > 2000  # repeated by its own sizes it would fill the memory
        sizes = [d.integer(0, 3), *(d.choice([1, 1, 2, 1 if large else n]) for n in x.shape)]
        if name in ("expand", "broadcast_to"):
            sizes = [d.integer(1, 3), *(d.choice([n, n, -1]) if n != 1 else d.integer(0, 3) for n in x.shape)]
        return Case(name, [x, sizes])
    if name == "expand_as":
        return Case(name, [d.like(x, d.broadcastable(list(x.shape))), x])
    if name in ("cat", "stack", "concat", "hstack", "vstack", "dstack", "block_diag"):
        dim = d.dim(x)
        others = []
        for _ in range(d.integer(0, 2)):
            shape = list(x.shape)
            if shape and name in ("cat", "concat") and d.flag():
                shape[dim] = d.choice([0, 1, 3])
            others.append(d.strided(shape, d.choice([x.dtype, x.dtype, torch.float32])))
        listed = [x, *others]
        d.random.shuffle(listed)
        if name == "block_diag":
            return Case(name, [listed], run=lambda module, given: module.block_diag(*given))
        return Case(name, [listed] if name not in ("cat", "stack", "concat") else [listed, dim])
    if name == "pad":
        count = d.integer(0, x.dim())
        pads = [d.integer(-1, 3) for _ in range(2 * count)]
        mode = d.choice(["constant", "constant", "reflect", "replicate", "circular"])
        if mode == "constant":
            return Case("nn.functional.pad", [x, pads, mode, d.choice([0, 1.5, -2])])
        dims = d.integer(1, 3)
        x = d.tensor(FLOATS + [torch.int64, torch.complex128], shape=d.shape(dims + d.integer(1, 2), (1, 2, 3, 5, 8)))
        return Case("nn.functional.pad", [x, [d.integer(-1 if mode == "never" else 0, 3) for _ in range(2 * dims)], mode])
    if name == "unflatten":
        dim = d.dim(x)
        return Case(name, [x, dim, d.choice([[-1, 1], [1, -1, 1], [2, -1], [x.shape[dim] if x.dim() else 1]])])
    if name == "meshgrid":
        parts = [d.values([d.choice([0, 1, 3])], x.dtype) for _ in range(d.integer(1, 3))]
        indexing = d.choice(["ij", "xy"])
        return Case(name, [parts], run=lambda module, given: module.meshgrid(*given, indexing=indexing))
    if name == "cartesian_prod":
        parts = [d.values([d.choice([0, 1, 3])], x.dtype) for _ in range(d.integer(1, 3))]
        return Case(name, [parts], run=lambda module, given: module.cartesian_prod(*given))
    if name == "narrow":
        dim = d.dim(x)
        size = x.shape[dim] if x.dim() else 1
        start = d.integer(-size, size)
        return Case(name, [x, dim, start, d.integer(0, size + d.chance(0.1))])
    if name == "vander":
        return Case(name, [d.values([d.choice([0, 1, 4])], x.dtype)], {"N": d.choice([None, 0, 3])})
    if name == "repeat_interleave":
        return Case(name, [x, d.integer(0, 3), d.dim(x)])
    if name == "pixel_shuffle":
        x = d.tensor(shape=[*d.shape(d.integer(0, 2), (0, 1, 2)), 4 * d.integer(0, 2), d.integer(0, 3), 2])
        return Case("nn.functional." + name, [x, 2])
    if name == "as_strided":
        x = d.values([24], d.choice(harness.DTYPES))
        return Case(name, [x, [d.integer(0, 3), d.integer(1, 3)], [d.integer(0, 4), d.integer(0, 3)], d.integer(0, 5)])
    return Case(name, [x])


def in_place(d):
    """x.op_(...) on a clone, a view or an expression."""
    name = d.choice(IN_PLACE)
    x = d.tensor(expanded=False)
    args = []
    if name in "add sub mul div pow eq lt fmod remainder maximum".split():
        name = "copysign" if name == "maximum" else name
        y = d.strided(d.broadcastable(list(x.shape)), d.choice([x.dtype, x.dtype, *harness.DTYPES]))
        args = [number(d, x) if d.chance(0.3) else y]
        if name in ("eq", "lt"):
            y = d.like(x)
            args = [y]
        if name == "pow" and (x.is_complex() or (torch.is_tensor(y) and y.is_complex())):
            name = "mul"
        if name == "pow" and x.dtype == torch.bool:
            name = "mul"
    elif name == "clamp":
        args = [-1, d.choice([2, 1.5, None])]
    elif name in ("tril", "triu"):
        args = [d.integer(-2, 2)]
    elif name == "masked_fill":
        args = [d.strided(d.broadcastable(list(x.shape)), torch.bool), d.choice([0, 1, 2.5, True])]
    elif name == "cumsum":
        args = [d.dim(x)]
    elif name == "lerp":
        args = [d.like(x), 0.25]
    elif name == "addcmul":
        args = [d.like(x), d.like(x)]

    def run(module, x, *args):
        target = x.clone()
        result = getattr(target, name + "_")(*args)
        assert result is target
        return target

    return Case(name + "_", [x, *args], run=run)




def out(d):
    """op(..., out=) of a fitting, another or no shape, with strides of its own."""
    name = d.choice("add mul sub exp sin neg sum cumsum matmul cat tril clamp abs".split())
    x = d.tensor()
    args = {"sum": lambda: [x, d.dims(x)], "cumsum": lambda: [x, d.dim(x)], "cat": lambda: [[x, d.like(x)], d.dim(x)],
            "tril": lambda: [x, 1], "clamp": lambda: [x, 0, 1], "matmul": lambda: [x, x]}.get(
                name, lambda: [x] if name in ("exp", "sin", "neg", "abs") else [x, d.like(x)])()
    try:
        result = find_result(name, args)
    except Exception:
        result = x
    kind = d.choice(["same", "same", "empty", "strided", "dtype"])
    if kind == "empty":
        target = torch.empty(0, dtype=result.dtype)
    elif kind == "strided" and result.dim():
        target = d.values([n * 2 for n in result.shape], result.dtype)[(slice(None, None, 2),) * result.dim()]
    else:
        # The dtype of out= is the one that torch sums in.
        other = kind == "dtype" and name not in ("sum", "cumsum")
        dtype = d.choice(harness.DTYPES) if other else result.dtype
        target = d.values(list(result.shape), dtype)

    def run(module, target, *args):
        whole = target.clone() if kind != "strided" else (target * 1).mT.contiguous().mT if target.dim() > 1 else target.clone()
        returned = getattr(module, name)(*args, out=whole)
        assert returned is whole
        return whole

    return Case(f"{name}(out=)", [target, *args], run=run)


def find_result(name, args):
    return getattr(torch, name)(*args)
