"""Tensors, gradients and language models, with PyTorch's spelling: `import tallow as torch`."""

import builtins as _builtins
from math import e, inf, nan, pi  # noqa: F401

from . import _C
from ._C import *  # noqa: F403
from ._C import Error, Size, Tensor, __version__, device, dtype  # noqa: F401

del fft, linalg  # noqa: F821  the modules of Python take the place of those of C++
from ._data import as_tensor, asarray, from_numpy, tensor  # noqa: F401
from . import _methods  # noqa: F401
from . import autograd, fft, linalg, nn, signal, special, utils  # noqa: F401
from . import audio, hub, image, models  # noqa: F401
from .models import convert, quantize_model  # noqa: F401
from ._files import load, load_file, open_file, save, save_file  # noqa: F401
from ._print import get_printoptions, printoptions, set_printoptions  # noqa: F401
from .autograd import enable_grad, inference_mode, no_grad, set_grad_enabled  # noqa: F401
from ._functions import *  # noqa: F403
from ._products import *  # noqa: F403
from ._order import *  # noqa: F403

from . import random
from .random import get_rng_state, initial_seed, manual_seed, seed, set_rng_state  # noqa: F401

newaxis = None
