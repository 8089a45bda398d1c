"""Ops of order whose results depend on their arguments."""

from . import _C
from ._C import Tensor
from ._data import as_tensor

__all__ = ["histogram", "histogramdd", "unique", "unique_consecutive"]


def _one_or_all(results):
    return results[0] if len(results) == 1 else results


def unique(input, sorted=True, return_inverse=False, return_counts=False, dim=None):
    """The distinct elements (or slices along dim) in order; with return_inverse, which of them each
    element is; with return_counts, how often each one comes."""
    return _one_or_all(_C.unique(input, sorted, return_inverse, return_counts, dim))


def unique_consecutive(input, return_inverse=False, return_counts=False, dim=None):
    """As unique, of runs of equal neighbours."""
    return _one_or_all(_C.unique_consecutive(input, return_inverse, return_counts, dim))


def histogram(input, bins, *, range=None, weight=None, density=False):
    """Counts (or sums of weight) in bins equal intervals of range, or between the edges bins; and
    the edges."""
    if isinstance(bins, Tensor):
        return _C.histogram(input, bins, weight=weight, density=density)
    if range is not None:
        range = as_tensor(list(range), dtype=_C.float64)
    return _C.histogram(input, int(bins), range=range, weight=weight, density=density)


def histogramdd(input, bins, *, range=None, weight=None, density=False):
    """Counts of the rows of input [.., n] in the cells of n dimensions; and the edges of each."""
    columns = input.shape[-1]
    rows = input.reshape((-1, columns))
    bins = [bins] * columns if isinstance(bins, int) else list(bins)
    if len(bins) != columns:
        raise _C.Error(f"histogramdd: {len(bins)} bins for {columns} dimensions")
    edges, cell, inside = [], 0, None
    for i, b in enumerate(bins):
        x = rows[:, i].contiguous()
        limits = None if range is None else range[2 * i : 2 * i + 2]
        edge = histogram(x, b, range=None if isinstance(b, Tensor) else limits).bin_edges
        count = edge.shape[0] - 1
        at = _C.searchsorted(edge, x, right=True) - 1
        at = _C.where(x == edge[-1], count - 1, at)
        within = (x >= edge[0]) & (x <= edge[-1])
        inside = within if inside is None else inside & within
        cell = cell * count + _C.clamp(at, 0, count - 1)
        edges.append(edge)
    sizes = [edge.shape[0] - 1 for edge in edges]
    total = 1
    for size in sizes:
        total *= size
    weights = inside.to(_C.float64)
    if weight is not None:
        weights = _C.where(inside, weight.reshape((-1,)).to(_C.float64), 0.0)
    hist = _C.bincount(cell, weights, total).reshape(sizes).to(input.dtype)
    if density:
        hist = hist / hist.sum()
        for i, edge in enumerate(edges):
            shape = [1] * columns
            shape[i] = -1
            hist = hist / (edge[1:] - edge[:-1]).reshape(shape)
    return hist, tuple(edges)


Tensor.unique = unique
Tensor.unique_consecutive = unique_consecutive
Tensor.histogram = histogram
