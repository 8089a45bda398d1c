"""`tallow logits` beside transformers, llama.cpp and gguf: any configuration, safetensors and GGUF,
ragged batches, chunks, the cache, instruction sets and threads."""

import json
import math

import gguf
import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

ISA_LEVELS = ["portable", "avx2", "avx512", "avx512_vnni", "avx512_bf16", "amx"]

BASE = dict(vocab_size=199, hidden_size=64, intermediate_size=176, num_hidden_layers=3,
            num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=512,
            rms_norm_eps=1e-5, tie_word_embeddings=False, attention_bias=False, mlp_bias=False)

# What each configuration changes in BASE; model_type is "llama" unless it says another. `rope` is
# rope_parameters without theta.
CONFIGS = {
    "grouped": {},
    "multi_head": dict(num_key_value_heads=4),
    "one_kv_head": dict(num_attention_heads=8, num_key_value_heads=1),
    "nine_heads_of_64": dict(hidden_size=576, num_attention_heads=9, num_key_value_heads=3,
                             intermediate_size=1536, num_hidden_layers=1, vocab_size=517),
    "attention_bias": dict(attention_bias=True),
    "mlp_bias_tied": dict(mlp_bias=True, tie_word_embeddings=True),
    "all_biases": dict(attention_bias=True, mlp_bias=True, num_key_value_heads=1),
    "tied": dict(tie_word_embeddings=True),
    "odd_sizes": dict(vocab_size=131, hidden_size=50, intermediate_size=37, num_attention_heads=5,
                      num_key_value_heads=5, head_dim=10),
    "wide_heads": dict(hidden_size=48, num_attention_heads=3, num_key_value_heads=1, head_dim=80),
    "small_heads": dict(hidden_size=40, num_attention_heads=10, num_key_value_heads=5, head_dim=4),
    "heads_of_128": dict(hidden_size=96, num_attention_heads=2, num_key_value_heads=1,
                         head_dim=128),
    "one_layer_gelu": dict(num_hidden_layers=1, hidden_act="gelu"),
    "theta_500000": dict(theta=500000.0),
    "linear": dict(rope=dict(rope_type="linear", factor=4.0)),
    "dynamic": dict(rope=dict(rope_type="dynamic", factor=3.0), max_position_embeddings=32),
    "dynamic_within": dict(rope=dict(rope_type="dynamic", factor=3.0)),
    "yarn": dict(rope=dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=32),
                 max_position_embeddings=128),
    "yarn_attention_factor": dict(
        rope=dict(rope_type="yarn", factor=8.0, original_max_position_embeddings=16,
                  attention_factor=1.3, beta_fast=16.0, beta_slow=2.0),
        max_position_embeddings=128),
    "longrope_long": dict(
        rope=dict(rope_type="longrope", factor=4.0, original_max_position_embeddings=16,
                  short_factor=[1.0 + 0.1 * i for i in range(8)],
                  long_factor=[1.0 + 1.5 * i for i in range(8)]),
        max_position_embeddings=64),
    "longrope_short": dict(
        rope=dict(rope_type="longrope", factor=2.0, original_max_position_embeddings=128,
                  short_factor=[1.0 + 0.2 * i for i in range(8)],
                  long_factor=[2.0 + i for i in range(8)]),
        max_position_embeddings=256),
    "llama3": dict(rope=dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0,
                             high_freq_factor=4.0, original_max_position_embeddings=64),
                   max_position_embeddings=512),
    "qwen2": dict(model_type="qwen2"),
    "qwen2_tied": dict(model_type="qwen2", tie_word_embeddings=True),
    "qwen2_window": dict(model_type="qwen2", use_sliding_window=True, sliding_window=9,
                         max_window_layers=1),
    "qwen2_window_by_name": dict(
        model_type="qwen2", use_sliding_window=True, sliding_window=5,
        layer_types=["sliding_attention", "full_attention", "sliding_attention"]),
}


def make_model(seed=0, dtype=torch.float32, **changes):
    """A random model whose attention is far from uniform, so that an error in it shows."""
    settings = {**BASE, **changes}
    rope = {"rope_type": "default", **settings.pop("rope", {})}
    rope["rope_theta"] = settings.pop("theta", 10000.0)
    config = AutoConfig.for_model(settings.pop("model_type", "llama"), **settings,
                                  rope_parameters=rope, attn_implementation="eager")
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name:
                parameter.uniform_(0.5, 1.5)
            elif name.endswith("bias"):
                parameter.normal_(0, 0.5)
            elif "embed" in name:
                parameter.normal_(0, 1)
            else:
                scale = 2.0 if "q_proj" in name or "k_proj" in name else 1.0
                parameter.normal_(0, scale / math.sqrt(parameter.shape[1]))
        for parameter in model.parameters():
            parameter.copy_(parameter.to(dtype).float())
    return model


def reference(model, tokens):
    with torch.no_grad():
        return model(torch.tensor([tokens])).logits[0].float().numpy()


def random_tokens(model, count, seed=1):
    return np.random.default_rng(seed).integers(0, model.config.vocab_size, count).tolist()


def joined(tokens):
    return ",".join(map(str, tokens))


class Logits:
    """Calls `tallow logits` and returns the array."""

    def __init__(self, tallow, folder):
        self.tallow, self.out = tallow, folder / "logits.npy"

    def __call__(self, model, *sequences, args=(), env=None):
        tokens = [part for s in sequences for part in ("--tokens", joined(s))]
        self.tallow("logits", model, *tokens, "--out", self.out, *args, env=env)
        return np.load(self.out)


@pytest.fixture
def logits(tallow, tmp_path):
    return Logits(tallow, tmp_path)


def error(actual, expected):
    """The largest difference, as a part of the largest logit."""
    assert actual.dtype == np.float32
    assert actual.shape == expected.shape
    assert np.isfinite(actual).all()
    return np.abs(actual - expected).max() / np.abs(expected).max()


def rms_error(actual, expected):
    assert actual.shape == expected.shape
    return math.sqrt(np.mean((actual - expected) ** 2) / np.mean(expected ** 2))


@pytest.mark.parametrize("name", CONFIGS)
def test_f32_logits_equal_transformers(name, logits, tmp_path):
    model = make_model(**CONFIGS[name])
    model.save_pretrained(tmp_path / "model")
    tokens = random_tokens(model, 45)
    assert error(logits(tmp_path / "model", tokens), reference(model, tokens)) < 2e-4


@pytest.mark.parametrize("name", ["grouped", "all_biases", "nine_heads_of_64", "odd_sizes",
                                  "llama3", "mlp_bias_tied"])
def test_bf16_logits_follow_transformers(name, logits, tmp_path):
    model = make_model(dtype=torch.bfloat16, **CONFIGS[name])
    model.to(torch.bfloat16).save_pretrained(tmp_path / "model")
    tokens = random_tokens(model, 45)
    expected = reference(model.float(), tokens)
    actual = logits(tmp_path / "model", tokens)
    # bf16 keeps 8 bits: the bound is what transformers' own bf16 pass differs by, and a half.
    own = rms_error(reference(model.to(torch.bfloat16), tokens), expected)
    assert rms_error(actual, expected) < 1.5 * own


def test_f16_logits_follow_transformers(logits, tmp_path):
    model = make_model(dtype=torch.float16)
    model.to(torch.float16).save_pretrained(tmp_path / "model")
    tokens = random_tokens(model, 33)
    assert error(logits(tmp_path / "model", tokens), reference(model.float(), tokens)) < 2e-3


def test_one_token_and_last(logits, tmp_path):
    model = make_model()
    model.save_pretrained(tmp_path / "model")
    tokens = random_tokens(model, 20)
    expected = reference(model, tokens)
    assert error(logits(tmp_path / "model", tokens[:1]), expected[:1]) < 2e-4
    assert error(logits(tmp_path / "model", tokens, args=["--last"]), expected[-1:]) < 2e-4


def test_sharded_folder(logits, tmp_path):
    model = make_model()
    model.save_pretrained(tmp_path / "model", max_shard_size="100KB")
    assert len(list((tmp_path / "model").glob("*.safetensors"))) > 2
    tokens = random_tokens(model, 17)
    assert error(logits(tmp_path / "model", tokens), reference(model, tokens)) < 2e-4


def test_rope_scaling_under_its_older_key(logits, tmp_path):
    """Folders that transformers 4 wrote say rope_theta and rope_scaling."""
    model = make_model(**CONFIGS["llama3"], theta=500000.0)
    model.save_pretrained(tmp_path / "model")
    path = tmp_path / "model" / "config.json"
    config = json.loads(path.read_text())
    rope = config.pop("rope_parameters")
    config["rope_theta"] = rope.pop("rope_theta")
    config["rope_scaling"] = rope
    path.write_text(json.dumps(config))
    tokens = random_tokens(model, 100)
    assert error(logits(tmp_path / "model", tokens), reference(model, tokens)) < 2e-4


def test_sliding_layers_of_older_folders(logits, tmp_path):
    """Folders that transformers 4 wrote say which layers slide by max_window_layers alone."""
    model = make_model(**CONFIGS["qwen2_window"])
    model.save_pretrained(tmp_path / "model")
    path = tmp_path / "model" / "config.json"
    config = json.loads(path.read_text())
    del config["layer_types"]
    path.write_text(json.dumps(config))
    tokens = random_tokens(model, 45)
    assert error(logits(tmp_path / "model", tokens), reference(model, tokens)) < 2e-4


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_ragged_batch_equals_single_runs(dtype, logits, tmp_path):
    model = make_model(dtype=dtype).to(dtype)
    model.save_pretrained(tmp_path / "model")
    sequences = [random_tokens(model, n, seed=n) for n in (1, 40, 7, 33, 2, 64)]
    together = logits(tmp_path / "model", *sequences)
    apart = np.concatenate([logits(tmp_path / "model", s) for s in sequences])
    # Matrices of other heights may be summed in another order, in bf16 from other roundings.
    assert error(together, apart) < (1e-5 if dtype == torch.float32 else 2e-2)
    last = logits(tmp_path / "model", *sequences, args=["--last"])
    ends = np.cumsum([len(s) for s in sequences]) - 1
    assert error(last, together[ends]) < (1e-5 if dtype == torch.float32 else 2e-2)


@pytest.mark.parametrize("chunk", [1, 7, 32])
def test_chunks_and_cache_equal_one_pass(chunk, logits, tmp_path):
    model = make_model()
    model.save_pretrained(tmp_path / "model")
    sequences = [random_tokens(model, 70), random_tokens(model, 5, seed=2)]
    expected = np.concatenate([reference(model, s) for s in sequences])
    actual = logits(tmp_path / "model", *sequences, args=["--chunk", chunk])
    assert error(actual, expected) < 2e-4


def isa_levels_here(tallow):
    """The levels up to this machine's: the others fall back to it, and would test it twice."""
    flags = set()
    with open("/proc/cpuinfo") as info:
        for line in info:
            if line.startswith("flags"):
                flags = set(line.split())
                break
    needs = {"avx2": "avx2", "avx512": "avx512f", "avx512_vnni": "avx512_vnni",
             "avx512_bf16": "avx512_bf16", "amx": "amx_bf16"}
    return [level for level in ISA_LEVELS if level == "portable" or needs[level] in flags]


def test_isa_levels_agree(tallow, logits, tmp_path):
    model = make_model(**CONFIGS["nine_heads_of_64"])
    model.save_pretrained(tmp_path / "model")
    tokens = random_tokens(model, 50)
    expected = reference(model, tokens)
    for level in isa_levels_here(tallow):
        actual = logits(tmp_path / "model", tokens, env={"TALLOW_ISA": level})
        assert error(actual, expected) < 2e-4, level


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_thread_counts_give_the_same_logits(dtype, logits, tmp_path):
    model = make_model(dtype=dtype, **CONFIGS["nine_heads_of_64"]).to(dtype)
    model.save_pretrained(tmp_path / "model")
    tokens = random_tokens(model, 90)
    one = logits(tmp_path / "model", tokens, args=["--threads", 1])
    for threads in (2, 3):
        more = logits(tmp_path / "model", tokens, args=["--threads", threads])
        assert np.array_equal(one, more), threads


# GGUF files of the same weights.

def permuted(weight, heads):
    """Rows of q_proj and k_proj as llama.cpp's converter orders them, for interleaved rope."""
    rows = weight.shape[0]
    return (weight.reshape(heads, 2, rows // heads // 2, *weight.shape[1:]).swapaxes(1, 2)
            .reshape(weight.shape))


def unpermuted(weight, heads):
    rows = weight.shape[0]
    return (weight.reshape(heads, rows // heads // 2, 2, *weight.shape[1:]).swapaxes(1, 2)
            .reshape(weight.shape))


# What llama.cpp's converter permutes, and the setting that says how many heads there are.
PERMUTED = {"llama": {"q_proj": "num_attention_heads", "k_proj": "num_key_value_heads"}}

GGUF_NAMES = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
              "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
              "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
              "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm"}


def gguf_name(name):
    stem, kind = name.rsplit(".", 1)
    top = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
    if stem in top:
        return f"{top[stem]}.{kind}"
    _, _, layer, rest = stem.split(".", 3)
    return f"blk.{layer}.{GGUF_NAMES[rest]}.{kind}"


def random_blocks(kind, shape, rng):
    """Blocks of any quantized kind, with scales that keep the values near those of a real one."""
    block, size = gguf.GGML_QUANT_SIZES[kind]
    blocks = rng.integers(0, 256, (*shape[:-1], shape[-1] // block, size), dtype=np.uint8)
    halves = {"Q2_K": (80, 82), "Q3_K": (108,), "Q4_K": (0, 2), "Q5_K": (0, 2), "Q6_K": (208,),
              "IQ4_NL": (0,), "IQ4_XS": (0,), "TQ1_0": (52,), "TQ2_0": (64,),
              **dict.fromkeys(["IQ1_S", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S"], (0,))}
    if kind.name == "MXFP4":
        blocks[..., 0] = rng.integers(120, 124, blocks.shape[:-1])
    if kind.name == "NVFP4":
        blocks[..., :4] = rng.integers(12, 24, (*blocks.shape[:-1], 4))
    scale = rng.uniform(0.3, 1, (*blocks.shape[:-1], 1))
    for at in halves.get(kind.name, ()):
        blocks[..., at:at + 2] = scale.astype(np.float16).view(np.uint8)
        # The second scale is that of the minima, which then bring the mean to about zero.
        scale = scale * {"Q2_K": 1.5, "Q4_K": 7.5, "Q5_K": 15.5}.get(kind.name, 1)
    values = gguf.dequantize(blocks.reshape(*shape[:-1], -1), kind)
    gain = 1.0 / (np.sqrt(np.mean(values ** 2)) * math.sqrt(shape[-1]))
    for at in halves.get(kind.name, ()):
        scale = blocks[..., at:at + 2].copy().view(np.float16) * np.float16(gain)
        blocks[..., at:at + 2] = scale.astype(np.float16).view(np.uint8)
    return blocks.reshape(*shape[:-1], -1)


def write_gguf(path, model, kind, embedding_kind=None, divisors=None):
    """Writes the model and returns it with the weights that the file holds."""
    c = model.config
    writer = gguf.GGUFWriter(str(path), c.model_type)
    writer.add_block_count(c.num_hidden_layers)
    writer.add_context_length(c.max_position_embeddings)
    writer.add_embedding_length(c.hidden_size)
    writer.add_feed_forward_length(c.intermediate_size)
    writer.add_head_count(c.num_attention_heads)
    writer.add_head_count_kv(c.num_key_value_heads)
    head_dim = getattr(c, "head_dim", c.hidden_size // c.num_attention_heads)
    writer.add_rope_dimension_count(head_dim)
    writer.add_key_length(head_dim)
    writer.add_value_length(head_dim)
    writer.add_layer_norm_rms_eps(c.rms_norm_eps)
    writer.add_rope_freq_base(c.rope_parameters["rope_theta"])
    writer.add_vocab_size(c.vocab_size)
    rng = np.random.default_rng(3)
    if divisors is not None:
        writer.add_tensor("rope_freqs.weight", divisors.astype(np.float32))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            weight = parameter.numpy()
            heads = PERMUTED.get(c.model_type, {}).get(name.split(".")[-2])
            heads = heads and getattr(c, heads)
            if heads:
                weight = permuted(weight, heads)
            wanted = embedding_kind if "embed" in name and embedding_kind else kind
            if weight.ndim == 1:
                wanted = gguf.GGMLQuantizationType.F32
            if wanted.name in ("F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1"):
                data = gguf.quantize(weight, wanted)
            else:
                data = random_blocks(wanted, weight.shape, rng)
            writer.add_tensor(gguf_name(name), data, raw_dtype=wanted)
            weight = gguf.dequantize(data, wanted).reshape(weight.shape)
            parameter.copy_(torch.from_numpy(unpermuted(weight, heads) if heads else weight))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return model


GGUF_MODEL = dict(vocab_size=320, hidden_size=256, intermediate_size=512, num_hidden_layers=2,
                  num_attention_heads=4, num_key_value_heads=2)
# The root mean square of the difference that is allowed, as a part of the logits'. Block types are
# multiplied with activations rounded to 8 bits or to bf16, so theirs is wider.
GGUF_KINDS = {"F32": 1e-5, "F16": 1e-3, "BF16": 2e-2, **dict.fromkeys(
    ["Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL",
     "IQ4_XS", "MXFP4", "NVFP4", "TQ1_0", "TQ2_0", "IQ1_S", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS",
     "IQ3_S"], 5e-2)}


@pytest.mark.parametrize("kind", GGUF_KINDS)
def test_gguf_logits_equal_transformers_on_dequantized_weights(kind, logits, tmp_path):
    path = tmp_path / "model.gguf"
    model = write_gguf(path, make_model(**GGUF_MODEL), gguf.GGMLQuantizationType[kind])
    tokens = random_tokens(model, 40)
    expected = reference(model, tokens)
    assert np.std(expected) > 0.5
    assert rms_error(logits(path, tokens), expected) < GGUF_KINDS[kind]
    assert rms_error(logits(path, tokens, args=["--chunk", 1]), expected) < GGUF_KINDS[kind]


@pytest.mark.parametrize("model_type", ["llama", "qwen2"])
def test_gguf_without_output_is_tied_and_may_have_biases(model_type, logits, tmp_path):
    model = make_model(**GGUF_MODEL, model_type=model_type, tie_word_embeddings=True,
                       attention_bias=True)
    path = tmp_path / "model.gguf"
    write_gguf(path, model, gguf.GGMLQuantizationType.F32)
    tokens = random_tokens(model, 30)
    assert error(logits(path, tokens), reference(model, tokens)) < 2e-4


def test_gguf_rope_freqs_are_llama3_scaling(logits, tmp_path):
    plain = make_model(**GGUF_MODEL)
    scaled = make_model(**GGUF_MODEL, **{k: v for k, v in CONFIGS["llama3"].items() if k == "rope"})
    scaled.load_state_dict(plain.state_dict())
    default = 1.0 / 10000.0 ** (np.arange(0, 64, 2) / 64)
    divisors = default / scaled.model.rotary_emb.inv_freq.numpy()
    assert divisors.max() > 7
    path = tmp_path / "model.gguf"
    write_gguf(path, plain, gguf.GGMLQuantizationType.F32, divisors=divisors)
    tokens = random_tokens(plain, 150)
    assert error(logits(path, tokens), reference(scaled, tokens)) < 2e-4


def test_gguf_isa_levels_agree(tallow, logits, tmp_path):
    path = tmp_path / "model.gguf"
    model = write_gguf(path, make_model(**GGUF_MODEL), gguf.GGMLQuantizationType.Q4_1,
                       embedding_kind=gguf.GGMLQuantizationType.Q8_0)
    tokens = random_tokens(model, 40)
    expected = reference(model, tokens)
    for level in isa_levels_here(tallow):
        for args in ([], ["--chunk", 1]):
            actual = logits(path, tokens, args=args, env={"TALLOW_ISA": level})
            assert rms_error(actual, expected) < 5e-2, (level, args)


# The real model.

PROMPT = ("<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n"
          "Name three rivers in Europe, and say where each one ends.<|im_end|>\n"
          "<|im_start|>assistant\n")


@pytest.fixture(scope="module")
def real_reference(smollm2):
    """transformers with the weights that gguf dequantized."""
    reader = gguf.GGUFReader(smollm2)
    field = {name: f.contents() for name, f in reader.fields.items()
             if not name.startswith("tokenizer.")}
    heads, kv_heads = field["llama.attention.head_count"], field["llama.attention.head_count_kv"]
    tensors = {t.name: torch.from_numpy(np.array(gguf.dequantize(t.data, t.tensor_type)))
               for t in reader.tensors}
    config = LlamaConfig(
        vocab_size=tensors["token_embd.weight"].shape[0],
        hidden_size=field["llama.embedding_length"],
        intermediate_size=field["llama.feed_forward_length"],
        num_hidden_layers=field["llama.block_count"], num_attention_heads=heads,
        num_key_value_heads=kv_heads, max_position_embeddings=field["llama.context_length"],
        rms_norm_eps=field["llama.attention.layer_norm_rms_epsilon"], tie_word_embeddings=True,
        rope_parameters={"rope_type": "default", "rope_theta": field["llama.rope.freq_base"]})
    model = LlamaForCausalLM(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            weight = tensors[gguf_name(name)]
            if "q_proj" in name or "k_proj" in name:
                weight = unpermuted(weight, heads if "q_proj" in name else kv_heads)
            parameter.copy_(weight)
    return model


def prompt_tokens(tallow, model, text=PROMPT):
    return json.loads(tallow("tokenize", model, stdin=text).stdout)


def test_real_model_equals_transformers(real_reference, tallow, smollm2, logits):
    tokens = prompt_tokens(tallow, smollm2)
    expected = reference(real_reference, tokens)
    for args in ([], ["--chunk", 1], ["--cache-type", "f32"]):
        actual = logits(smollm2, tokens, args=args)
        assert rms_error(actual, expected) < 4e-2, args
        agree = np.mean(actual.argmax(-1) == expected.argmax(-1))
        assert agree > 0.9, args


def test_real_model_isa_levels(real_reference, tallow, smollm2, logits):
    tokens = prompt_tokens(tallow, smollm2)
    expected = reference(real_reference, tokens)
    for level in isa_levels_here(tallow):
        for count, args in ((len(tokens), []), (6, ["--chunk", 1])):
            actual = logits(smollm2, tokens[:count], args=args, env={"TALLOW_ISA": level})
            assert rms_error(actual, expected[:count]) < 4e-2, (level, args)


def test_real_model_thread_counts(tallow, smollm2, logits):
    tokens = prompt_tokens(tallow, smollm2)
    one = logits(smollm2, tokens, args=["--threads", 1])
    for threads in (2, 3):
        assert np.array_equal(one, logits(smollm2, tokens, args=["--threads", threads])), threads


@pytest.fixture(scope="module")
def llama_cpp(smollm2):
    import xllamacpp
    params = xllamacpp.CommonParams()
    params.model.path = str(smollm2)
    params.n_ctx = 1024
    params.n_parallel = 1
    params.cpuparams.n_threads = 1
    params.cpuparams_batch.n_threads = 1
    params.warmup = False
    return xllamacpp.Server(params)


def complete(server, tokens, **settings):
    """llama.cpp's greedy continuation."""
    out = server.handle_completions({"prompt": tokens, "temperature": 0.0, "cache_prompt": False,
                                     **settings})
    return out["choices"][0]


def log_softmax(x):
    x = x.astype(np.float64) - x.max()
    return x - np.log(np.exp(x).sum())


def test_real_model_logits_are_as_near_as_llama_cpps(llama_cpp, real_reference, tallow, smollm2,
                                                     logits):
    """Both round what weights are multiplied with to 8 bits, each in its own way: tallow's logits
    are near llama.cpp's, and are no farther from exact ones than those."""
    tokens = prompt_tokens(tallow, smollm2)
    ours, theirs, apart = [], [], []
    for length in (33, 29, 24, 18, 12):
        exact = log_softmax(reference(real_reference, tokens[:length])[-1])
        actual = log_softmax(logits(smollm2, tokens[:length], args=["--last"])[0])
        out = complete(llama_cpp, tokens[:length], n_predict=1, n_probs=2000)
        top = out["logprobs"]["content"][0]["top_logprobs"]
        ids = [entry["id"] for entry in top if entry["logprob"] > -12]
        peer = np.array([entry["logprob"] for entry in top if entry["logprob"] > -12])
        assert len(ids) > 10
        ours.append(np.mean((actual[ids] - exact[ids]) ** 2))
        theirs.append(np.mean((peer - exact[ids]) ** 2))
        apart.append(np.mean((peer - actual[ids]) ** 2))
    assert math.sqrt(np.mean(ours)) < 1.5 * math.sqrt(np.mean(theirs))
    assert math.sqrt(np.mean(apart)) < 0.3


def test_real_model_agrees_with_llama_cpps_greedy_text(llama_cpp, tallow, smollm2, logits):
    """Each token that llama.cpp takes is tallow's likeliest too, or all but as likely."""
    agreed = []
    for prompt in ("The capital of France is", "Two plus two equals", PROMPT):
        tokens = prompt_tokens(tallow, smollm2, prompt)
        out = complete(llama_cpp, tokens, n_predict=24, n_probs=1)
        taken = [step["id"] for step in out["logprobs"]["content"]]
        rows = logits(smollm2, tokens + taken)[len(tokens) - 1:-1]
        behind = rows.max(-1) - rows[np.arange(len(taken)), taken]
        assert behind.max() < 1.0, behind
        agreed += list(behind == 0)
    assert np.mean(agreed) > 0.85
