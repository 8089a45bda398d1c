"""The fused ops and attention against PyTorch and transformers: values, gradients, and every
instruction set that the machine has."""

import gguf
import numpy as np
import pytest
import torch
from scipy.linalg import hadamard
from transformers.models.gptj.modeling_gptj import rotate_every_two
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

CACHES = ["f32", "bf16", "f16", "q8_0", "q4_0"]
ISAS = ["portable", "avx2", "avx512", "avx512_bf16", "amx"]


class Batch:
    """Cases that one call of the probe runs."""

    def __init__(self, probe, folder):
        self.probe, self.folder, self.lines, self.outputs = probe, folder, [], []

    def add(self, op, parameters, inputs, gradient=None):
        name = str(self.folder / f"case{len(self.lines)}")
        files = []
        for i, x in enumerate(inputs):
            files.append(f"{name}.in{i}.npy")
            np.save(files[-1], x)
        line = f"{op} {','.join(map(str, parameters)) or '-'} {','.join(files)} {name}"
        if gradient is not None:
            np.save(f"{name}.gradient.npy", gradient)
            line += f" {name}.gradient.npy"
        self.lines.append(line)
        return name

    def run(self, **env):
        manifest = self.folder / "manifest"
        manifest.write_text("\n".join(self.lines) + "\n")
        self.probe("fused", manifest, env=env)


@pytest.fixture
def batch(probe, tmp_path):
    return Batch(probe, tmp_path)


def torch_rope(x, positions, frequencies, interleaved, scale):
    """transformers' own rotation of the first 2 * len(frequencies) features."""
    angles = positions[:, None].float() * frequencies
    rotated = 2 * frequencies.shape[0]
    part, rest = x[..., :rotated], x[..., rotated:]
    if interleaved:
        cos = (angles.cos() * scale).repeat_interleave(2, -1)[None, :, None]
        sin = (angles.sin() * scale).repeat_interleave(2, -1)[None, :, None]
        part = (part[None] * cos + rotate_every_two(part[None]) * sin)[0]
    else:
        cos = torch.cat([angles, angles], -1).cos() * scale
        sin = torch.cat([angles, angles], -1).sin() * scale
        heads_first = part.transpose(0, 1)[None]
        part = apply_rotary_pos_emb(heads_first, heads_first, cos[None], sin[None])[0][0]
        part = part.transpose(0, 1)
    return torch.cat([part, rest], -1)


def cases():
    """(op, parameters, inputs, the same in PyTorch, differentiable)."""
    rng = np.random.default_rng(3)

    def draw(*shape, scale=1.0):
        return (rng.standard_normal(shape) * scale).astype(np.float32)

    F = torch.nn.functional
    for rows, n in [(1, 1), (1, 576), (3, 63), (2, 2048), (40, 1000), (0, 8)]:
        for eps in [1e-5, 1e-6]:
            x, w = draw(rows, n), draw(n)
            yield ("rms_norm", [eps], [x, w],
                   lambda x, w, eps=eps: [F.rms_norm(x, w.shape, w, eps)])
            yield ("add_rms_norm", [eps], [x, draw(rows, n), w],
                   lambda x, d, w, eps=eps: [x + d, F.rms_norm(x + d, w.shape, w, eps)])
    for shape in [(1,), (5, 31), (2, 1536), (64, 1000)]:
        yield "swiglu", [], [draw(*shape, scale=4), draw(*shape)], lambda g, u: [F.silu(g) * u]
    extreme = np.array([-1e30, -200, -100, -88, -87.4, 0, 88, 88.8, 200, 1e30] * 4, np.float32)
    yield "swiglu", [], [extreme, np.ones_like(extreme)], lambda g, u: [F.silu(g) * u]
    for shape, dim in [((7,), 0), ((3, 49), 1), ((2, 5, 16), -1), ((2, 5, 3), 1), ((30, 1200), -1)]:
        yield ("softmax", [dim], [draw(*shape, scale=5)],
               lambda x, dim=dim: [torch.softmax(x, dim)])
    yield ("softmax", [0], [np.array([0, -np.inf, 3, -np.inf], np.float32)],
           lambda x: [torch.softmax(x, 0)])
    for shape in [(1,), (4, 5), (300,)]:
        ids = rng.integers(0, 50, shape)
        yield "embedding", [], [draw(50, 130), ids], lambda w, i: [F.embedding(i, w)]
    for heads, dim, half in [(9, 64, 32), (1, 8, 4), (2, 80, 40), (3, 40, 10), (2, 600, 300)]:
        for interleaved in [0, 1]:
            for scale in [1.0, 1.25]:
                positions = rng.integers(0, 5000, 7).astype(np.int32)
                frequencies = (10000.0 ** -(np.arange(half) / half)).astype(np.float32)
                yield ("rope", [interleaved, scale], [draw(7, heads, dim), positions, frequencies],
                       lambda x, p, f, i=interleaved, s=scale: [torch_rope(x, p, f, i, s)])


def compare(name, expected, bound=2e-6):
    for i, want in enumerate(expected):
        want = want.detach().numpy()
        got = np.load(f"{name}.{i}.npy")
        assert got.shape == want.shape
        scale = np.abs(want[np.isfinite(want)]).max(initial=1e-30)
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=bound * max(scale, 1))


@pytest.mark.parametrize("isa", ISAS)
def test_fused_ops_equal_pytorch_on_every_isa(batch, isa):
    expected = [(batch.add(op, parameters, inputs), f(*map(torch.from_numpy, inputs)))
                for op, parameters, inputs, f in cases()]
    batch.run(TALLOW_ISA=isa)
    for name, want in expected:
        compare(name, want)


def test_gradients_of_fused_ops_equal_autograd(batch):
    rng = np.random.default_rng(4)
    expected = []
    for op, parameters, inputs, f in cases():
        if any(np.abs(x[np.isfinite(x)]).max(initial=0) > 1e20 or not np.isfinite(x).all()
               for x in inputs if x.dtype == np.float32):
            continue
        tensors = [torch.from_numpy(x.copy()) for x in inputs]
        for t, x in zip(tensors, inputs):
            t.requires_grad_(x.dtype == np.float32)
        total = sum(f(*tensors))
        gradient = rng.standard_normal(total.shape).astype(np.float32)
        total.backward(torch.from_numpy(gradient))
        name = batch.add(op, parameters, inputs, gradient)
        skipped = 2 if op == "rope" else -1  # the frequencies of rope are no parameters
        expected += [(name, i, t.grad.numpy()) for i, t in enumerate(tensors)
                     if t.grad is not None and i != skipped]
    batch.run()
    for name, i, want in expected:
        got = np.load(f"{name}.grad{i}.npy")
        scale = max(np.abs(want).max(initial=0), 1)
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5 * scale, err_msg=f"{name} {i}")


@pytest.mark.parametrize("isa", ISAS)
def test_rope_is_accurate_at_positions_up_to_a_million(batch, isa):
    positions = np.array([0, 1, 31, 4095, 131071, 999_983, 1_000_000], np.int32)
    frequencies = (10000.0 ** -(np.arange(32) / 32)).astype(np.float32)
    x = np.random.default_rng(5).standard_normal((7, 2, 64)).astype(np.float32)
    name = batch.add("rope", [0, 1.0], [x, positions, frequencies])
    batch.run(TALLOW_ISA=isa)
    angles = (positions[:, None].astype(np.float32) * frequencies).astype(np.float64)[:, None]
    a, b = x[..., :32].astype(np.float64), x[..., 32:].astype(np.float64)
    want = np.concatenate([a * np.cos(angles) - b * np.sin(angles),
                           b * np.cos(angles) + a * np.sin(angles)], -1)
    np.testing.assert_allclose(np.load(f"{name}.0.npy"), want, rtol=0, atol=1e-6)


class Attention:
    """A ragged batch: a few sequences, pages in a random order."""

    def __init__(self, rng, heads, kv_heads, dim, page_size, window=0, soft_cap=0.0):
        self.heads, self.kv_heads, self.window, self.soft_cap = heads, kv_heads, window, soft_cap
        self.scale = 1 / np.sqrt(dim)
        lengths = rng.integers(1, 400, rng.integers(1, 6)).astype(np.int32)
        kind = rng.integers(0, 3, len(lengths))  # prefill, decode, a chunk
        counts = np.where(kind == 0, lengths, np.where(kind == 1, 1, np.minimum(lengths, 37)))
        pages = -(-lengths // page_size)
        order = rng.permutation(pages.sum() + 3)
        table = np.full((len(lengths), pages.max()), -1, np.int32)
        slots, at = [], 0
        for s, n in enumerate(lengths):
            table[s, :pages[s]] = order[at:at + pages[s]]
            at += pages[s]
            position = np.arange(n)
            slots.append(table[s, position // page_size] * page_size + position % page_size)
        draw = lambda *shape: rng.standard_normal(shape).astype(np.float32)
        self.lengths, self.counts = lengths, counts
        self.queries = draw(counts.sum(), heads, dim)
        self.keys, self.values = draw(2, lengths.sum(), kv_heads, dim)
        self.pages, self.page_size = pages.sum() + 3, page_size
        starts = np.concatenate([[0], counts.cumsum()]).astype(np.int32)
        self.inputs = [self.queries, self.keys, self.values,
                       np.concatenate(slots).astype(np.int32), starts, lengths, table]

    def parameters(self, cache):
        return [self.pages, self.page_size, CACHES.index(cache), self.scale, self.soft_cap,
                self.window]

    @staticmethod
    def spread(x):
        """Times Hadamard's matrix, which is its own inverse: so are blocks written and read."""
        size = x.shape[-1] & -x.shape[-1]
        matrix = (hadamard(size) / np.sqrt(size)).astype(np.float32)
        return (x.reshape(-1, size) @ matrix).reshape(x.shape)

    def rounded(self, x, cache):
        if cache in ("q8_0", "q4_0"):
            kind = gguf.GGMLQuantizationType[cache.upper()]
            spread = gguf.quantize(self.spread(x), kind)
            return torch.from_numpy(self.spread(gguf.dequantize(spread, kind).reshape(x.shape)))
        kinds = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}
        return torch.from_numpy(x).to(kinds[cache]).float()

    def expected(self, cache):
        """PyTorch's attention, a sequence at a time, on what the cache makes of keys and values."""
        keys, values = self.rounded(self.keys, cache), self.rounded(self.values, cache)
        out, q_at, kv_at = [], 0, 0
        for n, count in zip(self.lengths, self.counts):
            q = torch.from_numpy(self.queries[q_at:q_at + count]).transpose(0, 1)
            k, v = (t[kv_at:kv_at + n].transpose(0, 1) for t in (keys, values))
            position = torch.arange(n - count, n)[:, None]
            seen = torch.arange(n)[None] <= position
            if self.window:
                seen &= torch.arange(n)[None] > position - self.window
            out.append(self.attend(q, k, v, seen).transpose(0, 1))
            q_at, kv_at = q_at + count, kv_at + n
        return torch.cat(out)

    def attend(self, q, k, v, seen):
        if not self.soft_cap:
            return torch.nn.functional.scaled_dot_product_attention(
                q[None], k[None], v[None], seen, scale=self.scale, enable_gqa=True)[0]
        group = self.heads // self.kv_heads
        k, v = k.repeat_interleave(group, 0), v.repeat_interleave(group, 0)
        scores = self.soft_cap * torch.tanh(q @ k.transpose(1, 2) * self.scale / self.soft_cap)
        return scores.masked_fill(~seen, -torch.inf).softmax(-1) @ v


def attention_cases(cache):
    rng = np.random.default_rng(6)
    shapes = [(9, 3, 64, 32), (4, 4, 64, 32), (8, 1, 128, 32), (6, 2, 80, 32), (4, 2, 96, 16),
              (2, 2, 40, 32), (3, 1, 8, 64), (14, 2, 64, 32), (5, 5, 17, 8), (32, 8, 64, 32)]
    for shape in shapes:
        if shape[2] % 32 and cache in ("q8_0", "q4_0"):
            continue
        for window, soft_cap in [(0, 0.0), (0, 0.0), (61, 0.0), (0, 3.0)]:
            yield Attention(rng, *shape, window, soft_cap)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("cache", CACHES)
def test_paged_attention_equals_pytorch_on_every_isa(batch, isa, cache):
    expected = [(batch.add("paged_attention", c.parameters(cache), c.inputs), c.expected(cache))
                for c in attention_cases(cache)]
    batch.run(TALLOW_ISA=isa)
    for name, want in expected:
        error = np.abs(np.load(f"{name}.0.npy") - want.numpy()).max()
        # Kernels over bf16 and blocks may round queries and weights (and blocks) to bf16, half an
        # ulp of 2^-8 each.
        assert error < (5e-6 if cache in ("f32", "f16") else 2e-2), (name, error)


@pytest.mark.parametrize("cache", CACHES)
def test_paged_attention_is_bit_equal_on_any_number_of_threads(batch, cache):
    names = [batch.add("paged_attention", c.parameters(cache), c.inputs)
             for c in attention_cases(cache)]
    runs = []
    for threads in ["1", "2", "3"]:
        batch.run(TALLOW_THREADS=threads)
        runs.append([np.load(f"{name}.0.npy") for name in names])
    for other in runs[1:]:
        for a, b in zip(runs[0], other):
            np.testing.assert_array_equal(a, b)


def test_fused_ops_are_bit_equal_on_any_number_of_threads(batch):
    rng = np.random.default_rng(7)
    x = rng.standard_normal((200, 600)).astype(np.float32)
    heads = rng.standard_normal((300, 4, 64)).astype(np.float32)
    ids = rng.integers(0, 200, 500)
    names = [batch.add("rms_norm", [1e-6], [x, x[0]]), batch.add("swiglu", [], [x, x]),
             batch.add("softmax", [-1], [x]), batch.add("embedding", [], [x, ids]),
             batch.add("rope", [0, 1.0], [heads, np.arange(300, dtype=np.int32), np.abs(x[0, :32])])]
    runs = []
    for threads in ["1", "2", "3"]:
        batch.run(TALLOW_THREADS=threads)
        runs.append([np.load(f"{name}.0.npy") for name in names])
    for other in runs[1:]:
        for a, b in zip(runs[0], other):
            np.testing.assert_array_equal(a, b)


def test_embedding_names_an_id_outside_the_vocabulary(probe, tmp_path):
    for bad in [-1, 50]:
        np.save(tmp_path / "w.npy", np.zeros((50, 4), np.float32))
        np.save(tmp_path / "ids.npy", np.array([0, bad]))
        (tmp_path / "manifest").write_text(
            f"embedding - {tmp_path}/w.npy,{tmp_path}/ids.npy {tmp_path}/out\n")
        result = probe("fused", tmp_path / "manifest", check=False)
        assert result.returncode == 1
        assert f"id {bad} is outside a vocabulary of 50" in result.stderr.decode()
