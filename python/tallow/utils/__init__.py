"""Helpers, as torch.utils."""

from . import checkpoint  # noqa: F401
