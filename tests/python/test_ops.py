"""Every op of src/ops that is not a fused kernel: values and gradients against PyTorch's."""

import numpy as np
import pytest
import torch

UNARY = ["neg", "abs", "exp", "log", "sqrt", "rsqrt", "reciprocal", "square", "sin", "cos", "tanh",
         "sigmoid", "relu", "silu", "gelu", "softsign"]
POSITIVE = {"log", "sqrt", "rsqrt", "reciprocal", "pow"}
BINARY = ["add", "sub", "mul", "div", "pow", "maximum", "minimum"]
SHAPES = [(), (1,), (7,), (3, 5), (2, 1, 700), (0, 4)]
PAIRS = [((3, 5), (3, 5)), ((3, 5), (5,)), ((2, 1, 4), (3, 1)), ((), (4,)), ((1,), (0, 1))]


def activation(name):
    return getattr(torch.nn.functional, name, None) or getattr(torch, name)


def draw(rng, shape, positive=False):
    x = rng.standard_normal(shape)
    return np.abs(x) + 0.5 if positive else x


def cases():
    """(name, parameters, inputs, the same in PyTorch)."""
    rng = np.random.default_rng(1)
    for name in UNARY:
        f = activation(name)
        for shape in SHAPES:
            yield name, [], [draw(rng, shape, name in POSITIVE)], lambda x, f=f: f(x)
    for name in BINARY:
        f = getattr(torch, name)
        for a, b in PAIRS:
            inputs = [draw(rng, a, name in POSITIVE), draw(rng, b, name in {"div", "pow"})]
            yield name, [], inputs, lambda x, y, f=f: f(x, y)
    # Ties of maximum and minimum share their gradient.
    for name in ["maximum", "minimum"]:
        same = draw(rng, (6,))
        yield name, [], [same, same.copy()], lambda x, y, f=getattr(torch, name): f(x, y)
    for name in ["sum", "mean", "amax"]:
        f = getattr(torch, name)
        for dims in [(0,), (1, 2), (-1,), (0, 1, 2), (2, 0)]:
            for keep in [0, 1]:
                yield (name, [keep, *dims], [draw(rng, (3, 4, 600))],
                       lambda x, f=f, dims=dims, keep=keep: f(x, dim=dims, keepdim=bool(keep)))
    yield "amax", [0, 0], [np.ones((4, 2))], lambda x: torch.amax(x, 0)
    for a, b in [((3, 4), (4, 5)), ((4,), (4,)), ((2, 1, 3, 4), (5, 4, 2)), ((4,), (3, 4, 2)),
                 ((3, 4), (4,)), ((0, 4), (4, 3)), ((17, 65), (65, 33))]:
        yield "matmul", [], [draw(rng, a), draw(rng, b)], torch.matmul
    yield "cat", [1], [draw(rng, (2, n, 3)) for n in (1, 4, 0)], lambda *x: torch.cat(x, 1)
    for dims in [(0,), (1,), (-1,), (0, 2), (2, 0, 1), ()]:
        yield ("flip", dims, [draw(rng, (3, 4, 700))], lambda x, dims=dims: torch.flip(x, dims))
    yield "flip", [0, 1], [draw(rng, (4, 0))], lambda x: torch.flip(x, (0, 1))
    index = np.array([2, 0, 2, 1], np.int64)
    for dim in [0, 1, -1]:
        yield ("index_select", [dim], [draw(rng, (3, 3, 3)), index],
               lambda x, i, dim=dim: torch.index_select(x, dim, i))
    yield "reshape", [2, -1, 3], [draw(rng, (4, 6))], lambda x: x.transpose(0, 1).reshape(2, -1, 3)
    yield "permute", [2, 0, 1], [draw(rng, (2, 3, 4))], lambda x: x.permute(2, 0, 1)
    yield "expand", [2, 3, -1], [draw(rng, (3, 1, 4))[:, 0]], lambda x: x.expand(2, 3, -1)
    for dim, start, end, step in [(0, 1, 5, 1), (1, 0, 100, 2), (1, -3, -1, 1), (0, 2, 7, 3)]:
        yield ("slice", [dim, start, end, step], [draw(rng, (7, 5))],
               lambda x, d=dim, s=slice(start, end, step): x[(slice(None),) * d + (s,)])
    yield ("fan_out", [], [draw(rng, (5, 5))],
           lambda x: x * x.transpose(0, 1) + x * x.sum(0, keepdim=True))


def run(probe, folder, rows, dtype):
    """Runs all cases in one process; yields what each wrote beside what PyTorch computes."""
    lines, expected = [], []
    for i, (name, parameters, inputs, reference) in enumerate(rows):
        files, tensors = [], []
        for j, x in enumerate(inputs):
            x = x if x.dtype == np.int64 else x.astype(dtype)
            files.append(str(folder / f"{i}.in{j}.npy"))
            np.save(files[-1], x)
            tensors.append(torch.from_numpy(np.array(x)))
            if x.dtype != np.int64:
                tensors[-1].requires_grad_()
        y = reference(*tensors)
        seed = torch.from_numpy(np.cos(np.arange(y.numel())).reshape(y.shape).astype(dtype))
        y.backward(seed)
        np.save(folder / f"{i}.seed.npy", seed.numpy())
        numbers = ",".join(map(str, parameters)) or "-"
        lines.append(f"{name} {numbers} {','.join(files)} {folder / f'{i}.out'} "
                     f"{folder / f'{i}.seed.npy'}")
        expected.append((lines[-1], y.detach().numpy(), [t.grad for t in tensors]))
    (folder / "manifest").write_text("\n".join(lines) + "\n")
    probe("ops", folder / "manifest")
    for i, (line, y, grads) in enumerate(expected):
        found = [None if g is None else np.load(folder / f"{i}.out.grad{j}.npy")
                 for j, g in enumerate(grads)]
        yield line, np.load(folder / f"{i}.out.0.npy"), y, found, grads


@pytest.mark.parametrize("dtype,bound", [(np.float64, 1e-11), (np.float32, 2e-5)])
def test_values_and_gradients_equal_pytorchs(probe, tmp_path, dtype, bound):
    for line, y, expected, grads, expected_grads in run(probe, tmp_path, list(cases()), dtype):
        assert y.dtype == expected.dtype and y.shape == expected.shape, line
        np.testing.assert_allclose(y, expected, rtol=bound, atol=bound, err_msg=line)
        for g, e in zip(grads, expected_grads):
            if e is not None:
                np.testing.assert_allclose(g, e.numpy(), rtol=20 * bound, atol=20 * bound,
                                           err_msg=line)


TYPES = [np.bool_, np.uint8, np.int8, np.int16, np.int32, np.int64, np.float16, np.float32,
         np.float64]


def test_the_result_type_of_every_pair_is_pytorchs(probe, tmp_path):
    lines, expected = [], []
    for a in TYPES:
        for b in TYPES:
            for shapes in [((2,), (2,)), ((), (2,)), ((2,), ())]:
                i = len(lines)
                x, y = (np.ones(s, t) for s, t in zip(shapes, (a, b)))
                np.save(tmp_path / f"{i}.x.npy", x)
                np.save(tmp_path / f"{i}.y.npy", y)
                lines.append(f"mul - {tmp_path}/{i}.x.npy,{tmp_path}/{i}.y.npy {tmp_path}/{i}.out")
                expected.append((torch.from_numpy(x) * torch.from_numpy(y)).numpy().dtype)
    (tmp_path / "manifest").write_text("\n".join(lines) + "\n")
    probe("ops", tmp_path / "manifest")
    for i, (line, dtype) in enumerate(zip(lines, expected)):
        assert np.load(tmp_path / f"{i}.out.0.npy").dtype == dtype, line
