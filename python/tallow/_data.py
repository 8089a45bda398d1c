"""Tensors from and to the data of others."""

import warnings

from . import _C
from ._C import Tensor

_from_numpy_name = {
    "float64": _C.float64, "float32": _C.float32, "float16": _C.float16,
    "bfloat16": _C.bfloat16, "float8_e4m3fn": _C.float8_e4m3fn, "float8_e5m2": _C.float8_e5m2,
    "float8_e4m3fnuz": _C.float8_e4m3fnuz, "float8_e5m2fnuz": _C.float8_e5m2fnuz,
    "float8_e8m0fnu": _C.float8_e8m0fnu,
    "int8": _C.int8, "int16": _C.int16, "int32": _C.int32, "int64": _C.int64,
    "uint8": _C.uint8, "uint16": _C.uint16, "uint32": _C.uint32, "uint64": _C.uint64,
    "bool": _C.bool, "complex64": _C.complex64, "complex128": _C.complex128,
}
_of_ml_dtypes = {"bfloat16", "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz",
                 "float8_e5m2fnuz", "float8_e8m0fnu"}


def _is_array(data):
    return hasattr(data, "__array_interface__") and not isinstance(data, Tensor)


def from_numpy(array):
    """A tensor on the array's memory."""
    import numpy

    if not isinstance(array, numpy.ndarray):
        raise TypeError(f"expected np.ndarray (got {type(array).__name__})")
    dtype = _from_numpy_name.get(array.dtype.name)
    if dtype is None or not array.dtype.isnative:
        raise TypeError(f"can't convert np.ndarray of type {array.dtype}")
    if not array.flags.writeable:
        warnings.warn("from_numpy: the array is not writable; the tensor is a copy of it",
                      UserWarning, stacklevel=2)
        array = array.copy()
    return _C._from_memory(array.ctypes.data, array.shape, array.strides, dtype, array)


class _Memory:
    def __init__(self, tensor, typestr):
        size = tensor.element_size()
        self.held = _C._hold_memory(tensor)
        self.__array_interface__ = {
            "version": 3,
            "shape": tuple(tensor.shape),
            "typestr": typestr,
            "strides": tuple(s * size for s in tensor.stride()),
            "data": (tensor.data_ptr(), False),
        }


def numpy(self, *, force=False):
    """The elements as a NumPy array, on the same memory."""
    import numpy as np

    if self.requires_grad and not force:
        raise RuntimeError("Can't call numpy() on Tensor that requires grad. "
                           "Use tensor.detach().numpy() instead.")
    name = self.dtype.name
    if name in _of_ml_dtypes:
        try:
            import ml_dtypes
        except ImportError:
            raise TypeError(f"numpy: NumPy has no {name} without the package ml_dtypes; "
                            "call .float() first") from None
        target = np.dtype(getattr(ml_dtypes, name))
        return np.asarray(_Memory(self, f"<u{target.itemsize}")).view(target)
    if name not in _from_numpy_name:
        raise TypeError(f"numpy: NumPy has no {name}; call .float() first")
    dtype = np.dtype(name)
    if self.numel() == 0:
        return np.empty(tuple(self.shape), dtype)
    return np.asarray(_Memory(self, dtype.str))


def _array(self, dtype=None, copy=None):
    array = self.numpy()
    if dtype is not None:
        array = array.astype(dtype, copy=False)
    return array


def tensor(data, *, dtype=None, device=None, requires_grad=False, pin_memory=False):
    """A copy of the data: numbers, nested sequences, arrays."""
    if isinstance(data, Tensor):
        result = data.detach().clone()
        if dtype is not None:
            result = result.to(dtype)
    elif _is_array(data):
        import numpy as np

        result = from_numpy(np.array(data, order="C"))
        if dtype is not None and dtype != result.dtype:
            result = result.to(dtype)
    else:
        result = _C._from_nested(data, dtype)
    return result.requires_grad_() if requires_grad else result


def as_tensor(data, dtype=None, device=None):
    """The data as a tensor: without a copy where it is a tensor or an array."""
    if isinstance(data, Tensor):
        return data if dtype is None or dtype == data.dtype else data.to(dtype)
    if _is_array(data):
        import numpy as np

        result = from_numpy(np.asarray(data))
        return result if dtype is None or dtype == result.dtype else result.to(dtype)
    return tensor(data, dtype=dtype)


def asarray(obj, *, dtype=None, device=None, copy=None, requires_grad=False):
    """The data as a tensor: on the same memory unless `copy` is True."""
    if copy or not (isinstance(obj, Tensor) or _is_array(obj) or hasattr(obj, "__dlpack__")):
        result = tensor(obj, dtype=dtype)
    elif isinstance(obj, Tensor) or _is_array(obj):
        result = as_tensor(obj, dtype)
    else:
        result = as_tensor(_C.from_dlpack(obj), dtype)
    if copy is False and isinstance(obj, Tensor) and result is not obj:
        raise ValueError(f"asarray: a copy is needed for {dtype}")
    return result.requires_grad_() if requires_grad else result


Tensor.numpy = numpy
Tensor.__array__ = _array
