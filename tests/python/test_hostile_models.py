"""Broken and hostile models through the command: an answer or one line of error, nothing else."""

import json
import os
import random
import re
import shutil
import struct

import gguf
import numpy as np
import pytest

from small_chat import make_network, make_tokenizer
from test_hostile_files import damaged

METADATA = {"block_count": 1, "context_length": 64, "embedding_length": 8,
            "feed_forward_length": 8, "attention.head_count": 2, "attention.head_count_kv": 1,
            "attention.layer_norm_rms_epsilon": 1e-6, "rope.freq_base": 1e4,
            "rope.dimension_count": 4}
NAMES = {"embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output",
         "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
         "q_proj": "attn_q", "k_proj": "attn_k", "v_proj": "attn_v", "o_proj": "attn_output",
         "gate_proj": "ffn_gate", "up_proj": "ffn_up", "down_proj": "ffn_down"}


@pytest.fixture(scope="module")
def tiny():
    return make_tokenizer(), make_network(
        make_tokenizer(), hidden_size=8, intermediate_size=8, num_hidden_layers=1,
        num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=64)


@pytest.fixture(scope="module")
def source(tmp_path_factory, tiny):
    folder = tmp_path_factory.mktemp("tiny")
    for part in tiny:
        part.save_pretrained(folder)
    return folder


@pytest.fixture
def folder(source, tmp_path):
    """A copy of the model that a test may break."""
    return shutil.copytree(source, tmp_path / "model")


def write_gguf(path, tiny, **changes):
    """The same model as GGUF, with values of metadata changed or taken away (None)."""
    tokenizer, network = tiny
    writer = gguf.GGUFWriter(path, "llama")
    values = {f"llama.{key}": value for key, value in METADATA.items()}
    tokens = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    merges = json.loads(tokenizer.backend_tokenizer.to_str())["model"]["merges"]
    values.update({
        "tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "smollm",
        "tokenizer.ggml.tokens": tokens, "tokenizer.ggml.merges": [" ".join(m) for m in merges],
        "tokenizer.ggml.token_type": [3] * 3 + [1] * (len(tokens) - 3),
        "tokenizer.ggml.bos_token_id": 0, "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.chat_template": tokenizer.chat_template})
    values.update(changes)
    for key, value in values.items():
        match value:
            case None: pass
            case bool(): writer.add_bool(key, value)
            case int() if value < 0: writer.add_int64(key, value)
            case int(): writer.add_uint64(key, value)
            case float(): writer.add_float32(key, value)
            case str(): writer.add_string(key, value)
            case list(): writer.add_array(key, value)
    for name, tensor in network.state_dict().items():
        block = "blk.0." if ".layers.0." in name else ""
        stem = next(ours for theirs, ours in NAMES.items() if f"{theirs}.weight" in name)
        writer.add_tensor(f"{block}{stem}.weight", tensor.numpy().astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def outcome(tallow, *args, stdin=b""):
    """The status, which is 0 or 1: with 1 there is one line on standard error."""
    result = tallow(*args, stdin=stdin, check=False, timeout=60)
    assert result.returncode in (0, 1), (args, result)
    if result.returncode == 1:
        assert re.fullmatch(rb"tallow: [^\n]+\n", result.stderr), (args, result)
        assert result.stdout == b""
    return result.returncode


def logits(tallow, model, out):
    return outcome(tallow, "logits", model, "--tokens", "1,2,3", "--out", out)


def test_the_models_are_whole_before_they_are_broken(tallow, tiny, folder, tmp_path):
    path = write_gguf(tmp_path / "m.gguf", tiny)
    for model, out in ((folder, tmp_path / "a.npy"), (path, tmp_path / "b.npy")):
        assert logits(tallow, model, out) == 0
        assert outcome(tallow, "run", model, "-p", "the cat", "-n", 3, "--temp", 0) == 0
    assert np.load(tmp_path / "a.npy").shape == np.load(tmp_path / "b.npy").shape


def test_damaged_gguf(tallow, tiny, tmp_path):
    path = write_gguf(tmp_path / "m.gguf", tiny)
    data = path.read_bytes()
    rng = random.Random(1)
    # Metadata and tensors' headers are the first third or so: damage there is worth more.
    head = data.index(b"output.weight") + 100
    copies = list(damaged(data[:head], 300, seed=7))
    for i, copy in enumerate([c + data[head:] for c in copies] + list(damaged(data, 60, seed=8))):
        path.write_bytes(copy)
        args = [("logits", path, "--tokens", "1,2,3", "--out", tmp_path / "o.npy"),
                ("tokenize", path), ("inspect", path)][rng.choice([0, 0, 1, 2])]
        outcome(tallow, *args, stdin="the cat 日本語 <|im_start|>" if args[0] == "tokenize" else b"")


def test_prefixes_of_a_gguf(tallow, tiny, tmp_path):
    path = write_gguf(tmp_path / "m.gguf", tiny)
    data = path.read_bytes()
    for length in range(0, len(data), 151):
        path.write_bytes(data[:length])
        assert logits(tallow, path, tmp_path / "o.npy") == 1


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json",
                                  "generation_config.json", "tokenizer_config.json",
                                  "chat_template.jinja"])
def test_damaged_folders(tallow, folder, name):
    data = (folder / name).read_bytes()
    for copy in damaged(data, 60, seed=name):
        (folder / name).write_bytes(copy)
        outcome(tallow, "run", folder, "-p", "the cat", "-n", 2)
    for length in range(0, len(data), max(len(data) // 30, 1)):
        (folder / name).write_bytes(data[:length])
        outcome(tallow, "run", folder, "-p", "the cat", "-n", 2)


SIZES = {"block_count", "embedding_length", "feed_forward_length", "attention.head_count",
         "attention.head_count_kv", "rope.dimension_count"}
SENSELESS = (0, -1, 2**40, 2**63, "x")


@pytest.mark.parametrize("key", METADATA)
def test_metadata_that_makes_no_sense(tallow, tiny, tmp_path, key):
    nonsense = [0, -1, 3, 2**40, 2**63, 2**64 - 1, float("nan"), float("inf"), -1.0, "x", True,
                [0], ["a"]]
    for value in nonsense:
        path = write_gguf(tmp_path / "m.gguf", tiny, **{f"llama.{key}": value})
        status = logits(tallow, path, tmp_path / "o.npy")
        if value in SENSELESS and key in SIZES:
            assert status == 1, value


@pytest.mark.parametrize("changes", [
    {"tokens": ["a"]}, {"tokens": [""] * 287}, {"tokens": ["a"] * 287}, {"tokens": None},
    {"tokens": [1, 2]}, {"merges": ["a"]}, {"merges": ["zz yy"]}, {"merges": [" "]},
    {"merges": [""]}, {"token_type": [99]}, {"token_type": [6] * 287}, {"token_type": ["x"]},
    {"bos_token_id": 2**32}, {"eos_token_id": -5}, {"model": "bert"}, {"model": 3}, {"pre": ""},
    {"model": "llama"}, {"model": "llama", "scores": [float("nan")] * 287},
    {"model": "llama", "tokens": ["<0x-1>"] * 287, "token_type": [6] * 287},
])
def test_vocabularies_that_make_no_sense(tallow, tiny, tmp_path, changes):
    keys = {f"tokenizer.ggml.{key}": value for key, value in changes.items()}
    path = write_gguf(tmp_path / "m.gguf", tiny, **keys)
    outcome(tallow, "tokenize", path, stdin="the cat\xff 日本語 <|im_start|>")
    outcome(tallow, "run", path, "-p", "the cat", "-n", 2)


@pytest.mark.parametrize("field, value", [
    ("data_offsets", [0, 2**63]), ("data_offsets", [2**64 - 1, 2**64]), ("data_offsets", [8, 0]),
    ("data_offsets", [-8, 8]), ("data_offsets", [0, 64]), ("data_offsets", None),
    ("shape", [2**32, 2**32]), ("shape", [-1, -1]), ("shape", [1] * 1000), ("shape", "x"),
    ("dtype", "BF16"), ("dtype", "F4"), ("dtype", 3), ("dtype", "I32"),
])
def test_tensors_that_make_no_sense(tallow, folder, tmp_path, field, value):
    path = folder / "model.safetensors"
    data = path.read_bytes()
    size = 8 + struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:size])
    header["model.layers.0.self_attn.q_proj.weight"][field] = value
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data[size:])
    assert logits(tallow, folder, tmp_path / "o.npy") == 1


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json",
                                  "chat_template.jinja", "model.safetensors"])
def test_what_is_no_file(tallow, folder, name):
    """A pipe that nobody writes to, a device without end, a folder: refused, not waited for."""
    path = folder / name
    for make in (os.mkfifo, lambda p: p.symlink_to("/dev/zero"), os.mkdir):
        path.unlink()
        make(path)
        assert outcome(tallow, "run", folder, "-p", "the cat", "-n", 2) == 1
        path.rmdir() if path.is_dir() else path.unlink()
        path.touch()


def test_a_chat_may_come_from_a_pipe(tallow, folder):
    chat = [{"role": "user", "content": "the cat"}]
    rendered = tallow("tokenize", folder, "--chat", "/dev/stdin", stdin=json.dumps(chat)).stdout
    assert rendered == b"<|im_start|>user\nthe cat<|im_end|>\n<|im_start|>assistant\n"


def test_a_template_without_end(tallow, folder):
    loop = "{% for a in range(99999) %}"
    (folder / "chat_template.jinja").write_text(loop * 3 + "{% endfor %}" * 3)
    assert outcome(tallow, "run", folder, "-p", "x") == 1
