"""Functions that are short in Python."""

from . import _C
from ._C import Tensor, dtype

__all__ = [
    "finfo", "iinfo", "is_complex", "is_floating_point", "is_nonzero", "is_storage", "is_tensor",
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
