"""Functions that are short in Python."""

from . import _C
from ._C import Tensor, dtype

__all__ = [
    "BFloat16Tensor", "BoolTensor", "ByteTensor", "CharTensor", "DoubleTensor", "FloatTensor",
    "HalfTensor", "IntTensor", "LongTensor", "ShortTensor", "broadcast_shapes", "einsum",
    "finfo", "frombuffer", "iinfo", "is_same_size", "is_complex", "is_floating_point", "is_nonzero", "is_storage",
    "is_tensor", "nonzero",
    "memory_format", "layout", "numel", "strided", "contiguous_format", "preserve_format",
    "channels_last",
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
        self.resolution = {"float64": 1e-15, "float32": 1e-6, "float16": 1e-3, "bfloat16": 1e-2,
                           "float8_e5m2": 1.0, "float8_e4m3fn": 1.0}[name]

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

# abs_(x) as x.abs_(), for the functions that torch has in place.
for _name in """
abs acos acosh arccos arccosh arcsin arcsinh arctan arctanh asin asinh atan atanh ceil clamp
clamp_max clamp_min clip conj_physical cos cosh deg2rad erf erfc exp exp2 expm1 fill fix floor frac
gcd i0 lcm ldexp log log10 log1p log2 logit nan_to_num neg negative rad2deg reciprocal relu round
resize_as rsqrt sigmoid sin sinc sinh sqrt square tan tanh trunc xlogy zero
""".split():
    if hasattr(Tensor, _name + "_"):
        globals()[_name + "_"] = getattr(Tensor, _name + "_")
        __all__.append(_name + "_")
