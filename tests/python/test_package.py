"""The Python package against PyTorch: what is the package's own, beside the operators."""

import copy
import gc
import pickle
import threading
import weakref

import numpy as np
import pytest
import torch

import tallow


def both(values, **kwargs):
    return tallow.tensor(values, **kwargs), torch.tensor(values, **kwargs)


def same(ours, theirs):
    assert str(ours.dtype).removeprefix("tallow.") == str(theirs.dtype).removeprefix("torch.")
    assert tuple(ours.shape) == tuple(theirs.shape)
    assert torch.equal(torch.from_dlpack(ours.detach()), theirs.detach())


def arange(*shape):
    x = torch.arange(float(np.prod(shape))).reshape(shape)
    return tallow.from_dlpack(x.clone()), x


class TestMaking:
    @pytest.mark.parametrize("data", [
        1, 2.5, True, 1 + 2j, [1, 2], [[1, 2.5], [3, 4]], [True, False], [], [[], []], [[1], [True]],
        np.arange(6).reshape(2, 3), np.float32(3), [np.int64(1), np.int64(2)], (1, 2), [[1 + 1j]],
        np.zeros((0, 3), np.int8), [np.array([1, 2]), np.array([3, 4])], range(4),
    ], ids=repr)  # fmt: skip
    def test_tensor_takes_what_torch_takes(self, data):
        same(tallow.tensor(data), torch.tensor(data))

    @pytest.mark.parametrize("data", [[1, [2]], [[1, 2], [3]], "text", [None], {"a": 1}, object()],
                             ids=lambda data: type(data).__name__)
    def test_tensor_refuses_what_torch_refuses(self, data):
        with pytest.raises((TypeError, ValueError, RuntimeError)):
            torch.tensor(data)
        with pytest.raises((TypeError, ValueError, RuntimeError)):
            tallow.tensor(data)

    @pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16", "int64", "int8",
                                       "uint8", "bool", "complex64"])
    def test_tensor_converts_to_a_dtype(self, dtype):
        values = [[0, 1, 2.75], [3, 100, 0.1]]
        same(tallow.tensor(values, dtype=getattr(tallow, dtype)),
             torch.tensor(values, dtype=getattr(torch, dtype)))

    def test_an_array_is_shared_by_from_numpy_and_copied_by_tensor(self):
        a = np.arange(4.0)
        shared, copied = tallow.from_numpy(a), tallow.tensor(a)
        a[0] = 9
        assert shared[0].item() == 9 and copied[0].item() == 0
        shared[1] = 7
        assert a[1] == 7
        assert tallow.as_tensor(a).data_ptr() == a.ctypes.data

    def test_strided_arrays_keep_their_strides(self):
        a = np.arange(24.0).reshape(4, 6)[::2, ::3].T
        assert tallow.from_numpy(a).tolist() == a.tolist()
        with pytest.raises(ValueError):
            tallow.from_numpy(np.arange(4.0)[::-1])

    def test_a_read_only_array_is_copied_with_a_warning(self):
        a = np.arange(3.0)
        a.flags.writeable = False
        with pytest.warns(UserWarning):
            x = tallow.from_numpy(a)
        x[0] = 5
        assert a[0] == 0


class TestExchange:
    @pytest.mark.parametrize("dtype", [
        torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32,
        torch.int16, torch.int8, torch.uint8, torch.bool, torch.complex64, torch.complex128,
    ], ids=str)  # fmt: skip
    def test_dlpack_shares_memory_both_ways(self, dtype):
        x = torch.arange(12).reshape(3, 4).to(dtype).t()
        ours = tallow.from_dlpack(x)
        back = torch.from_dlpack(ours)
        assert back.data_ptr() == ours.data_ptr() == x.data_ptr()
        assert back.stride() == ours.stride() == x.stride()
        assert torch.equal(back, x)

    def test_numpy_shares_memory(self):
        x = tallow.tensor([[1.0, 2], [3, 4]])
        a = x.t().numpy() if hasattr(x, "t") else x.transpose(0, 1).numpy()
        a[0, 1] = 9
        assert x[1, 0].item() == 9
        assert np.asarray(x).tolist() == x.tolist()

    def test_numpy_of_bfloat16_says_what_it_needs(self):
        x = tallow.tensor([1.0]).bfloat16()
        try:
            import ml_dtypes  # noqa: F401
        except ImportError:
            with pytest.raises(TypeError, match="ml_dtypes"):
                x.numpy()
        else:
            assert x.numpy().tolist() == [1.0]

    def test_an_exported_array_outlives_its_tensor(self):
        x = tallow.tensor([1.0, 2, 3])
        a, d = x.numpy(), torch.from_dlpack(x)
        x += 1  # in the memory that the array shows
        assert a.tolist() == d.tolist() == [2, 3, 4]
        del x
        gc.collect()
        assert a.tolist() == d.tolist() == [2, 3, 4]

    def test_an_imported_array_lives_as_long_as_its_tensor(self):
        class Array(np.ndarray):
            pass

        a = np.arange(5.0).view(Array)
        gone = weakref.ref(a)
        x = tallow.from_numpy(a)
        y = x[1:]
        del a, x
        gc.collect()
        assert gone() is not None and y.tolist() == [1, 2, 3, 4]
        del y
        gc.collect()
        assert gone() is None

    def test_history_is_not_exported(self):
        x = tallow.tensor([1.0], requires_grad=True)
        with pytest.raises(RuntimeError):
            x.numpy()
        with pytest.raises(BufferError):
            x.__dlpack__()


class TestIndexing:
    KEYS = [
        0, -1, slice(None), slice(1, None), slice(None, None, 2), Ellipsis, None, (0, 1), (0, 1, 2),
        (slice(None), 1), (Ellipsis, 0), (Ellipsis, None), (None, 0, None), (slice(0, 0),),
        (slice(-2, 100),), True, False, [0, 1], [1, 1, 0], ([0, 1], [2, 0]), (slice(None), [0, 2]),
        ([0, 1], slice(None), [3, 0]), (0, [1, 2]), ([[0], [1]], [[0, 2]]), (Ellipsis, [0, 0]),
        (slice(None), None, [1]), ([True, False],), (slice(None), [True, False, True]),
        (None, [0], None, slice(1)), (0, slice(None), [1, 2]), ([0], 0, [1]),
    ]  # fmt: skip

    @pytest.mark.parametrize("key", KEYS, ids=repr)
    def test_reads_as_torch(self, key):
        ours, theirs = arange(2, 3, 4)
        same(ours[key], theirs[key])

    @pytest.mark.parametrize("key", KEYS, ids=repr)
    def test_writes_as_torch(self, key):
        ours, theirs = arange(2, 3, 4)
        ours[key] = -1.5
        theirs[key] = -1.5
        same(ours, theirs)

    @pytest.mark.parametrize("shape", [(2,), (2, 3), (3, 4), (2, 3, 4)])
    def test_masks(self, shape):
        ours, theirs = arange(2, 3, 4)
        if shape == (3, 4):
            key = (slice(None), theirs[0] % 2 == 0)
            mine = (slice(None), tallow.from_dlpack(key[1]))
        else:
            key = theirs[(..., *[0] * (3 - len(shape)))] % 2 == 0
            mine = tallow.from_dlpack(key)
        same(ours[mine], theirs[key])
        ours[mine] = 5
        theirs[key] = 5
        same(ours, theirs)

    def test_tensors_index_and_are_written(self):
        ours, theirs = arange(4, 5)
        i, j = torch.tensor([0, 3, 3]), torch.tensor([1, 1, 4])
        mi, mj = tallow.from_dlpack(i), tallow.from_dlpack(j)
        same(ours[mi, mj], theirs[i, j])
        same(ours[tallow.tensor(2)], theirs[torch.tensor(2)])
        ours[mi] = tallow.tensor([1.0, 2, 3, 4, 5])
        theirs[i] = torch.tensor([1.0, 2, 3, 4, 5])
        same(ours, theirs)

    @pytest.mark.parametrize("key", [5, -3, (0, 3), (0, 0, 0, 0), "a", 1.5, (0, "b"), slice(None, None, -1),
                                     [7], (slice(None), [0, 9])], ids=repr)
    def test_errors_are_of_torchs_type(self, key):
        ours, theirs = arange(2, 3, 4)
        with pytest.raises(Exception) as expected:
            theirs[key]
        with pytest.raises(Exception) as got:
            ours[key]
        if isinstance(expected.value, (IndexError, ValueError)):
            assert isinstance(got.value, (type(expected.value), TypeError, ValueError))

    def test_gradients_flow_through_reads_and_writes(self):
        ours, theirs = arange(3, 4)
        ours.requires_grad_(), theirs.requires_grad_()
        a, b = ours * 2, theirs * 2
        a[0] = ours[1] * 3
        b[0] = theirs[1] * 3
        (a[[0, 2]] * a[1:]).sum().backward()
        (b[[0, 2]] * b[1:]).sum().backward()
        same(ours.grad, theirs.grad)

    def test_sequences(self):
        ours, theirs = arange(3, 2)
        assert len(ours) == 3
        assert [r.tolist() for r in ours] == theirs.tolist()
        a, b = ours[0]
        assert (a.item(), b.item()) == (0, 1)
        assert 5.0 in ours and 9 not in ours
        assert [1, 2, 3][tallow.tensor(1)] == 2
        with pytest.raises(TypeError):
            len(tallow.tensor(1))


class TestOperators:
    def test_binary_and_reflected(self):
        a, b = both([1.5, -2.0, 3.0])
        i, j = both([5, -7, 2])
        for f in (
            lambda x, n: x + 2, lambda x, n: 2 - x, lambda x, n: x * n, lambda x, n: 1 / x,
            lambda x, n: x // 2, lambda x, n: 7 // x, lambda x, n: x % 2, lambda x, n: 7 % x,
            lambda x, n: x**2, lambda x, n: 2**x, lambda x, n: -x, lambda x, n: +x, lambda x, n: abs(x),
            lambda x, n: n & 3, lambda x, n: n | 8, lambda x, n: n ^ 1, lambda x, n: ~n,
            lambda x, n: n << 1, lambda x, n: n >> 1, lambda x, n: x < 1, lambda x, n: x >= n,
            lambda x, n: x == x, lambda x, n: x != 1.5, lambda x, n: 2 > x, lambda x, n: x @ x,
            lambda x, n: n / 2, lambda x, n: True + n,
            lambda x, n: n * 1.5, lambda x, n: n + True, lambda x, n: x + np.float32(1),
        ):  # fmt: skip
            same(f(a, i), f(b, j))

    def test_in_place(self):
        for f in ("x += 1", "x -= n", "x *= 2", "x /= 4", "x //= 2", "x %= 3", "x **= 2"):
            a, b = both([1.5, -2.0, 3.0])
            i, j = both([5, -7, 2])
            ours, theirs = {"x": a, "n": i}, {"x": b, "n": j}
            exec(f, ours)
            exec(f, theirs)
            assert ours["x"] is a
            same(a, b)

    def test_conversions(self):
        x = tallow.tensor(2.5)
        assert float(x) == 2.5 and int(x) == 2 and bool(x) and complex(x) == 2.5
        assert f"{x:.2f}" == "2.50"
        with pytest.raises(RuntimeError):
            bool(tallow.tensor([1, 2]))
        with pytest.raises(RuntimeError):
            bool(tallow.tensor([]))
        assert hash(x) == hash(x) and x in {x}
        assert (tallow.tensor([1]) == "a") is False

    def test_named_in_place_methods(self):
        a, b = both([1.5, -2.0, 3.0])
        for x in (a, b):
            x.add_(1).mul_(2).sub_(0.5).div_(2).clamp_(-1, 3).neg_().abs_()
        same(a, b)
        for x in (a, b):
            x.zero_()
            x.fill_(3)
            x.copy_(x + 1)
        same(a, b)

    def test_in_place_refuses_what_torch_refuses(self):
        leaf = tallow.tensor([1.0, 2.0], requires_grad=True)
        with pytest.raises(tallow.Error):
            leaf.add_(1)
        with pytest.raises(tallow.Error):
            tallow.tensor([1, 2]).add_(1.5)
        with pytest.raises(tallow.Error):
            tallow.tensor([1.0]).add_(tallow.tensor([1.0, 2.0]))
        y = leaf * 1
        z = y.exp()
        z.add_(1)  # exp needs its result
        with pytest.raises(tallow.Error):
            z.sum().backward()


class TestObjects:
    def test_pickle_and_copy(self):
        for dtype in ("float32", "bfloat16", "int64", "bool", "complex64"):
            x = tallow.tensor([[1.0, 2], [0, 3]]).to(getattr(tallow, dtype)).transpose(0, 1)
            for y in (pickle.loads(pickle.dumps(x)), copy.copy(x), copy.deepcopy(x)):
                assert y.tolist() == x.tolist() and y.dtype == x.dtype
        x = tallow.tensor([1.0], requires_grad=True)
        x.note = "kept"
        y = pickle.loads(pickle.dumps(x))
        assert y.requires_grad and y.note == "kept"
        y = copy.deepcopy(x)
        assert y.requires_grad and y.data_ptr() != x.data_ptr()
        assert pickle.loads(pickle.dumps(tallow.float16)) is tallow.float16
        assert pickle.loads(pickle.dumps(tallow.device("cpu"))) == tallow.device("cpu")

    def test_size(self):
        s = tallow.tensor([[1, 2, 3]]).shape
        assert s == (1, 3) and isinstance(s, tuple) and s.numel() == 3
        assert repr(s) == "tallow.Size([1, 3])"
        assert isinstance(s[:1], tallow.Size) and isinstance(s + (2,), tallow.Size)
        assert pickle.loads(pickle.dumps(s)) == s

    def test_dtypes(self):
        for name in ("float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8",
                     "uint8", "bool", "complex64", "complex128"):
            ours, theirs = getattr(tallow, name), getattr(torch, name)
            assert repr(ours) == f"tallow.{name}" and ours.itemsize == theirs.itemsize
            assert ours.is_floating_point == theirs.is_floating_point
            assert ours.is_complex == theirs.is_complex and ours.is_signed == theirs.is_signed
        assert tallow.float is tallow.float32 and tallow.long is tallow.int64
        for name in ("float64", "float32", "float16", "bfloat16"):
            ours, theirs = tallow.finfo(getattr(tallow, name)), torch.finfo(getattr(torch, name))
            for part in ("bits", "eps", "max", "min", "tiny", "smallest_normal", "dtype"):
                assert getattr(ours, part) == getattr(theirs, part), (name, part)
        for name in ("int64", "int8", "uint8"):
            ours, theirs = tallow.iinfo(getattr(tallow, name)), torch.iinfo(getattr(torch, name))
            assert (ours.min, ours.max, ours.bits) == (theirs.min, theirs.max, theirs.bits)

    def test_to_takes_every_form(self):
        x = tallow.tensor([1.5, 2])
        assert x.to(tallow.int64).tolist() == [1, 2]
        assert x.to("cpu") is x and x.to(tallow.float32) is x
        assert x.to(tallow.float32, copy=True) is not x
        assert x.to("cpu", tallow.float64).dtype is tallow.float64
        assert x.to(tallow.tensor(1)).dtype is tallow.int64
        assert x.to(dtype=tallow.float16).dtype is tallow.float16
        assert x.half().float().double().long().int().short().char().byte().bool().dtype is tallow.bool
        with pytest.raises(tallow.Error):
            x.to("cuda")

    def test_subclasses(self):
        class Mine(tallow.Tensor):
            pass

        x = tallow._C._as_subclass(tallow.tensor([1.0]), Mine)
        assert isinstance(x, tallow.Tensor) and (x + 1).tolist() == [2]
        x.extra = 1
        assert x.extra == 1


class TestErrors:
    def test_wrong_types_show_the_signature(self):
        x = tallow.tensor([1.0])
        with pytest.raises(TypeError, match=r"sum\(\).*dim=None"):
            x.sum("a")
        with pytest.raises(TypeError, match=r"unknown"):
            tallow.sum(x, unknown=1)
        with pytest.raises(TypeError):
            tallow.sum(3)
        with pytest.raises(TypeError):
            tallow.sum()

    def test_errors_are_runtime_errors(self):
        with pytest.raises(RuntimeError, match="matmul"):
            tallow.tensor([[1.0, 2]]) @ tallow.tensor([[1.0, 2]])
        assert issubclass(tallow.Error, RuntimeError)

    def test_numbers_out_of_range(self):
        with pytest.raises((OverflowError, RuntimeError)):
            tallow.tensor([1.0]).reshape(-(1 << 70))


class TestAutograd:
    def test_modes(self):
        x = tallow.tensor([2.0], requires_grad=True)

        @tallow.no_grad()
        def f():
            return x * 2

        assert not f().requires_grad and (x * 2).requires_grad
        with tallow.no_grad():
            with tallow.enable_grad():
                assert (x * 2).requires_grad
            assert not (x * 2).requires_grad
            with tallow.set_grad_enabled(True):
                assert (x * 2).requires_grad
        with tallow.inference_mode():
            assert not (x * 2).requires_grad and tallow.is_inference_mode_enabled()
        assert tallow.is_grad_enabled()

    def test_backward_accumulates(self):
        x = tallow.tensor([2.0, 3.0], requires_grad=True)
        (x * x).sum().backward()
        (x * x).sum().backward()
        assert x.grad.tolist() == [8, 12]
        x.grad = None
        assert x.grad is None
        y = x * 2
        y.retain_grad()
        y.backward(tallow.tensor([1.0, 2.0]))
        assert x.grad.tolist() == [2, 4] and y.grad.tolist() == [1, 2]

    def test_grad_of_grad(self):
        x = tallow.tensor([2.0, 3.0], requires_grad=True)
        (g,) = tallow.autograd.grad((x**3).sum(), x, create_graph=True)
        (h,) = tallow.autograd.grad(g.sum(), x)
        assert g.tolist() == [12, 27] and h.tolist() == [12, 18]
        z = tallow.tensor([1.0], requires_grad=True)
        with pytest.raises(RuntimeError):
            tallow.autograd.grad(x.sum(), z)
        assert tallow.autograd.grad(x.sum(), z, allow_unused=True) == (None,)

    def test_hooks(self):
        x = tallow.tensor([1.0, 2.0], requires_grad=True)
        seen = []
        first = x.register_hook(lambda g: seen.append(g.tolist()))
        second = x.register_hook(lambda g: g * 10)
        (x * 3).sum().backward()
        assert seen == [[3, 3]] and x.grad.tolist() == [30, 30]
        first.remove(), second.remove()
        (x * 3).sum().backward()
        assert x.grad.tolist() == [33, 33] and len(seen) == 1

    def test_a_hooks_error_is_raised(self):
        x = tallow.tensor([1.0], requires_grad=True)

        def hook(g):
            raise KeyError("mine")

        x.register_hook(hook)
        with pytest.raises(KeyError, match="mine"):
            x.sum().backward()

    def test_functions_in_python(self):
        def define(torch):
            class Scaled(torch.autograd.Function):
                @staticmethod
                def forward(ctx, x, y, factor):
                    ctx.save_for_backward(x, y)
                    ctx.factor = factor
                    signs = x.sign()
                    ctx.mark_non_differentiable(signs)
                    return x * y * factor, signs

                @staticmethod
                def backward(ctx, g, g_signs):
                    x, y = ctx.saved_tensors
                    assert ctx.needs_input_grad == (True, False, False)
                    return g * y * ctx.factor, None, None

            x = torch.tensor([1.0, -2.0], requires_grad=True)
            out, signs = Scaled.apply(x, torch.tensor([3.0, 4.0]), 2)
            assert not signs.requires_grad
            (out * out).sum().backward()
            return x.grad.tolist()

        assert define(tallow) == define(torch)

    def test_second_derivatives_of_functions_in_python(self):
        def define(torch):
            class Cube(torch.autograd.Function):
                @staticmethod
                def forward(ctx, x):
                    ctx.save_for_backward(x)
                    return x**3

                @staticmethod
                def backward(ctx, g):
                    (x,) = ctx.saved_tensors
                    return g * 3 * x**2

            x = torch.tensor([1.0, -2.0], requires_grad=True)
            (g,) = torch.autograd.grad(Cube.apply(x).sum(), x, create_graph=True)
            return torch.autograd.grad(g.sum(), x)[0].tolist()

        assert define(tallow) == define(torch)

    def test_checkpoint(self):
        x = tallow.tensor([1.0, 2.0], requires_grad=True)
        calls = []

        def f(a, factor):
            calls.append(1)
            return (a * a).exp() * factor

        y = tallow.utils.checkpoint.checkpoint(f, x, 2.0, use_reentrant=False)
        y.sum().backward()
        z = torch.tensor([1.0, 2.0], requires_grad=True)
        ((z * z).exp() * 2).sum().backward()
        assert np.allclose(x.grad.tolist(), z.grad.tolist(), rtol=1e-6) and len(calls) == 2

    def test_anomaly_detection_names_the_op(self):
        x = tallow.tensor([-1.0], requires_grad=True)
        with tallow.autograd.detect_anomaly():
            with pytest.raises(RuntimeError, match="sqrt"):
                x.sqrt().sum().backward()

    def test_gradcheck_of_gradients_by_differences(self):
        x = tallow.tensor([0.3, -0.7], dtype=tallow.float64, requires_grad=True)
        assert tallow.autograd.gradcheck(lambda a: (a * a).exp(), (x,))


class TestThreads:
    def test_ops_run_beside_each_other(self):
        x = tallow.tensor(np.random.rand(64, 64))
        expected = (x @ x).sum().item()
        results = []

        def run():
            for _ in range(50):
                results.append((x @ x).sum().item())

        threads = [threading.Thread(target=run) for _ in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert len(results) == 200 and all(r == expected for r in results)


def test_the_package_stands_in_for_torch():
    def program(torch):
        torch.manual_seed(0)
        x = torch.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
        w = torch.ones(2, 3, dtype=torch.float32)
        h = torch.nn.functional.relu(x @ w + torch.zeros(3))
        p = torch.softmax(h, dim=-1)
        loss = -(p[torch.arange(2), torch.tensor([0, 2])]).log().mean()
        loss.backward()
        y = torch.cat([x.detach(), x.detach().t()], dim=1).view(-1, 2).sum(dim=0, keepdim=True)
        return loss.item(), x.grad.tolist(), y.tolist(), torch.stack([y, y]).shape[0]

    ours, theirs = program(tallow), program(torch)
    assert np.isclose(ours[0], theirs[0], rtol=1e-6)
    assert np.allclose(ours[1], theirs[1], atol=1e-6) and ours[2:] == theirs[2:]


class TestOut:
    def test_out_is_written_in_its_memory(self):
        x, out = tallow.tensor([1.0, 2.0]), tallow.tensor([0.0, 0.0])
        shown = out.numpy()
        assert tallow.add(x, 1, out=out) is out
        assert shown.tolist() == out.tolist() == [2, 3]
        tallow.exp(x, out=x)  # onto its own input
        assert np.allclose(x.tolist(), np.exp([1.0, 2.0]))

    def test_out_takes_the_results_size_and_keeps_its_dtype(self):
        out = tallow.tensor([], dtype=tallow.float64)
        tallow.add(tallow.tensor([1.0, 2.0]), 1, out=out)
        assert out.tolist() == [2, 3] and out.dtype is tallow.float64

    def test_out_of_several_results(self):
        values, indices = tallow.tensor([0.0]), tallow.tensor([0])
        tallow.max(tallow.tensor([[1.0, 5.0, 2.0]]), dim=1, out=(values, indices))
        assert values.tolist() == [5] and indices.tolist() == [1]

    def test_out_refuses_what_torch_refuses(self):
        x = tallow.tensor([1.5])
        with pytest.raises(RuntimeError):
            tallow.add(x, 1, out=tallow.tensor([1]))
        with pytest.raises(RuntimeError):
            tallow.add(x, 1, out=tallow.tensor([1.0], requires_grad=True))
        with pytest.raises(TypeError):
            tallow.add(x, 1, out=3)
