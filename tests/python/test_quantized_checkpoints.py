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
from test_dtypes import rounded_activations
from test_models import (Logits, make_model, random_tokens, reference,  # noqa: F401
                         rms_error)

SIZES = dict(hidden_size=128, intermediate_size=256, num_hidden_layers=2, head_dim=32)
LINEAR = re.compile(r"\.(q|k|v|o|gate|up|down)_proj$")


def modules(model):
    return {name: m for name, m in model.named_modules() if LINEAR.search(name)}


def write(folder, model, quantize, config, dtype=torch.float16, name="config.json",
          pattern=LINEAR):
    """Saves `model` with the tensors of quantize(weight, name) for each projection. Returns the
    dequantized weights, with which `model` goes on."""
    model.save_pretrained(folder)
    (folder / "model.safetensors").unlink()
    tensors, weights = {}, {}
    for key, value in model.state_dict().items():
        module = key.removesuffix(".weight")
        if pattern.search(module):
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

    def __call__(self, folder, model, weights, tolerance=0.0, dtype=None, logits=4e-2):
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


# AWQ, as AutoAWQ's WQLinear_GEMM and WQLinear_GEMV pack it.


def pack_words(codes, order):
    """Nibbles [..., m] into words [..., m / 8], nibble i of a word being column order[i]."""
    parts = codes.reshape(*codes.shape[:-1], -1, 8)[..., order].to(torch.int64)
    words = (parts << (4 * torch.arange(8))).sum(-1)
    return torch.from_numpy(words.numpy().astype(np.uint32).view(np.int32))


def awq(group, version, symmetric=False):
    def quantize(w, name):
        n, k = w.shape
        groups = k // group
        scales, zeros, codes, value = affine_groups(w, 4, torch.arange(k) // group, groups,
                                                    symmetric, torch.float16)
        if version == "gemm":
            order = [0, 2, 4, 6, 1, 3, 5, 7]
            return {".qweight": pack_words(codes, order), ".qzeros": pack_words(zeros, order),
                    ".scales": scales}, value
        order, width = list(range(8)), -(-groups // 8) * 8
        padded = torch.nn.functional.pad(zeros.T, (0, width - groups))
        return {".qweight": pack_words(codes.T, order), ".qzeros": pack_words(padded, order),
                ".scales": torch.nn.functional.pad(scales.T, (0, width - groups))}, value
    return quantize, dict(quant_method="awq", bits=4, group_size=group, version=version,
                          zero_point=not symmetric, modules_to_not_convert=None)


@pytest.mark.parametrize("version", ["gemm", "gemv"])
@pytest.mark.parametrize("group", [32, 64, 128])
def test_awq(version, group, checked, tmp_path):
    quantize, config = awq(group, version)
    model = make_model(**SIZES)
    weights = write(tmp_path, model, quantize, config)
    checked(tmp_path, model, weights, dtype=f"u4_g{group}")


def test_awq_of_older_folders(checked, tmp_path):
    quantize, _ = awq(64, "gemm", symmetric=True)
    model = make_model(**SIZES)
    config = dict(w_bit=4, q_group_size=64, zero_point=True, version="GEMM")
    weights = write(tmp_path, model, quantize, config, name="quant_config.json")
    checked(tmp_path, model, weights)


# FP8 under every kind of scale.


def fp8(kind, dtype=torch.float32):
    def quantize(w, name):
        n, k = w.shape
        if kind == "block":
            rows, columns = -(-n // 128), -(-k // 128)
            padded = torch.zeros(rows * 128, columns * 128)
            padded[:n, :k] = w
            tiles = padded.reshape(rows, 128, columns, 128)
            scale = tiles.abs().amax((1, 3)) / 448
            wide = scale.repeat_interleave(128, 0)[:n].repeat_interleave(128, 1)[:, :k]
            parts = {".weight_scale_inv": scale}
        elif kind == "channel":
            wide = (w.abs().amax(1, keepdim=True) / 448).to(dtype).float()
            parts = {".weight_scale": wide.to(dtype), ".input_scale_ub": torch.tensor([1200.0])}
        else:
            wide = (w.abs().max() / 448).to(dtype).float()
            parts = {".weight_scale": wide.to(dtype), ".input_scale": torch.tensor(0.02)}
        codes = (w / wide).to(torch.float8_e4m3fn)
        return {".weight": codes, **parts}, codes.float() * wide
    return quantize


@pytest.mark.parametrize("method, kind", [
    ("fp8", "block"), ("fp8", "tensor"), ("fbgemm_fp8", "channel"), ("fp8", "channel"),
    ("modelopt", "tensor")])
def test_fp8(method, kind, checked, tmp_path):
    model = make_model(**{**SIZES, "intermediate_size": 320})
    config = dict(quant_method=method, weight_block_size=[128, 128] if kind == "block" else None)
    if method == "modelopt":
        config = dict(producer=dict(name="modelopt"), quantization=dict(quant_algo="FP8"))
    weights = write(tmp_path, model, fp8(kind), config,
                    name="hf_quant_config.json" if method == "modelopt" else "config.json")
    # input_scale_ub is no weight: it is left over, as any name that a model does not know.
    found = checked.weights(tmp_path)
    for name in [n for n in found if n.endswith("input_scale_ub")]:
        del found[name]
    checked.weights = lambda folder: found
    checked(tmp_path, model, weights, dtype="f8_g64")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_fp8_that_fits_no_block_is_dense(dtype, checked, tmp_path):
    model = make_model(**{**SIZES, "hidden_size": 80, "intermediate_size": 72})
    weights = write(tmp_path, model, fp8("tensor", dtype), dict(quant_method="fp8"))
    weights = {name: value.to(dtype) for name, value in weights.items()}
    checked(tmp_path, model, weights)
    assert {d for d, _ in checked.weights(tmp_path).values()} <= {"f16", "bf16", "f8_g64"}


# The libraries that run on a CPU write, and dequantize, themselves.


@pytest.mark.parametrize("kind", ["nf4", "fp4"])
@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("block", [64, 256])
def test_bitsandbytes_4bit(kind, nested, block, checked, tmp_path):
    from bitsandbytes import functional as F

    def quantize(w, name):
        q, state = F.quantize_4bit(w.to(torch.bfloat16), blocksize=block, quant_type=kind,
                                   compress_statistics=nested)
        parts = {".weight": q, **{f".weight.{key}": t for key, t in state.as_dict(packed=True).items()}}
        # The library's CPU kernel takes no rows shorter than a block, so it is given longer ones.
        state.shape = torch.Size([w.numel() // 256, 256])
        return parts, F.dequantize_4bit(q, state).reshape(w.shape)
    model = make_model(**SIZES)
    config = dict(quant_method="bitsandbytes", load_in_4bit=True, bnb_4bit_quant_type=kind)
    weights = write(tmp_path, model, quantize, config, torch.bfloat16)
    checked(tmp_path, model, weights, dtype="nf4_g64" if kind == "nf4" else "bnb4_g64")


def test_bitsandbytes_int8(checked, tmp_path):
    from bitsandbytes import functional as F

    def quantize(w, name):
        q, largest, _ = F.int8_vectorwise_quant(w.half())
        value = F.int8_vectorwise_dequant(q, largest)
        return {".weight": q, ".SCB": largest, ".weight_format": torch.tensor(0, dtype=torch.uint8)}, value
    model = make_model(**SIZES)
    weights = write(tmp_path, model, quantize, dict(quant_method="bitsandbytes", load_in_8bit=True))
    checked(tmp_path, model, weights, tolerance=1e-6, dtype="u8_g128")


@pytest.mark.parametrize("bits, group, axis", [
    *((bits, 64, 1) for bits in (1, 2, 3, 4, 8)), (4, 32, 1), (2, 128, 1), (8, None, 1), (2, 16, 1),
    (4, 64, 0), (3, 64, 0)])
def test_hqq(bits, group, axis, checked, tmp_path):
    from hqq.core.quantize import BaseQuantizeConfig, HQQLinear
    config = BaseQuantizeConfig(nbits=bits, group_size=group, axis=axis)

    def quantize(w, name):
        linear = torch.nn.Linear(w.shape[1], w.shape[0], bias=False)
        linear.weight.data = w
        layer = HQQLinear(linear, config, compute_dtype=torch.float32, device="cpu")
        return {f".{key}": t for key, t in layer.state_dict().items()}, layer.dequantize().clone()
    model = make_model(**{**SIZES, "num_hidden_layers": 1})
    weights = write(tmp_path, model, quantize, dict(quant_method="hqq"))
    exact = axis == 1 and group != 16
    checked(tmp_path, model, weights, tolerance=0.0 if exact else 1e-3)


@pytest.mark.parametrize("kind", ["int8", "int8_asymmetric", "int4_unpacked", "int4", "float8"])
def test_torchao(kind, checked, tmp_path):
    from torchao.prototype.safetensors.safetensors_support import flatten_tensor_state_dict
    from torchao.quantization import (Float8WeightOnlyConfig, Int4Tensor, Int8WeightOnlyConfig,
                                      IntxWeightOnlyConfig, quantize_)
    from torchao.quantization.granularity import PerGroup
    configs = {"int8": Int8WeightOnlyConfig(version=2),
               "int8_asymmetric": IntxWeightOnlyConfig(weight_dtype=torch.int8, granularity=PerGroup(64)),
               "int4_unpacked": IntxWeightOnlyConfig(weight_dtype=torch.int4, granularity=PerGroup(32)),
               "float8": Float8WeightOnlyConfig()}
    model = make_model(**SIZES, dtype=torch.bfloat16)
    metadata = {}

    def quantize(w, name):
        linear = torch.nn.Linear(w.shape[1], w.shape[0], bias=False, dtype=torch.bfloat16)
        linear.weight.data = w.bfloat16()
        if kind == "int4":
            n, k = w.shape
            codes = torch.randint(-8, 8, (n, k), dtype=torch.int8)
            scale, zero = torch.rand(k // 64, n).bfloat16() / 64, torch.randn(k // 64, n).bfloat16() / 64
            packed = (codes[:, ::2] & 15) | (codes[:, 1::2] << 4)
            linear.weight = torch.nn.Parameter(
                Int4Tensor(packed, scale, zero, [1, 64], torch.Size([n, k])), requires_grad=False)
            wide = [t.float().T.repeat_interleave(64, 1) for t in (scale, zero)]
            value = codes * wide[0] + wide[1]
        else:
            quantize_(linear, configs[kind])
            value = linear.weight.dequantize().float()
        parts, meta = flatten_tensor_state_dict({f"{name}.weight": linear.weight.data})
        metadata.update(meta)
        return {key.removeprefix(name): t for key, t in parts.items()}, value
    weights = write(tmp_path, model, quantize, dict(quant_method="torchao"), torch.bfloat16)
    tensors = load_file(tmp_path / "model.safetensors")
    save_file(tensors, tmp_path / "model.safetensors", metadata=metadata)
    weights = weights if kind == "int4" else {n: t.bfloat16() for n, t in weights.items()}
    # torchao rounds the difference and the product to bf16.
    checked(tmp_path, model, weights, tolerance=1e-5 if kind in ("int8", "int4") else 4e-3)


def compressed(form, strategy, bits=4, group=None, symmetric=True, kind="int", act_order=False):
    """Parts of a weight as compressed-tensors compresses it, and what it decompresses them to."""
    from compressed_tensors.compressors import BaseCompressor
    from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
    from compressed_tensors.quantization.utils import calculate_qparams
    block = [128, 128] if strategy == "block" else None
    args = QuantizationArgs(num_bits=bits, type=kind, strategy=strategy, group_size=group,
                            symmetric=symmetric, block_structure=block)
    scheme = QuantizationScheme(targets=["Linear"], weights=args)
    compressor = BaseCompressor.get_value_from_registry(form)

    def reduced(w):
        n, k = w.shape
        if strategy == "tensor":
            return w.min().reshape(1), w.max().reshape(1)
        if strategy == "channel":
            return w.amin(1, keepdim=True), w.amax(1, keepdim=True)
        if strategy == "block":
            parts = w.reshape(n // 128, 128, k // 128, 128)
            return parts.amin((1, 3)), parts.amax((1, 3))
        parts = w.reshape(n, -1, group)
        return parts.amin(2), parts.amax(2)

    def quantize(w, name):
        state = {"weight": w}
        if strategy == "tensor_group":
            state["weight_global_scale"] = (448 * 6 / w.abs().max()).reshape(1)
        scale, zero = calculate_qparams(*reduced(w), args, state.get("weight_global_scale"))
        state |= {"weight_scale": scale, "weight_zero_point": zero}
        parts = compressor.compress(dict(state), scheme)
        value = compressor.decompress(dict(parts), scheme)["weight"]
        return {f".{key}": t for key, t in parts.items()}, value
    group_config = dict(targets=["Linear"], weights=json.loads(args.model_dump_json()))
    return quantize, dict(quant_method="compressed-tensors", format=form, ignore=["lm_head"],
                          config_groups=dict(group_0=group_config))


@pytest.mark.parametrize("bits, strategy, group, symmetric", [
    *((bits, "group", 32, True) for bits in (2, 4, 7)), (4, "group", 128, False),
    *((bits, "channel", None, False) for bits in range(1, 9)), (8, "channel", None, True)])
def test_compressed_tensors_packed(bits, strategy, group, symmetric, checked, tmp_path):
    quantize, config = compressed("pack-quantized", strategy, bits, group, symmetric)
    model = make_model(**{**SIZES, "num_hidden_layers": 1})
    weights = write(tmp_path, model, quantize, config)
    checked(tmp_path, model, weights)


@pytest.mark.parametrize("form, strategy, kind, symmetric", [
    ("int-quantized", "channel", "int", True), ("int-quantized", "tensor", "int", True),
    ("naive-quantized", "channel", "int", False), ("float-quantized", "channel", "float", True),
    ("float-quantized", "tensor", "float", True), ("float-quantized", "block", "float", True)])
def test_compressed_tensors_plain(form, strategy, kind, symmetric, checked, tmp_path):
    quantize, config = compressed(form, strategy, 8, None, symmetric, kind)
    model = make_model(**SIZES, num_key_value_heads=4)
    weights = write(tmp_path, model, quantize, config)
    checked(tmp_path, model, weights, dtype="u8_g128" if kind == "int" else "f8_g64")


@pytest.mark.parametrize("form, strategy, group", [
    ("nvfp4-pack-quantized", "tensor_group", 16), ("mxfp4-pack-quantized", "group", 32)])
def test_compressed_tensors_fp4(form, strategy, group, checked, tmp_path):
    quantize, config = compressed(form, strategy, 4, group, True, "float")
    model = make_model(**SIZES)
    weights = write(tmp_path, model, quantize, config)
    checked(tmp_path, model, weights, tolerance=1e-6,
            dtype="fp4_g16" if group == 16 else "mxfp4")


def scattered_groups(w, name):
    """Packed 4 bits whose columns belong to groups of 32 in any order."""
    from compressed_tensors.compressors.pack_quantized.helpers import pack_to_int32

    n, k = w.shape
    g_idx = (torch.arange(k) // 32)[torch.randperm(k)]
    scales, zeros, codes, value = affine_groups(w, 4, g_idx, k // 32, True, torch.float16)
    return {".weight_packed": pack_to_int32((codes.T - 8).to(torch.int8), 4),
            ".weight_scale": scales.T, ".weight_g_idx": g_idx.int(),
            ".weight_shape": torch.tensor([n, k])}, value


def test_compressed_tensors_of_act_order(checked, tmp_path):
    """weight_g_idx, as files that were converted from GPTQ have it."""
    _, config = compressed("pack-quantized", "group", 4, 32)
    model = make_model(**SIZES)
    weights = write(tmp_path, model, scattered_groups, config)
    checked(tmp_path, model, weights, dtype="u4_g32")


def test_embeddings_and_heads_are_quantized_too(checked, tmp_path):
    """With columns in an order of their own, which embedding_rows undoes."""
    _, config = compressed("pack-quantized", "group", 4, 32)
    model = make_model(**SIZES)
    weights = write(tmp_path, model, scattered_groups, config,
                    pattern=re.compile("embed_tokens|lm_head|down_proj"))
    checked(tmp_path, model, weights, dtype="u4_g32")


def test_modelopt_nvfp4(checked, tmp_path):
    def quantize(w, name):
        quantizer, _ = compressed("nvfp4-pack-quantized", "tensor_group", 4, 16, True, "float")
        parts, value = quantizer(w, name)
        return {".weight": parts[".weight_packed"], ".weight_scale": parts[".weight_scale"],
                ".weight_scale_2": 1 / parts[".weight_global_scale"][0],
                ".input_scale": torch.tensor(1.0)}, value
    model = make_model(**SIZES)
    weights = write(tmp_path, model, quantize, dict(quant_algo="NVFP4", exclude_modules=["lm_head"]),
                    name="hf_quant_config.json")
    checked(tmp_path, model, weights, tolerance=1e-6, dtype="fp4_g16")


def test_mxfp4_experts_are_blocks_of_three_dimensions(checked, tmp_path):
    """gpt-oss, beside transformers' own conversion, which transposes the last two dimensions."""
    from transformers.integrations.mxfp4 import convert_moe_packed_tensors
    model = make_model(**SIZES)
    write(tmp_path, model, lambda w, name: ({".weight": w}, w), dict(quant_method="mxfp4"))
    tensors = load_file(tmp_path / "model.safetensors")
    blocks = torch.randint(0, 256, (4, 96, 3, 16), dtype=torch.uint8)
    scales = torch.randint(118, 130, (4, 96, 3), dtype=torch.uint8)
    name = "model.layers.0.mlp.experts.gate_up_proj"
    save_file({**tensors, f"{name}_blocks": blocks, f"{name}_scales": scales,
               f"{name}_bias": torch.zeros(4, 96)}, tmp_path / "model.safetensors")
    found = checked.weights(tmp_path)
    expected = convert_moe_packed_tensors(blocks, scales, dtype=torch.float32)
    assert found[name][0] == "mxfp4" and f"{name}_bias" in found
    assert torch.equal(found[name][1], expected.transpose(1, 2))


# The block dtypes themselves: their packed forms at every instruction set.

LEVELS = ["portable", "avx2", "avx512", "avx512_vnni", "avx512_bf16", "amx"]
INTEGERS = [f"u{bits}_g{group}" for bits in (2, 3, 4, 8) for group in (32, 64, 128)]
REALS = ["nf4_g64", "bnb4_g64", "f8_g64"]


def random_grouped(dtype, rows, k, seed):
    """Random codes under scales of about 0.01, as [rows, bytes]."""
    rng = np.random.default_rng(seed)
    if dtype in INTEGERS:
        bits, group = int(dtype[1]), int(dtype.split("_g")[1])
        size, head = 8 + group * bits // 8, 2
    else:
        size, head = {"nf4_g64": 36, "bnb4_g64": 36, "fp4_g16": 40, "f8_g64": 68}[dtype], 1
        group = 64
    blocks = rng.integers(0, 256, (rows * k // group, size), dtype=np.uint8)
    heads = rng.normal(0, 0.01, (len(blocks), head)).astype(np.float32)
    if head == 2:
        heads[:, 1] = rng.integers(0, 1 << bits, len(blocks))
    blocks[:, :4 * head] = heads.view(np.uint8)
    if dtype == "fp4_g16":
        blocks[:, 4:8] = rng.integers(0, 127, (len(blocks), 4))
    if dtype == "f8_g64":
        blocks[:, 4:][(blocks[:, 4:] & 127) == 127] = 0
    return blocks.reshape(rows, -1)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("dtype", [*INTEGERS, *REALS, "fp4_g16"])
def test_packed_products_and_panels(dtype, level, probe):
    if dtype in REALS and level in ("portable", "avx2"):
        return  # which expand the rows to f32
    for n, m in [(1, 1), (17, 3), (33, 8), (31, 13)]:
        for k in (128, 640):
            blocks = random_grouped(dtype, n, k, n)
            weights = np.frombuffer(probe("dequantize", dtype, stdin=blocks.tobytes()).stdout,
                                    np.float32).reshape(n, k)
            x = np.random.default_rng(m).normal(0, 1, (m, k)).astype(np.float32)
            out = probe("packed", dtype, n, k, m, stdin=blocks.tobytes() + x.tobytes(),
                        env={"TALLOW_ISA": level}).stdout
            y = np.frombuffer(out[:4 * m * n], np.float32).reshape(m, n)
            panels = np.frombuffer(out[-(-(-n // 32) * 32 * k * 2):], np.uint16)
            panels = (panels.reshape(-1, 2, k // 2, 16, 2).transpose(0, 1, 3, 2, 4).reshape(-1, k)
                      .astype(np.uint32) << 16).view(np.float32)
            multiplied = x if dtype in REALS else rounded_activations(x.astype(np.float64))
            want = multiplied.astype(np.float64) @ weights.astype(np.float64).T
            size = np.abs(x.astype(np.float64)) @ np.abs(weights.astype(np.float64)).T
            assert (np.abs(y - want) <= (1e-6 if dtype in REALS else 3e-4) * size + 1e-6).all()
            np.testing.assert_allclose(panels[:n], weights, rtol=2**-8,
                                       atol=2e-6 * np.abs(weights).max())
            assert (panels[n:] == 0).all()


def test_isa_levels_give_the_same_logits(checked, tmp_path):
    """Of a model with a weight in each of several forms."""
    from bitsandbytes import functional as F
    model = make_model(**SIZES)

    def quantize(w, name):
        q, state = F.quantize_4bit(w.half(), quant_type="nf4")
        parts = {".weight": q, **{f".weight.{k}": t for k, t in state.as_dict(packed=True).items()}}
        return parts, F.dequantize_4bit(q, state).float()
    write(tmp_path, model, quantize, dict(quant_method="bitsandbytes"))
    tokens = random_tokens(model, 40)
    expected = reference(model, tokens)
    for level in LEVELS:
        for chunk in (1, 40):
            got = checked.logits(tmp_path, tokens, args=["--chunk", chunk], env={"TALLOW_ISA": level})
            assert rms_error(got, expected) < 2e-2, level
