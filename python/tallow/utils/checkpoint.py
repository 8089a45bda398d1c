"""Checkpoints: values between are computed again instead of kept."""

from .. import _C
from .._C import Tensor


def checkpoint(function, *args, use_reentrant=None, preserve_rng_state=True, **kwargs):
    """function(*args), keeping nothing of what is within for the backward pass, which computes it
    again. The function must do the same each time."""
    places = [i for i, a in enumerate(args) if isinstance(a, Tensor)]
    single = []

    def run(*tensors):
        full = list(args)
        for i, tensor in zip(places, tensors):
            full[i] = tensor
        result = function(*full, **kwargs)
        single[:] = [isinstance(result, Tensor)]
        return result

    outputs = _C._checkpoint(run, [args[i] for i in places])
    return outputs[0] if single[0] else outputs


def checkpoint_sequential(functions, segments, input, use_reentrant=None, **kwargs):
    """The functions one after the other, in checkpointed segments."""
    functions = list(functions)
    size = -(-len(functions) // segments)

    def run_of(part):
        def run(x):
            for f in part:
                x = f(x)
            return x

        return run

    for start in range(0, len(functions), size):
        input = checkpoint(run_of(functions[start:start + size]), input)
    return input
