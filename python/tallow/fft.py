"""The functions of torch.fft."""

from . import _C

for _name in dir(getattr(_C, "fft", None)):
    if not _name.startswith("_"):
        globals()[_name] = getattr(_C.fft, _name)
