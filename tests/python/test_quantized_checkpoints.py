"""Quantized checkpoints as they lie on the hub in safetensors: each weight beside the dequantization
of the library that wrote it (or of the published layout where no such library runs on a CPU), and
the logits of the model beside transformers' on those weights.
"""

import json
import re

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from test_models import (Logits, error, make_model, random_tokens, reference,  # noqa: F401
                         rms_error)

SIZES = dict(hidden_size=128, intermediate_size=256, num_hidden_layers=2, head_dim=32)
LINEAR = re.compile(r"\.(q|k|v|o|gate|up|down)_proj$")


def modules(model):
    return {name: m for name, m in model.named_modules() if LINEAR.search(name)}


def write(folder, model, quantize, config, dtype=torch.float16, name="config.json"):
    """Saves `model` with the tensors of quantize(weight, name) for each projection. Returns the
    dequantized weights, with which `model` goes on."""
    model.save_pretrained(folder)
    (folder / "model.safetensors").unlink()
    tensors, weights = {}, {}
    for key, value in model.state_dict().items():
        module = key.removesuffix(".weight")
        if LINEAR.search(module):
            parts, weights[key] = quantize(value, module)
            tensors |= {module + suffix: t.contiguous() for suffix, t in parts.items()}
        else:
            tensors[key] = value.to(dtype).contiguous()
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    for key, value in weights.items():
        model.get_submodule(key.removesuffix(".weight")).weight.data = value.float()
    with torch.no_grad():
        for key, value in model.state_dict().items():
            if key not in weights:
                value.copy_(value.to(dtype).float())
    put_config(folder, config, name)
    return weights


def put_config(folder, config, name="config.json"):
    path = folder / name
    if name == "config.json":
        config = {**json.loads(path.read_text()), "quantization_config": config}
    path.write_text(json.dumps(config))


class Checked:
    """Compares a folder's weights and logits with those of the model that was quantized."""

    def __init__(self, tallow, probe, folder):
        self.probe, self.out, self.logits = probe, folder / "weights.bin", Logits(tallow, folder)

    def weights(self, folder):
        """Name to dtype and dequantized value."""
        lines = self.probe("weights", folder, self.out).stdout.decode().splitlines()
        values, at, found = np.fromfile(self.out, np.float32), 0, {}
        for name, dtype, shape in (line.split(" ", 2) for line in lines):
            shape = json.loads(shape)
            count = int(np.prod(shape))
            found[name] = dtype, torch.from_numpy(values[at:at + count].copy()).reshape(shape)
            at += count
        return found

    def __call__(self, folder, model, weights, tolerance=0.0, dtype=None, logits=2e-2):
        """Weights equal to `tolerance` of their largest value; then the logits, to what 8-bit
        activations leave."""
        found = self.weights(folder)
        assert found.keys() == model.state_dict().keys()
        for name, expected in weights.items():
            assert dtype is None or found[name][0] == dtype
            got = found[name][1]
            if expected.dtype != torch.float32:
                got, expected = got.to(expected.dtype).float(), expected.float()
            assert (got - expected).abs().max() <= tolerance * expected.abs().max(), name
        tokens = random_tokens(model, 40)
        expected = reference(model, tokens)
        assert rms_error(self.logits(folder, tokens), expected) < logits
        assert rms_error(self.logits(folder, tokens, args=["--chunk", 1]), expected) < logits


@pytest.fixture
def checked(tallow, probe, tmp_path):
    return Checked(tallow, probe, tmp_path)


# GPTQ, as AutoGPTQ's qlinear_cuda_old.py packs it.


def pack_down(codes, bits):
    """Codes [k, n] into 32-bit words [k * bits / 32, n], from the lowest bit up."""
    k, n = codes.shape
    stream = (codes.numpy()[:, None, :].astype(np.uint32) >> np.arange(bits)[None, :, None]) & 1
    words = stream.reshape(k * bits // 32, 32, n).astype(np.uint64)
    packed = (words << np.arange(32, dtype=np.uint64)[None, :, None]).sum(1).astype(np.uint32)
    return torch.from_numpy(packed.view(np.int32))


def affine_groups(w, bits, group_of, groups, symmetric, dtype):
    """Scales [groups, n], integer zero points, codes [k, n] and dequantized values of w [n, k]."""
    n, k = w.shape
    top = (1 << bits) - 1
    scales, zeros = torch.zeros(groups, n), torch.zeros(groups, n)
    for g in range(groups):
        part = w[:, group_of == g]
        low, high = part.min(1).values.clamp(max=0), part.max(1).values.clamp(min=0)
        if symmetric:
            high = torch.maximum(high, -low)
            low = -high
        scales[g] = ((high - low) / top).clamp(min=1e-6)
        zeros[g] = (top + 1) / 2 if symmetric else (-low / scales[g]).round().clamp(1, top)
    scales = scales.to(dtype)
    s, z = scales.float()[group_of].T, zeros[group_of].T
    codes = ((w / s).round() + z).clamp(0, top)
    return scales, zeros.int(), codes.T.int(), s * (codes - z)


def gptq(bits, group, act_order=False, symmetric=True, dtype=torch.float16, v2=False):
    def quantize(w, name):
        n, k = w.shape
        size = k if group == -1 else group
        groups = -(-k // size)
        g_idx = torch.arange(k) // size
        if act_order:
            g_idx = g_idx[torch.from_numpy(np.random.default_rng(len(name)).permutation(k))]
        scales, zeros, codes, value = affine_groups(w, bits, g_idx, groups, symmetric, dtype)
        packed_zeros = pack_down((zeros - (0 if v2 else 1)).T, bits).T
        return {".qweight": pack_down(codes, bits), ".qzeros": packed_zeros, ".scales": scales,
                ".g_idx": g_idx.int()}, value
    config = dict(quant_method="gptq", bits=bits, group_size=group, desc_act=act_order,
                  sym=symmetric, checkpoint_format="gptq_v2" if v2 else "gptq")
    return quantize, config


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("group", [32, 64, 128, -1])
@pytest.mark.parametrize("act_order", [False, True])
def test_gptq(bits, group, act_order, checked, tmp_path):
    symmetric = bits % 2 == 0
    dtype = {32: torch.float16, 64: torch.bfloat16, 128: torch.float16, -1: torch.float32}[group]
    quantize, config = gptq(bits, group, act_order, symmetric, dtype)
    model = make_model(**SIZES)
    weights = write(tmp_path, model, quantize, config)
    checked(tmp_path, model, weights)


@pytest.mark.parametrize("v2", [False, True])
def test_gptq_zero_points_of_both_formats_and_without_g_idx(v2, checked, tmp_path):
    quantize, config = gptq(4, 64, symmetric=False, v2=v2)
    model = make_model(**SIZES)

    def without_index(w, name):
        parts, value = quantize(w, name)
        del parts[".g_idx"]
        return parts, value
    weights = write(tmp_path, model, without_index, config)
    checked(tmp_path, model, weights, dtype="u4_g64")


def test_gptq_configuration_beside_config_json(checked, tmp_path):
    quantize, config = gptq(4, 32)
    del config["quant_method"], config["checkpoint_format"]
    model = make_model(**SIZES)
    weights = write(tmp_path, model, quantize, config, name="quantize_config.json")
    checked(tmp_path, model, weights, dtype="u4_g32")
