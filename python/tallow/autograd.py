"""Gradients, as torch.autograd."""

import functools
import itertools
import weakref

from . import _C
from ._C import Tensor


def _sequence(x):
    return (x,) if isinstance(x, Tensor) else tuple(x)


def backward(tensors, grad_tensors=None, retain_graph=None, create_graph=False, inputs=None):
    """Accumulates the gradients of the tensors into the leaves they depend on."""
    if retain_graph is None:
        retain_graph = create_graph
    _C._backward(_sequence(tensors), grad_tensors, retain_graph, create_graph, inputs)


def grad(outputs, inputs, grad_outputs=None, retain_graph=None, create_graph=False,
         only_inputs=True, allow_unused=None, is_grads_batched=False, materialize_grads=False):
    """The gradients of the outputs with respect to the inputs."""
    if retain_graph is None:
        retain_graph = create_graph
    inputs = _sequence(inputs)
    result = _C._grad(_sequence(outputs), inputs, grad_outputs, retain_graph, create_graph,
                      bool(allow_unused) or materialize_grads)
    if materialize_grads:
        result = tuple(_C.zeros_like(x) if g is None else g for g, x in zip(result, inputs))
    return result


class _Mode:
    """A context manager that is a decorator too."""

    def __call__(self, function):
        @functools.wraps(function)
        def wrapped(*args, **kwargs):
            with self.clone():
                return function(*args, **kwargs)

        return wrapped

    def clone(self):
        return type(self)()


class _GradMode(_Mode):
    mode = True

    def __new__(cls, function=None):
        self = super().__new__(cls)
        self.__init__()
        return self if function is None else self(function)

    def __enter__(self):
        self.before = _C.is_grad_enabled()
        _C._set_grad_enabled(self.mode)

    def __exit__(self, *error):
        _C._set_grad_enabled(self.before)


class no_grad(_GradMode):
    """No history is recorded within."""

    mode = False

    def __init__(self):
        pass


class enable_grad(_GradMode):
    """History is recorded within."""

    def __init__(self):
        pass


class set_grad_enabled(_Mode):
    """Whether history is recorded, from now on or within a `with`."""

    def __init__(self, mode):
        self.before = _C.is_grad_enabled()
        self.mode = mode
        _C._set_grad_enabled(mode)

    def __call__(self, function):
        _C._set_grad_enabled(self.before)
        return super().__call__(function)

    def __enter__(self):
        _C._set_grad_enabled(self.mode)

    def __exit__(self, *error):
        _C._set_grad_enabled(self.before)

    def clone(self):
        return type(self)(self.mode)


class inference_mode(_Mode):
    """Tensors made within have no history and no versions."""

    def __new__(cls, mode=True):
        self = super().__new__(cls)
        if callable(mode):
            self.mode = True
            return self(mode)
        return self

    def __init__(self, mode=True):
        self.mode = mode

    def __enter__(self):
        self.before = _C.is_inference_mode_enabled(), _C.is_grad_enabled()
        _C._set_inference_mode(self.mode)
        if self.mode:
            _C._set_grad_enabled(False)

    def __exit__(self, *error):
        _C._set_inference_mode(self.before[0])
        _C._set_grad_enabled(self.before[1])

    def clone(self):
        return type(self)(self.mode)


class set_detect_anomaly(_Mode):
    """Whether the backward pass looks for NaN and names the op that made one."""

    def __init__(self, mode, check_nan=True):
        self.before = _C.is_anomaly_enabled()
        _C._set_anomaly(mode and check_nan)

    def __enter__(self):
        pass

    def __exit__(self, *error):
        _C._set_anomaly(self.before)


class detect_anomaly(_Mode):
    def __init__(self, check_nan=True):
        self.check_nan = check_nan

    def __enter__(self):
        self.before = _C.is_anomaly_enabled()
        _C._set_anomaly(self.check_nan)

    def __exit__(self, *error):
        _C._set_anomaly(self.before)


class _Hook:
    """What register_hook returns: remove() takes the hook away."""

    def __init__(self, tensor, number):
        self.tensor, self.number = tensor, number

    def remove(self):
        _C._remove_hook(self.tensor, self.number)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.remove()


class FunctionCtx:
    """What forward keeps for backward."""

    def __init__(self):
        self._saved = ()
        self._not_differentiable = ()
        self._materialize = True
        self._dirty = ()
        self._outputs = {}
        self.needs_input_grad = ()

    def save_for_backward(self, *tensors):
        self._saved = tensors

    @property
    def saved_tensors(self):
        return tuple(self._restore(t) for t in self._saved)

    def _restore(self, tensor):
        # An output is saved without its history; the tensor with history takes its place. That one
        # is held weakly, since its history holds this context.
        weak = self._outputs.get(id(tensor))
        made = None if weak is None else _C._of_weak(weak)
        return tensor if made is None else made

    def mark_non_differentiable(self, *tensors):
        self._not_differentiable = tensors

    def mark_dirty(self, *tensors):
        self._dirty = tensors

    def set_materialize_grads(self, value):
        self._materialize = value


class Function:
    """An op written in Python: static methods forward(ctx, *args) and backward(ctx, *grads)."""

    @staticmethod
    def forward(*args, **kwargs):
        raise NotImplementedError("Function: forward is not defined")

    @staticmethod
    def backward(ctx, *grads):
        raise NotImplementedError("Function: backward is not defined")

    @classmethod
    def apply(cls, *args, **kwargs):
        ctx = FunctionCtx()
        ctx.needs_input_grad = tuple(isinstance(a, Tensor) and a.requires_grad for a in args)
        setup = getattr(cls, "setup_context", None)
        with no_grad():
            if setup is None:
                outputs = cls.forward(ctx, *args, **kwargs)
            else:
                outputs = cls.forward(*args, **kwargs)
                setup(ctx, args, outputs)
        if not (_C.is_grad_enabled() and any(ctx.needs_input_grad)):
            return outputs
        return cls._record(ctx, args, outputs)

    @classmethod
    def _record(cls, ctx, args, outputs):
        listed = (outputs,) if isinstance(outputs, Tensor) else tuple(outputs)
        frozen = {id(t) for t in ctx._not_differentiable}
        active = [i for i, t in enumerate(listed)
                  if isinstance(t, Tensor) and id(t) not in frozen
                  and (t.is_floating_point() or t.is_complex())]
        inputs = [a for a in args if isinstance(a, Tensor)]
        shapes = [(listed[i].shape, listed[i].dtype) for i in active]

        def run(*grads):
            given = [None] * len(listed)
            for i, g, (shape, dtype) in zip(active, grads, shapes):
                given[i] = _C.zeros(shape, dtype=dtype) if g is None and ctx._materialize else g
            result = cls.backward(ctx, *given)
            result = (result,) if result is None or isinstance(result, Tensor) else tuple(result)
            if len(result) < len(args):
                raise RuntimeError(f"function {cls.__name__}Backward returned an incorrect number "
                                   f"of gradients (expected {len(args)}, got {len(result)})")
            return tuple(g for g, a in zip(result, args) if isinstance(a, Tensor))

        # An input that is returned as it is becomes a new tensor.
        same = {id(a) for a in inputs}
        values = [listed[i].detach() if id(listed[i]) in same else listed[i] for i in active]
        made = _C._custom_gradient(cls.__name__ + "Backward", inputs, values, run)
        results = list(listed)
        saved = {id(t) for t in ctx._saved}
        for i, tensor in zip(active, made):
            if id(listed[i]) in saved - same:
                ctx._outputs[id(listed[i])] = _C._weak(tensor)
            results[i] = tensor
        return results[0] if isinstance(outputs, Tensor) else tuple(results)


def _tensor_backward(self, gradient=None, retain_graph=None, create_graph=False, inputs=None):
    backward(self, gradient, retain_graph, create_graph, inputs)


def _register_hook(self, hook):
    return _Hook(self, _C._register_hook(self, hook))


def _register_post_accumulate_grad_hook(self, hook):
    """Calls hook(tensor) after each backward() that added to the gradient of this leaf."""
    held = weakref.ref(self)

    def call(leaf):
        tensor = held()
        hook(leaf if tensor is None else tensor)

    return _Hook(self, _C._register_post_hook(self, call))


def Variable(data, requires_grad=False):
    """The tensor itself: what torch has from the time before tensors had gradients."""
    return data.detach().requires_grad_() if requires_grad else data


def gradgradcheck(func, inputs, grad_outputs=None, *, eps=1e-6, atol=1e-5, rtol=1e-3,
                  raise_exception=True, **options):
    """Compares the second gradients of func(*inputs) with differences (f64 inputs)."""
    inputs = _sequence(inputs)
    outputs = _sequence(func(*inputs))
    if grad_outputs is None:
        grad_outputs = [_C.randn_like(y).requires_grad_() for y in outputs]
    grad_outputs = _sequence(grad_outputs)

    def first(*given):
        values, seeds = given[: len(inputs)], given[len(inputs) :]
        wanted = [x for x in values if isinstance(x, Tensor) and x.requires_grad]
        return grad(_sequence(func(*values)), wanted, seeds, create_graph=True, allow_unused=True,
                    materialize_grads=True)

    return gradcheck(first, (*inputs, *grad_outputs), eps=eps, atol=atol, rtol=rtol,
                     raise_exception=raise_exception)


def _parts(x):
    """The real numbers that it is made of."""
    return _C.view_as_real(x) if x.is_complex() else x


def gradcheck(func, inputs, *, eps=1e-6, atol=1e-5, rtol=1e-3, raise_exception=True, **options):
    """Compares the gradients of func(*inputs) with differences (f64 and c128 inputs)."""
    inputs = _sequence(inputs)
    outputs = [_parts(y) for y in _sequence(func(*inputs)) if y.requires_grad]
    wanted = [x for x in inputs if isinstance(x, Tensor) and x.requires_grad]
    if not wanted or not outputs:
        raise ValueError("gradcheck: no input requires a gradient, or no output has one")
    rows = []  # of all outputs first, since the inputs are changed to take differences
    for k, output in enumerate(outputs):
        for j in range(output.numel()):
            seed = _C.zeros(output.numel(), dtype=output.dtype)
            seed[j] = 1
            gradients = grad(output, wanted, seed.reshape(output.shape), retain_graph=True,
                             allow_unused=True, materialize_grads=True)
            rows.append((k, j, [_parts(g).reshape(-1).tolist() for g in gradients]))

    def values():
        return [_parts(y).reshape(-1).tolist() for y in _sequence(func(*inputs)) if y.requires_grad]

    for n, x in enumerate(wanted):
        parts = _parts(x.data)
        for i, at in enumerate(itertools.product(*map(range, parts.shape))):
            before = parts[at].item()
            ends = []
            for step in (eps, -eps):
                parts[at] = before + step
                ends.append(values())
            parts[at] = before
            for k, j, analytic in rows:
                numeric = (ends[0][k][j] - ends[1][k][j]) / (2 * eps)
                if not abs(numeric - analytic[n][i]) <= atol + rtol * abs(numeric):
                    if raise_exception:
                        raise RuntimeError(f"gradcheck: output {k}[{j}], input {n}[{i}]: numerical "
                                           f"gradient {numeric}, analytical {analytic[n][i]}")
                    return False
    return True


class _GradFn:
    """What made a tensor: its name."""

    def __init__(self, name):
        self._name = name

    def name(self):
        return self._name

    def __repr__(self):
        return f"<{self._name}>"


def _grad_fn(self):
    name = _C._grad_fn_name(self)
    return _GradFn(name) if name else None


Tensor.backward = _tensor_backward
Tensor.register_hook = _register_hook
Tensor.register_post_accumulate_grad_hook = _register_post_accumulate_grad_hook
Tensor.grad_fn = property(_grad_fn)
Tensor.retain_grad = lambda self: _C._retain_grad(self)
Tensor.detach_ = lambda self: _C._detach_(self)
Tensor.copy_ = lambda self, src, non_blocking=False: _C._copy_(self, src)

from . import _jacobians as functional  # noqa: E402, F401
