"""How tensors are printed."""

import contextlib
import math

from . import _C
from ._C import Tensor

_KEYS = ("precision", "threshold", "edgeitems", "linewidth", "sci_mode")
_PROFILES = {"default": (4, 1000, 3, 80), "short": (2, 1000, 2, 80), "full": (4, math.inf, 3, 80)}
_NO_THRESHOLD = (1 << 63) - 1


def get_printoptions():
    """The options for printing, as set_printoptions takes them."""
    options = dict(zip(_KEYS, _C._get_print_options()))
    if options["threshold"] == _NO_THRESHOLD:
        options["threshold"] = math.inf
    return options


def set_printoptions(precision=None, threshold=None, edgeitems=None, linewidth=None, profile=None,
                     sci_mode=None):
    """Sets the digits, the number of elements above which a tensor is summarized, the elements
    shown at each end, the length of lines, and whether numbers are in scientific form."""
    options = get_printoptions()
    if profile is not None:
        options.update(zip(_KEYS, _PROFILES[profile]))
    given = {"precision": precision, "threshold": threshold, "edgeitems": edgeitems,
             "linewidth": linewidth}
    options.update({k: v for k, v in given.items() if v is not None})
    options["sci_mode"] = sci_mode
    if options["threshold"] == math.inf:
        options["threshold"] = _NO_THRESHOLD
    _C._set_print_options(*(options[k] for k in _KEYS))


@contextlib.contextmanager
def printoptions(**kwargs):
    """set_printoptions within a `with`."""
    before = get_printoptions()
    set_printoptions(**kwargs)
    try:
        yield
    finally:
        set_printoptions(**before)


Tensor.__repr__ = lambda self, *, tensor_contents=None: _C._repr(self)
Tensor.__str__ = lambda self: _C._repr(self)
