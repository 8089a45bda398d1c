"""Tiny random Gemma 4 models that see, and what transformers makes of images with them."""

import math

import numpy as np
import torch
from gemma_models import BASE, SMALL, randomize
from transformers import Gemma4Config, Gemma4ForConditionalGeneration
from transformers.models.gemma4.image_processing_pil_gemma4 import Gemma4ImageProcessorPil

EYES = dict(hidden_size=48, intermediate_size=80, num_hidden_layers=3, num_attention_heads=4,
            num_key_value_heads=4, head_dim=12, position_embedding_size=192)

# What each configuration changes in EYES.
CONFIGS = {
    "plain": {},
    "clipped": dict(use_clipped_linears=True),
    "standardized": dict(standardize=True),
    "all": dict(use_clipped_linears=True, standardize=True),
    "few_keys": dict(num_key_value_heads=2),
    "one_key": dict(num_key_value_heads=1, use_clipped_linears=True),
    "wide_heads": dict(head_dim=64),
    "narrow_heads": dict(head_dim=4, num_attention_heads=3, num_key_value_heads=3),
    "silu": dict(hidden_activation="silu"),
    "gelu": dict(hidden_activation="gelu"),
    "theta": dict(rope_parameters=dict(rope_type="axial", rope_theta=10000.0)),
    "eps": dict(rms_norm_eps=1e-2),
    "one_layer": dict(num_hidden_layers=1),
}


def spread(model):
    """Bounds that clip some of what passes, and scales that matter."""
    generator = torch.Generator().manual_seed(5)

    def number(low, high):
        return low + (high - low) * torch.rand((), generator=generator)

    with torch.no_grad():
        for name, tensor in model.named_buffers():
            if name.endswith(("input_min", "output_min")):
                tensor.copy_(-number(0.8, 2.5))
            elif name.endswith(("input_max", "output_max")):
                tensor.copy_(number(0.8, 2.5))
            elif name.endswith("std_bias"):
                tensor.normal_(0, 3, generator=generator)
            elif name.endswith("std_scale"):
                tensor.uniform_(0.05, 0.3, generator=generator)
        table = model.model.vision_tower.patch_embedder.position_embedding_table
        table.normal_(0, 0.7, generator=generator)
    return model


def make_model(changes, seed=0, dtype=torch.float32, **text):
    config = Gemma4Config(text_config=dict(BASE, **SMALL, **text), audio_config=None,
                          vision_config=dict(EYES, **changes), attn_implementation="eager",
                          image_token_id=150, video_token_id=149, audio_token_id=148)
    torch.manual_seed(seed)
    model = spread(randomize(Gemma4ForConditionalGeneration(config).eval(), dtype))
    return model.to(dtype)


def picture(height, width, seed=0):
    """Pixels u8 [height, width, 3] with structure and noise."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    waves = [128 + 90 * np.sin(x / (7 + c) + seed) + 40 * np.cos(y / (5 + 2 * c)) for c in range(3)]
    noise = random.normal(0, 8, (height, width, 3))
    return (np.stack(waves, -1) + noise).clip(0, 255).astype(np.uint8)


def processed(image, tokens=280, **settings):
    """Patches, positions and the number of soft tokens, without padding."""
    out = Gemma4ImageProcessorPil(max_soft_tokens=tokens, **settings)(image, return_tensors="np")
    at = out["image_position_ids"][0]
    real = (at >= 0).all(-1)
    return out["pixel_values"][0][real], at[real], int(out["num_soft_tokens_per_image"][0])


def soft_tokens(model, image, tokens=280):
    out = Gemma4ImageProcessorPil(max_soft_tokens=tokens)(image, return_tensors="pt")
    with torch.no_grad():
        made = model.model.get_image_features(out["pixel_values"], out["image_position_ids"])
    return torch.cat(list(made.pooler_output)).float().numpy()
