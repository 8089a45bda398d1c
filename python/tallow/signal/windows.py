"""The windows of torch.signal.windows."""

from .. import _C

for _name in dir(getattr(_C, "signal_windows", None)):
    if not _name.startswith("_"):
        globals()[_name] = getattr(_C.signal_windows, _name)
