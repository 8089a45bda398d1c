"""Gemma 4's image processor, vision tower and projector beside transformers."""

import json
import math

import numpy as np
import pytest
import torch
from gemma_models import SMALL
from gemma_models import make_model as make_text_model
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers.models.gemma4.image_processing_pil_gemma4 import Gemma4ImageProcessorPil
from vision_models import CONFIGS, make_model, picture, processed, soft_tokens

import tallow as package  # `tallow` is the command in the other tests


def opened(model, folder, **files):
    model.save_pretrained(folder)
    for name, settings in files.items():
        (folder / f"{name}.json").write_text(json.dumps(settings))
    return package.load(str(folder))


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A model that sees, and its folder."""
    return opened(make_model({}), tmp_path_factory.mktemp("plain"))


def same_patches(ours, theirs):
    np.testing.assert_array_equal(ours[0].numpy(), theirs[0])
    np.testing.assert_array_equal(ours[1].numpy(), theirs[1])
    assert ours[0].dtype == package.float32 and ours[1].dtype == package.int32


@pytest.mark.parametrize("tokens,count", [(70, 200), (140, 100), (280, 60), (560, 25), (1120, 15)])
def test_patches_of_random_sizes(plain, tokens, count):
    random = np.random.default_rng(0)
    noise = random.integers(0, 256, (900, 900, 3), dtype=np.uint8)
    for _ in range(count):
        height, width = np.exp(random.uniform(math.log(20), math.log(900), 2)).astype(int)
        image = noise[:height, :width]
        same_patches(plain.prepare_image(image, tokens), processed(image, tokens))


@pytest.mark.parametrize("tokens", [70, 280, 1120])
def test_patches_of_narrow_images(plain, tokens):
    for height, width in [(1, 1), (1, 40), (40, 1), (2, 70), (3, 300), (5, 2000), (2000, 5),
                          (48, 48), (768, 768), (1, 20000), (20000, 1), (16, 4096), (4096, 17)]:
        image = picture(height, width)
        try:
            theirs = processed(Image.fromarray(image), tokens)
        except ValueError:
            with pytest.raises(package.Error, match=f"{width} x {height} pixels does not fit"):
                plain.prepare_image(image, tokens)
        else:
            same_patches(plain.prepare_image(image, tokens), theirs)


@pytest.mark.parametrize("settings", [
    dict(max_soft_tokens=70), dict(max_soft_tokens=1120), dict(resample=2), dict(resample=0),
    dict(resample=1), dict(do_rescale=False), dict(rescale_factor=0.01),
    dict(do_normalize=True, image_mean=[0.5, 0.4, 0.3], image_std=[0.5, 0.3, 0.2]),
    dict(do_normalize=True, do_rescale=False, image_mean=[100.0, 90.0, 80.0],
         image_std=[50.0, 60.0, 70.0]),
    dict(do_convert_rgb=False),
])
@pytest.mark.parametrize("nested", [False, True])
def test_settings_of_the_processor(settings, nested, tmp_path):
    processor = Gemma4ImageProcessorPil(**settings)
    processor.save_pretrained(tmp_path)
    saved = json.loads((tmp_path / "preprocessor_config.json").read_text())
    files = dict(preprocessor_config=saved)
    if nested:  # which goes first
        files = dict(processor_config=dict(image_processor=saved),
                     preprocessor_config=dict(saved, max_soft_tokens=140, resample=4))
    ours = opened(make_model({}), tmp_path, **files)
    image = picture(123, 211)
    out = processor(image, return_tensors="np")
    at = out["image_position_ids"][0]
    real = (at >= 0).all(-1)
    same_patches(ours.prepare_image(image), (out["pixel_values"][0][real], at[real]))


def test_a_processor_that_does_not_resize(tmp_path):
    ours = opened(make_model({}), tmp_path, preprocessor_config=dict(do_resize=False))
    image = picture(96, 144)
    same_patches(ours.prepare_image(image), processed(image, do_resize=False))
    for wrong in (picture(96, 145), picture(48, 48 * 300)):
        with pytest.raises(package.Error, match="does not resize"):
            ours.prepare_image(wrong)


@pytest.mark.parametrize("name", CONFIGS)
def test_soft_tokens(name, tmp_path):
    model = make_model(CONFIGS[name])
    ours = opened(model, tmp_path)
    for seed, (height, width) in enumerate([(200, 340), (341, 60)]):
        image = picture(height, width, seed)
        expected = soft_tokens(model, image, 70)
        made = ours.encode_image(image, 70).numpy()
        assert made.shape == expected.shape and np.std(expected) > 0.05
        assert np.abs(made - expected).max() < 2e-4 * np.abs(expected).max()


@pytest.mark.parametrize("tokens", [140, 280, 560])
def test_larger_budgets(tokens, tmp_path):
    model = make_model(dict(CONFIGS["all"], num_hidden_layers=1, num_attention_heads=1,
                            num_key_value_heads=1, position_embedding_size=240))
    ours = opened(model, tmp_path)
    image = picture(90, 160)
    expected = soft_tokens(model, image, tokens)
    assert tokens * 0.7 < len(expected) <= tokens
    made = ours.encode_image(image, tokens).numpy()
    assert np.abs(made - expected).max() < 2e-4 * np.abs(expected).max()


@pytest.mark.parametrize("patch,pooling", [(8, 2), (4, 5)])
def test_other_patches_and_pooling(patch, pooling, tmp_path):
    sizes = dict(patch_size=patch, pooling_kernel_size=pooling)
    model = make_model(dict(sizes, position_embedding_size=400))
    ours = opened(model, tmp_path, preprocessor_config=sizes)
    image = picture(77, 50)
    out = Gemma4ImageProcessorPil(max_soft_tokens=70, **sizes)(image, return_tensors="pt")
    with torch.no_grad():
        expected = torch.cat(list(model.model.get_image_features(
            out["pixel_values"], out["image_position_ids"]).pooler_output)).numpy()
    made = ours.encode_image(image, 70).numpy()
    assert np.abs(made - expected).max() < 2e-4 * np.abs(expected).max()


def test_true_widths(tmp_path):
    widths = dict(hidden_size=768, intermediate_size=3072, num_attention_heads=12,
                  num_key_value_heads=12, head_dim=64, num_hidden_layers=2,
                  position_embedding_size=1024, use_clipped_linears=True, standardize=True)
    model = make_model(widths)
    image = picture(300, 400)
    expected = soft_tokens(model, image, 140)
    made = opened(model, tmp_path).encode_image(image, 140).numpy()
    assert np.abs(made - expected).max() < 2e-4 * np.abs(expected).max()


@pytest.mark.parametrize("name", ["plain", "all", "few_keys", "wide_heads"])
def test_bf16_is_as_near_to_f32_as_transformers_bf16(name, tmp_path):
    model = make_model(CONFIGS[name], dtype=torch.bfloat16)
    image = picture(200, 340)
    theirs = soft_tokens(model, image, 70)
    ours = opened(model, tmp_path).encode_image(image, 70).numpy()
    exact = soft_tokens(model.float(), image, 70)

    def rms(x):
        return np.sqrt(np.mean((x - exact) ** 2)) / np.sqrt(np.mean(exact**2))

    assert 0 < rms(ours) < max(1.2 * rms(theirs), 0.01)


def test_a_prepared_image_and_a_path_give_the_same(plain, tmp_path):
    image = picture(123, 211)
    Image.fromarray(image).save(tmp_path / "a.png")
    whole = plain.encode_image(image, 70).numpy()
    for given in (plain.prepare_image(image, 70), tmp_path / "a.png", str(tmp_path / "a.png"),
                  package.as_tensor(image)):
        np.testing.assert_array_equal(plain.encode_image(given, 70).numpy(), whole)


def test_threads_change_nothing(plain):
    image = picture(123, 211)
    whole = plain.encode_image(image, 70).numpy()
    threads = package.get_num_threads()
    package.set_num_threads(1)
    try:
        np.testing.assert_array_equal(plain.encode_image(image, 70).numpy(), whole)
    finally:
        package.set_num_threads(threads)


def test_what_cannot_be_prepared(plain):
    image = picture(100, 100)
    for given, tokens, words in [(image, 100, "known are 70, 140, 280, 560, 1120"),
                                 (image, -1, "known are"), (image[..., :1], 70, "it needs u8"),
                                 (image[0], 70, "it needs u8"),
                                 (image.astype(np.float32), 70, "it needs u8"),
                                 (image[:0], 70, "it needs u8")]:
        with pytest.raises(package.Error, match=words):
            plain.prepare_image(given, tokens)


def test_what_cannot_be_encoded(plain):
    pixels, at = plain.prepare_image(picture(100, 100), 70)
    for wrong in [(pixels[:-1], at[:-1]), (pixels[:, :5], at), (pixels, at[:5]), (pixels, at + 500),
                  (pixels, at - 1), (pixels, at[:, :1]), (pixels[:0], at[:0])]:
        with pytest.raises(package.Error):
            plain.encode_image(wrong)


def test_models_without_eyes(tmp_path):
    blind = opened(make_text_model("gemma4_text", SMALL), tmp_path)
    with pytest.raises(package.Error, match="takes no images"):
        blind.encode_image(picture(50, 50))


def edited(model, folder, change):
    """The model's folder with other weights."""
    model.save_pretrained(folder)
    weights = load_file(folder / "model.safetensors")
    save_file(change(weights), folder / "model.safetensors", metadata={"format": "pt"})
    return str(folder)


def test_a_checkpoint_without_the_weights_of_its_tower(tmp_path):
    path = edited(make_model({}), tmp_path, lambda weights: {
        name: w for name, w in weights.items() if "vision" not in name})
    with pytest.raises(package.Error, match="takes no images"):
        package.load(path).encode_image(picture(50, 50))


def test_a_checkpoint_with_a_part_of_its_tower(tmp_path):
    path = edited(make_model(CONFIGS["clipped"]), tmp_path, lambda weights: {
        name: w for name, w in weights.items() if not name.endswith("down_proj.output_max")})
    with pytest.raises(package.Error, match="layers.0.mlp.down_proj.output_max"):
        package.load(path)


@pytest.mark.parametrize("key,value,words", [
    ("num_key_value_heads", 3, "multiple"), ("head_dim", 10, "head_dim"),
    ("hidden_size", 64, "input_proj"), ("rope_parameters", {"rope_type": "yarn"}, "axial"),
    ("hidden_size", -1, "hidden_size"), ("num_hidden_layers", 10**9, "num_hidden_layers"),
])
def test_configurations_that_do_not_fit(key, value, words, tmp_path):
    make_model({}).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["vision_config"][key] = value
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(package.Error, match=words):
        package.load(str(tmp_path))


@pytest.mark.parametrize("settings,words", [
    (dict(max_soft_tokens=100), "max_soft_tokens 100"), (dict(resample=9), "resample"),
    (dict(image_mean=[1, 2]), "image_mean"), (dict(patch_size="a"), "patch_size"),
    ([], "JSON object"),
])
def test_processors_that_make_no_sense(settings, words, tmp_path):
    with pytest.raises(package.Error, match=words):
        opened(make_model({}), tmp_path, preprocessor_config=settings)
