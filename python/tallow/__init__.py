"""Tensors, gradients and language models, with PyTorch's spelling: `import tallow as torch`."""

from . import _C
from ._C import *  # noqa: F403
from ._C import Error, Size, Tensor, device, dtype  # noqa: F401
from ._data import as_tensor, from_numpy, tensor  # noqa: F401
from . import autograd  # noqa: F401
from .autograd import enable_grad, inference_mode, no_grad, set_grad_enabled  # noqa: F401
