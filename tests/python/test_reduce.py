"""What the op table does not show of reductions, norms and sorts: accuracy, ties, NaN, and that
results do not depend on the number of threads."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
tallow = pytest.importorskip("tallow")

F = tallow.nn.functional


def both(x):
    return tallow.from_numpy(x.numpy()), x


def back(x):
    return torch.from_numpy(x.numpy())


def draw(*shape, dtype=torch.float32, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


@pytest.fixture
def threads():
    before = tallow.get_num_threads()
    yield tallow.set_num_threads
    tallow.set_num_threads(before)


REDUCTIONS = {
    "sum": lambda x: x.sum(),
    "sum_first": lambda x: x.sum(0),
    "sum_last": lambda x: x.sum(-1),
    "mean_strided": lambda x: x[:, ::3].mean(),
    "var": lambda x: x.var(0),
    "norm": lambda x: x.norm(),
    "amax": lambda x: x.amax(),
    "logsumexp": lambda x: x.logsumexp((0, 1)),
    "softmax": lambda x: x.softmax(0),
    "cumsum": lambda x: x.cumsum(0),
    "sort": lambda x: x.reshape(-1).sort().indices,
    "topk": lambda x: x.topk(5).values,
}


@pytest.mark.parametrize("name", REDUCTIONS)
def test_threads_do_not_change_results(name, threads):
    x = tallow.from_numpy(draw(1000, 777).numpy())
    results = []
    for n in (1, 2):
        threads(n)
        results.append(REDUCTIONS[name](x).numpy())
    assert np.array_equal(*results)


def test_threads_do_not_change_gradients(threads):
    x, w = draw(999, 300), draw(300)
    results = []
    for n in (1, 2):
        threads(n)
        a, b = (tallow.from_numpy(t.numpy()).requires_grad_() for t in (x, w))
        (F.layer_norm(a, (300,), b, b) * a.detach()).sum().backward()
        results += [a.grad.numpy(), b.grad.numpy()]
    assert np.array_equal(results[0], results[2]) and np.array_equal(results[1], results[3])


@pytest.mark.parametrize("n", [1 << 16, 3 * (1 << 20) + 7])
def test_sums_are_accurate(n):
    x = draw(n) + 1000
    exact = x.double().sum().item()
    for ours in (tallow.from_numpy(x.numpy()).sum(), tallow.from_numpy(x.reshape(1, n).numpy()).sum(1)):
        assert abs(ours.item() - exact) <= 6e-8 * abs(exact) + 1e-3
    columns = x[: n // 3 * 3].reshape(-1, 3)
    assert np.allclose(tallow.from_numpy(columns.numpy()).sum(0).numpy(), columns.double().sum(0), rtol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_softmax_of_narrow_types_sums_to_one(dtype):
    x = draw(2, 65536, dtype=dtype)
    for dim in (1, 0):
        ours, theirs = (t.softmax(dim) for t in (tallow.tensor(x.float().numpy()).to(getattr(tallow, str(dtype)[6:])), x))
        total = back(ours.float()).double().sum(dim)
        assert torch.allclose(total, torch.ones_like(total), atol=1e-3 if dtype == torch.float16 else 1e-2)
        assert torch.allclose(back(ours.float()), theirs.float(), rtol=1e-2, atol=1e-6)


@pytest.mark.parametrize("shape, dim", [((5, 7), 1), ((5, 7), 0), ((3, 70, 40), 1), ((2, 5000), 1)])
def test_nan_wins_and_the_first_index_of_ties(shape, dim):
    x = torch.randint(0, 4, shape, generator=torch.Generator().manual_seed(3)).float()
    for nan in (False, True):
        if nan:
            x.view(-1)[3] = float("nan")
        a, b = both(x)
        for name in ("max", "min"):
            ours, theirs = getattr(a, name)(dim), getattr(b, name)(dim)
            assert np.array_equal(ours.values.numpy(), theirs.values.numpy(), equal_nan=True)
            assert np.array_equal(ours.indices.numpy(), theirs.indices.numpy())
            assert np.array_equal(getattr(a, "arg" + name)(dim).numpy(), getattr(b, "arg" + name)(dim).numpy())
            assert np.array_equal(getattr(a, "a" + name)().numpy(), getattr(b, "a" + name)().numpy(), equal_nan=True)


DTYPES = ["float64", "float32", "float16", "int64", "int32", "int16", "int8", "uint8", "bool"]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [1, 50, 700, 9000, 100_000])
def test_sort_is_stable(dtype, n):
    x = (draw(n, seed=n) * 40).to(getattr(torch, dtype))
    if x.dtype.is_floating_point:
        x[::7] = float("nan")
        x[1::9] = -0.0
    for descending in (False, True):
        ours = tallow.from_numpy(x.numpy()).sort(descending=descending)
        theirs = x.sort(stable=True, descending=descending)
        assert np.array_equal(ours.indices.numpy(), theirs.indices.numpy())
        assert np.array_equal(ours.values.numpy(), theirs.values.numpy(), equal_nan=x.dtype.is_floating_point)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "uint8"])
@pytest.mark.parametrize("n, k", [(10, 3), (5000, 1), (5000, 40), (5000, 2000), (50_257, 50)])
def test_topk(dtype, n, k):
    x = (draw(3, n, seed=k) * 100).to(getattr(torch, dtype))
    if x.dtype.is_floating_point:
        x[0, 5] = float("nan")
        x[1] = float("nan")
    for largest in (True, False):
        ours, theirs = tallow.from_numpy(x.numpy()).topk(k, largest=largest), x.topk(k, largest=largest)
        assert np.array_equal(ours.values.numpy(), theirs.values.numpy(), equal_nan=x.dtype.is_floating_point)
        picked = np.take_along_axis(x.numpy(), ours.indices.numpy(), 1)
        assert np.array_equal(picked, ours.values.numpy(), equal_nan=x.dtype.is_floating_point)


@pytest.mark.parametrize("shape", [(4, 6), (8, 5, 3), (4, 16, 9, 9), (3, 7, 40)])
@pytest.mark.parametrize("training", [True, False])
def test_batch_norm_moves_the_running_statistics(shape, training):
    x, w = draw(*shape), draw(shape[1])
    mean, var = draw(shape[1]), draw(shape[1]).abs()
    ours = [tallow.tensor(t.numpy()) for t in (x, mean, var, w, w)]
    ours[0].requires_grad_()
    ours[3].requires_grad_()
    theirs = [t.clone() for t in (x, mean, var, w, w)]
    theirs[0].requires_grad_()
    theirs[3].requires_grad_()
    y = F.batch_norm(*ours, training=training, momentum=0.3)
    z = torch.nn.functional.batch_norm(*theirs, training=training, momentum=0.3)
    assert np.allclose(y.detach().numpy(), z.detach().numpy(), atol=1e-5)
    assert np.allclose(ours[1].numpy(), theirs[1].numpy(), atol=1e-6)
    assert np.allclose(ours[2].numpy(), theirs[2].numpy(), atol=1e-6)
    (y * y.detach().sin()).sum().backward()
    (z * z.detach().sin()).sum().backward()
    for i in (0, 3):
        assert np.allclose(ours[i].grad.numpy(), theirs[i].grad.numpy(), atol=2e-4)


@pytest.mark.parametrize("n", [1, 3, 30, 768, 5000])
def test_layer_norm_gradients(n):
    x, w, b = draw(40, n), draw(n, seed=2), draw(n, seed=3)
    grads = []
    for lib, tensors in ((tallow, [tallow.tensor(t.numpy()) for t in (x, w, b)]), (torch, [x, w, b])):
        tensors = [t.requires_grad_() for t in tensors]
        y = lib.nn.functional.layer_norm(tensors[0], (n,), tensors[1], tensors[2])
        (y * y.detach().sin()).sum().backward()
        grads.append([t.grad.numpy() for t in tensors])
    for ours, theirs in zip(*grads):
        assert np.allclose(ours, theirs, rtol=1e-4, atol=1e-4)
