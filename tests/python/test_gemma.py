"""The Gemma family beside transformers: every switch of each configuration, whole models with
towers, the cache, ragged batches, chunks, and GGUF files beside llama.cpp."""

import gguf
import numpy as np
import pytest
import torch
from gemma_models import (
    ALL,
    BASE,
    CONFIGS,
    EXPERTS,
    SHARED,
    SMALL,
    make_model,
    randomize,
    write_gguf,
)
from test_convert import LlamaCpp, log_softmax
from test_models import Logits, error, random_tokens, reference, rms_error
from transformers import (
    Gemma3Config,
    Gemma3ForConditionalGeneration,
    Gemma4Config,
    Gemma4ForConditionalGeneration,
)

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


@pytest.mark.parametrize("kind,name", [("gemma2", "plain"), ("gemma3_text", "plain"),
                                       ("gemma4_text", "small_shared"), ("gemma4_text", "dense"),
                                       ("gemma3n_text", "shared")])
def test_texts_far_longer_than_the_window(kind, name, logits, tmp_path):
    model = make_model(kind, {**CONFIGS[kind][name], "max_position_embeddings": 1024})
    model.save_pretrained(tmp_path / "model")
    # Pages of sliding layers are given back and taken again, also while others still fill theirs.
    sequences = [random_tokens(model, n, seed=n) for n in (701, 20, 450)]
    expected = np.concatenate([reference(model, s) for s in sequences])
    for chunk in (1, 64, 400):
        got = logits(tmp_path / "model", *sequences, args=["--chunk", chunk])
        assert error(got, expected) < 2e-4


# Bounds of the root mean square error of logits, relative to theirs: what a type's rounding of keys
# and values brings here, doubled. A block's step is 1/127 or 1/8 of its largest number.
CACHES = {"bf16": 2e-2, "f16": 2e-3, "q8_0": 6e-2, "q4_0": 0.6}


@pytest.mark.parametrize("cache", CACHES)
def test_narrow_caches_stay_within_their_bounds(cache, logits, tmp_path):
    model = make_model("gemma4_text", dict(SHARED, head_dim=32, global_head_dim=64,
                                           max_position_embeddings=1024))
    with torch.no_grad():
        for layer in model.model.layers:  # scores of about 1, that rounding does not reorder
            layer.self_attn.q_norm.weight.mul_(32 ** -0.5)
    model.save_pretrained(tmp_path / "model")
    sequences = [random_tokens(model, n, seed=n) for n in (330, 41)]
    expected = np.concatenate([reference(model, s) for s in sequences])
    for isa in ("portable", "avx2", "amx"):
        got = logits(tmp_path / "model", *sequences, env={"TALLOW_ISA": isa},
                     args=["--cache-type", cache, "--chunk", 512 if isa == "amx" else 50])
        assert rms_error(got, expected) < CACHES[cache]


def test_heads_that_are_not_whole_blocks_are_refused(tallow, tmp_path):
    saved("gemma2", "plain", tmp_path / "model")
    out = tallow("logits", tmp_path / "model", "--tokens", "5,6", "--cache-type", "q8_0", "--out",
                 tmp_path / "o.npy", check=False)
    assert out.returncode == 1 and b"heads of whole blocks of 32" in out.stderr


@pytest.mark.parametrize("kind,name", [(k, n) for k, n in ALL if n == "encoder"])
def test_a_text_that_sees_ahead_cannot_come_in_parts(kind, name, tallow, tmp_path):
    saved(kind, name, tmp_path / "model")
    out = tallow("logits", tmp_path / "model", "--tokens", "5,6,7", "--chunk", 2, "--out",
                 tmp_path / "o.npy", check=False)
    assert out.returncode != 0 and b"in one pass" in out.stderr


@pytest.mark.parametrize("kind,name", [("gemma4_text", "small_shared"), ("gemma4_text", "experts"),
                                       ("gemma3n_text", "sparse"), ("gemma2", "plain")])
def test_ragged_batches_and_threads_change_nothing(kind, name, logits, tmp_path):
    model = saved(kind, name, tmp_path / "model")
    sequences = [random_tokens(model, n, seed=n) for n in (1, 40, 7, 33, 2, 64)]
    together = logits(tmp_path / "model", *sequences)
    apart = np.concatenate([logits(tmp_path / "model", s) for s in sequences])
    assert error(together, apart) < 1e-4
    last = logits(tmp_path / "model", *sequences, args=["--last"])
    assert error(last, together[np.cumsum([len(s) for s in sequences]) - 1]) < 1e-4
    one = logits(tmp_path / "model", *sequences, args=["--threads", 1])
    assert np.array_equal(one, logits(tmp_path / "model", *sequences, args=["--threads", 3]))


@pytest.mark.parametrize("kind,name", [("gemma", "plain"), ("gemma2", "plain"),
                                       ("gemma3_text", "plain"), ("gemma4_text", "small_shared"),
                                       ("gemma4_text", "dense"), ("gemma3n_text", "shared")])
def test_bf16_logits_follow_transformers(kind, name, logits, tmp_path):
    model = make_model(kind, CONFIGS[kind][name], dtype=torch.bfloat16)
    model.to(torch.bfloat16).save_pretrained(tmp_path / "model")
    tokens = random_tokens(model, 45)
    expected = reference(model.float(), tokens)
    # bf16 keeps 8 bits: the bound is what transformers' own bf16 pass differs by, and a half.
    own = rms_error(reference(model.to(torch.bfloat16), tokens), expected)
    assert rms_error(logits(tmp_path / "model", tokens), expected) < 1.5 * own


TOWER = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=1, num_attention_heads=2)


def gemma4_with_towers(**text):
    return Gemma4ForConditionalGeneration(Gemma4Config(
        text_config={**BASE, **text}, image_token_id=150, audio_token_id=149, video_token_id=148,
        vision_config=dict(TOWER, num_key_value_heads=2, head_dim=16, position_embedding_size=64),
        audio_config=dict(hidden_size=32, num_hidden_layers=1, num_attention_heads=2,
                          subsampling_conv_channels=[8, 4], output_proj_dims=24),
        attn_implementation="eager"))


def gemma3_with_tower():
    return Gemma3ForConditionalGeneration(Gemma3Config(
        text_config=BASE, vision_config=dict(TOWER, image_size=28, patch_size=14),
        mm_tokens_per_image=4, image_token_index=150, attn_implementation="eager"))


@pytest.mark.parametrize("make", [lambda: gemma4_with_towers(**SHARED),
                                  lambda: gemma4_with_towers(**EXPERTS), gemma3_with_tower],
                         ids=["gemma4_shared", "gemma4_experts", "gemma3"])
def test_models_with_towers_answer_text(make, logits, tmp_path):
    torch.manual_seed(0)
    model = randomize(make().eval())
    model.save_pretrained(tmp_path / "model")
    tokens = list(range(3, 43))
    assert error(logits(tmp_path / "model", tokens), reference(model, tokens)) < 2e-4


def test_two_layers_at_the_widths_of_e2b(logits, tmp_path):
    wide = dict(vocab_size=400, hidden_size=1536, intermediate_size=6144, num_hidden_layers=2,
                num_attention_heads=8, num_key_value_heads=1, head_dim=256, global_head_dim=512,
                hidden_size_per_layer_input=256, vocab_size_per_layer_input=400,
                sliding_window=512)
    model = make_model("gemma4_text", wide)
    model.save_pretrained(tmp_path / "model")
    tokens = random_tokens(model, 20)
    expected = reference(model, tokens)
    for args in ([], ["--chunk", 1]):
        assert error(logits(tmp_path / "model", tokens, args=args), expected) < 2e-4


# GGUF files as llama.cpp's converter writes them. It takes the sizes of queries from the heads', and
# knows only Gemma 4's own patterns of layers and widths of Gemma 3n's inputs.
HEAD = dict(query_pre_attn_scalar=16)
THREES = dict(layer_types=2 * (2 * ["sliding_attention"] + ["full_attention"]))
IN_GGUF = {
    "gemma": ("gemma", {}),
    "gemma2": ("gemma2", HEAD),
    "gemma2_caps": ("gemma2", dict(HEAD, attn_logit_softcapping=5.0, final_logit_softcapping=4.0)),
    "gemma3": ("gemma3_text", HEAD),
    "gemma3_linear": ("gemma3_text", dict(HEAD, **CONFIGS["gemma3_text"]["linear"])),
    "gemma4_small": ("gemma4_text", SMALL),
    "gemma4_shared": ("gemma4_text", dict(SHARED, **THREES)),
    "gemma4_dense": ("gemma4_text", CONFIGS["gemma4_text"]["dense"]),
    "gemma4_cap": ("gemma4_text", CONFIGS["gemma4_text"]["cap"]),
    "gemma4_experts": ("gemma4_text", EXPERTS),
    "gemma3n": ("gemma3n_text", dict(CONFIGS["gemma3n_text"]["sparse"], intermediate_size=80,
                                     vocab_size_per_layer_input=151,
                                     hidden_size_per_layer_input=256)),
}


@pytest.mark.parametrize("name", IN_GGUF)
def test_gguf_logits_equal_transformers(name, logits, tmp_path):
    model = write_gguf(tmp_path / "model.gguf", make_model(*IN_GGUF[name]))
    tokens = random_tokens(model, 40)
    expected = reference(model, tokens)
    for args in ([], ["--chunk", 1]):
        assert error(logits(tmp_path / "model.gguf", tokens, args=args), expected) < 2e-4


@pytest.mark.parametrize("kind", ["Q8_0", "Q4_0"])
@pytest.mark.parametrize("name", ["gemma3", "gemma4_shared", "gemma4_experts"])
def test_quantized_gguf_logits_equal_transformers_on_dequantized_weights(name, kind, logits,
                                                                         tmp_path):
    base, changes = IN_GGUF[name]
    blocks = dict(hidden_size=64, intermediate_size=96)
    if "experts" in name:
        # All of them: a token whose experts are all but equal might be routed to another one.
        blocks |= dict(moe_intermediate_size=32, num_experts=4, top_k_experts=4)
    model = make_model(base, {**changes, **blocks})
    with torch.no_grad():
        for part, parameter in model.named_parameters():
            # Attention that is less sure of itself makes less of what activations are rounded by.
            if "k_norm" in part and name != "gemma3":
                parameter.mul_(0.3)
    write_gguf(tmp_path / "model.gguf", model, gguf.GGMLQuantizationType[kind])
    tokens = random_tokens(model, 40)
    expected = reference(model, tokens)
    for args in ([], ["--chunk", 1]):
        assert rms_error(logits(tmp_path / "model.gguf", tokens, args=args), expected) < 0.1


@pytest.mark.parametrize("name", [n for n in IN_GGUF if n != "gemma3n"])
def test_llama_cpp_answers_alike(name, tmp_path):
    model = write_gguf(tmp_path / "model.gguf", make_model(*IN_GGUF[name]))
    tokens = random_tokens(model, 33)
    peer = LlamaCpp(tmp_path / "model.gguf")
    expected, apart = reference(model, tokens), []
    for length in range(33, 20, -3):
        exact = log_softmax(expected[length - 1])
        found = peer.log_probabilities(tokens[:length]) or {}
        apart += [logprob - exact[token] for token, logprob in found.items()]
    assert len(apart) >= 100
    # llama.cpp keeps keys and values in f16.
    assert np.sqrt(np.mean(np.square(apart))) < 2e-2 and np.abs(apart).max() < 0.1
