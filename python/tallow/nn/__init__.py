"""The functional part of torch.nn."""

from . import functional  # noqa: F401
