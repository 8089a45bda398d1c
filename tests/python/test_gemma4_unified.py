"""The Gemma 4 without encoders beside transformers: its text, and what it makes of images and
sounds."""

import json

import numpy as np
import pytest
import torch
from gemma_models import BASE, randomize
from transformers import Gemma4UnifiedConfig, Gemma4UnifiedForConditionalGeneration
from vision_models import picture, processed

import tallow as package  # `tallow` is the command in the other tests

TEXTS = {
    "plain": {},
    "causal": dict(use_bidirectional_attention=None),
    "values_are_keys": dict(attention_k_eq_v=True, num_global_key_value_heads=1),
    "shared": dict(num_kv_shared_layers=2, use_double_wide_mlp=True,
                   layer_types=["sliding_attention", "full_attention"] * 3),
    "cap": dict(final_logit_softcapping=2.0),
    "untied": dict(tie_word_embeddings=False),
}


def make_model(dtype=torch.float32, vision=None, **text):
    config = Gemma4UnifiedConfig(
        text_config=dict(BASE, global_head_dim=32, **text), audio_config=dict(audio_embed_dim=64),
        vision_config=dict(mm_embed_dim=40, mm_posemb_size=80, output_proj_dims=40,
                           **(vision or {})),
        image_token_id=150, video_token_id=149, audio_token_id=148,
        tie_word_embeddings=text.get("tie_word_embeddings", True), attn_implementation="eager")
    torch.manual_seed(0)
    model = randomize(Gemma4UnifiedForConditionalGeneration(config).eval(), dtype)
    with torch.no_grad():
        eyes = model.model.embed_vision
        for norm in (eyes.patch_ln1, eyes.patch_ln2, eyes.pos_norm):
            norm.weight.uniform_(0.5, 1.5)
            norm.bias.normal_(0, 0.3)
        eyes.patch_dense.weight.normal_(0, 0.02)
        eyes.pos_embedding.normal_(0, 0.5)
    return model.to(dtype)


def opened(model, folder, **files):
    model.save_pretrained(folder)
    for name, settings in files.items():
        (folder / f"{name}.json").write_text(json.dumps(settings))
    return package.load(str(folder))


def near(ours, theirs, bound=2e-4):
    assert ours.shape == theirs.shape and np.std(theirs) > 0.01
    assert np.abs(ours - theirs).max() < bound * np.abs(theirs).max()


@pytest.mark.parametrize("name", TEXTS)
def test_logits(name, tmp_path):
    model = make_model(**TEXTS[name])
    ids = torch.randint(4, 140, (1, 40), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        theirs = model(ids, mm_token_type_ids=torch.zeros_like(ids)).logits[0].numpy()
    near(opened(model, tmp_path).logits(ids[0].tolist()).numpy(), theirs)


def merged(image, tokens):
    """Squares of 3 x 3 patches, cut out of the picture that the patches make."""
    patches, at, _ = processed(image, tokens)
    columns, rows = at.max(0) + 1
    whole = patches.reshape(rows, columns, 16, 16, 3).transpose(0, 2, 1, 3, 4)
    whole = whole.reshape(rows // 3, 48, columns // 3, 48, 3).transpose(0, 2, 1, 3, 4)
    places = np.stack(np.meshgrid(np.arange(columns // 3), np.arange(rows // 3)), -1)
    return whole.reshape(-1, 6912), places.reshape(-1, 2)


@pytest.mark.parametrize("height,width,tokens", [(200, 340, 70), (341, 60, 140), (50, 900, 280)])
def test_soft_tokens_of_images(height, width, tokens, tmp_path):
    model = make_model()
    ours = opened(model, tmp_path)
    image = picture(height, width)
    pixels, places = ours.prepare_image(image, tokens)
    expected, at = merged(image, tokens)
    np.testing.assert_array_equal(pixels.numpy(), expected)
    np.testing.assert_array_equal(places.numpy(), at)
    with torch.no_grad():
        theirs = model.model.get_image_features(torch.from_numpy(expected)[None],
                                                torch.from_numpy(at)[None]).pooler_output[0]
    near(ours.encode_image(image, tokens).numpy(), theirs.numpy())


def test_other_patches(tmp_path):
    sizes = dict(patch_size=8, pooling_kernel_size=2)
    ours = opened(make_model(vision=sizes), tmp_path, preprocessor_config=sizes)
    pixels, places = ours.prepare_image(picture(100, 200), 70)
    assert pixels.shape[1] == 16 * 16 * 3 and 50 < pixels.shape[0] <= 70
    assert ours.encode_image((pixels, places)).shape == (pixels.shape[0], 48)


def test_bf16(tmp_path):
    model = make_model(torch.bfloat16)
    ours = opened(model, tmp_path).encode_image(picture(200, 340), 70).numpy()
    expected, at = merged(picture(200, 340), 70)
    with torch.no_grad():
        theirs = model.float().model.get_image_features(
            torch.from_numpy(expected)[None], torch.from_numpy(at)[None]).pooler_output[0].numpy()
    near(ours, theirs, 0.03)


def test_places_past_the_table(tmp_path):
    ours = opened(make_model(), tmp_path)
    pixels, places = ours.prepare_image(picture(100, 200), 70)
    with pytest.raises(package.Error, match="outside the 80 places"):
        ours.encode_image((pixels, places + 75))


@pytest.mark.parametrize("samples", [1, 64, 65, 1000])
def test_soft_tokens_of_sounds(samples, tmp_path):
    model = make_model()
    sound = np.random.default_rng(0).uniform(-1, 1, samples).astype(np.float32)
    frames = np.pad(sound, (0, -samples % 64)).reshape(-1, 64)
    with torch.no_grad():
        theirs = model.model.embed_audio(torch.from_numpy(frames)).numpy()
    near(opened(model, tmp_path).encode_audio(sound).numpy(), theirs)


def test_an_empty_sound(tmp_path):
    with pytest.raises(package.Error, match="needs f32"):
        opened(make_model(), tmp_path).encode_audio(np.zeros(0, np.float32))
