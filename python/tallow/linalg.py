"""The functions of torch.linalg."""

from . import _C
from ._C import Error as LinAlgError  # noqa: F401

for _name in dir(getattr(_C, "linalg", None)):
    if not _name.startswith("_"):
        globals()[_name] = getattr(_C.linalg, _name)

# The same functions that tallow has beside linalg.
for _name in ("cross", "diagonal", "matmul", "matrix_exp", "vander", "vecdot"):
    if _name not in globals() and hasattr(_C, _name):
        globals()[_name] = getattr(_C, _name)
