"""Tiny random models of the Gemma family, many configurations of each."""

import math
from statistics import NormalDist

import gguf
import numpy as np
import torch
from transformers import AutoConfig, AutoModelForCausalLM

BASE = dict(vocab_size=151, hidden_size=48, intermediate_size=80, num_hidden_layers=6,
            num_attention_heads=4, num_key_value_heads=2, head_dim=16,
            max_position_embeddings=256, sliding_window=12)

GLOBAL = dict(global_head_dim=32, num_global_key_value_heads=1)
SMALL = dict(GLOBAL, hidden_size_per_layer_input=8, vocab_size_per_layer_input=151)
# As E2B: six layers of which the last three share, one global.
SHARED = dict(SMALL, num_kv_shared_layers=3, use_double_wide_mlp=True,
              layer_types=["sliding_attention", "full_attention", "sliding_attention",
                           "sliding_attention", "sliding_attention", "full_attention"])
DENSE = dict(GLOBAL, hidden_size_per_layer_input=0, attention_k_eq_v=True)
EXPERTS = dict(DENSE, enable_moe_block=True, num_experts=8, top_k_experts=3,
               moe_intermediate_size=24)
SIX = 5 * ["sliding_attention"] + ["full_attention"]


def nested_rope(full, sliding=None):
    return dict(rope_parameters=dict(
        full_attention=dict(rope_theta=1000000.0, **full),
        sliding_attention=sliding or dict(rope_type="default", rope_theta=10000.0)))


# What each configuration changes in BASE, by the model_type of transformers.
CONFIGS = {
    "gemma": {
        "plain": {},
        "one_kv_head": dict(num_key_value_heads=1, num_hidden_layers=2),
        "untied": dict(tie_word_embeddings=False),
        "biases": dict(attention_bias=True),
        "meant_tanh": dict(hidden_act="gelu"),
        "wide_heads": dict(head_dim=40, num_attention_heads=3, num_key_value_heads=3),
    },
    "gemma2": {
        "plain": {},
        "tight_caps": dict(attn_logit_softcapping=2.0, final_logit_softcapping=1.5),
        "no_caps": dict(attn_logit_softcapping=None, final_logit_softcapping=None),
        "scalar": dict(query_pre_attn_scalar=40),
        "types": dict(layer_types=["full_attention"] * 3 + ["sliding_attention"] * 3),
        "untied": dict(tie_word_embeddings=False),
    },
    "gemma3_text": {
        "plain": {},
        "linear": nested_rope(dict(rope_type="linear", factor=8.0)),
        "yarn": nested_rope(dict(rope_type="yarn", factor=4.0,
                                 original_max_position_embeddings=64)),
        "caps": dict(final_logit_softcapping=3.0, query_pre_attn_scalar=30),
        "types": dict(layer_types=["full_attention", "sliding_attention"] * 3),
        "encoder": dict(use_bidirectional_attention=True),
    },
    "gemma4_text": {
        "small": SMALL,
        "small_shared": SHARED,
        "shared_single": dict(SHARED, use_double_wide_mlp=False, num_kv_shared_layers=2),
        "small_table": dict(SHARED, vocab_size_per_layer_input=160),
        "dense": DENSE,
        "dense_values": dict(DENSE, attention_k_eq_v=False),
        "cap": dict(DENSE, final_logit_softcapping=2.0),
        "untied": dict(DENSE, tie_word_embeddings=False),
        "biases": dict(SMALL, attention_bias=True),
        "experts": EXPERTS,
        "one_expert": dict(EXPERTS, num_experts=5, top_k_experts=1),
        "all_experts": dict(EXPERTS, num_experts=4, top_k_experts=4),
        "experts_and_inputs": dict(EXPERTS, hidden_size_per_layer_input=8,
                                   vocab_size_per_layer_input=151),
        "rope": dict(DENSE, **nested_rope(
            dict(rope_type="proportional", partial_rotary_factor=0.5, factor=2.0))),
        "plain_rope": dict(DENSE, **nested_rope(dict(rope_type="default"))),
        "same_heads": dict(SMALL, global_head_dim=16, num_global_key_value_heads=None),
        "forced_full": dict(SMALL, layer_types=["sliding_attention"] * 6),
        "one_layer": dict(SMALL, num_hidden_layers=1),
        "silu": dict(EXPERTS, hidden_activation="silu"),
        "vision_text": dict(DENSE, use_bidirectional_attention="vision"),
        "encoder": dict(DENSE, use_bidirectional_attention="all"),
        "wide_window": dict(SHARED, sliding_window=200),
    },
    "gemma3n_text": {
        "plain": dict(vocab_size_per_layer_input=151, hidden_size_per_layer_input=8, laurel_rank=6,
                      num_kv_shared_layers=0),
        "shared": dict(vocab_size_per_layer_input=151, hidden_size_per_layer_input=8, laurel_rank=6,
                       num_kv_shared_layers=3,
                       layer_types=["sliding_attention", "full_attention"] * 3),
        "sparse": dict(vocab_size_per_layer_input=140, hidden_size_per_layer_input=8, laurel_rank=5,
                       num_kv_shared_layers=2, intermediate_size=[80, 64, 80, 80, 96, 80],
                       activation_sparsity_pattern=[0.95, 0.5, 0.0, 0.25, 0.0, 0.0],
                       layer_types=["sliding_attention", "full_attention"] * 3),
        "streams": dict(vocab_size_per_layer_input=151, hidden_size_per_layer_input=8,
                        laurel_rank=6, num_kv_shared_layers=0, altup_num_inputs=3,
                        altup_active_idx=1, altup_correct_scale=False,
                        final_logit_softcapping=2.0),
    },
}
ALL = [(kind, name) for kind, configs in CONFIGS.items() for name in configs]


def randomize(model, dtype=torch.float32):
    """Weights of which each one matters, attention far from uniform."""
    offset = type(model).__name__.startswith(("GemmaFor", "Gemma2", "Gemma3For", "Gemma3Text"))
    with torch.no_grad():
        for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
            constant = any(word in name for word in ("inv_freq", "embed_scale", "timescales", "softcap"))
            if constant or tensor.ndim == 0 or not tensor.is_floating_point():
                continue
            if name.endswith("layer_scalar"):
                tensor.uniform_(0.6, 1.2)
            elif "norm" in name or name.endswith("scale"):
                tensor.uniform_(0.5, 1.5)
                if offset:
                    tensor.sub_(1)
            elif name.endswith("bias"):
                tensor.normal_(0, 0.5)
            elif "embed_tokens" in name:
                tensor.normal_(0, 1 / math.sqrt(tensor.shape[1]))
            elif "coefs" in name:
                tensor.normal_(0, 0.3)
            elif tensor.ndim >= 2:
                gain = 2.0 if "q_proj" in name or "k_proj" in name else 1.0
                tensor.normal_(0, gain / math.sqrt(tensor.shape[-1]))
            tensor.copy_(tensor.to(dtype).float())
    return model


def make_model(kind, changes, seed=0, dtype=torch.float32):
    config = AutoConfig.for_model(kind, **{**BASE, **changes}, attn_implementation="eager")
    torch.manual_seed(seed)
    return randomize(AutoModelForCausalLM.from_config(config).eval(), dtype)


GGUF_KINDS = {"gemma": "GEMMA", "gemma2": "GEMMA2", "gemma3_text": "GEMMA3",
              "gemma3n_text": "GEMMA3N", "gemma4_text": "GEMMA4"}


def add_gemma4(writer, c, sliding):
    heads = [c.per_layer_config[i] for i in range(c.num_hidden_layers)]
    full, near = (heads[sliding.index(s)].head_dim if s in sliding else 16 for s in (False, True))
    for add, dim in ((writer.add_key_length, full), (writer.add_value_length, full),
                     (writer.add_key_length_swa, near),
                     (writer.add_value_length_swa, near),
                     (writer.add_rope_dimension_count, full),
                     (writer.add_rope_dimension_count_swa, near)):
        add(dim)
    writer.add_head_count_kv([h.num_key_value_heads for h in heads])
    writer.add_rope_freq_base_swa(c.rope_parameters["sliding_attention"]["rope_theta"])
    if c.enable_moe_block:
        writer.add_expert_count(c.num_experts)
        writer.add_expert_used_count(c.top_k_experts)
        writer.add_expert_feed_forward_length(c.moe_intermediate_size)
    widths = [c.intermediate_size] * c.num_hidden_layers
    if c.use_double_wide_mlp:
        for i in range(c.num_hidden_layers - c.num_kv_shared_layers, c.num_hidden_layers):
            widths[i] *= 2
    writer.add_feed_forward_length(widths)
    # The pairs that do not turn are divided by much.
    turning = int(full * c.rope_parameters["full_attention"].get("partial_rotary_factor", 1) / 2)
    divisors = [1.0] * turning + [1e30] * (full // 2 - turning)
    writer.add_tensor("rope_freqs.weight", np.array(divisors, np.float32))


def add_gemma3n(writer, c):
    writer.add_altup_active_idx(c.altup_active_idx)
    writer.add_altup_num_inputs(c.altup_num_inputs)
    writer.add_activation_sparsity_scale(
        [NormalDist().inv_cdf(s) if s > 0 else -math.inf for s in c.activation_sparsity_pattern])


def add_settings(writer, c):
    """As llama.cpp's converter does."""
    kind = c.model_type
    writer.add_context_length(c.max_position_embeddings)
    writer.add_embedding_length(c.hidden_size)
    writer.add_block_count(c.num_hidden_layers)
    writer.add_head_count(c.num_attention_heads)
    writer.add_layer_norm_rms_eps(c.rms_norm_eps)
    writer.add_vocab_size(c.vocab_size)
    rope = c.rope_parameters
    full_rope = rope.get("full_attention", rope)
    writer.add_rope_freq_base(full_rope["rope_theta"])
    if full_rope["rope_type"] == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(full_rope["factor"])
    if kind != "gemma":
        writer.add_sliding_window(c.sliding_window)
    for key in ("attn_logit_softcapping", "final_logit_softcapping"):
        if getattr(c, key, None):
            getattr(writer, f"add_{key}")(getattr(c, key))
    if kind in ("gemma3n_text", "gemma4_text"):
        sliding = [t == "sliding_attention" for t in c.layer_types]
        writer.add_sliding_window_pattern(sliding)
        writer.add_shared_kv_layers(c.num_kv_shared_layers)
        writer.add_embedding_length_per_layer_input(c.hidden_size_per_layer_input)
    if kind == "gemma4_text":
        return add_gemma4(writer, c, sliding)
    writer.add_key_length(c.head_dim)
    writer.add_value_length(c.head_dim)
    writer.add_head_count_kv(c.num_key_value_heads)
    writer.add_feed_forward_length(c.intermediate_size)
    if kind == "gemma3n_text":
        add_gemma3n(writer, c)


def add_vocabulary(writer, size):
    tokens = ["<pad>", "<eos>", "<bos>", "<unk>"] + [f"t{i}" for i in range(4, size)]
    kinds = [gguf.TokenType.CONTROL] * 3 + [gguf.TokenType.UNKNOWN]
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * size)
    writer.add_token_types(kinds + [gguf.TokenType.NORMAL] * (size - 4))
    for name, token in (("pad", 0), ("eos", 1), ("bos", 2), ("unk", 3)):
        getattr(writer, f"add_{name}_token_id")(token)


def write_gguf(path, model, kind=gguf.GGMLQuantizationType.F32):
    """The model as llama.cpp's converter writes it; matrices become `kind`, also in the model."""
    c = model.config
    arch = gguf.MODEL_ARCH[GGUF_KINDS[c.model_type]]
    writer = gguf.GGUFWriter(str(path), gguf.MODEL_ARCH_NAMES[arch])
    names = gguf.get_tensor_name_map(arch, c.num_hidden_layers)
    add_settings(writer, c)
    add_vocabulary(writer, c.vocab_size)
    shifted = c.model_type in ("gemma", "gemma2", "gemma3_text")
    stacks = {}
    for name, tensor in model.state_dict().items():
        if name == "lm_head.weight" and c.tie_word_embeddings or "inv_freq" in name:
            continue
        data = tensor.numpy()
        if name.endswith("router.scale") or name.endswith("per_expert_scale"):
            layer = name.split(".")[2]
            part = "gate_inp" if name.endswith("router.scale") else "down_exps"
            writer.add_tensor(f"blk.{layer}.ffn_{part}.scale", data)
            continue
        if "altup_projections" in name or "altup_unembed_projections" in name:
            stacks.setdefault(name.split(".")[1], []).append(data)
            continue
        if name.endswith(("layer_scalar", "correct_output_scale")) or ".experts." in name:
            name += ".weight"
        if shifted and "norm" in name:
            data = data + 1
        raw = gguf.GGMLQuantizationType.F32
        if data.ndim > 1 and data.shape[-1] % gguf.GGML_QUANT_SIZES[kind][0] == 0:
            raw = kind
            data = gguf.quantize(data, kind)
            back = gguf.dequantize(data, kind).reshape(tensor.shape)
            tensor.copy_(torch.from_numpy(np.array(back)))
        writer.add_tensor(names.get_name(name, try_suffixes=(".weight", ".bias")), data,
                          raw_dtype=raw)
    for name, matrices in stacks.items():
        writer.add_tensor(names.get_name(f"model.{name}.weight", try_suffixes=(".weight",)),
                          np.stack(matrices))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return model
