"""Small models for the mixes of `tallow quantize`: their tensors' names, sizes and counts decide."""

import hashlib

import gguf
import numpy as np

MODELS = {"plain": {}, "grouped": {"kv": 2}, "odd": {"k": 288, "heads": 9, "kv": 9},
          "tied": {"tied": True}, "experts8": {"experts": 8}, "experts4": {"experts": 4},
          "falcon": {"arch": "falcon", "qkv": True}, "qwen2": {"arch": "qwen2", "kv": 2, "tied": True},
          "layers80": {"layers": 80, "kv": 2}, "layers24": {"layers": 24}}


def write(path, arch="llama", layers=16, k=256, heads=8, kv=8, experts=0, tied=False, qkv=False):
    """A file whose matrices have few rows; llama.cpp's quantization asks for no more."""
    writer = gguf.GGUFWriter(path, arch)
    rng = np.random.default_rng(0)
    writer.add_block_count(layers)
    writer.add_context_length(64)
    writer.add_embedding_length(k)
    writer.add_feed_forward_length(256)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_layer_norm_eps(1e-5)
    if experts:
        writer.add_expert_count(experts)
        writer.add_expert_used_count(2)
    writer.add_tokenizer_model("no_vocab")
    writer.add_vocab_size(8)

    def add(name, *shape):
        writer.add_tensor(f"{name}.weight", rng.normal(0, 1, shape).astype(np.float32))

    add("token_embd", 8, k)
    add("output_norm", k)
    if not tied:
        add("output", 8, k)
    for layer in range(layers):
        block = f"blk.{layer}."
        add(block + "attn_norm", k)
        add(block + "ffn_norm", k)
        for name in ("attn_qkv",) if qkv else ("attn_q", "attn_k", "attn_v"):
            add(block + name, 8, k)
        add(block + "attn_output", 8, k)
        if experts:
            add(block + "ffn_gate_inp", experts, k)
        for name in ("gate", "up", "down"):
            if experts:
                add(f"{block}ffn_{name}_exps", experts, 4, k)
            else:
                add(f"{block}ffn_{name}", 8, k)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_importance(path, model):
    """An importance of 1 for everything."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_type("imatrix")
    writer.add_array("imatrix.datasets", ["text"])
    writer.add_uint32("imatrix.chunk_count", 3)
    writer.add_uint32("imatrix.chunk_size", 512)
    values = {}
    for tensor in gguf.GGUFReader(model).tensors:
        if len(tensor.shape) < 2:
            continue
        shape = (int(tensor.shape[2]) if len(tensor.shape) > 2 else 1, int(tensor.shape[0]))
        values[tensor.name] = np.ones(shape, np.float32)
        writer.add_tensor(tensor.name + ".in_sum2", values[tensor.name])
        writer.add_tensor(tensor.name + ".counts", np.ones((shape[0], 1), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return values


def fingerprint(types):
    """Of [(name, type)], in the file's order."""
    return hashlib.sha256(repr([(n, t.lower()) for n, t in types]).encode()).hexdigest()[:10]
