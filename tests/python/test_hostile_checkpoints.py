"""Quantized checkpoints that are damaged, unknown, or quantized in part; and the memory they take."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from test_models import joined, make_model
from test_quantized_checkpoints import (SIZES, awq, checked, compressed, fp8,  # noqa: F401
                                        gptq, write)


def failure(probe, folder):
    result = probe("weights", folder, folder / "weights.bin", check=False)
    assert result.returncode == 1, result.stdout
    return result.stderr.decode()


def changed(folder, change):
    tensors = load_file(folder / "model.safetensors")
    tensors = {name: t.contiguous() for name, t in change(tensors).items() if t is not None}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


Q = "model.layers.1.self_attn.q_proj"
GPTQ_FAULTS = {
    "no scales": lambda t: {**t, Q + ".scales": None},
    "no zero points": lambda t: {**t, Q + ".qzeros": None},
    "wrong group count": lambda t: {**t, Q + ".scales": t[Q + ".scales"][:3]},
    "no groups": lambda t: {**t, Q + ".scales": t[Q + ".scales"][:0]},
    "group out of range": lambda t: {**t, Q + ".g_idx": t[Q + ".g_idx"] + 1},
    "negative group": lambda t: {**t, Q + ".g_idx": t[Q + ".g_idx"] - 1},
    "short index": lambda t: {**t, Q + ".g_idx": t[Q + ".g_idx"][:-32]},
    "empty index": lambda t: {**t, Q + ".g_idx": t[Q + ".g_idx"][:0]},
    "wrong zero points": lambda t: {**t, Q + ".qzeros": t[Q + ".qzeros"][:, :-1]},
    "codes of another type": lambda t: {**t, Q + ".qweight": t[Q + ".qweight"].long()},
    "codes of one dimension": lambda t: {**t, Q + ".qweight": t[Q + ".qweight"].flatten()},
    "scales of integers": lambda t: {**t, Q + ".scales": t[Q + ".scales"].int()},
}


@pytest.mark.parametrize("fault", GPTQ_FAULTS)
def test_wrong_gptq_tensors_are_named(fault, probe, tmp_path):
    quantize, config = gptq(4, 32)
    write(tmp_path, make_model(**SIZES), quantize, config)
    changed(tmp_path, GPTQ_FAULTS[fault])
    message = failure(probe, tmp_path)
    assert str(tmp_path) in message and Q in message


BNB_FAULTS = {
    "no map": lambda t: {**t, Q + ".weight.quant_map": None},
    "another map": lambda t: {**t, Q + ".weight.quant_map": t[Q + ".weight.quant_map"] * 2},
    "too few scales": lambda t: {**t, Q + ".weight.absmax": t[Q + ".weight.absmax"][:-1]},
    "too few codes": lambda t: {**t, Q + ".weight": t[Q + ".weight"][:-1]},
    **{name: (lambda text: lambda t: {**t, Q + ".weight.quant_state.bitsandbytes__nf4":
                                      torch.frombuffer(bytearray(text), dtype=torch.uint8)})(text)
       for name, text in {
           "not json": b"{", "no shape": b'{"blocksize": 64}',
           "huge shape": b'{"blocksize": 64, "shape": [4294967296, 4294967296]}',
           "negative shape": b'{"blocksize": 64, "shape": [-1, 128]}',
           "no block": b'{"blocksize": 0, "shape": [128, 128]}'}.items()},
}


@pytest.mark.parametrize("fault", BNB_FAULTS)
def test_wrong_bitsandbytes_tensors_are_named(fault, probe, tmp_path):
    from bitsandbytes import functional as F

    def quantize(w, name):
        q, state = F.quantize_4bit(w.half(), quant_type="nf4")
        return {".weight": q, **{f".weight.{k}": t for k, t in state.as_dict(packed=True).items()}}, w
    write(tmp_path, make_model(**SIZES), quantize, dict(quant_method="bitsandbytes"))
    changed(tmp_path, BNB_FAULTS[fault])
    message = failure(probe, tmp_path)
    assert str(tmp_path) in message and Q in message


def faults(tensors, module, rng):
    """One tensor of a module missing, cut, empty, flat, of another type, or filled at random."""
    name = rng.choice(sorted(n for n in tensors if n.startswith(module)))
    t = tensors[name]
    dim = int(rng.integers(max(t.dim(), 1)))
    kind = rng.choice(["missing", "cut", "empty", "flat", "type", "noise", "longer", "scalar"])
    if kind == "missing":
        return {**tensors, name: None}, (name, kind)
    raw = t.contiguous().flatten().view(torch.uint8)
    if kind == "noise":
        noise = torch.from_numpy(rng.integers(0, 256, raw.numel(), dtype=np.uint8))
        return {**tensors, name: noise.view(t.dtype).reshape(t.shape)}, (name, kind)
    if kind == "type":
        other = [torch.uint8, torch.int8, torch.float8_e4m3fn, torch.int32, torch.float16,
                 torch.float32, torch.int64][int(rng.integers(7))]
        new = torch.zeros(t.shape, dtype=other)
    elif t.dim() == 0:
        new = t.reshape(1).repeat(3)
    else:
        size = t.shape[dim]
        new = {"cut": lambda: t.narrow(dim, 0, size - min(size, int(rng.integers(1, 33)))),
               "empty": lambda: t.narrow(dim, 0, 0), "flat": lambda: t.flatten(),
               "longer": lambda: torch.cat([t.view(torch.uint8) if t.dtype == torch.float8_e4m3fn else t]
                                           * 2, dim).contiguous(),
               "scalar": lambda: t.flatten()[:1].reshape([])}[kind]()
        if new.dtype != t.dtype:
            new = new.view(t.dtype)
    return {**tensors, name: new.clone()}, (name, kind)


def bitsandbytes_nf4(w, name):
    from bitsandbytes import functional as F
    q, state = F.quantize_4bit(w.half(), quant_type="nf4", compress_statistics=True)
    return {".weight": q, **{f".weight.{k}": t for k, t in state.as_dict(packed=True).items()}}, w


def bitsandbytes_int8(w, name):
    from bitsandbytes import functional as F
    q, largest, _ = F.int8_vectorwise_quant(w.half())
    return {".weight": q, ".SCB": largest, ".weight_format": torch.tensor(0, dtype=torch.uint8)}, w


def hqq_layer(bits, axis=1):
    def quantize(w, name):
        from hqq.core.quantize import BaseQuantizeConfig, HQQLinear
        linear = torch.nn.Linear(w.shape[1], w.shape[0], bias=False)
        linear.weight.data = w
        layer = HQQLinear(linear, BaseQuantizeConfig(nbits=bits, group_size=32, axis=axis),
                          compute_dtype=torch.float32, device="cpu")
        return {f".{key}": t for key, t in layer.state_dict().items()}, w
    return quantize


FUZZED = {
    "gptq": lambda: gptq(4, 32, True), "gptq3": lambda: gptq(3, 64, False, False),
    "awq": lambda: awq(32, "gemm"), "awq_gemv": lambda: awq(32, "gemv"),
    "fp8": lambda: (fp8("block"), dict(quant_method="fp8", weight_block_size=[128, 128])),
    "nf4": lambda: (bitsandbytes_nf4, dict(quant_method="bitsandbytes")),
    "int8": lambda: (bitsandbytes_int8, dict(quant_method="bitsandbytes")),
    "packed": lambda: compressed("pack-quantized", "group", 4, 32, False),
    "packed3": lambda: compressed("pack-quantized", "channel", 3, None, False),
    "nvfp4": lambda: compressed("nvfp4-pack-quantized", "tensor_group", 4, 16, True, "float"),
    "mxfp4": lambda: compressed("mxfp4-pack-quantized", "group", 4, 32, True, "float"),
    "hqq": lambda: (hqq_layer(4), dict(quant_method="hqq")),
    "hqq3": lambda: (hqq_layer(3, 0), dict(quant_method="hqq")),
}


@pytest.mark.parametrize("scheme", FUZZED)
def test_damaged_tensors_end_quietly(scheme, probe, tmp_path):
    """An error that names the folder, or values: never a signal, nor a gigabyte."""
    quantize, config = FUZZED[scheme]()
    model = make_model(**{**SIZES, "num_hidden_layers": 1, "intermediate_size": 64})

    def one(w, name):
        return quantize(w, name) if name.endswith("q_proj") else ({".weight": w.half()}, w)
    write(tmp_path, model, one, config)
    module = "model.layers.0.self_attn.q_proj"
    tensors = {n: t for n, t in load_file(tmp_path / "model.safetensors").items() if module in n}
    rng = np.random.default_rng(7)
    for _ in range(40):
        damaged, what = faults(tensors, module, rng)
        damaged = {n: t.contiguous() for n, t in damaged.items() if t is not None}
        save_file(damaged, tmp_path / "model.safetensors", metadata={"format": "pt"})
        result = probe("weights", tmp_path, tmp_path / "weights.bin", check=False, timeout=20)
        message = result.stderr.decode()
        assert result.returncode in (0, 1), (what, result.returncode)
        assert result.returncode == 0 or str(tmp_path) in message, (what, message)
        assert (tmp_path / "weights.bin").stat().st_size < 1 << 24, what


@pytest.mark.parametrize("config, named", [
    (dict(quant_method="aqlm"), "aqlm"), (dict(quant_method="exl2"), "exl2"),
    (dict(), "quant_method"), (dict(quant_method="gptq", checkpoint_format="marlin"), "marlin"),
    (dict(quant_method="compressed-tensors", format="marlin-24"), "marlin-24")])
def test_unknown_schemes_are_refused_by_name(config, named, probe, tmp_path):
    write(tmp_path, make_model(**SIZES), lambda w, name: ({".weight": w}, w), config)
    message = failure(probe, tmp_path)
    assert named in message and "known are gptq, awq" in message


def test_modules_that_were_not_converted_stay_as_they_are(checked, tmp_path):
    quantize, config = gptq(4, 32)
    model = make_model(**SIZES)

    def some(w, name):
        return ({".weight": w.half()}, w.half()) if "layers.0" in name else quantize(w, name)
    config["modules_to_not_convert"] = ["model.layers.0"]
    weights = write(tmp_path, model, some, config)
    checked(tmp_path, model, weights)
    found = checked.weights(tmp_path)
    assert found["model.layers.0.mlp.up_proj.weight"][0] == "f16"
    assert found["model.layers.1.mlp.up_proj.weight"][0] == "u4_g32"


PEAK = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)
"""


@pytest.mark.parametrize("scheme", ["gptq", "fp8", "nf4"])
def test_weights_are_in_memory_once(scheme, tallow, tmp_path):
    """Beside the file: what the program takes without it, and one tensor's pages."""
    size, layers = 1024, 8
    model = make_model(**{**SIZES, "hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 1})
    _, config = FUZZED[scheme]()
    write(tmp_path, model, lambda w, name: ({".weight": w.half()}, w), config)
    settings = json.loads((tmp_path / "config.json").read_text())
    settings |= dict(hidden_size=size, intermediate_size=4 * size, num_hidden_layers=layers,
                     num_attention_heads=8, num_key_value_heads=8, head_dim=128, vocab_size=64)
    settings["quantization_config"] |= dict(bits=4, group_size=128)
    (tmp_path / "config.json").write_text(json.dumps(settings))
    tensors = {"model.embed_tokens.weight": torch.zeros(64, size).half(),
               "lm_head.weight": torch.zeros(64, size).half(),
               "model.norm.weight": torch.ones(size).half()}
    for layer in range(layers):
        prefix = f"model.layers.{layer}."
        for norm in ("input_layernorm", "post_attention_layernorm"):
            tensors[f"{prefix}{norm}.weight"] = torch.ones(size).half()
        for name, n, k in [*((f"self_attn.{x}_proj", size, size) for x in "qkvo"),
                           ("mlp.gate_proj", 4 * size, size), ("mlp.up_proj", 4 * size, size),
                           ("mlp.down_proj", size, 4 * size)]:
            tensors |= {prefix + name + part: t for part, t in zeros_of(scheme, n, k).items()}
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    del tensors

    def peak(*args):
        command = [sys.executable, "-c", PEAK, tallow.path, *map(str, args)]
        return int(subprocess.run(command, capture_output=True, check=True).stdout.split()[-1])
    file = (tmp_path / "model.safetensors").stat().st_size
    used = peak("logits", tmp_path, "--tokens", joined(range(32)), "--out", tmp_path / "l.npy")
    assert used < 1.25 * file + (48 << 20), (used, file)


def zeros_of(scheme, n, k):
    if scheme == "gptq":
        return {".qweight": torch.zeros(k // 8, n, dtype=torch.int32),
                ".qzeros": torch.zeros(k // 128, n // 8, dtype=torch.int32),
                ".scales": torch.zeros(k // 128, n).half(), ".g_idx": (torch.arange(k) // 128).int()}
    if scheme == "fp8":
        return {".weight": torch.zeros(n, k).to(torch.float8_e4m3fn),
                ".weight_scale_inv": torch.zeros(-(-n // 128), -(-k // 128))}
    parts, _ = bitsandbytes_nf4(torch.zeros(n, k), "")
    return parts
