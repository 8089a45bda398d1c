"""Products whose arguments PyTorch takes in more forms than one."""

from . import _C
from ._C import Tensor

__all__ = ["chain_matmul", "einsum", "tensordot"]


def _letter(index):
    """The letter of an index of einsum's sublist form."""
    if not 0 <= index < 52:
        raise ValueError(f"einsum: index {index} is outside 0 to 51")
    return chr(ord("A") + index) if index < 26 else chr(ord("a") + index - 26)


def _subscripts(sublist):
    return "".join("..." if index is Ellipsis else _letter(index) for index in sublist)


def einsum(equation, *operands):
    """einsum("bij,bjk->bik", a, b), einsum("bij,bjk->bik", [a, b]), or a sublist of indices behind
    each operand: einsum(a, [0, 1, 2], b, [0, 2, 3], [0, 1, 3])."""
    if isinstance(equation, Tensor):
        arguments = (equation, *operands)
        pairs = len(arguments) // 2
        text = ",".join(_subscripts(arguments[2 * i + 1]) for i in range(pairs))
        if len(arguments) % 2:
            text += "->" + _subscripts(arguments[-1])
        return _C.einsum(text, list(arguments[0 : 2 * pairs : 2]))
    if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = operands[0]
    return _C.einsum(equation, list(operands))


def tensordot(a, b, dims=2, out=None):
    """Contracts the last `dims` dimensions of a with the first of b, or, for two lists, those that
    the lists name, pair by pair."""
    if isinstance(dims, Tensor):
        dims = dims.tolist()
    keywords = {} if out is None else {"out": out}
    if isinstance(dims, int):
        return _C.tensordot(a, b, dims, **keywords)
    first, second = dims
    as_list = lambda d: [d] if isinstance(d, int) else list(d)  # noqa: E731
    return _C.tensordot(a, b, dims_self=as_list(first), dims_other=as_list(second), **keywords)


def chain_matmul(*matrices, out=None):
    """The product of all matrices, in the order that costs least."""
    if len(matrices) == 1 and isinstance(matrices[0], (list, tuple)):
        matrices = matrices[0]
    return _C.chain_matmul(list(matrices), **({} if out is None else {"out": out}))


for _function in __all__:
    globals()[_function].__module__ = "tallow"
