"""Random ops: their distributions, and that a seed gives the same numbers."""

import math

import numpy
import pytest

import tallow

N = 200_000


def draw(name, *args, dtype="float32"):
    x = tallow.empty(N, dtype=getattr(tallow, dtype))
    return getattr(x, name)(*args).double().numpy()


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
def test_uniform_numbers_lie_below_one_and_are_flat(dtype):
    x = tallow.rand(N, dtype=getattr(tallow, dtype)).double().numpy()
    assert x.min() >= 0 and x.max() < 1
    assert abs(x.mean() - 0.5) < 0.01 and abs(x.var() - 1 / 12) < 0.002
    counts, _ = numpy.histogram(x, 8, (0, 1))
    assert abs(counts / N - 0.125).max() < 0.01


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
def test_normal_numbers_have_normal_moments(dtype):
    x = tallow.randn(N, dtype=getattr(tallow, dtype)).double().numpy()
    assert abs(x.mean()) < 0.01 and abs(x.std() - 1) < 0.01
    assert abs((x**3).mean()) < 0.05 and abs((x**4).mean() - 3) < 0.1


def test_complex_normal_numbers_have_unit_variance():
    x = tallow.randn(N, dtype=tallow.complex64).numpy()
    assert abs((abs(x) ** 2).mean() - 1) < 0.02


def test_integers_cover_their_range_evenly():
    x = tallow.randint(-3, 5, (N,)).numpy()
    assert set(x) == set(range(-3, 5))
    assert abs(x.mean() - 0.5) < 0.03


@pytest.mark.parametrize(
    "name, args, mean, variance",
    [
        ("uniform_", (2, 4), 3, 1 / 3),
        ("normal_", (1, 2), 1, 4),
        ("exponential_", (2,), 0.5, 0.25),
        ("geometric_", (0.25,), 4, 12),
        ("log_normal_", (0, 0.5), math.exp(0.125), (math.exp(0.25) - 1) * math.exp(0.25)),
        ("bernoulli_", (0.3,), 0.3, 0.21),
    ],
)
def test_draws_have_the_moments_of_their_distribution(name, args, mean, variance):
    x = draw(name, *args)
    assert abs(x.mean() - mean) < 0.02 * max(1, abs(mean))
    assert abs(x.var() - variance) < 0.05 * max(1, variance)


def test_cauchy_has_its_quartiles():
    assert abs(numpy.quantile(draw("cauchy_", 1, 2), [0.25, 0.5, 0.75]) - [-1, 1, 3]).max() < 0.1


def test_poisson_has_equal_mean_and_variance():
    for rate in (0.5, 4.0, 40.0):
        x = tallow.poisson(tallow.full((N // 10,), rate)).double().numpy()
        assert abs(x.mean() - rate) < 0.03 * max(1, rate)
        assert abs(x.var() - rate) < 0.1 * max(1, rate)


def test_permutations_hold_every_number_once():
    x = tallow.randperm(1000)
    assert sorted(x.tolist()) == list(range(1000)) and x.tolist() != list(range(1000))


def test_multinomial_draws_in_proportion():
    weights = tallow.tensor([[1.0, 0.0, 3.0], [2.0, 2.0, 0.0]])
    x = tallow.multinomial(weights, 50_000, replacement=True).numpy()
    assert abs((x[0] == 2).mean() - 0.75) < 0.01 and not (x[0] == 1).any()
    few = tallow.multinomial(weights, 2)
    assert sorted(few[0].tolist()) == [0, 2] and sorted(few[1].tolist()) == [0, 1]
    with pytest.raises(RuntimeError):
        tallow.multinomial(weights, 3)


def test_a_seed_gives_the_same_numbers_for_any_number_of_threads():
    def numbers():
        tallow.manual_seed(5)
        return [tallow.rand(1000, 33).tolist(), tallow.randn(50_001).tolist()]

    before = tallow.get_num_threads()
    try:
        tallow.set_num_threads(1)
        one = numbers()
        tallow.set_num_threads(2)
        assert numbers() == one
    finally:
        tallow.set_num_threads(before)


def test_a_generator_has_a_stream_of_its_own():
    a, b = tallow.Generator().manual_seed(1), tallow.Generator().manual_seed(1)
    x = tallow.rand(5, generator=a)
    state = a.get_state()
    assert x.tolist() == tallow.rand(5, generator=b).tolist()
    y = tallow.rand(5, generator=a)
    a.set_state(state)
    assert y.tolist() == tallow.rand(5, generator=a).tolist() != x.tolist()
