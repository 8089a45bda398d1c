"""Tiny random models of the Gemma family, many configurations of each."""

import math

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
            if "inv_freq" in name or "embed_scale" in name or tensor.ndim == 0:
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
