"""torch.autograd.functional: Jacobians, Hessians and their products with vectors."""

from . import _C
from .autograd import _sequence, grad


def _leaves(inputs, create_graph):
    """The inputs as the leaves of a graph of their own, or within the graph that they are in."""
    if create_graph:
        return tuple(x.view_as(x) if x.requires_grad else x.detach().requires_grad_() for x in inputs)
    return tuple(x.detach().requires_grad_() for x in inputs)


def _like(given, results):
    return tuple(results) if isinstance(given, (tuple, list)) else results[0]


def _gradients(outputs, inputs, seeds, create_graph, strict):
    if not any(y.requires_grad for y in outputs):
        if strict:
            raise RuntimeError("the outputs do not depend on the inputs")
        return [_C.zeros_like(x) for x in inputs]
    found = grad([y for y in outputs if y.requires_grad], inputs,
                 [s for s, y in zip(seeds, outputs) if y.requires_grad],
                 retain_graph=True, create_graph=create_graph, allow_unused=True)
    if strict and any(g is None for g in found):
        raise RuntimeError("an input is not used by the outputs")
    return [_C.zeros_like(x) if g is None else g for g, x in zip(found, inputs)]


def _seeds(v, outputs):
    if v is None:
        if len(outputs) > 1 or outputs[0].numel() != 1:
            raise RuntimeError("v is needed where the output is not one number")
        return [_C.ones_like(outputs[0])]
    return list(_sequence(v))


def vjp(func, inputs, v=None, create_graph=False, strict=False):
    """func(inputs), and the product of the vector v with its Jacobian."""
    leaves = _leaves(_sequence(inputs), create_graph)
    results = func(*leaves)
    outputs = _sequence(results)
    products = _gradients(outputs, leaves, _seeds(v, outputs), create_graph, strict)
    if not create_graph:
        outputs = [y.detach() for y in outputs]
    return _like(results, outputs), _like(inputs, products)


def jvp(func, inputs, v=None, create_graph=False, strict=False):
    """func(inputs), and the product of its Jacobian with the vector v: the gradient, by w, of the
    product of w with the Jacobian."""
    leaves = _leaves(_sequence(inputs), create_graph)
    results = func(*leaves)
    outputs = _sequence(results)
    w = [_C.zeros_like(y).requires_grad_() for y in outputs]
    rows = _gradients(outputs, leaves, w, True, strict)
    products = _gradients(rows, w, _seeds(v, leaves), create_graph, False)
    if not create_graph:
        outputs = [y.detach() for y in outputs]
    return _like(results, outputs), _like(results, products)


def jacobian(func, inputs, create_graph=False, strict=False, vectorize=False,
             strategy="reverse-mode"):
    """d(output)/d(input), of the shape [*output.shape, *input.shape]; tuples of them where there
    are several outputs or inputs."""
    leaves = _leaves(_sequence(inputs), create_graph)
    results = func(*leaves)
    all_rows = []
    for y in _sequence(results):
        rows = []
        for j in range(y.numel()):
            seed = _C.zeros(y.numel(), dtype=y.dtype)
            seed[j] = 1
            rows.append(_gradients([y], leaves, [seed.reshape(y.shape)], create_graph, strict))
        all_rows.append(_like(inputs, [
            _C.stack([row[i] for row in rows]).reshape((*y.shape, *x.shape)) if rows
            else _C.zeros((*y.shape, *x.shape), dtype=x.dtype) for i, x in enumerate(leaves)]))
    return _like(results, all_rows)


def hessian(func, inputs, create_graph=False, strict=False, vectorize=False,
            outer_jacobian_strategy="reverse-mode"):
    """The second derivatives of a function of one number, as jacobian gives them."""

    def first(*given):
        y = func(*given)
        if y.numel() != 1:
            raise RuntimeError(f"hessian: the output is of {y.numel()} elements; it needs 1")
        found = _gradients([y], given, [_C.ones_like(y)], True, strict)
        return tuple(found) if isinstance(inputs, (tuple, list)) else found[0]

    return jacobian(first, inputs, create_graph, False)


def vhp(func, inputs, v=None, create_graph=False, strict=False):
    """func(inputs), and the product of the vector v with its Hessian."""
    leaves = _leaves(_sequence(inputs), create_graph)
    y = func(*leaves)
    slopes = _gradients([y], leaves, [_C.ones_like(y)], True, strict)
    products = _gradients(slopes, leaves, _seeds(v, leaves), create_graph, False)
    return (y if create_graph else y.detach()), _like(inputs, products)


hvp = vhp  # a Hessian is symmetric
