"""Sampling against transformers' logits processors: the same distribution, step by step and all
together; the penalties of the OpenAI API by their formula; and draws by a chi-square test.
"""

import json

import numpy as np
import pytest
import torch
from transformers import (
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
    TypicalLogitsWarper,
)


@pytest.fixture
def sample(probe, tmp_path):
    def run(logits, draws=0, **options):
        path = tmp_path / "options.json"
        path.write_text(json.dumps({"vocab": len(logits), "draws": draws, **options}))
        data = probe("sample", path, stdin=np.asarray(logits, dtype=np.float32).tobytes()).stdout
        return np.frombuffer(data, dtype=np.int32 if draws else np.float32)

    return run


def reference(logits, prompt=(), **o):
    """The probabilities that transformers samples from."""
    processors = LogitsProcessorList()
    if "repetition_penalty" in o:
        processors.append(RepetitionPenaltyLogitsProcessor(o["repetition_penalty"]))
    if "temperature" in o:
        processors.append(TemperatureLogitsWarper(o["temperature"]))
    if "top_k" in o:
        processors.append(TopKLogitsWarper(o["top_k"]))
    if "top_p" in o:
        processors.append(TopPLogitsWarper(o["top_p"]))
    if "min_p" in o:
        processors.append(MinPLogitsWarper(o["min_p"]))
    if "typical_p" in o:
        processors.append(TypicalLogitsWarper(o["typical_p"]))
    # In double precision, so that a sum that nearly reaches its limit is not decided by rounding.
    scores = torch.tensor(np.asarray(logits, dtype=np.float64))[None]
    ids = torch.tensor([list(prompt)], dtype=torch.long)
    return torch.softmax(processors(ids, scores), dim=-1)[0].numpy()


def logits_of(seed, vocab, scale):
    rng = np.random.default_rng(seed)
    return (rng.standard_normal(vocab) * scale).astype(np.float32)


def same(ours, theirs):
    mask = ((ours > 0) != (theirs > 0)) & (np.maximum(ours, theirs) > 1e-30)
    assert not mask.any(), f"{mask.sum()} tokens kept by one side only: {np.flatnonzero(mask)[:10]}"
    np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=1e-9)


STEPS = [
    {}, {"temperature": 0.3}, {"temperature": 1.7}, {"top_k": 1}, {"top_k": 7}, {"top_k": 100000},
    {"top_p": 0.0}, {"top_p": 0.1}, {"top_p": 0.9}, {"top_p": 0.999}, {"min_p": 0.01}, {"min_p": 0.5},
    {"min_p": 1.0}, {"typical_p": 0.2}, {"typical_p": 0.95}, {"repetition_penalty": 1.3},
    {"repetition_penalty": 0.7},
    {"temperature": 0.8, "top_k": 40, "top_p": 0.9, "min_p": 0.02, "typical_p": 0.9,
     "repetition_penalty": 1.1},
    {"temperature": 2.0, "top_p": 0.8, "typical_p": 0.5}, {"top_k": 50, "typical_p": 0.7},
    {"temperature": 1.5, "top_k": 300, "min_p": 0.1},
]


@pytest.mark.parametrize("options", STEPS, ids=str)
def test_the_distribution_equals_transformers(sample, options):
    for seed, (vocab, scale) in enumerate([(5, 1), (64, 3), (1000, 2), (5003, 0.3), (33000, 4)]):
        logits = logits_of(seed, vocab, scale)
        prompt = [1, 3, 3, vocab - 1]
        same(sample(logits, prompt=prompt, **options),
             reference(logits, prompt, **{k: min(v, vocab) if k == "top_k" else v
                                          for k, v in options.items()}))


def test_ties_at_the_limit_of_top_k_are_kept(sample):
    logits = [1.0, 2.0, 2.0, 2.0, 0.0, 3.0]
    same(sample(logits, top_k=2), reference(logits, top_k=2))


def test_tokens_of_minus_infinity_are_never_drawn(sample):
    logits = logits_of(9, 300, 2)
    logits[::3] = -np.inf
    for options in ({}, {"top_p": 0.95}, {"typical_p": 0.9}, {"min_p": 0.001}, {"top_k": 250}):
        ours = sample(logits, **options)
        assert (ours[::3] == 0).all()
        same(ours, np.nan_to_num(reference(logits, **options)))


def test_presence_and_frequency_penalties_follow_openais_formula(sample):
    logits = logits_of(4, 50, 1).astype(np.float64)
    generated = [3, 3, 3, 7, 9, 9]
    counts = np.bincount(generated, minlength=50)
    changed = logits - counts * 0.4 - (counts > 0) * 0.25
    ours = sample(logits, generated=generated, prompt=[1, 2], frequency_penalty=0.4,
                  presence_penalty=0.25)
    same(ours, reference(changed))


def test_logit_bias_is_added(sample):
    logits = logits_of(5, 50, 1)
    changed = logits.copy()
    changed[4] += 2.5
    changed[8] -= 100
    same(sample(logits, logit_bias=[[4, 2.5], [8, -100]]), reference(changed))


def test_temperature_zero_is_greedy(sample):
    logits = logits_of(6, 70000, 3)
    assert (sample(logits, draws=3, temperature=0) == logits.argmax()).all()


CHI_SQUARE = [
    {}, {"temperature": 0.7}, {"top_k": 8}, {"top_p": 0.8}, {"min_p": 0.2}, {"typical_p": 0.6},
]


@pytest.mark.parametrize("options", CHI_SQUARE, ids=str)
@pytest.mark.parametrize("vocab", [12, 3000])
def test_draws_follow_the_distribution(sample, options, vocab):
    """With a fixed seed this is no coin toss: it passes always or never."""
    logits = logits_of(7, vocab, 1.2)
    draws = 10000
    expected = reference(logits, **options) * draws
    seen = np.bincount(sample(logits, draws=draws, seed=11, **options), minlength=vocab)
    assert (seen[expected == 0] == 0).all()
    # Cells of fewer than 5 expected draws are put together, as the test needs.
    order = np.argsort(-expected)
    cells = []
    e = s = 0.0
    for i in order[expected[order] > 0]:
        e, s = e + expected[i], s + seen[i]
        if e >= 5:
            cells.append((e, s))
            e = s = 0.0
    if e > 0 and cells:
        cells[-1] = (cells[-1][0] + e, cells[-1][1] + s)
    statistic = sum((s - e) ** 2 / e for e, s in cells)
    freedom = max(len(cells) - 1, 1)
    assert statistic < freedom + 4 * np.sqrt(2 * freedom) + 4, (statistic, freedom)


def test_a_seed_means_the_same_tokens(sample):
    logits = logits_of(8, 500, 1)
    a = sample(logits, draws=200, seed=5)
    assert (a == sample(logits, draws=200, seed=5)).all()
    assert (a != sample(logits, draws=200, seed=6)).any()
