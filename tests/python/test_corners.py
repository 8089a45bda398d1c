"""Corners of single ops, beside torch: numbers that are not finite, sizes of nothing, dtypes that
mix, writes in place whose op keeps what it replaces. Each is a function of the module."""

import pytest
import torch

from conformance import harness

import tallow

INF, NAN = float("inf"), float("nan")


def history(function):
    """The gradient of a function of a leaf [2, 3], and its values."""

    def case(m):
        x = m.tensor([[0.5, -1.0, 2.0], [3.0, -0.25, 1.5]], dtype=m.float64, requires_grad=True)
        y = function(m, x)
        weights = m.arange(y.numel(), dtype=m.float64).reshape(y.shape) + 1
        return y.detach(), m.autograd.grad(y, x, weights)[0]

    return case


def written(write):
    """The same of a clone that is written to."""

    def function(m, x):
        y = x.clone()
        write(m, y)
        return y

    return history(function)


def through_complex(m, x):
    z = m.complex(x, x * 2)
    z.real.mul_(3)
    z.imag[0] = x[1] * x[0]
    return m.view_as_real(z).sum(-1) + z.real


CASES = {
    "topk of none of a number": lambda m: tuple(m.topk(m.tensor([3.0, 1.0]), 0)),
    "pow of bools by a bool": lambda m: (m.tensor([True, False]) ** True, m.pow(m.tensor([True, False]), False)),
    "logsumexp of no complex": lambda m: m.logsumexp(m.zeros(0, 3, dtype=m.complex64), 0),
    "logsumexp of endless complex": lambda m: m.logsumexp(m.tensor([complex(INF, 1), 2.0]), 0),
    "logcumsumexp of endless complex": lambda m: m.logcumsumexp(m.tensor([-INF + 0j, -INF, 1, INF, INF]), 0),
    "var of NaN": lambda m: (m.tensor([1.0, NAN, 2]).var(), m.tensor([[1.0, INF]] * 3).std(1)),
    "group norm of NaN": lambda m: m.nn.functional.group_norm(m.tensor([[1.0, NAN, 2, 3]]), 2),
    "vander of bytes": lambda m: m.vander(m.tensor([2, 20], dtype=m.uint8), N=4),
    "bincount of nothing": lambda m: m.bincount(m.zeros(0, dtype=m.int64), m.zeros(0), 2),
    "trapezoid of nothing": lambda m: m.trapezoid(m.zeros(2, 0, dtype=m.int16)),
    "index_add of bools": lambda m: m.zeros(3, dtype=m.bool).index_add(
        0, m.tensor([1]), m.ones(1, dtype=m.bool), alpha=2),
    "nearest quantile of infinity": lambda m: m.nanquantile(m.tensor([-INF, 1.0, 2.0]), 0.1, interpolation="higher"),
    "gradient of a quantile's q": history(lambda m, x: m.quantile(x, (x[0] - x[0].min()) / 10)),
    "gradient of nanquantile's q in a row of NaN": history(
        lambda m, x: m.nanquantile(m.stack([x[0], x[0] * NAN]), x[0, 0], 1).nan_to_num(0) + x[:, 0]),
    "gradient of addcdiv of whole numbers": history(
        lambda m, x: m.addcdiv(m.tensor([[16777217] * 3] * 2, dtype=m.int32), m.tensor([[16777217] * 3] * 2), x)),
    "rows that repeat one number of each matrix": lambda m: m.matmul(
        m.tensor([1.5], dtype=m.bfloat16).as_strided((5, 1, 40), (0, 1, 0)), m.ones(40).bfloat16()),
    "gradient of min of NaN": history(lambda m, x: (x / 0 * 0).min() + x.sum()),
    "gradient of linear of no features": history(
        lambda m, x: m.nn.functional.linear(x[:, :0], x[:, :0], x[:, 0]) + x.sum()),
    "second gradient of elu far out": history(lambda m, x: m.autograd.grad(
        m.nn.functional.elu(x * 1e4).sum(), x, create_graph=True)[0] + x),
    "gradient of logaddexp of infinity": history(lambda m, x: m.logaddexp(x, m.full((2, 3), INF, dtype=m.float64)) * 0 + x),
    "mean of one infinity": lambda m: m.var_mean(m.tensor([INF]), 0)[1],
    "renorm of NaN": lambda m: m.renorm(m.tensor([[1.0, NAN], [3.0, 4.0], [INF, 1.0]]), 2, 0, 2.0),
    "gcd with a wider number": lambda m: m.gcd(m.arange(1, 9, dtype=m.uint8), m.tensor(-3)),
    "maximum with a wider number": lambda m: m.maximum(m.arange(1, 9, dtype=m.int8), m.tensor(300)),
    "equal to a wider number": lambda m: (
        m.tensor([5.59375, 1], dtype=m.bfloat16) == m.tensor(5.594, dtype=m.float64),
        m.tensor([44, 1], dtype=m.int8) == m.tensor(300)),
    "gradient of norms of NaN": history(
        lambda m, x: m.stack([m.norm(x * NAN, p) * 0 + x for p in (0, INF)])),
    "a deep kernel over one plane": lambda m: m.nn.functional.conv3d(
        m.arange(24.0).reshape(1, 2, 1, 3, 4), m.arange(16.0).reshape(2, 2, 2, 2, 1), padding="same"),
    "a deep kernel over one channel": lambda m: m.nn.functional.conv3d(
        m.arange(12.0).reshape(1, 1, 1, 3, 4), m.arange(4.0).reshape(1, 1, 2, 2, 1), padding="same"),
    "sin in place": written(lambda m, y: y.sin_()),
    "a product with a copy in place": written(lambda m, y: y.mul_(y.clone())),
    "a product of a view with the rest in place": written(lambda m, y: y[0].mul_(y[0].clone())),
    "nan_to_num in place": written(lambda m, y: y.nan_to_num_()),
    "a shared view in place": written(lambda m, y: y.view(-1).exp_()),
    "parts of complex numbers in place": history(through_complex),
}


@pytest.mark.parametrize("name", CASES)
def test_corner(name):
    harness.compare(CASES[name](tallow), CASES[name](torch), name)


def test_pow_with_a_complex_exponent_has_a_gradient():
    x = tallow.tensor([-2.0, 0.5], dtype=tallow.float64, requires_grad=True)
    p = tallow.tensor([1 + 1j, 2 - 1j], dtype=tallow.complex128, requires_grad=True)
    a = torch.tensor([-2.0, 0.5], dtype=torch.float64, requires_grad=True)
    b = torch.tensor([1 + 1j, 2 - 1j], dtype=torch.complex128, requires_grad=True)
    ours = tallow.autograd.grad(tallow.pow(x, p).abs().sum(), [x, p])
    theirs = torch.autograd.grad(torch.pow(a, b).abs().sum(), [a, b])
    harness.compare(ours, theirs, "gradients")


def test_topk_of_a_number_is_itself():
    assert tallow.topk(tallow.tensor(3.0), 0).values.item() == 3


REFUSED = {
    "addcdiv of integers": lambda m: m.addcdiv(m.ones(2), m.tensor([1, 2]), m.tensor([2, 2])),
    "fro of three dimensions": lambda m: m.norm(m.ones(2, 2, 2), "fro", [0, 1, 2]),
    "a transposed convolution's empty result": lambda m: m.nn.functional.conv_transpose2d(
        m.ones(1, 1, 1, 1), m.ones(1, 1, 2, 2), padding=1),
    "index_reduce into nothing": lambda m: m.zeros(0, 0).index_reduce(
        0, m.tensor([3]), m.zeros(1, 0), "amax"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    for module in (torch, tallow):
        with pytest.raises((RuntimeError, IndexError)):
            REFUSED[name](module)


def test_a_view_as_another_dtype_has_no_history_after_a_write():
    x = tallow.ones(2, dtype=tallow.float32, requires_grad=True).clone()
    view = x.view(tallow.int32)
    x.mul_(2)
    assert not view.requires_grad


@pytest.mark.parametrize("kernel", [1, 3])
def test_a_weight_that_numpy_writes_to_is_packed_anew(kernel):
    x, weight = torch.randn(1, 32, 28, 28), torch.randn(32, 32, kernel, kernel)
    ours = tallow.tensor(weight.numpy())  # memory of its own
    image = tallow.tensor(x.numpy())
    tallow.nn.functional.conv2d(image, ours)
    view = ours.numpy()
    for _ in range(2):
        view *= 2
        weight *= 2
        result = tallow.nn.functional.conv2d(image, ours)
        harness.compare(result, torch.nn.functional.conv2d(x, weight), "conv2d", (1e-3, 1e-3))


@pytest.mark.parametrize("scales", [(1, 1, 1), (1e-36, 1e36, 1), (1e19, 1e-19, 1e30),
                                    (1, 1, 1e-34)])
@pytest.mark.parametrize("special", [None, ("v", INF), ("v", NAN), ("q", NAN), ("k", -INF)])
def test_attention_of_extreme_magnitudes(scales, special):
    parts = {name: torch.randn(1, 2, 96, 64, generator=torch.Generator().manual_seed(i)) * scale
             for i, (name, scale) in enumerate(zip("qkv", scales))}
    if special:
        parts[special[0]][0, 1, 7, 3] = special[1]
    result = tallow.nn.functional.scaled_dot_product_attention(
        *(tallow.tensor(x.numpy()) for x in parts.values())).numpy()
    expected = torch.nn.functional.scaled_dot_product_attention(
        *(x.double() for x in parts.values())).float()
    close = torch.isclose(torch.from_numpy(result), expected, rtol=1e-4, atol=3e-6 * scales[2],
                          equal_nan=True)
    if special and special[0] == "k":  # scores of both infinities: PyTorch's kernels differ, too
        close[0, 1] = True
    assert close.all()


ODD = {
    "set_ to a number": lambda m, x: x.set_(5),
    "as_subclass of another class": lambda m, x: x.as_subclass(int),
    "a divisor that wraps to zero": lambda m, x: x.to(m.int32).floor_divide(2**63),
    "batch_sizes that grow": lambda m, x: m.pad_packed_sequence(m.ones(4, 2), m.tensor([1, 3])),
    "more batch_sizes than rows": lambda m, x: m.pad_packed_sequence(m.ones(2, 2), m.tensor([2, 2])),
    "sections without end": lambda m, x: m.tensor_split(x, 2**62),
    "powers without end": lambda m, x: m.linalg.vander(x, N=2**62),
    "bins without end": lambda m, x: m.histc(x, 2**40),
    "a size without memory": lambda m, x: x.resize_(2**60),
    "mvlgamma of a huge dimension": lambda m, x: m.mvlgamma(x, 2**31),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_arguments_raise(name):
    with pytest.raises((RuntimeError, TypeError, OverflowError)):
        ODD[name](tallow, tallow.ones(3))
