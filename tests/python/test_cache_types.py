"""Caches of every type beside llama.cpp's of the same type: what rounding does to answers."""

import numpy as np
import pytest
import torch
from gemma_models import SHARED, write_gguf
from gemma_models import make_model as make_gemma
from test_convert import LlamaCpp, log_softmax, save
from test_models import Logits, random_tokens

LENGTHS = range(330, 200, -13)
# How far log-probabilities may be from those over f32, as root mean squares: twice of what is seen.
BOUNDS = {"f16": 6e-3, "q8_0": 0.25, "q4_0": 1.5}


@pytest.fixture(scope="module", params=["llama", "gemma4"])
def converted(request, tallow, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "gemma4":
        return folder / "model.gguf", write_gguf(folder / "model.gguf", make_gemma(
            "gemma4_text", dict(SHARED, head_dim=64, global_head_dim=128, max_position_embeddings=512,
                                layer_types=2 * (2 * ["sliding_attention"] + ["full_attention"]))))
    model, _ = save(folder / "model", head_dim=64, hidden_size=96)
    tallow("convert", folder / "model", folder / "model.gguf")
    return folder / "model.gguf", model


@pytest.mark.parametrize("cache_type", BOUNDS)
def test_answers_are_as_near_to_exact_ones_as_llama_cpps(cache_type, converted, tallow, tmp_path):
    path, model = converted
    logits, peer = Logits(tallow, tmp_path), LlamaCpp(path, cache_type=cache_type)
    tokens = random_tokens(model, max(LENGTHS))
    exact = logits(path, tokens, args=["--cache-type", "f32"])
    theirs = {n: peer.log_probabilities(tokens[:n]) or {} for n in LENGTHS}
    assert sum(map(len, theirs.values())) >= 500

    def apart(a, b):
        return np.sqrt(np.mean([(a[n][token] - b[n][token]) ** 2
                                for n in LENGTHS for token in theirs[n]]))

    def by_length(rows):
        return {n: log_softmax(rows[n - 1]) for n in LENGTHS}

    theirs_off = apart(theirs, by_length(exact))
    for chunk in (1, 512):  # tokens one by one have kernels of their own
        ours = by_length(logits(path, tokens, args=["--cache-type", cache_type, "--chunk", chunk]))
        off = apart(ours, by_length(exact))
        assert 0 < off < min(1.5 * theirs_off, BOUNDS[cache_type])
        assert apart(ours, theirs) < 1.6 * max(off, theirs_off)


@pytest.mark.parametrize("cache_type", ["q8_0", "q4_0"])
def test_keys_far_larger_than_their_neighbours_are_kept_as_well(cache_type, tallow, tmp_path):
    """As trained models have them. The same scores come of keys with and without such features, and
    so should answers."""
    model, _ = save(tmp_path / "even", head_dim=64, hidden_size=96)
    with torch.no_grad():
        for layer in model.model.layers:
            for part, factor in ((layer.self_attn.k_proj, 16), (layer.self_attn.q_proj, 1 / 16)):
                part.weight.view(-1, 64, 96)[:, [5, 37]] *= factor  # which turn together
    model.save_pretrained(tmp_path / "uneven")
    logits, tokens = Logits(tallow, tmp_path), random_tokens(model, 200)
    off = []
    for folder in ("even", "uneven"):
        exact, rounded = (log_softmax(logits(tmp_path / folder, tokens, args=["--cache-type", type]))
                          for type in ("f32", cache_type))
        off.append(np.sqrt(np.mean((rounded - exact) ** 2)))
    assert off[1] < 2 * off[0]
