"""What models make on their way to logits beside transformers: every layer's output, of decoders and
of towers, and the inputs that layers have of their own."""

from contextlib import contextmanager
from types import SimpleNamespace

import gemma_models
import numpy as np
import pytest
import tallow as package  # `tallow` is the command in the other tests
import test_gemma4_audio as ears
import test_gemma4_chat as chats
import test_gemma4_unified as unified
import test_models
import torch
import vision_models as eyes
from gemma4_chat import Reference
from transformers import Gemma4AudioFeatureExtractor
from transformers.models.gemma4.image_processing_pil_gemma4 import Gemma4ImageProcessorPil

LLAMAS = ["grouped", "tied", "all_biases", "llama3", "qwen2", "qwen2_window"]


def make(kind, name):
    if kind == "llama":
        return test_models.make_model(**test_models.CONFIGS[name])
    if kind == "unified":
        return unified.make_model(**unified.TEXTS[name])
    return gemma_models.make_model(kind, gemma_models.CONFIGS[kind][name])


def near(ours, theirs, bound=2e-4):
    ours = ours.numpy()
    assert ours.shape == theirs.shape and np.std(theirs) > 0.01
    assert np.abs(ours - theirs).max() < bound * np.abs(theirs).max()


def all_near(ours, theirs):
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs):
        near(one, other)


def rows(x):
    """Of a batch of one; of Gemma 3n's streams, which come first there, token by token."""
    x = x.transpose(0, 1)[0].transpose(0, 1) if x.ndim == 4 else x[0]
    return x.float().numpy()


@contextmanager
def recorded(layers, norm=None):
    """What forward hooks see: the first layer's input, each layer's output, the norm's."""
    states = []
    with torch.no_grad():
        hooks = [layers[0].register_forward_pre_hook(lambda _, given: states.append(given[0]))]
        for layer in [*(layers if norm is None else layers[:-1]), *([norm] if norm else [])]:
            hooks.append(layer.register_forward_hook(lambda _, given, made: states.append(made)))
        yield states
        for hook in hooks:
            hook.remove()


def text_model(network):
    return getattr(network.model, "language_model", network.model)


@contextmanager
def layer_inputs(network):
    """What transformers' decoder projects for its layers: [batch, tokens, layers, dim]."""
    text, made = text_model(network), []
    usual = text.project_per_layer_inputs
    text.project_per_layer_inputs = lambda *given: made.append(usual(*given)) or made[-1]
    yield made
    del text.project_per_layer_inputs


@pytest.mark.parametrize("kind,name", [*gemma_models.ALL, *(("llama", n) for n in LLAMAS),
                                       *(("unified", n) for n in unified.TEXTS)])
def test_layers_of_decoders(kind, name, tmp_path):
    network = make(kind, name)
    network.save_pretrained(tmp_path)
    ids = np.random.default_rng(1).integers(4, 120, 40).tolist()
    more = dict(mm_token_type_ids=torch.zeros(1, 40, dtype=torch.long)) if kind == "unified" else {}
    with torch.no_grad():
        out = network.model(torch.tensor([ids]), output_hidden_states=True, **more)
    # Of Gemma 3n, transformers gives the last layer's streams instead of what the head reads.
    theirs = [*out.hidden_states[:-1], out.last_hidden_state]
    ours = package.load(tmp_path).hidden_states(ids)
    all_near(ours, [rows(x) for x in theirs])
    assert len(ours) == network.config.get_text_config().num_hidden_layers + 1


@pytest.mark.parametrize("kind,name", [
    (kind, name) for kind in ("gemma3n_text", "gemma4_text")
    for name, changes in gemma_models.CONFIGS[kind].items()
    if changes.get("hidden_size_per_layer_input")])
def test_inputs_of_layers(kind, name, tmp_path):
    network = make(kind, name)
    network.save_pretrained(tmp_path)
    ids = np.random.default_rng(2).integers(4, 120, 20).tolist()
    with layer_inputs(network) as made, torch.no_grad():
        network(torch.tensor([ids]))
    near(package.load(tmp_path).per_layer_inputs(ids), rows(made[0].flatten(2)).reshape(
        len(ids), *made[0].shape[2:]))


@pytest.mark.parametrize("name", ["one", "mixed", "video"])
def test_prompts_of_text_images_sounds_and_video(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where the paths of messages begin
    tokenizer = chats.make_tokenizer()
    network = chats.make_network(tokenizer)
    model = package.load(chats.save(tmp_path, tokenizer, network))
    text = text_model(network)
    with recorded(text.layers, text.norm) as theirs, layer_inputs(network) as inputs:
        ids, _ = Reference(tokenizer, network, tmp_path, chats.features)(chats.MESSAGES[name])
    prompt = model.prompt(chats.MESSAGES[name])
    assert prompt.tokens == ids
    all_near(model.hidden_states(prompt), [rows(x) for x in theirs])
    near(model.per_layer_inputs(prompt), inputs[0][0].numpy())


@pytest.mark.parametrize("name", eyes.CONFIGS)
def test_layers_of_the_vision_tower(name, tmp_path):
    network = eyes.make_model(eyes.CONFIGS[name])
    network.save_pretrained(tmp_path)
    image = eyes.picture(200, 340)
    given = Gemma4ImageProcessorPil(max_soft_tokens=70)(image, return_tensors="pt")
    real = (given["image_position_ids"][0] >= 0).all(-1)
    with recorded(network.model.vision_tower.encoder.layers) as theirs:
        network.model.get_image_features(given["pixel_values"], given["image_position_ids"])
    all_near(package.load(tmp_path).image_hidden_states(image, 70), [rows(x[:, real]) for x in theirs])


@pytest.mark.parametrize("name", ears.TOWERS)
def test_layers_of_the_audio_tower(name, tmp_path):
    network = ears.make_model(ears.TOWERS[name])
    channels = network.config.audio_config.subsampling_conv_channels[0]
    extractor = Gemma4AudioFeatureExtractor(feature_size=channels)
    ours = ears.save(tmp_path, network, extractor).audio_hidden_states(ears.sound(9000))
    with recorded(network.model.audio_tower.layers) as theirs:
        ears.reference(network, extractor, ears.sound(9000))
    all_near(ours, [rows(x)[:ours[0].shape[0]] for x in theirs])


def test_what_the_unified_model_projects(tmp_path):
    network = unified.make_model()
    model = unified.opened(network, tmp_path)
    pixels, at = model.prepare_image(eyes.picture(200, 340), 70)
    seen = SimpleNamespace()
    norm = network.model.embed_vision.pos_norm
    hook = norm.register_forward_hook(lambda _, given, made: setattr(seen, "made", made))
    with torch.no_grad():
        network.model.get_image_features(torch.from_dlpack(pixels)[None], torch.from_dlpack(at)[None])
    hook.remove()
    all_near(model.image_hidden_states((pixels, at)), [rows(seen.made)])


class TestRefusals:
    def test_of_no_tokens_and_of_unknown_ones(self, tmp_path):
        make("llama", "grouped").save_pretrained(tmp_path)
        model = package.load(tmp_path)
        for ids, words in ([], "empty"), ([5, 1000], "token 1000"), ([-1], "token -1"):
            with pytest.raises(package.Error, match=words):
                model.hidden_states(ids)

    def test_of_layers_without_inputs(self, tmp_path):
        make("gemma4_text", "dense").save_pretrained(tmp_path)
        with pytest.raises(package.Error, match="no inputs of their own"):
            package.load(tmp_path).per_layer_inputs([5, 6])

    def test_of_models_without_towers(self, tmp_path):
        make("llama", "grouped").save_pretrained(tmp_path)
        model = package.load(tmp_path)
        with pytest.raises(package.Error, match="takes no images"):
            model.image_hidden_states(eyes.picture(50, 50))
        with pytest.raises(package.Error, match="takes no sounds"):
            model.audio_hidden_states(np.zeros(1000, np.float32))
