"""Drafters: what they guess is what transformers' guess, and answers are as without them."""

import json

import numpy as np
import pytest
import torch
from transformers import (Gemma4AssistantConfig, Gemma4AssistantForCausalLM, Gemma4TextConfig,
                          Gemma4UnifiedAssistantConfig, Gemma4UnifiedAssistantForCausalLM,
                          Gemma4UnifiedTextConfig)

import tallow as package
from gemma4_chat import make_network, make_tokenizer
from gemma_models import BASE, randomize
from test_gemma4_unified import make_model as make_unified

# What each configuration changes: of the large model, of the drafter's text, of the drafter.
CONFIGS = {
    "plain": ({}, {}, {}),
    "one_layer": ({}, dict(num_hidden_layers=1), {}),
    "tight_window": (dict(sliding_window=5), dict(sliding_window=5), {}),
    "clusters": ({}, {}, dict(use_ordered_embeddings=True, num_centroids=18,
                              centroid_intermediate_top_k=4)),
    "all_clusters": ({}, {}, dict(use_ordered_embeddings=True, num_centroids=2,
                                  centroid_intermediate_top_k=2)),
    "untied": ({}, {}, dict(tie_word_embeddings=False)),
    "values_are_keys": (dict(attention_k_eq_v=True, num_global_key_value_heads=1),
                        dict(num_global_key_value_heads=1, attention_k_eq_v=True), {}),
}


@pytest.fixture(autouse=True)
def all_layers_may_share(monkeypatch):
    """transformers 5.23 asks who makes the keys that all layers of a drafter share, and finds none."""
    for config in (Gemma4TextConfig, Gemma4UnifiedTextConfig):
        monkeypatch.setattr(config, "kv_sharing_modes", property(
            lambda c, usual=config.kv_sharing_modes.fget: ["reuse"] * c.num_hidden_layers
            if c.num_kv_shared_layers == c.num_hidden_layers else usual(c)))


GEMMA4 = (Gemma4TextConfig, Gemma4AssistantConfig, Gemma4AssistantForCausalLM)
UNIFIED = (Gemma4UnifiedTextConfig, Gemma4UnifiedAssistantConfig, Gemma4UnifiedAssistantForCausalLM)


def make_assistant(network, vocabulary, text, changes, seed=1, kind=GEMMA4):
    text_config, assistant_config, assistant_model = kind
    # global_head_dim is that of the large model's global layers.
    sizes = {**BASE, "vocab_size": vocabulary, "num_hidden_layers": 3, "hidden_size": 24,
             "intermediate_size": 32, "global_head_dim": 32, "hidden_size_per_layer_input": 0,
             "vocab_size_per_layer_input": 0, "max_position_embeddings": 8192,
             "layer_types": ["sliding_attention", "sliding_attention", "full_attention"], **text}
    sizes["layer_types"] = sizes["layer_types"][-sizes["num_hidden_layers"]:]
    if kind is UNIFIED:
        sizes = {key: sizes[key] for key in sizes if "per_layer_input" not in key}
    config = assistant_config(
        text_config=text_config(**sizes, num_kv_shared_layers=sizes["num_hidden_layers"]),
        backbone_hidden_size=network.config.text_config.hidden_size, **changes,
        attn_implementation="eager")
    torch.manual_seed(seed)
    assistant = randomize(assistant_model(config).eval())
    if assistant.masked_embedding is not None:
        assistant.masked_embedding.token_ordering.copy_(torch.randperm(vocabulary))
    return assistant


def save(folder, name):
    tokenizer = make_tokenizer()
    large_text, text, changes = CONFIGS[name]
    network = make_network(tokenizer, **large_text)
    assistant = make_assistant(network, len(tokenizer), text, changes)
    network.save_pretrained(folder / "large")
    tokenizer.save_pretrained(folder / "large")
    assistant.save_pretrained(folder / "drafter")
    return network, assistant


def guesses(network, assistant, ids, count):
    """What transformers' drafter says after `ids`, of which the large model has seen all but the
    last; and by how much each was likelier than the next."""
    with torch.no_grad():
        seen = network.model.language_model(input_ids=torch.tensor([ids[:-1]]), use_cache=True,
                                            return_shared_kv_states=True)
        state, token, out, margins = seen.last_hidden_state[:, -1:], ids[-1], [], []
        for _ in range(count):
            embedded = network.get_input_embeddings()(torch.tensor([[token]]))
            made = assistant(inputs_embeds=torch.cat([embedded, state], -1),
                             position_ids=torch.tensor([[len(ids) - 1]]),
                             shared_kv_states=seen.shared_kv_states)
            best = made.logits[0, -1].topk(2).values
            margins.append(float(best[0] - best[1]) / float(made.logits.abs().max()))
            token = int(made.logits[0, -1].argmax())
            state = made.last_hidden_state
            out.append(token)
    return out, margins


@pytest.mark.parametrize("name", CONFIGS)
def test_guesses_are_those_of_transformers(name, tmp_path):
    network, assistant = save(tmp_path, name)
    model = package.load(tmp_path / "large", drafter=tmp_path / "drafter")
    torch.manual_seed(3)
    for length in (2, 5, 17, 40):
        ids = torch.randint(20, 300, (length,)).tolist()
        expected, margins = guesses(network, assistant, ids, 6)
        sure = next((i for i, m in enumerate(margins) if m < 1e-4), 6)
        assert model._draft(ids, 6)[:sure] == expected[:sure]


@pytest.mark.parametrize("name", ["plain", "clusters"])
def test_guesses_of_a_drafter_in_bf16(name, tmp_path):
    """transformers computes with the same weights in f32."""
    network, assistant = save(tmp_path, name)
    assistant.to(torch.bfloat16).save_pretrained(tmp_path / "drafter")
    model = package.load(tmp_path / "large", drafter=tmp_path / "drafter", cache_type="f32")
    made = 0
    for seed in range(8):
        torch.manual_seed(seed)
        ids = torch.randint(20, 300, (17,)).tolist()
        expected, margins = guesses(network, assistant.float(), ids, 4)
        sure = next((i for i, m in enumerate(margins) if m < 3e-2), 4)
        assert model._draft(ids, 4)[:sure] == expected[:sure]
        made += sure
    assert made > 4


def test_guesses_for_the_unified_model(tmp_path):
    network = make_unified(num_kv_shared_layers=2,
                           layer_types=["sliding_attention", "full_attention"] * 3)
    vocabulary = network.config.text_config.vocab_size
    assistant = make_assistant(network, vocabulary, {}, {}, kind=UNIFIED)
    network.save_pretrained(tmp_path / "large")
    assistant.save_pretrained(tmp_path / "drafter")
    model = package.load(tmp_path / "large", drafter=tmp_path / "drafter")
    ids = torch.randint(4, 140, (30,), generator=torch.Generator().manual_seed(2)).tolist()
    expected, margins = guesses(network, assistant, ids, 6)
    sure = next((i for i, m in enumerate(margins) if m < 1e-4), 6)
    assert sure > 0 and model._draft(ids, 6)[:sure] == expected[:sure]


@pytest.mark.parametrize("sampling", [dict(temperature=0), dict(temperature=1.0, seed=4)])
@pytest.mark.parametrize("name", ["plain", "tight_window", "clusters"])
def test_answers_are_as_without_a_drafter(name, sampling, tmp_path):
    save(tmp_path, name)
    alone = package.load(tmp_path / "large")
    helped = package.load(tmp_path / "large", drafter=tmp_path / "drafter")
    drafted = 0
    for prompt in ("what is this?", "call: user model", "x"):
        message = [{"role": "user", "content": prompt}]
        expected = alone.respond(message, max_new_tokens=40, **sampling)
        got = helped.respond(message, max_new_tokens=40, **sampling)
        assert got.tokens == expected.tokens
        assert got.finish_reason == expected.finish_reason
        drafted += got.drafted_tokens
    assert drafted > 0


def test_right_guesses_save_passes(tmp_path):
    """A large model without layers that matter says what follows a token alone, and so does a drafter
    that passes the token's embedding on."""
    tokenizer = make_tokenizer()
    network = make_network(tokenizer)
    with torch.no_grad():
        for name, x in network.named_parameters():
            if name.endswith(("layer_scalar", "post_attention_layernorm.weight",
                              "post_feedforward_layernorm.weight",
                              "post_per_layer_input_norm.weight")):
                x.zero_() if "norm" in name else x.fill_(1)
        for name, x in network.named_buffers():
            if name.endswith("layer_scalar"):
                x.fill_(1)
    hidden = network.config.text_config.hidden_size
    assistant = make_assistant(network, len(tokenizer), dict(hidden_size=hidden), {})
    with torch.no_grad():
        for name, x in assistant.named_parameters():
            if "layernorm" in name and name.startswith("model.layers.") and ".post_" in name:
                x.zero_()
        for name, x in assistant.named_buffers():
            if name.endswith("layer_scalar"):
                x.fill_(1)
        assistant.pre_projection.weight.zero_()
        assistant.pre_projection.weight[:, :hidden] = torch.eye(hidden)
        assistant.model.norm.weight.copy_(network.model.language_model.norm.weight)
        assistant.model.embed_tokens.weight.copy_(network.lm_head.weight)
    for part, name in ((network, "large"), (assistant, "drafter")):
        part.save_pretrained(tmp_path / name)
    tokenizer.save_pretrained(tmp_path / "large")
    message = [{"role": "user", "content": "what"}]
    options = dict(max_new_tokens=60, temperature=0, logit_bias=[(1, -1e4)])
    got = package.load(tmp_path / "large", drafter=tmp_path / "drafter").respond(message, **options)
    assert got.accepted_tokens > 40 and got.accepted_tokens == got.drafted_tokens
    assert got.tokens == package.load(tmp_path / "large").respond(message, **options).tokens


def test_drafters_that_are_never_right_are_seldom_asked(tmp_path):
    tokenizer = make_tokenizer()
    network = make_network(tokenizer)
    assistant = make_assistant(network, len(tokenizer), {}, {})
    with torch.no_grad():
        assistant.model.embed_tokens.weight.zero_()  # it says token 0, which nobody else may
    for part, name in ((network, "large"), (assistant, "drafter")):
        part.save_pretrained(tmp_path / name)
    tokenizer.save_pretrained(tmp_path / "large")
    options = dict(max_new_tokens=150, temperature=1.0, seed=4, logit_bias=[(0, -1e4), (1, -1e4)])
    got = package.load(tmp_path / "large", drafter=tmp_path / "drafter").respond("x", **options)
    assert got.accepted_tokens == 0 and 4 < got.drafted_tokens < 25 < len(got.tokens)
    assert got.tokens == package.load(tmp_path / "large").respond("x", **options).tokens


@pytest.fixture(scope="module")
def exact_models(tmp_path_factory):
    """Models of wider layers, in types whose products have kernels of their own."""
    folder = tmp_path_factory.mktemp("exact")
    tokenizer = make_tokenizer()
    wide = dict(hidden_size=256, intermediate_size=512, head_dim=64, global_head_dim=128,
                num_attention_heads=8, num_key_value_heads=1, hidden_size_per_layer_input=32)
    make_network(tokenizer, **wide).save_pretrained(folder / "dense")
    make_network(tokenizer, **wide, enable_moe_block=True, num_experts=6, top_k_experts=2,
                 moe_intermediate_size=256).save_pretrained(folder / "experts")
    for kind in ("dense", "experts"):
        tokenizer.save_pretrained(folder / kind)
        for type in ("q4_0", "q4_k_m", "iq4_xs"):
            package.quantize_model(folder / kind, folder / f"{kind}-{type}.gguf", type)
        package.convert(folder / kind, folder / f"{kind}-bf16.gguf", dtype=package.bfloat16)
    return folder


@pytest.mark.parametrize("cache_type", ["f32", "bf16", "f16", "q8_0", "q4_0"])
def test_drafters_read_along_in_caches_of_every_type(cache_type, tmp_path):
    """What a drafter guesses over the same keys and values, rounded, is what it guesses; what it
    guesses changes nothing."""
    tokenizer = make_tokenizer()
    wide = dict(head_dim=32, global_head_dim=64)
    network = make_network(tokenizer, **wide)
    assistant = make_assistant(network, len(tokenizer), wide, {})
    network.save_pretrained(tmp_path / "large")
    tokenizer.save_pretrained(tmp_path / "large")
    assistant.save_pretrained(tmp_path / "drafter")
    exact, rounded = (package.load(tmp_path / "large", drafter=tmp_path / "drafter", cache_type=type)
                      for type in (None, cache_type))
    ids = torch.randint(20, 300, (40,), generator=torch.Generator().manual_seed(3)).tolist()
    if cache_type != "q4_0":
        assert exact._draft(ids, 1) == rounded._draft(ids, 1)
    alone = package.load(tmp_path / "large", cache_type=cache_type)
    for sampling in (dict(temperature=0), dict(temperature=1.0, seed=4)):
        got, expected = (model.respond("what is this?", max_new_tokens=40, **sampling)
                         for model in (rounded, alone))
        assert got.tokens == expected.tokens and got.drafted_tokens > 0


@pytest.mark.parametrize("level", ["amx", "avx512", "avx2", "portable"])
@pytest.mark.parametrize("name", [f"{kind}{type}" for kind in ("dense", "experts") for type in (
    "", "-bf16.gguf", "-q4_0.gguf", "-q4_k_m.gguf", "-iq4_xs.gguf")])
def test_few_tokens_round_as_one_does(name, level, exact_models, tallow, tmp_path):
    """On this the promise rests that drafts do not change an answer: to the bit, but for weights in f32
    and bf16 where there is no AVX-512, which are summed in another order."""
    ids = ",".join(str(20 + 37 * i % 270) for i in range(64))
    made = []
    for chunk in (1, 3, 8):
        tallow("logits", exact_models / name, "--tokens", ids, "--out", tmp_path / "out.npy",
               "--chunk", chunk, env={"TALLOW_ISA": level})
        made.append(np.load(tmp_path / "out.npy"))
    bits = level in ("amx", "avx512") or name.endswith(("q4_0.gguf", "q4_k_m.gguf", "iq4_xs.gguf"))
    for other in made[1:]:
        if bits:
            np.testing.assert_array_equal(other, made[0])
        else:
            bound = 2e-2 if "bf16" in name else 2e-5
            assert np.abs(other - made[0]).max() < bound * np.abs(made[0]).max()


@pytest.mark.parametrize("level", ["amx", "avx512", "avx2", "portable"])
@pytest.mark.parametrize("cache_type", ["f16", "q8_0", "q4_0"])
def test_few_tokens_round_as_one_does_in_narrow_caches(cache_type, level, exact_models, tallow,
                                                       tmp_path):
    ids = ",".join(str(20 + 37 * i % 270) for i in range(64))
    made = []
    for chunk in (1, 3, 8):
        tallow("logits", exact_models / "dense-q4_0.gguf", "--tokens", ids, "--chunk", chunk, "--out",
               tmp_path / "out.npy", "--cache-type", cache_type, env={"TALLOW_ISA": level})
        made.append(np.load(tmp_path / "out.npy"))
    assert np.array_equal(made[1], made[0]) and np.array_equal(made[2], made[0])


class TestRefusals:
    def test_another_large_model(self, tmp_path, smollm2):
        save(tmp_path, "plain")
        with pytest.raises(package.Error, match="Gemma 4"):
            package.load(smollm2, drafter=tmp_path / "drafter")

    @pytest.mark.parametrize("key, value, message", [
        ("backbone_hidden_size", 64, "backbone_hidden_size"),
        ("architectures", ["LlamaForCausalLM"], "no drafter")])
    def test_what_does_not_fit(self, tmp_path, key, value, message):
        save(tmp_path, "plain")
        path = tmp_path / "drafter" / "config.json"
        path.write_text(json.dumps(dict(json.loads(path.read_text()), **{key: value})))
        with pytest.raises(package.Error, match=message):
            package.load(tmp_path / "large", drafter=tmp_path / "drafter")

    def test_a_drafter_alone(self, tmp_path):
        save(tmp_path, "plain")
        with pytest.raises(package.Error, match="--draft"):
            package.load(tmp_path / "drafter")
