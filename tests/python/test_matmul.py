"""linear, linear_concat, gated_linear and matmul against PyTorch: every instruction set, thread
count, weight dtype and awkward size; gradients too."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

ISAS = ["portable", "avx2", "avx512", "avx512_vnni", "avx512_bf16", "amx"]
SIZES = [(0, 5, 32), (1, 1, 1), (1, 17, 63), (3, 63, 577), (8, 33, 96), (17, 577, 64), (33, 40, 256),
         (64, 96, 512), (130, 31, 300)]
# The largest difference, relative to the largest result, from what each dtype rounds. Weights in
# blocks meet activations of 8 bits (few rows) or bf16 (many).
BOUND = {"f32": 2e-6, "bf16": 8e-3, "f16": 2e-6, "f8_e4m3": 2e-6}
BLOCK_BOUND = 1.2e-2
BLOCKS = ["q4_0", "q4_1", "q5_0", "q5_1", "q8_0"]


def draw(rng, *shape):
    return rng.standard_normal(shape).astype(np.float32)


class Manifest:
    """Cases for one run of the probe, and what each must give."""

    def __init__(self, folder):
        self.folder, self.lines, self.checks = folder, [], []

    def save(self, name, array):
        path = self.folder / f"{name}.npy"
        np.save(path, array)
        return str(path)

    def add(self, kind, dtype, x, weights, biases, check, gradient=None):
        i = len(self.lines)
        x_file = self.save(f"{i}.x", x)
        files = [w if isinstance(w, str) else self.save(f"{i}.w{j}", w)
                 for j, w in enumerate(weights)]
        bias_files = [self.save(f"{i}.b{j}", b) for j, b in enumerate(biases)]
        output = self.folder / f"{i}.out"
        words = [kind, dtype, x_file, ",".join(files), ",".join(bias_files) or "-", str(output)]
        if gradient is not None:
            words.append(self.save(f"{i}.g", gradient))
        self.lines.append(" ".join(words))
        self.checks.append((self.lines[-1], output, check))

    def run(self, probe, **environment):
        path = self.folder / "manifest"
        path.write_text("\n".join(self.lines) + "\n")
        probe("linear", path, env=environment)
        results = []
        for line, output, check in self.checks:
            results.append(np.load(f"{output}.npy"))
            check(line, results[-1], output)
        return results


def close(line, result, expected, bound):
    assert result.shape == tuple(expected.shape), line
    if expected.numel() == 0:
        return
    scale = max(float(expected.abs().max()), 1e-3)
    error = float((torch.from_numpy(result.astype(np.float64)) - expected).abs().max()) / scale
    assert error <= bound, f"{line}: off by {error:.2e} of the largest, more than {bound:.0e}"


def gate(y):
    a, b = y.chunk(2, -1)
    return torch.nn.functional.silu(a) * b


def reference(kind, x, weights, biases):
    x = torch.from_numpy(x).double()
    w = torch.cat([torch.from_numpy(w).double() for w in weights])
    b = torch.cat([torch.from_numpy(b).double() for b in biases]) if biases else None
    y = torch.nn.functional.linear(x, w, b)
    return gate(y) if kind == "gated" else y


def add_cases(manifest):
    """Every kind at every size, with mapped f32 weights and with each dtype in memory."""
    rng = np.random.default_rng(3)
    for m, n, k in SIZES:
        for kind, count in [("linear", 1), ("concat", 3), ("gated", 2)]:
            x = draw(rng, m, k)
            weights = [draw(rng, n + (7 * i if kind == "concat" else 0), k) / k**0.5
                       for i in range(count)]
            biases = [draw(rng, len(w)) for w in weights] if kind != "concat" or m % 2 else []
            expected = reference(kind, x, weights, biases)
            manifest.add(kind, "-", x, weights, biases,
                         lambda line, y, out, e=expected: close(line, y, e, BOUND["f32"] * 2))
            for dtype in [*BOUND, *BLOCKS]:
                if dtype in BLOCKS and k % 32:
                    continue

                def check(line, y, out, kind=kind, x=x, biases=biases, dtype=dtype, count=count):
                    rounded = [np.load(f"{out}.w{i}.npy") for i in range(count)]
                    bound = BOUND.get(dtype, BLOCK_BOUND) * (2 if kind == "gated" else 1)
                    close(line, y, reference(kind, x, rounded, biases), bound)

                manifest.add(kind, dtype, x, weights, biases, check)


@pytest.mark.parametrize("isa", ISAS)
def test_every_weight_dtype_gives_pytorchs_result(probe, tmp_path, isa):
    manifest = Manifest(tmp_path)
    add_cases(manifest)
    manifest.run(probe, TALLOW_ISA=isa)


def test_thread_counts_give_equal_bits(probe, tmp_path):
    results = []
    for threads in "123":
        manifest = Manifest(tmp_path)
        add_cases(manifest)
        results.append(manifest.run(probe, TALLOW_THREADS=threads))
    for one, two, three in zip(*results):
        assert np.array_equal(one, two) and np.array_equal(one, three)


@pytest.mark.parametrize("isa", ISAS)
def test_mapped_bf16_weights_are_packed_and_give_pytorchs_result(probe, tmp_path, isa):
    manifest, tensors = Manifest(tmp_path), {}
    rng = np.random.default_rng(4)
    for i, (m, n, k) in enumerate(SIZES):
        w = torch.from_numpy(draw(rng, n, k) / k**0.5).bfloat16()
        tensors[f"w{i}"] = w
        x = torch.from_numpy(draw(rng, m, k)).bfloat16().float()
        expected = torch.nn.functional.linear(x.double(), w.double())
        manifest.add("linear", "-", x.numpy(), [f"{tmp_path}/m.safetensors:w{i}"], [],
                     lambda line, y, out, e=expected: close(line, y, e, 2e-6))
    save_file(tensors, tmp_path / "m.safetensors")
    manifest.run(probe, TALLOW_ISA=isa)


def test_gradients_are_pytorchs(probe, tmp_path):
    manifest = Manifest(tmp_path)
    rng = np.random.default_rng(5)
    for kind, count in [("linear", 1), ("concat", 3), ("gated", 2)]:
        for shape in [(7, 33), (2, 3, 33), (33,)]:
            arrays = [draw(rng, *shape)] + [draw(rng, 5, 33) for _ in range(count)]
            arrays += [draw(rng, 5) for _ in range(count)]
            leaves = [torch.from_numpy(a.copy()).requires_grad_() for a in arrays]
            y = torch.nn.functional.linear(leaves[0], torch.cat(leaves[1:1 + count]),
                                           torch.cat(leaves[1 + count:]))
            y = gate(y) if kind == "gated" else y
            seed = draw(rng, *y.shape)
            y.backward(torch.from_numpy(seed))

            def check(line, result, out, y=y.detach().double(), leaves=leaves):
                close(line, result, y, 1e-5)
                for i, leaf in enumerate(leaves):
                    close(f"{line} input {i}", np.load(f"{out}.grad{i}.npy"), leaf.grad.double(),
                          1e-5)

            manifest.add(kind, "-", arrays[0], arrays[1:1 + count], arrays[1 + count:], check, seed)
    manifest.run(probe)


def test_shapes_that_do_not_fit_say_so(probe, tmp_path):
    rng = np.random.default_rng(6)
    for kind, x, w, b, words in [
            ("linear", (3, 8), [(4, 9)], [], "does not fit x"),
            ("linear", (3, 8), [(4, 8)], [(5,)], "does not fit weight"),
            ("gated", (3, 8), [(4, 8), (5, 8)], [], "differ; they need one shape")]:
        manifest = Manifest(tmp_path)
        manifest.add(kind, "-", draw(rng, *x), [draw(rng, *s) for s in w],
                     [draw(rng, *s) for s in b], None)
        path = tmp_path / "manifest"
        path.write_text(manifest.lines[0] + "\n")
        result = probe("linear", path, check=False)
        assert result.returncode == 1 and words in result.stderr.decode()
