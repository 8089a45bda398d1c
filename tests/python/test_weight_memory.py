"""Weights in less memory than they take: results the same to the bit, and no more memory than said."""

import json
import resource
import subprocess
import sys

import gguf
import numpy as np
import pytest
import tallow as package
import torch
from gemma_models import EXPERTS, make_model, write_gguf
from safetensors.torch import save_file
from test_models import Logits, error, random_tokens, reference

MIXED = dict(EXPERTS, num_hidden_layers=2, layer_types=["sliding_attention", "full_attention"],
             hidden_size=256, intermediate_size=256, moe_intermediate_size=256, num_experts=16,
             top_k_experts=4)
LARGE = dict(MIXED, hidden_size=512, moe_intermediate_size=512, num_experts=48)


@pytest.fixture
def limited():
    """Sets the bytes for forms, for one test."""
    before = package.weight_memory()
    yield package.set_weight_memory
    package.set_weight_memory(before)


@pytest.fixture
def logits(tallow, tmp_path):
    return Logits(tallow, tmp_path)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """A mixture of experts of 28 MB in f32; also in bf16, and in Q4_0."""
    folder = tmp_path_factory.mktemp("mixed")
    model = make_model("gemma4_text", MIXED, dtype=torch.bfloat16)
    tokens = random_tokens(model, 45)
    expected = reference(model, tokens)
    model.save_pretrained(folder / "f32")
    write_gguf(folder / "q4_0.gguf", model, gguf.GGMLQuantizationType.Q4_0)
    make_model("gemma4_text", MIXED).to(torch.bfloat16).save_pretrained(folder / "bf16")
    return folder, tokens, expected


@pytest.mark.parametrize("name,limits", [("f32", (0, 0.005, 0.015)), ("bf16", (0, 0.007)),
                                         ("q4_0.gguf", (0, 0.001, 0.002))])
def test_logits_are_the_same_in_any_memory(name, limits, mixed, logits):
    folder, tokens, expected = mixed
    for chunk in (1, 45):
        whole = logits(folder / name, tokens, args=["--chunk", chunk])
        if name == "f32":
            assert error(whole, expected) < 2e-4
        for gigabytes in limits:
            args = ["--chunk", chunk, "--weight-memory", gigabytes]
            assert np.array_equal(logits(folder / name, tokens, args=args), whole), args


@pytest.mark.parametrize("rows", [1, 5, 70])
@pytest.mark.parametrize("weight,input", [("float32", "float32"), ("bfloat16", "float32"),
                                          ("bfloat16", "bfloat16")])
def test_products_with_weights_that_find_no_room_equal_pytorch(weight, input, rows, limited,
                                                               tmp_path):
    torch.manual_seed(rows)
    # Two slices of bf16 and three of f32, the last with a group that is not full.
    weights = {name: torch.randn(9003, 515).to(getattr(torch, weight)) for name in ("gate", "up")}
    save_file(weights, tmp_path / "w.safetensors")
    x, bias = torch.randn(rows, 515).to(getattr(torch, input)), torch.randn(9003)
    mine = package.from_dlpack(x)
    results = []
    for limit in (10**9, 0):
        limited(limit)
        file = package.load_file(tmp_path / "w.safetensors")
        y = [package.linear(mine, file["gate"], package.from_dlpack(bias.to(x.dtype))),
             package.gated_linear(mine, file["gate"], file["up"])]
        results.append([torch.from_dlpack(each).float() for each in y])
        assert (package.weight_memory_in_use() > 0) == (limit > 0)
        del file, y
    wide = {name: w.double() for name, w in weights.items()}
    gate, up = (torch.nn.functional.linear(x.double(), wide[name]) for name in ("gate", "up"))
    for i, expected in enumerate((gate + bias, torch.nn.functional.silu(gate) * up)):
        assert torch.equal(results[0][i], results[1][i])
        exact = "float32" == weight == input
        assert (results[1][i] - expected).abs().max() < (1e-5 if exact else 2e-2) * expected.abs().max()


MEMORY = """
import sys, json, threading, time
import tallow
def own():
    with open("/proc/self/status") as status:
        return 1024 * next(int(line.split()[1]) for line in status if line.startswith("RssAnon"))
folder, limit, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
tallow.set_num_threads(2)
tallow.set_weight_memory(limit)
model = tallow.load(folder)
before, samples, tokens = own(), [], [[(7 * i + 3 * t) % 151 for i in range(90)] for t in range(threads)]
results, done = [None] * threads, False
def watch():
    while not done:
        samples.append(own())
        time.sleep(0.001)
def run(t):
    results[t] = [float(model.logits(tokens[t][:n], last_only=True).to(tallow.float64).sum()) for n in (1, 5, 90)]
watcher = threading.Thread(target=watch)
watcher.start()
runs = [threading.Thread(target=run, args=(t,)) for t in range(threads)]
for r in runs: r.start()
for r in runs: r.join()
done = True
watcher.join()
print(json.dumps([results, max(samples) - before, tallow.weight_memory_in_use()]))
"""


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A mixture of experts of 154 MB in bf16."""
    folder = tmp_path_factory.mktemp("large") / "model"
    model = make_model("gemma4_text", LARGE, dtype=torch.bfloat16)
    model.to(torch.bfloat16).save_pretrained(folder)
    return folder


def test_own_memory_stays_within_the_limit_also_with_two_sessions(large):
    def run(limit, threads=2):
        out = subprocess.run([sys.executable, "-c", MEMORY, str(large), str(limit), str(threads)],
                             capture_output=True, check=True, text=True).stdout
        return json.loads(out)
    expected, whole, _ = run(10**10)
    assert whole > 120e6
    # Beside the forms: activations, a slice of each session, and memory kept for the next form.
    for limit in (0, 50_000_000):
        results, peak, in_use = run(limit)
        assert results == expected
        assert in_use <= limit
        assert peak < limit + 60e6


def test_a_model_runs_in_less_memory_than_it_takes(large, tallow, tmp_path):
    def run(*args):
        """With at most 120 MB that are no file's, of which a part is for weights by default."""
        limit = 120 << 20
        command = [tallow.path, "logits", large, "--tokens", ",".join(map(str, range(3, 93))),
                   "--threads", "1", "--out", tmp_path / "logits.npy", *args]
        return subprocess.run(
            list(map(str, command)), capture_output=True, text=True,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (limit, limit)))
    assert run("--weight-memory", 1).returncode != 0
    assert run("--weight-memory", 0.04).returncode == 0


def test_limits_that_are_no_numbers_are_refused(mixed, tallow, limited):
    folder, _, _ = mixed
    for text in ("-1", "much", "1e99", "nan", "4 GB"):
        result = tallow("logits", folder / "f32", "--tokens", "1", "--out", "/dev/null", check=False,
                        env={"TALLOW_WEIGHT_MEMORY": text})
        assert result.returncode != 0
        assert f"TALLOW_WEIGHT_MEMORY: '{text}'" in result.stderr.decode()
        result = tallow("logits", folder / "f32", "--tokens", "1", f"--weight-memory={text}",
                        check=False)
        assert result.returncode != 0 and b"--weight-memory" in result.stderr
    with pytest.raises(RuntimeError, match="set_weight_memory: -5"):
        limited(-5)
