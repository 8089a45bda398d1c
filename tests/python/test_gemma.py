"""The Gemma family beside transformers: every switch of each configuration, whole models with
towers, the cache, ragged batches, chunks, and GGUF files beside llama.cpp."""

import json

import numpy as np
import pytest
import torch
from gemma_models import ALL, BASE, CONFIGS, EXPERTS, SHARED, make_model, randomize
from test_models import Logits, error, random_tokens, reference, rms_error
from transformers import Gemma4Config, Gemma4ForConditionalGeneration

# Those whose tokens see what comes after them take a text in one pass only.
CAUSAL = [(kind, name) for kind, name in ALL if name != "encoder"]


@pytest.fixture
def logits(tallow, tmp_path):
    return Logits(tallow, tmp_path)


def saved(kind, name, folder, **options):
    model = make_model(kind, CONFIGS[kind][name], **options)
    model.save_pretrained(folder)
    return model


@pytest.mark.parametrize("kind,name", ALL)
def test_logits_equal_transformers(kind, name, logits, tmp_path):
    model = saved(kind, name, tmp_path / "model")
    tokens = random_tokens(model, 45)
    expected = reference(model, tokens)
    assert np.std(expected) > 0.05
    assert error(logits(tmp_path / "model", tokens), expected) < 2e-4


@pytest.mark.parametrize("kind,name", CAUSAL)
def test_decoding_with_the_cache_and_chunks_equal_one_pass(kind, name, logits, tmp_path):
    model = saved(kind, name, tmp_path / "model")
    sequences = [random_tokens(model, 37), random_tokens(model, 3, seed=2)]
    expected = np.concatenate([reference(model, s) for s in sequences])
    for chunk in (1, 7):
        assert error(logits(tmp_path / "model", *sequences, args=["--chunk", chunk]), expected) < 2e-4
    ends = np.cumsum([len(s) for s in sequences]) - 1
    for args in (["--last"], ["--last", "--chunk", 5]):
        assert error(logits(tmp_path / "model", *sequences, args=args), expected[ends]) < 2e-4
