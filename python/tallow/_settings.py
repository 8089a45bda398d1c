"""PyTorch's settings that have one value here, so that code which sets them runs."""

from . import _C

__all__ = [
    "are_deterministic_algorithms_enabled", "compile", "get_default_device",
    "get_float32_matmul_precision", "get_num_interop_threads", "is_autocast_enabled",
    "set_default_device", "set_default_tensor_type", "set_float32_matmul_precision",
    "set_flush_denormal", "set_num_interop_threads", "use_deterministic_algorithms",
]  # fmt: skip


def use_deterministic_algorithms(mode, *, warn_only=False):
    """Results never depend on chance or on the number of threads."""


def are_deterministic_algorithms_enabled():
    return True


def compile(model=None, **options):
    """The function as it is: ops run when they are called."""
    return model if model is not None else lambda function: function


def get_default_device():
    return _C.device("cpu")


def set_default_device(device):
    if str(device if device is not None else "cpu") not in ("cpu", "cpu:0"):
        raise _C.Error(f"set_default_device: no device {device}; this build of tallow has cpu")


def set_default_tensor_type(t):
    """Sets the default dtype by the name of a type, such as "torch.DoubleTensor"."""
    names = {"DoubleTensor": _C.float64, "FloatTensor": _C.float32, "HalfTensor": _C.float16,
             "BFloat16Tensor": _C.bfloat16}
    name = (t if isinstance(t, str) else getattr(t, "__name__", "")).rpartition(".")[2]
    if name not in names:
        raise TypeError(f"set_default_tensor_type: {t} is no type of real numbers")
    _C.set_default_dtype(names[name])


def get_float32_matmul_precision():
    return "highest"


def set_float32_matmul_precision(precision):
    """Products of f32 are always of f32's precision."""
    if precision not in ("highest", "high", "medium"):
        raise _C.Error(f"set_float32_matmul_precision: {precision} is none of highest, high, medium")


def set_flush_denormal(mode):
    """False: small numbers are kept."""
    return False


def get_num_interop_threads():
    return 1


def set_num_interop_threads(n):
    if n < 1:
        raise _C.Error(f"set_num_interop_threads: {n} is not positive")


def is_autocast_enabled(device_type=None):
    return False
