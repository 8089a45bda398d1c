"""GGUF files of LLaMA-3.2-1B's shapes with random blocks, for measuring speed."""

import numpy as np

VOCAB, HIDDEN, LAYERS, HEADS, KV_HEADS, HEAD_DIM, MLP = 128256, 2048, 16, 32, 8, 64, 8192


def random_blocks(rng, kind, n, k):
    """Rows of blocks with random bits; the f16 scales are small numbers, so that nothing overflows.
    """
    import gguf
    block, size = gguf.GGML_QUANT_SIZES[kind]
    blocks = rng.integers(0, 256, (n * k // block, size), dtype=np.uint8)
    scale = np.frombuffer(np.float16(0.01 / 32).tobytes(), np.uint8)
    # Where the f16 scales stand in a block.
    name = kind.name
    places = {"Q8_0": [0], "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q4_K": [0, 2], "Q5_K": [0, 2],
              "Q6_K": [208]}[name]
    for place in places:
        blocks[:, place:place + 2] = scale
    return blocks.reshape(n, k // block * size)


def llama_1b(folder, name, say):
    """Writes (once) and returns folder/llama-1b-NAME.gguf; `name` is a type: q8_0, q4_k, ..."""
    import gguf
    path = folder / f"llama-1b-{name}.gguf"
    if path.exists():
        return path
    say(f"writing {path.name} ...")
    folder.mkdir(parents=True, exist_ok=True)
    kind = gguf.GGMLQuantizationType[name.upper()]
    rng = np.random.default_rng(0)
    partial = path.with_suffix(".partial")
    writer = gguf.GGUFWriter(partial, "llama")
    writer.add_block_count(LAYERS)
    writer.add_context_length(131072)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(MLP)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(500000.0)
    writer.add_rope_dimension_count(HEAD_DIM)
    writer.add_vocab_size(VOCAB)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("llama-bpe")
    # Byte-level letters, so that any text has tokens, then names that no text contains.
    letters = [chr(c) for c in [*range(33, 127), *range(161, 173), *range(174, 256),
                                *range(256, 324)]]
    tokens = letters + [f"<unused{i}>" for i in range(VOCAB - len(letters))]
    writer.add_token_list(tokens)
    writer.add_token_types([1] * len(letters) + [3] * (VOCAB - len(letters)))
    writer.add_token_merges(["! \""])
    writer.add_bos_token_id(VOCAB - 2)
    writer.add_eos_token_id(VOCAB - 1)

    def blocks(tensor, n, k):
        writer.add_tensor(tensor, random_blocks(rng, kind, n, k), raw_dtype=kind)

    def norm(tensor):
        writer.add_tensor(tensor, np.ones(HIDDEN, np.float32))

    blocks("token_embd.weight", VOCAB, HIDDEN)
    norm("output_norm.weight")
    for i in range(LAYERS):
        norm(f"blk.{i}.attn_norm.weight")
        norm(f"blk.{i}.ffn_norm.weight")
        blocks(f"blk.{i}.attn_q.weight", HIDDEN, HIDDEN)
        blocks(f"blk.{i}.attn_k.weight", KV_HEADS * HEAD_DIM, HIDDEN)
        blocks(f"blk.{i}.attn_v.weight", KV_HEADS * HEAD_DIM, HIDDEN)
        blocks(f"blk.{i}.attn_output.weight", HIDDEN, HIDDEN)
        blocks(f"blk.{i}.ffn_gate.weight", MLP, HIDDEN)
        blocks(f"blk.{i}.ffn_up.weight", MLP, HIDDEN)
        blocks(f"blk.{i}.ffn_down.weight", HIDDEN, MLP)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    partial.rename(path)
    return path
