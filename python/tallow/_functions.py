"""Functions that are short in Python."""

from . import _C
from ._C import Tensor, dtype

__all__ = [
    "BFloat16Tensor", "BoolTensor", "ByteTensor", "CharTensor", "DoubleTensor", "FloatTensor",
    "HalfTensor", "IntTensor", "LongTensor", "ShortTensor", "broadcast_shapes", "einsum",
    "finfo", "frombuffer", "iinfo", "is_same_size", "is_complex", "is_floating_point", "is_nonzero", "is_storage",
    "is_tensor", "nonzero",
    "memory_format", "layout", "numel", "strided", "contiguous_format", "preserve_format",
    "channels_last", "are_deterministic_algorithms_enabled", "compile", "convolution", "detach",
    "detach_", "frobenius_norm", "get_default_device", "get_device", "get_float32_matmul_precision",
    "get_num_interop_threads", "gradient", "index_put_", "is_autocast_enabled", "is_conj",
    "is_distributed", "is_inference", "is_neg", "is_signed", "nuclear_norm", "pca_lowrank",
    "set_default_device", "set_default_tensor_type", "set_float32_matmul_precision",
    "set_flush_denormal", "set_num_interop_threads", "svd_lowrank", "to_dlpack", "typename",
    "use_deterministic_algorithms",
]  # fmt: skip


def is_tensor(obj):
    """Whether it is a Tensor."""
    return isinstance(obj, Tensor)


def is_storage(obj):
    return False


def is_floating_point(input):
    """Whether the dtype is real."""
    return input.dtype.is_floating_point


def is_complex(input):
    """Whether the dtype is complex."""
    return input.dtype.is_complex


def nonzero(input, *, as_tuple=False):
    """The indices of the elements that are not zero: [count, dims], or a vector per dimension."""
    return input.nonzero(as_tuple=as_tuple)


def is_nonzero(input):
    """Whether the only element is not zero."""
    return input.is_nonzero()


def numel(input):
    """The number of elements."""
    return input.numel()


class _Named:
    def __init__(self, name):
        self._name = name

    def __repr__(self):
        return f"tallow.{self._name}"

    def __reduce__(self):
        return self._name


class layout(_Named):
    pass


class memory_format(_Named):
    pass


strided = layout("strided")
contiguous_format = memory_format("contiguous_format")
preserve_format = memory_format("preserve_format")
channels_last = memory_format("channels_last")
Tensor.layout = property(lambda self: strided)

_REAL = {  # bits, mantissa bits, largest exponent, smallest normal exponent
    "float64": (64, 52, 1023, -1022), "float32": (32, 23, 127, -126),
    "float16": (16, 10, 15, -14), "bfloat16": (16, 7, 127, -126),
    "float8_e5m2": (8, 2, 15, -14), "float8_e4m3fn": (8, 3, 8, -6),
    "float8_e5m2fnuz": (8, 2, 15, -15), "float8_e4m3fnuz": (8, 3, 7, -7),
    "float8_e8m0fnu": (8, 0, 127, -127),
}  # fmt: skip


class finfo:
    """The range of a real dtype."""

    def __init__(self, type=None):
        type = _C.get_default_dtype() if type is None else type
        name = type.to_real().name
        if name not in _REAL:
            raise TypeError(f"finfo: {type} is no floating point dtype; use iinfo")
        self.bits, mantissa, top, bottom = _REAL[name]
        self.dtype = name
        self.eps = 2.0**-mantissa
        self.tiny = self.smallest_normal = 2.0**bottom
        last = 2 if name == "float8_e4m3fn" else 1  # its largest bit pattern is NaN
        self.max = (2.0 - last * self.eps) * 2.0**top
        self.min = -self.max
        if name == "float8_e8m0fnu":  # powers of two: no sign, no zero
            self.max, self.min = 2.0**top, self.tiny
        self.resolution = {"float64": 1e-15, "float32": 1e-6, "float16": 1e-3, "bfloat16": 1e-2}.get(
            name, 1.0)

    def __repr__(self):
        return (f"finfo(resolution={self.resolution:g}, min={self.min:g}, max={self.max:g}, "
                f"eps={self.eps:g}, smallest_normal={self.tiny:g}, tiny={self.tiny:g}, "
                f"dtype={self.dtype})")


class iinfo:
    """The range of an integer dtype."""

    def __init__(self, type):
        name = type.name
        if "int" not in name:
            raise TypeError(f"iinfo: {type} is no integer dtype; use finfo")
        self.dtype = name
        self.bits = type.itemsize * 8
        unsigned = name.startswith("u")
        self.min = 0 if unsigned else -(1 << self.bits - 1)
        self.max = (1 << self.bits - (not unsigned)) - 1

    def __repr__(self):
        return f"iinfo(min={self.min}, max={self.max}, dtype={self.dtype})"


def broadcast_shapes(*shapes):
    """The shape that shapes broadcast to."""
    shapes = [(s,) if isinstance(s, int) else tuple(s) for s in shapes]
    size = []
    for i in range(1, max(map(len, shapes), default=0) + 1):
        sizes = {s[-i] for s in shapes if len(s) >= i} - {1}
        if len(sizes) > 1:
            raise _C.Error("broadcast_shapes: shape mismatch: objects cannot be broadcast to a "
                           f"single shape: {', '.join(map(str, shapes))}")
        size.append(sizes.pop() if sizes else 1)
    if any(n < 0 for n in size):
        raise _C.Error(f"broadcast_shapes: negative size in {shapes}")
    return _C.Size(reversed(size))


def is_same_size(input, other):
    """Whether both have the same size."""
    return input.shape == other.shape


def frombuffer(buffer, *, dtype, count=-1, offset=0, requires_grad=False):
    """A tensor of one dimension on the memory of an object with the buffer protocol."""
    import numpy

    from ._data import from_numpy

    if dtype.name in ("bfloat16",):
        bits = numpy.frombuffer(buffer, "uint16", count, offset)
        result = from_numpy(bits).view(dtype)
    else:
        result = from_numpy(numpy.frombuffer(buffer, dtype.name, count, offset))
    return result.requires_grad_() if requires_grad else result


def _letters(operands):
    """einsum(x, [0, 1], y, [1, 2], [0, 2]) in letters."""
    letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

    def text(labels):
        return "".join("..." if i is Ellipsis else letters[i] for i in labels)

    pairs = len(operands) // 2
    equation = ",".join(text(operands[2 * i + 1]) for i in range(pairs))
    if len(operands) % 2:
        equation += "->" + text(operands[-1])
    return equation, list(operands[:2 * pairs:2])


def einsum(equation, *operands):
    """The sum of products that the equation says, as in einsum("ij,jk->ik", a, b)."""
    if isinstance(equation, Tensor):
        equation, operands = _letters((equation, *operands))
    elif len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = operands[0]
    return _C.einsum(equation, list(operands))


def detach(input):
    """The same elements without history."""
    return input.detach()


def detach_(input):
    return input.detach_()


def index_put_(input, indices, values, accumulate=False):
    return input.index_put_(indices, values, accumulate)


def get_device(input):
    return input.get_device()


def typename(obj):
    """The name of the type of a tensor, or of another object."""
    return obj.type() if isinstance(obj, Tensor) else type(obj).__qualname__


def is_signed(input):
    return input.dtype.is_signed


def is_conj(input):
    return False


is_neg = is_distributed = is_inference = is_conj


def to_dlpack(tensor):
    """A capsule that other libraries take a tensor from, without a copy."""
    return tensor.__dlpack__()


def frobenius_norm(input, dim=(), keepdim=False):
    return _C.norm(input, "fro", dim or None, keepdim)


def nuclear_norm(input, dim=(-2, -1), keepdim=False):
    return _C.norm(input, "nuc", dim, keepdim)


def convolution(input, weight, bias, stride, padding, dilation, transposed, output_padding, groups):
    """conv1d to conv3d, by the number of dimensions, or their transposes."""
    dims = weight.dim() - 2
    if dims not in (1, 2, 3):
        raise _C.Error(f"convolution: weight {list(weight.shape)} needs 3 to 5 dimensions")
    if transposed:
        call = getattr(_C, f"conv_transpose{dims}d")
        return call(input, weight, bias, stride, padding, output_padding, groups, dilation)
    return getattr(_C, f"conv{dims}d")(input, weight, bias, stride, padding, dilation, groups)


def _slopes(input, dim, spacing, edge_order):
    """Central differences along one dimension; one-sided ones at the edges."""
    n = input.shape[dim]
    if n < edge_order + 1:
        raise _C.Error(f"gradient: dimension {dim} has {n} elements; it needs {edge_order + 1}")

    def at(start, stop):
        return input.narrow(dim, start, stop - start)

    if isinstance(spacing, Tensor):  # coordinates
        shape = [1] * input.dim()
        shape[dim] = n - 1
        h = (spacing[1:] - spacing[:-1]).reshape(shape)
    else:
        h = None
    first = h.narrow(dim, 0, 1) if h is not None else spacing
    last = h.narrow(dim, n - 2, 1) if h is not None else spacing
    inner = []
    if n > 2 and h is None:
        inner = [(at(2, n) - at(0, n - 2)) / (2 * spacing)]
    elif n > 2:
        a, b = h.narrow(dim, 0, n - 2), h.narrow(dim, 1, n - 2)
        inner = [-b / (a * (a + b)) * at(0, n - 2) + (b - a) / (a * b) * at(1, n - 1)
                 + a / (b * (a + b)) * at(2, n)]
    if edge_order == 1:
        ends = (at(1, 2) - at(0, 1)) / first, (at(n - 1, n) - at(n - 2, n - 1)) / last
    else:
        second = h.narrow(dim, 1, 1) if h is not None else spacing
        before = h.narrow(dim, n - 3, 1) if h is not None else spacing
        ends = (_one_sided(at(0, 1), at(1, 2), at(2, 3), first, second),
                -_one_sided(at(n - 1, n), at(n - 2, n - 1), at(n - 3, n - 2), last, before))
    return _C.cat([ends[0], *inner, ends[1]], dim)


def _one_sided(x, y, z, a, b):
    """The slope at x of the parabola through x, y and z, which are a and b apart."""
    return (-(2 * a + b) / (a * (a + b)) * x + (a + b) / (a * b) * y - a / (b * (a + b)) * z)


def gradient(input, *, spacing=1, dim=None, edge_order=1):
    """The slopes of sampled values along each dimension: central differences of second order.
    `spacing` is a distance, one for each dimension, or the coordinates of each."""
    if edge_order not in (1, 2):
        raise _C.Error(f"gradient: edge_order is {edge_order}; it is 1 or 2")
    dims = range(input.dim()) if dim is None else [dim] if isinstance(dim, int) else dim
    dims = [d + input.dim() if d < 0 else d for d in dims]
    if len(set(dims)) != len(dims) or any(not 0 <= d < input.dim() for d in dims):
        raise _C.Error(f"gradient: dim {dim} does not name different dimensions of {input.dim()}")
    if isinstance(spacing, Tensor):
        spacing = [spacing]
    spacing = 1 if spacing is None else spacing
    steps = list(spacing) if isinstance(spacing, (list, tuple)) else [spacing] * len(dims)
    if len(steps) != len(dims):
        raise _C.Error(f"gradient: {len(steps)} spacings for {len(dims)} dimensions")
    if input.dtype in (_C.uint8, _C.bool):
        raise _C.Error(f"gradient: input is {input.dtype.name}; call .to(float32) first")
    if not (input.is_floating_point() or input.is_complex()):
        input = input.to(_C.get_default_dtype())
    for d, step in zip(dims, steps):
        if isinstance(step, Tensor) and (step.dim() != 1 or len(step) != input.shape[d]):
            raise _C.Error(f"gradient: the coordinates {list(step.shape)} do not fit dimension {d}")
    return tuple(_slopes(input, d, step, edge_order) for d, step in zip(dims, steps))


def _of_type(name, dtype):
    """FloatTensor([1, 2]) and its like."""

    def make(*data):
        from ._data import tensor

        if not data or isinstance(data[0], int):
            return _C._from_bytes(bytes(_C.Size(data or (0,)).numel() * dtype.itemsize),
                                  data or (0,), dtype)
        return tensor(data[0], dtype=dtype)

    make.__name__ = make.__qualname__ = name
    return make


BFloat16Tensor = _of_type("BFloat16Tensor", _C.bfloat16)
BoolTensor = _of_type("BoolTensor", _C.bool)
ByteTensor = _of_type("ByteTensor", _C.uint8)
CharTensor = _of_type("CharTensor", _C.int8)
DoubleTensor = _of_type("DoubleTensor", _C.float64)
FloatTensor = _of_type("FloatTensor", _C.float32)
HalfTensor = _of_type("HalfTensor", _C.float16)
IntTensor = _of_type("IntTensor", _C.int32)
LongTensor = _of_type("LongTensor", _C.int64)
ShortTensor = _of_type("ShortTensor", _C.int16)

from ._settings import *  # noqa: E402, F403
from ._lowrank import pca_lowrank, svd_lowrank  # noqa: E402, F401

# abs_(x) as x.abs_(), for the functions that torch has in place.
for _name in """
abs acos acosh arccos arccosh arcsin arcsinh arctan arctanh asin asinh atan atanh ceil clamp
clamp_max clamp_min clip conj_physical cos cosh deg2rad erf erfc exp exp2 expm1 fill fix floor frac
gcd i0 lcm ldexp log log10 log1p log2 logit nan_to_num neg negative rad2deg reciprocal relu round
resize_as rsqrt sigmoid sin sinc sinh sqrt square tan tanh trunc xlogy zero addmv as_strided
""".split():
    if hasattr(Tensor, _name + "_"):
        globals()[_name + "_"] = getattr(Tensor, _name + "_")
        __all__.append(_name + "_")
