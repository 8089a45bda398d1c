"""GGUF files of Gemma 4's shapes with random blocks, for measuring speed and memory."""

import math

import numpy as np

from random_model import random_blocks

VOCAB, NEAR, FAR, INPUT = 262144, 256, 512, 256  # head sizes of sliding and of global layers
# google/gemma-4-E2B and gemma-4-26B-A4B. Every `period`th layer is global, with the second number
# of key-value heads; `shared` is the part of the layers that read the keys of others.
SHAPES = {
    "e2b": dict(layers=35, period=5, hidden=1536, heads=8, kv_heads=(1, 1), mlp=6144,
                shared=20 / 35, window=512, inputs=INPUT, experts=0, routes=0, expert=0),
    "a4b": dict(layers=30, period=6, hidden=2816, heads=16, kv_heads=(8, 2), mlp=2112,
                shared=0, window=1024, inputs=0, experts=128, routes=8, expert=704),
}


class Model:
    """Says what tensors there are, then makes them one at a time: the file is all that is large."""

    def __init__(self, path, shape, mix, layers):
        import gguf
        self.gguf, self.kinds = gguf, gguf.GGMLQuantizationType
        self.shape, self.mix, self.layers = shape, mix, layers
        # One global layer at least has keys to share.
        self.shared = max(0, min(round(shape["shared"] * layers), layers - shape["period"]))
        # The last layer is always global.
        self.slides = [(i + 1) % shape["period"] != 0 for i in range(layers - 1)] + [False]
        self.file = gguf.GGUFWriter(path, "gemma4")
        self.random, self.makers = np.random.default_rng(0), []

    def settings(self):
        add, s = self.file, self.shape
        add.add_block_count(self.layers)
        add.add_context_length(131072)
        add.add_embedding_length(s["hidden"])
        add.add_head_count(s["heads"])
        add.add_head_count_kv([s["kv_heads"][not near] for near in self.slides])
        add.add_layer_norm_rms_eps(1e-6)
        add.add_vocab_size(VOCAB)
        add.add_rope_freq_base(1e6)
        add.add_rope_freq_base_swa(1e4)
        add.add_sliding_window(s["window"])
        add.add_sliding_window_pattern(self.slides)
        add.add_shared_kv_layers(self.shared)
        add.add_embedding_length_per_layer_input(s["inputs"])
        add.add_final_logit_softcapping(30.0)
        for name in ("key_length", "value_length", "rope_dimension_count"):
            getattr(add, f"add_{name}")(FAR)
            getattr(add, f"add_{name}_swa")(NEAR)
        add.add_feed_forward_length([self.mlp(i) for i in range(self.layers)])
        if s["experts"]:
            add.add_expert_count(s["experts"])
            add.add_expert_used_count(s["routes"])
            add.add_expert_feed_forward_length(s["expert"])
        add.add_tokenizer_model("llama")
        names = ["<pad>", "<eos>", "<bos>", "<unk>"]
        add.add_token_list(names + [f"t{i}" for i in range(4, VOCAB)])
        add.add_token_scores([0.0] * VOCAB)
        add.add_token_types([3, 3, 3, 2] + [1] * (VOCAB - 4))
        for name, token in (("pad", 0), ("eos", 1), ("bos", 2), ("unk", 3)):
            getattr(add, f"add_{name}_token_id")(token)

    def mlp(self, layer):
        wide = self.shape["shared"] > 0 and layer >= self.layers - self.shared
        return self.shape["mlp"] * (2 if wide else 1)

    def kind(self, name):
        """llama.cpp's mixes: the head in Q6_K, and for Q4_K_M half of the values and ways down."""
        if name == "per_layer_model_proj.weight":
            return self.kinds.BF16
        if name == "token_embd.weight":
            return self.kinds.Q6_K
        if self.mix == "q4_0":
            return self.kinds.Q4_0
        layer, eighth = int(name.split(".")[1]) if name.startswith("blk.") else 1, self.layers // 8
        more = (layer < eighth or layer >= 7 * self.layers // 8 or (layer - eighth) % 3 == 2)
        return self.kinds.Q6_K if more and ("attn_v" in name or "down" in name) else self.kinds.Q4_K

    def matrix(self, name, *shape):
        kind = self.kind(name)
        if shape[-1] % self.gguf.GGML_QUANT_SIZES[kind][0]:
            kind = {"Q4_K": self.kinds.Q5_0, "Q6_K": self.kinds.Q8_0}[kind.name]
        block, size = self.gguf.GGML_QUANT_SIZES[kind]
        rows, row = math.prod(shape[:-1]), shape[-1] // block * size
        self.file.add_tensor_info(name, (*shape[:-1], row), np.dtype(np.uint8), rows * row, kind)

        def make():
            if kind == self.kinds.BF16:
                values = self.random.standard_normal((rows, shape[-1]), np.float32) / 100
                return (values.view(np.uint32) >> 16).astype(np.uint16).view(np.uint8)
            return random_blocks(self.random, kind, rows, shape[-1])
        self.makers.append(make)

    def real(self, name, values):
        values = np.asarray(values, np.float32)
        self.file.add_tensor_info(name, values.shape, values.dtype, values.nbytes)
        self.makers.append(lambda: values)

    def norm(self, name, size):
        self.real(f"{name}.weight", np.ones(size))

    def layer(self, i):
        s, near = self.shape, self.slides[i]
        hidden, dim, kv = s["hidden"], NEAR if near else FAR, s["kv_heads"][not near]
        blk = f"blk.{i}"
        for name in ("attn_norm", "post_attention_norm", "ffn_norm", "post_ffw_norm"):
            self.norm(f"{blk}.{name}", hidden)
        self.norm(f"{blk}.attn_q_norm", dim)
        self.real(f"{blk}.layer_output_scale.weight", [0.5])
        self.matrix(f"{blk}.attn_q.weight", s["heads"] * dim, hidden)
        if i < self.layers - self.shared:
            self.norm(f"{blk}.attn_k_norm", dim)
            self.matrix(f"{blk}.attn_k.weight", kv * dim, hidden)
            if near or not s["experts"]:  # 26B-A4B's global keys are its values
                self.matrix(f"{blk}.attn_v.weight", kv * dim, hidden)
        self.matrix(f"{blk}.attn_output.weight", hidden, s["heads"] * dim)
        self.matrix(f"{blk}.ffn_gate.weight", self.mlp(i), hidden)
        self.matrix(f"{blk}.ffn_up.weight", self.mlp(i), hidden)
        self.matrix(f"{blk}.ffn_down.weight", hidden, self.mlp(i))
        if s["inputs"]:
            self.matrix(f"{blk}.inp_gate.weight", INPUT, hidden)
            self.matrix(f"{blk}.proj.weight", hidden, INPUT)
            self.norm(f"{blk}.post_norm", hidden)
        if s["experts"]:
            self.experts(blk, hidden)

    def experts(self, blk, hidden):
        count, width = self.shape["experts"], self.shape["expert"]
        self.real(f"{blk}.ffn_gate_inp.weight", self.random.standard_normal((count, hidden)) / 50)
        self.real(f"{blk}.ffn_gate_inp.scale", np.ones(hidden))
        self.real(f"{blk}.ffn_down_exps.scale", np.ones(count))
        self.matrix(f"{blk}.ffn_gate_up_exps.weight", count, 2 * width, hidden)
        self.matrix(f"{blk}.ffn_down_exps.weight", count, hidden, width)
        for name in ("pre_ffw_norm_2", "post_ffw_norm_1", "post_ffw_norm_2"):
            self.norm(f"{blk}.{name}", hidden)

    def write(self):
        s = self.shape
        self.settings()
        # Of a global head's pairs a quarter turn; the others are divided by much.
        self.real("rope_freqs.weight", [1.0] * (FAR // 8) + [1e30] * (FAR // 2 - FAR // 8))
        self.matrix("token_embd.weight", VOCAB, s["hidden"])
        self.norm("output_norm", s["hidden"])
        if s["inputs"]:
            self.matrix("per_layer_token_embd.weight", VOCAB, self.layers * INPUT)
            self.matrix("per_layer_model_proj.weight", self.layers * INPUT, s["hidden"])
            self.norm("per_layer_proj_norm", INPUT)
        for i in range(self.layers):
            self.layer(i)
        self.file.write_header_to_file()
        self.file.write_kv_data_to_file()
        self.file.write_ti_data_to_file()
        for make in self.makers:
            self.file.write_tensor_data(make())
        self.file.close()


def gemma4(folder, name, mix, layers, say):
    """Writes (once) and returns folder/gemma4-NAME-LAYERS-MIX.gguf: e2b or a4b; q4_0 or q4_k_m."""
    path = folder / f"gemma4-{name}-{layers}-{mix}.gguf"
    if path.exists():
        return path
    say(f"writing {path.name} ...")
    folder.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    Model(partial, SHAPES[name], mix, layers).write()
    partial.rename(path)
    return path
