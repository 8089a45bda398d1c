"""Files that other programs wrote, read by tallow and compared byte for byte."""

import json
import time

import gguf
import numpy as np
import pytest
import torch
from gguf.tensor_mapping import get_tensor_name_map
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

DTYPES = {
    "f64": torch.float64, "f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16,
    "f8_e4m3": torch.float8_e4m3fn, "f8_e5m2": torch.float8_e5m2, "i8": torch.int8,
    "i16": torch.int16, "i32": torch.int32, "i64": torch.int64, "u8": torch.uint8,
    "u16": torch.uint16, "u32": torch.uint32, "u64": torch.uint64, "bool": torch.bool,
}


def tensor_bytes(tensor):
    return tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def random_tensor(dtype, shape, generator):
    if dtype == torch.bool:
        return torch.randint(0, 2, shape, generator=generator).to(torch.bool)
    width = torch.empty(0, dtype=dtype).element_size()
    raw = torch.randint(0, 256, (*shape, width), dtype=torch.uint8, generator=generator)
    return raw.reshape(-1).view(dtype).reshape(shape)


def listing(probe, path):
    return json.loads(probe("inspect", path).stdout)


def read_tensors(probe, path, tmp_path):
    """The bytes of each tensor, by name."""
    out = tmp_path / "tensors.bin"
    probe("tensors", path, out)
    data, result, at = out.read_bytes(), {}, 0
    for row in listing(probe, path)["tensors"]:
        result[row["name"]] = data[at:at + row["bytes"]]
        at += row["bytes"]
    assert at == len(data)
    return result


def test_safetensors_of_every_dtype_and_shape(probe, tmp_path):
    generator = torch.Generator().manual_seed(1)
    tensors, names = {}, {}
    for name, dtype in DTYPES.items():
        for shape in [(), (1,), (3, 5), (0, 4), (2, 1, 7)]:
            key = f"{name}.é.{'x'.join(map(str, shape))}"
            tensors[key] = random_tensor(dtype, shape, generator)
            names[key] = name
    path = tmp_path / "all.safetensors"
    save_file(tensors, path, metadata={"format": "pt", "note": 'a "quoted"\nline'})

    found = listing(probe, path)
    assert found["metadata"] == {"format": "pt", "note": 'a "quoted"\nline'}
    assert found["totals"]["tensors"] == len(tensors)
    for row in found["tensors"]:
        assert row["dtype"] in (names[row["name"]], "boolean")
        assert row["shape"] == list(tensors[row["name"]].shape)
    data = read_tensors(probe, path, tmp_path)
    for name, tensor in tensors.items():
        assert data[name] == tensor_bytes(tensor), name


@pytest.mark.parametrize("shard_size", ["1GB", "20KB"])
def test_a_saved_model_is_opened_whole(probe, tmp_path, shard_size):
    model = LlamaForCausalLM(LlamaConfig(
        hidden_size=48, intermediate_size=80, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, vocab_size=96)).to(torch.bfloat16)
    model.save_pretrained(tmp_path, max_shard_size=shard_size)
    assert (len(list(tmp_path.glob("*.safetensors"))) > 1) == (shard_size == "20KB")
    opened = json.loads(probe("checkpoint", tmp_path).stdout)
    assert opened["architecture"] == "LlamaForCausalLM"
    assert opened["config"] == json.loads((tmp_path / "config.json").read_text())
    assert opened["generation"] == json.loads((tmp_path / "generation_config.json").read_text())
    weights = model.state_dict()
    assert set(opened["unused"]) == set(weights)
    for name in ["model.embed_tokens.weight", "model.layers.1.mlp.down_proj.weight",
                 "lm_head.weight"]:
        probe("weight", tmp_path, name, tmp_path / "weight.bin")
        assert (tmp_path / "weight.bin").read_bytes() == tensor_bytes(weights[name])


def assert_same_gguf(probe, path, tmp_path):
    reader = gguf.GGUFReader(path)
    found = listing(probe, path)
    fields = {k: f for k, f in reader.fields.items() if not k.startswith("GGUF.")}
    assert list(found["metadata"]) == list(fields)
    for key, field in fields.items():
        assert found["metadata"][key] == field.contents(), key
    data = read_tensors(probe, path, tmp_path)
    assert [row["name"] for row in found["tensors"]] == [t.name for t in reader.tensors]
    for row, tensor in zip(found["tensors"], reader.tensors):
        assert row["dtype"] == tensor.tensor_type.name.lower()
        assert row["shape"] == [int(n) for n in reversed(tensor.shape)]
        assert row["bytes"] == tensor.n_bytes
        assert data[tensor.name] == tensor.data.tobytes(), tensor.name


def test_the_default_model_is_read_as_gguf_reads_it(probe, smollm2, tmp_path):
    assert_same_gguf(probe, smollm2, tmp_path)


@pytest.mark.parametrize("alignment", [None, 8, 64, 4096])
def test_gguf_of_every_value_type_and_alignment(probe, tmp_path, alignment):
    rng = np.random.default_rng(2)
    path = tmp_path / "w.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    if alignment:
        writer.add_custom_alignment(alignment)
    writer.add_uint8("t.u8", 200)
    writer.add_int8("t.i8", -100)
    writer.add_uint16("t.u16", 60000)
    writer.add_int16("t.i16", -30000)
    writer.add_uint32("t.u32", 4000000000)
    writer.add_int32("t.i32", -2000000000)
    writer.add_uint64("t.u64", 2**63 - 1)
    writer.add_int64("t.i64", -2**63)
    writer.add_float32("t.f32", 0.1)
    writer.add_float64("t.f64", 0.1)
    writer.add_bool("t.bool", True)
    writer.add_string("t.string", "héllo\n\"x\"\x01")
    writer.add_array("t.strings", ["", "a", "日本" * 100])
    writer.add_array("t.ints", [1, -2, 3])
    writer.add_array("t.floats", [0.5, -1.25])
    writer.add_array("t.bools", [True, False])
    for i, shape in enumerate([(1,), (3, 5), (2, 3, 4), (2, 1, 3, 32)]):
        writer.add_tensor(f"f32.{i}", rng.standard_normal(shape, dtype=np.float32))
        writer.add_tensor(f"f16.{i}", rng.standard_normal(shape).astype(np.float16))
    for kind in ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"]:
        t = gguf.GGMLQuantizationType[kind]
        blocks = gguf.quantize(rng.standard_normal((6, 64), dtype=np.float32), t)
        writer.add_tensor(f"q.{kind}", blocks, raw_dtype=t)
    for kind in ["Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL", "IQ4_XS", "MXFP4"]:
        t = gguf.GGMLQuantizationType[kind]
        block, size = gguf.GGML_QUANT_SIZES[t]
        raw = rng.integers(0, 256, (3, size * 256 // block), dtype=np.uint8)
        writer.add_tensor(f"q.{kind}", raw, raw_dtype=t)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    assert_same_gguf(probe, path, tmp_path)


# Q8_1 is never in a file; gguf 0.19 counts 40 bytes for ggml's 36.
@pytest.mark.parametrize("kind", [t for t in gguf.GGMLQuantizationType if t.name != "Q8_1"])
def test_every_type_of_the_gguf_package_is_listed_with_its_size(probe, tmp_path, kind):
    block, size = gguf.GGML_QUANT_SIZES[kind]
    path = tmp_path / "w.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    raw = np.zeros((2, size), dtype=np.uint8)
    writer.add_tensor("w", raw, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    row = listing(probe, path)["tensors"][0]
    assert (row["shape"], row["bytes"]) == ([2, block], 2 * size)
    assert row["dtype"] == kind.name.lower()


def test_gguf_names_and_settings_become_those_of_transformers(probe, smollm2):
    opened = json.loads(probe("checkpoint", smollm2).stdout)
    assert opened["architecture"] == "LlamaForCausalLM"
    theirs = load_gguf_checkpoint(str(smollm2), return_tensors=False)["config"]
    ours = opened["config"]
    for key in ["hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads",
                "intermediate_size", "max_position_embeddings", "vocab_size", "bos_token_id",
                "eos_token_id", "rms_norm_eps", "tie_word_embeddings"]:
        assert ours[key] == theirs[key], key
    rope = theirs.get("rope_parameters") or theirs
    assert ours["rope_theta"] == rope["rope_theta"]

    to_gguf = get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, ours["num_hidden_layers"])
    expected = {to_gguf.get_name(name, (".weight",)) for name in opened["unused"]}
    assert expected == {t.name for t in gguf.GGUFReader(smollm2).tensors}


def test_gguf_rope_scaling_becomes_that_of_transformers(probe, tmp_path):
    path = tmp_path / "w.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
    writer.add_rope_scaling_factor(4.0)
    writer.add_rope_scaling_orig_ctx_len(2048)
    writer.add_key_length(24)
    writer.add_tensor("blk.0.attn_q.bias", np.zeros(4, np.float32))
    writer.add_tensor("output.weight", np.zeros((2, 4), np.float32))
    writer.add_tensor("token_embd.weight", np.zeros((7, 4), np.float32))
    writer.add_tensor("rope_freqs.weight", np.ones(12, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    opened = json.loads(probe("checkpoint", path).stdout)
    config = opened["config"]
    assert config["rope_scaling"] == {
        "rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 2048}
    assert config["head_dim"] == 24
    assert config["vocab_size"] == 7
    assert "attention_bias" not in config  # biases are there or not, and GGUF has no key for them
    assert not config["tie_word_embeddings"]
    assert config["rope_interleaved"]
    assert set(opened["unused"]) == {
        "model.layers.0.self_attn.q_proj.bias", "lm_head.weight", "model.embed_tokens.weight",
        "rope_freqs.weight"}


@pytest.mark.parametrize("dtype", ["f8", "f4", "f2", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8",
                                   "?"])
@pytest.mark.parametrize("shape", [(), (5,), (3, 4), (2, 0, 3), (2, 3, 4)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_npy_round_trip(probe, tmp_path, dtype, shape, order):
    rng = np.random.default_rng(3)
    array = np.asarray(rng.integers(0, 100, shape).astype(dtype), order=order)
    np.save(tmp_path / "in.npy", array)
    probe("npy", tmp_path / "in.npy", tmp_path / "out.npy")
    back = np.load(tmp_path / "out.npy")
    assert back.dtype == array.dtype and back.shape == array.shape
    assert np.array_equal(back, array)
    assert (tmp_path / "out.npy").stat().st_size == (tmp_path / "in.npy").stat().st_size


def test_a_large_file_opens_at_once(probe, tmp_path):
    """8 GB in a sparse file: a reader that touched the data would take seconds."""
    path = tmp_path / "big.safetensors"
    count, size = 1000, 8_000_000
    header = json.dumps({f"layer.{i}.weight": {"dtype": "F32", "shape": [2000, 1000],
                                               "data_offsets": [i * size, (i + 1) * size]}
                         for i in range(count)}).encode()
    with open(path, "wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + count * size)
    start = time.perf_counter()
    found = listing(probe, path)
    assert time.perf_counter() - start < 1
    assert found["totals"]["bytes"] == count * size


def test_a_copied_gguf_file_is_equal_to_the_byte(probe, tmp_path):
    """Every type of metadata, tensors of several dtypes, and an alignment of its own."""
    rng = np.random.default_rng(9)
    writer = gguf.GGUFWriter(tmp_path / "in.gguf", "llama")
    writer.add_custom_alignment(64)
    for kind in ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"):
        getattr(writer, f"add_{kind}")(f"k.{kind}", 100)
    writer.add_float32("k.f32", 0.5)
    writer.add_float64("k.f64", 1e300)
    writer.add_bool("k.bool", True)
    writer.add_string("k.text", "é")
    writer.add_array("k.words", ["a", "", "bc"])
    writer.add_array("k.floats", [0.5, 2.0])
    writer.add_array("k.booleans", [True, False])
    writer.add_tensor("a", rng.normal(size=(3, 5)).astype(np.float32))
    writer.add_tensor("b", rng.normal(size=(2, 3, 7)).astype(np.float16))
    writer.add_tensor("c", rng.integers(0, 9, 11, dtype=np.int32))
    q8_0 = gguf.quants.quantize(rng.normal(size=(2, 64)).astype(np.float32),
                                gguf.GGMLQuantizationType.Q8_0)
    writer.add_tensor("d", q8_0, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    probe("gguf_copy", tmp_path / "in.gguf", tmp_path / "out.gguf")
    assert (tmp_path / "out.gguf").read_bytes() == (tmp_path / "in.gguf").read_bytes()
