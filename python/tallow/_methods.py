"""Methods of Tensor that are short in Python."""

import copy

from . import _C
from ._C import Tensor, device, dtype
from ._data import tensor

_to_dtype = Tensor.to


def _is_device(x):
    return isinstance(x, (str, device))


def to(self, *args, dtype=None, device=None, non_blocking=False, copy=False, memory_format=None):
    """The tensor in another dtype or on another device: to(dtype), to(device), to(other),
    to(device, dtype), each with `copy`; itself where nothing changes."""
    if args:
        first, *rest = args
        if isinstance(first, Tensor):
            dtype = first.dtype
        elif _is_device(first) or first is None:
            device = first
            if rest and isinstance(rest[0], _C.dtype | type):
                dtype = rest.pop(0)
        elif isinstance(first, _C.dtype | type):
            dtype = first
        else:
            raise TypeError(f"to(): expected a dtype, device or Tensor, not {type(first).__name__}")
        if len(rest) > 1:
            copy = rest[1]
    if device is not None and str(_C.device(device) if isinstance(device, str) else device) != "cpu":
        raise _C.Error(f"to: no device {device}; this build of tallow has cpu")
    if dtype is None or dtype is self.dtype:
        return self.clone() if copy else self
    return _to_dtype(self, dtype)


def _cast(name, dtype):
    def method(self, memory_format=None):
        return self if self.dtype is dtype else _to_dtype(self, dtype)

    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"The elements as {dtype.name}."
    return method


_CASTS = {
    "float": _C.float32, "double": _C.float64, "half": _C.float16, "bfloat16": _C.bfloat16,
    "long": _C.int64, "int": _C.int32, "short": _C.int16, "char": _C.int8, "byte": _C.uint8,
    "bool": _C.bool, "cfloat": _C.complex64, "cdouble": _C.complex128,
}
_TYPE_NAMES = {
    _C.float32: "FloatTensor", _C.float64: "DoubleTensor", _C.float16: "HalfTensor",
    _C.bfloat16: "BFloat16Tensor", _C.int64: "LongTensor", _C.int32: "IntTensor",
    _C.int16: "ShortTensor", _C.int8: "CharTensor", _C.uint8: "ByteTensor", _C.bool: "BoolTensor",
    _C.complex64: "ComplexFloatTensor", _C.complex128: "ComplexDoubleTensor",
}


def type_(self, dtype=None, non_blocking=False):
    """The name of the tensor's type, or the tensor in another dtype."""
    if dtype is None:
        return "tallow." + _TYPE_NAMES.get(self.dtype, self.dtype.name)
    if isinstance(dtype, str):
        short = dtype.rpartition(".")[2]
        for key, name in _TYPE_NAMES.items():
            if name == short:
                return self.to(key)
        raise ValueError(f"invalid type: '{dtype}'")
    return self.to(dtype)


def new_tensor(self, data, *, dtype=None, device=None, requires_grad=False):
    return tensor(data, dtype=dtype or self.dtype, requires_grad=requires_grad)


def _new(name):
    def method(self, *size, dtype=None, device=None, requires_grad=False, layout=None,
               pin_memory=False):
        if len(size) == 1 and not isinstance(size[0], int):
            size = size[0]
        result = getattr(_C, name)(tuple(size), dtype=dtype or self.dtype)
        return result.requires_grad_() if requires_grad else result

    method.__name__ = method.__qualname__ = f"new_{name}"
    return method


def new_full(self, size, fill_value, *, dtype=None, device=None, requires_grad=False, layout=None,
             pin_memory=False):
    result = _C.full(tuple(size), fill_value, dtype=dtype or self.dtype)
    return result.requires_grad_() if requires_grad else result


def _view_in_place(name):
    """unsqueeze_ and its like: the handle becomes the view."""

    def method(self, *args, **kwargs):
        return _C._rebind(self, getattr(self, name)(*args, **kwargs))

    method.__name__ = method.__qualname__ = name + "_"
    return method


def zero_(self):
    """Fills the tensor with zeros."""
    return fill_(self, 0)


def fill_(self, value):
    """Fills the tensor with a number, or a tensor of one element."""
    if isinstance(value, Tensor) and value.dim() != 0:
        raise _C.Error("fill_: only supports 0-dimension value tensor but got tensor with "
                       f"{value.dim()} dimensions")
    if self.requires_grad and _C.is_grad_enabled():  # its gradient is then zero
        everywhere = _C._from_nested(True, None)
        return _C._write(self, "fill_", _C.masked_fill(self, everywhere, value))
    return _C._copy_(self, value)


def __deepcopy__(self, memo):
    if id(self) in memo:
        return memo[id(self)]
    if not self.is_leaf:
        raise RuntimeError("Only Tensors created explicitly by the user (graph leaves) support the "
                           "deepcopy protocol at the moment")
    result = self.detach().clone()
    if type(self) is not Tensor:
        result = _C._as_subclass(result, type(self))
    result.requires_grad_(self.requires_grad)
    if self.grad is not None:
        result.grad = copy.deepcopy(self.grad, memo)
    result.__dict__.update(copy.deepcopy(self.__dict__, memo))
    memo[id(self)] = result
    return result


def _rebuild(data, shape, dtype, requires_grad, attributes):
    result = _C._from_bytes(data, shape, dtype)
    result.requires_grad_(requires_grad)
    result.__dict__.update(attributes)
    return result


def __reduce_ex__(self, protocol):
    if not self.is_leaf:
        raise RuntimeError("Only leaf tensors can be pickled; call .detach()")
    return _rebuild, (_C._to_bytes(self), tuple(self.shape), self.dtype, self.requires_grad,
                      dict(self.__dict__))


def __format__(self, spec):
    if self.dim() == 0 and type(self) is Tensor:
        return format(self.item(), spec)
    return object.__format__(self, spec)


def __reversed__(self):
    return self if self.dim() == 0 else self.flip(0)


def __complex__(self):
    return complex(self.item())


def nonzero(self, *, as_tuple=False):
    """The indices of the elements that are not zero: [count, dims], or a vector per dimension."""
    found = _C.nonzero(self)
    if not as_tuple:
        return found
    return found.unbind(1) if self.dim() else (_C.zeros(found.shape[:1], dtype=found.dtype),)


def is_nonzero(self):
    """Whether the only element is not zero."""
    if self.numel() != 1:
        raise RuntimeError(f"Boolean value of Tensor with {self.numel()} values is ambiguous")
    return bool(self)


def where(self, condition, other):
    """Its elements where the condition is true, else those of `other`."""
    return _C.where(condition, self, other)


def apply_(self, function):
    """Replaces each element by function(element)."""
    values = [function(v) for v in self.reshape(-1).tolist()]
    return self.copy_(_C._from_nested(values, self.dtype).view(self.shape))


def map_(self, other, function):
    """Replaces each element by function(element, that of other)."""
    other = other.expand(self.shape).reshape(-1).tolist()
    values = [function(a, b) for a, b in zip(self.reshape(-1).tolist(), other)]
    return self.copy_(_C._from_nested(values, self.dtype).view(self.shape))


def resize_(self, *size, memory_format=None):
    """Gives the tensor another size, keeping the elements that stay in row-major order."""
    size = tuple(size[0]) if len(size) == 1 and not isinstance(size[0], int) else size
    made = _C.zeros(size, dtype=self.dtype)
    kept = min(made.numel(), self.numel())
    made.view(-1)[:kept] = self.detach().reshape(-1)[:kept]
    return _C._rebind(self, made)


def polygamma(self, n):
    """The n-th derivative of digamma."""
    return _C.polygamma(n, self)


def polygamma_(self, n):
    """In-place form of polygamma()."""
    return _C._write(self, "polygamma_", _C.polygamma(n, self))


def fill_diagonal_(self, fill_value, wrap=False):
    """Fills the elements with equal indices in all dimensions. With `wrap` the diagonal of a tall
    matrix goes on after its end."""
    if self.ndim < 2:
        raise _C.Error("fill_diagonal_: dimensions must be larger than 1")
    if self.ndim > 2 and len(set(self.shape)) > 1:
        raise _C.Error("fill_diagonal_: all dimensions of the input must be of equal length")
    columns = self.shape[1]
    step = sum(self.stride())
    count = min(self.shape)
    _C.as_strided(self, (count,), (step,), self.storage_offset()).fill_(fill_value)
    if wrap and self.ndim == 2 and self.shape[0] > columns + 1:
        for row in range(columns + 1, self.shape[0], columns + 1):
            self[row:row + columns].fill_diagonal_(fill_value)
    return self


def set_(self, source=None):
    """Makes the tensor the same as another one."""
    return _C._rebind(self, tensor([], dtype=self.dtype) if source is None else source)


def sum_to_size(self, *size):
    """Summed to a size that it was broadcast from."""
    size = tuple(size[0]) if len(size) == 1 and not isinstance(size[0], int) else size
    if not size:
        return self.sum()
    extra = self.ndim - len(size)
    dims = list(range(extra)) + [i + extra for i, n in enumerate(size)
                                 if n == 1 and self.shape[i + extra] != 1]
    if extra < 0 or any(n not in (1, m) for n, m in zip(size, self.shape[extra:])):
        raise _C.Error(f"sum_to_size: {tuple(self.shape)} was not broadcast from {size}")
    return (self.sum(dims, keepdim=True) if dims else self).reshape(size)


def new_empty_strided(self, size, stride, dtype=None, device=None, requires_grad=False, **ignored):
    result = _C.empty_strided(size, stride, dtype=dtype or self.dtype)
    return result.requires_grad_() if requires_grad else result


def _random(name):
    """normal_ and its like."""

    def method(self, *args, generator=None, **kwargs):
        made = getattr(_C, f"{name}_like")(self, *args, generator=generator, **kwargs)
        return _C._write(self, name + "_", made)

    method.__name__ = method.__qualname__ = name + "_"
    return method


def random_(self, from_=0, to=None, *, generator=None, **kwargs):
    """Fills with integers in [from_, to), or below `from_` where `to` is not given."""
    from_ = kwargs.get("from", from_)
    if to is None and from_ != 0:
        from_, to = 0, from_
    made = _C.random_like(self, from_, to, generator=generator)
    return _C._write(self, "random_", made)


def bernoulli_(self, p=0.5, *, generator=None):
    """Fills with ones, each with probability p, and zeros."""
    p = p.expand(self.shape) if isinstance(p, Tensor) else _C.full(self.shape, p, dtype=_C.float64)
    made = _C.bernoulli(p, generator=generator)
    return _C._write(self, "bernoulli_", made.to(self.dtype))


def _set_part(name):
    def put(self, value):
        getattr(_C, name)(self).copy_(value)

    return put


def _constant(value):
    return lambda self: value


def _itself(self, *args, **kwargs):
    return self


def _install():
    Tensor.to = to
    for name, dtype in _CASTS.items():
        setattr(Tensor, name, _cast(name, dtype))
    for name in ("zeros", "ones", "empty"):
        setattr(Tensor, f"new_{name}", _new(name))
    for name in ("squeeze", "unsqueeze", "t", "transpose", "swapaxes", "swapdims", "as_strided"):
        setattr(Tensor, name + "_", _view_in_place(name))
    for name in ("uniform", "normal", "log_normal", "exponential", "cauchy", "geometric"):
        setattr(Tensor, name + "_", _random(name))
    for method in (
        nonzero, polygamma, polygamma_, fill_diagonal_, random_, bernoulli_, apply_, map_, resize_,
        set_, sum_to_size, new_empty_strided, where, new_tensor, new_full, zero_, fill_, is_nonzero,
        __deepcopy__, __reduce_ex__, __format__, __reversed__, __complex__,
    ):  # fmt: skip
        setattr(Tensor, method.__name__, method)
    Tensor.type = type_
    Tensor.type_as = lambda self, other: self.to(other.dtype)
    Tensor.new = lambda self, *args: new_tensor(self, args[0]) if args else _C.empty((0,))
    for name in ("cpu", "resolve_conj", "resolve_neg", "pin_memory", "share_memory_"):
        setattr(Tensor, name, _itself)
    for name in ("is_conj", "is_neg", "is_pinned", "is_shared", "is_distributed", "is_coalesced"):
        setattr(Tensor, name, _constant(False))
    Tensor.real = property(lambda self: _C.real(self), _set_part("real"))
    Tensor.imag = property(lambda self: _C.imag(self), _set_part("imag"))
    Tensor.is_cpu = property(_constant(True))
    for name in ("mps", "xpu", "sparse_csr", "ipu", "maia", "mkldnn", "mtia", "vulkan", "xla"):
        setattr(Tensor, f"is_{name}", property(_constant(False)))
    Tensor.as_subclass = lambda self, cls: _C._as_subclass(self, cls)
    Tensor.hardshrink = lambda self, lambd=0.5: _C.hardshrink(self, lambd)
    Tensor.dequantize = lambda self: self.to(_C.float32) if self.dtype.is_block else self
    Tensor.to_dense = lambda self, dtype=None: self if dtype is None else self.to(dtype)
    Tensor.output_nr = property(_constant(0))
    Tensor.is_inference = lambda self: False
    Tensor.const_data_ptr = Tensor.data_ptr
    Tensor.is_set_to = lambda self, other: (self.data_ptr() == other.data_ptr()
                                            and self.shape == other.shape
                                            and self.stride() == other.stride())
    Tensor.resize_as_ = lambda self, other, memory_format=None: self.resize_(other.shape)
    Tensor.get_device = _constant(-1)
    Tensor.is_same_size = lambda self, other: self.shape == other.shape
    Tensor.is_signed = lambda self: self.dtype.is_signed
    Tensor.__array_priority__ = 1000


_install()
