"""Gemma 4's ears beside transformers: log-mel features to the bit, and the audio tower with its
projector, as many rows as the processor places."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from gemma_models import BASE, SMALL
from transformers import (
    Gemma4AudioFeatureExtractor,
    Gemma4Config,
    Gemma4ForConditionalGeneration,
    Gemma4Processor,
)

import tallow

TINY = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, output_proj_dims=24,
            subsampling_conv_channels=[16, 4])

# What each configuration changes in TINY.
TOWERS = {
    "plain": {},
    "one_layer": dict(num_hidden_layers=1),
    "one_head": dict(num_attention_heads=1),
    "odd_chunk": dict(attention_chunk_size=5),
    "chunk_of_one": dict(attention_chunk_size=1, attention_context_left=4),
    "long_chunk": dict(attention_chunk_size=200),
    "short_left": dict(attention_context_left=2),
    "odd_left": dict(attention_context_left=6, attention_chunk_size=7),
    "left_past_all": dict(attention_context_left=500),
    "right_one": dict(attention_context_right=1),
    "right": dict(attention_context_right=4),
    "far_right": dict(attention_context_right=20, attention_chunk_size=3),
    "tight_cap": dict(attention_logit_cap=0.7),
    "kernel": dict(conv_kernel_size=2),
    "long_kernel": dict(conv_kernel_size=9),
    "weight": dict(residual_weight=1.25),
    "unclipped": dict(use_clipped_linears=False),
    "clipping": dict(gradient_clipping=0.4),
    "relu": dict(hidden_act="relu"),
    "eps": dict(rms_norm_eps=0.3),
    "channels": dict(subsampling_conv_channels=[24, 6]),
}


def randomize(model):
    """Weights of which each one matters, bounds that clip some."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, x in [*model.named_parameters(), *model.named_buffers()]:
            if "audio" not in name or "timescales" in name or name.endswith("softcap"):
                continue
            if name.endswith(("_min", "_max")):
                x.fill_((-1 if name.endswith("_min") else 1) * float(
                    torch.rand((), generator=generator) + 0.8))
            elif x.ndim == 1:
                x.copy_(torch.rand(x.shape, generator=generator) + 0.5)
            else:
                fan_in = x[0].numel()
                x.copy_(torch.randn(x.shape, generator=generator) * fan_in**-0.5)
    return model


def make_model(changes):
    config = Gemma4Config(
        text_config={**BASE, **SMALL, "num_hidden_layers": 1}, image_token_id=150, audio_token_id=149, video_token_id=148,
        vision_config=dict(hidden_size=32, intermediate_size=48, num_hidden_layers=1,
                           num_attention_heads=2, num_key_value_heads=2, head_dim=16,
                           position_embedding_size=64),
        audio_config={**TINY, **changes}, attn_implementation="eager")
    torch.manual_seed(1)
    return randomize(Gemma4ForConditionalGeneration(config).eval())


def save(folder, model, extractor):
    model.save_pretrained(folder)
    settings = json.loads(extractor.to_json_string())
    (folder / "processor_config.json").write_text(json.dumps({"feature_extractor": settings}))
    return tallow.load(str(folder))


def sound(samples, seed=0):
    """A chord in noise that grows."""
    t = np.arange(samples) / 16000
    x = sum(np.sin(2 * np.pi * f * t) for f in (220, 1234.5, 5000)) * 0.1
    noise = np.random.default_rng(seed).standard_normal(samples) * np.linspace(0, 0.3, samples)
    return (x + noise).astype(np.float32)


def reference(model, extractor, samples):
    """The rows that transformers puts into a prompt."""
    made = extractor([samples], return_tensors="pt")
    dtype = next(model.parameters()).dtype
    with torch.no_grad():
        out = model.model.get_audio_features(made["input_features"].to(dtype),
                                             made["input_features_mask"], return_dict=True)
    return out.pooler_output[out.attention_mask].float().numpy()


def error(ours, theirs):
    return np.abs(ours - theirs).max() / np.abs(theirs).max()


def rms_error(ours, theirs):
    return np.sqrt(np.mean((ours - theirs) ** 2) / np.mean(theirs**2))


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A model that takes 16 mels."""
    model, extractor = make_model({}), Gemma4AudioFeatureExtractor(feature_size=16)
    return model, extractor, save(tmp_path_factory.mktemp("plain"), model, extractor)


@pytest.mark.parametrize("name", TOWERS)
def test_towers_equal_transformers(name, tmp_path):
    model = make_model(TOWERS[name])
    channels = model.config.audio_config.subsampling_conv_channels[0]
    extractor = Gemma4AudioFeatureExtractor(feature_size=channels)
    ours = save(tmp_path, model, extractor)
    for samples in (161, 16000, 30011):
        x = sound(samples)
        expected = reference(model, extractor, x)
        assert np.std(expected) > 0.05
        rows = ours.encode_audio(x).numpy()
        assert rows.shape == expected.shape
        assert error(rows, expected) < 2e-4


LENGTHS = [1, 160, 161, 320, 321, 480, 481, 641, 801, 961, 1000, 1281, 4801, 15361, 16000, 30720, 32001,
           160000, 479999, 480000, 480001, 640000]


@pytest.mark.parametrize("samples", LENGTHS)
def test_features_equal_transformers_to_the_bit(samples, plain):
    _, extractor, ours = plain
    made = extractor([sound(samples)])
    mask = made["input_features_mask"][0]
    expected = made["input_features"][0][mask]
    features = ours.prepare_audio(sound(samples)).numpy()
    assert features.shape == expected.shape
    assert np.count_nonzero(features != expected) <= 1e-5 * expected.size
    assert np.abs(features - expected).max(initial=0) <= 2**-21


@pytest.mark.parametrize("changes", [
    dict(frame_length_ms=32.0), dict(hop_length_ms=7.0), dict(frame_length_ms=10.1, hop_length_ms=5),
    dict(preemphasis=0.97), dict(preemphasis=0.5, preemphasis_htk_flavor=False),
    dict(fft_overdrive=True), dict(mel_floor=1e-5), dict(input_scale_factor=3.0),
    dict(min_frequency=125.0, max_frequency=7600.0), dict(sampling_rate=8000, max_frequency=4000.0),
    dict(per_bin_mean=list(np.linspace(-2, 1, 16)), per_bin_stddev=list(np.linspace(1, 3, 16)))],
    ids=lambda changes: "-".join(changes))
def test_settings_of_the_extractor_count(changes, plain, tmp_path):
    # As it is read again: what transformers saves is not all that it reads.
    Gemma4AudioFeatureExtractor(feature_size=16, **changes).save_pretrained(tmp_path)
    saved = json.loads((tmp_path / "preprocessor_config.json").read_text()) | changes
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(saved))
    extractor = Gemma4AudioFeatureExtractor.from_pretrained(tmp_path)
    plain[0].save_pretrained(tmp_path)
    made = extractor([sound(5000)])
    expected = made["input_features"][0][made["input_features_mask"][0]]
    features = tallow.load(str(tmp_path)).prepare_audio(sound(5000)).numpy()
    assert features.shape == expected.shape
    assert np.abs(features - expected).max() <= 2**-20 * np.abs(expected).max()


@pytest.mark.parametrize("samples", LENGTHS)
def test_as_many_rows_as_the_processor_places(samples, plain):
    model, extractor, ours = plain
    made = extractor([sound(samples)])
    words = SimpleNamespace(boa_token="", eoa_token="", audio_token="x")
    placed = len(Gemma4Processor.replace_audio_token(words, made, 0))
    assert ours.encode_audio(sound(samples)).shape == (placed, model.config.text_config.hidden_size)


@pytest.mark.parametrize("samples", [321, 961, 1281, 9999, 160000, 480000])
def test_lengths_around_chunks_equal_transformers(samples, plain):
    model, extractor, ours = plain
    expected = reference(model, extractor, sound(samples))
    assert error(ours.encode_audio(sound(samples)).numpy(), expected) < 2e-4


@pytest.mark.parametrize("name", ["plain", "right", "tight_cap"])
def test_bf16_follows_transformers(name, tmp_path):
    model = make_model(TOWERS[name]).to(torch.bfloat16)
    extractor = Gemma4AudioFeatureExtractor(feature_size=16)
    ours = save(tmp_path, model, extractor)
    own = reference(model, extractor, sound(16000))
    expected = reference(model.float(), extractor, sound(16000))
    # bf16 keeps 8 bits: nearer than transformers' own pass in bf16.
    assert rms_error(ours.encode_audio(sound(16000)).numpy(), expected) < rms_error(own, expected)


def test_threads_change_nothing(plain):
    ours, threads = plain[2], tallow.get_num_threads()
    try:
        rows = []
        for count in (1, 2, 3):
            tallow.set_num_threads(count)
            rows.append(ours.encode_audio(sound(20000)).numpy())
    finally:
        tallow.set_num_threads(threads)
    assert np.array_equal(rows[0], rows[1]) and np.array_equal(rows[0], rows[2])


def test_sounds_that_cannot_be_heard(plain):
    ours = plain[2]
    with pytest.raises(tallow.Error, match="audio: there are no samples"):
        ours.encode_audio(np.zeros(0, np.float32))
    with pytest.raises(tallow.Error, match=r"must be f32 \[count\]"):
        ours.encode_audio(np.zeros((2, 1000), np.float32))
    assert np.isfinite(ours.encode_audio(np.zeros(1000, np.float32)).numpy()).all()


@pytest.mark.parametrize("changes,message", [
    (dict(attention_context_left=1), "attention_context_left"),
    (dict(num_attention_heads=3), "does not divide into 3 heads"),
    (dict(subsampling_conv_channels=[16]), "must be a list of 2"),
    (dict(subsampling_conv_channels=[16, -4]), "are no sizes"),
    (dict(attention_logit_cap=0.0), "attention_logit_cap 0 is not positive"),
    (dict(gradient_clipping=-1.0), "gradient_clipping -1 is not positive"),
    (dict(num_hidden_layers=3), "layers.2"),
    (dict(output_proj_dims=25), "output_proj"),
])
def test_configurations_that_do_not_fit(changes, message, plain, tmp_path):
    plain[0].save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["audio_config"] |= changes
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(tallow.Error, match=message):
        tallow.load(str(tmp_path))


def test_models_without_ears(plain, tmp_path):
    model = make_model({})
    model.config.audio_config = None
    Gemma4ForConditionalGeneration(model.config).save_pretrained(tmp_path / "deaf")
    with pytest.raises(tallow.Error, match="takes no sounds"):
        tallow.load(str(tmp_path / "deaf")).encode_audio(sound(1000))
    # Other features than the tower's are an error where they are heard, not where text is read.
    plain[0].save_pretrained(tmp_path / "other")
    with pytest.raises(tallow.Error, match="the tower takes"):
        tallow.load(str(tmp_path / "other")).encode_audio(sound(1000))
