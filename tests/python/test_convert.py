"""`tallow convert`: folders into GGUF files that llama.cpp opens and answers alike, and back into
folders that transformers opens."""

import base64
import json
import unicodedata
import urllib.request

import gguf
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from tokenizers import Regex
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

import tallow as package  # `tallow` is the command in the other tests
from test_models import CONFIGS, Logits, error, make_model, random_tokens, reference
from tokenizer_corpus import corpus

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace("{1,3}", "")
TEXT = ["the quick brown fox jumps over the lazy dog 1234 times, isn't it?",
        "def main(args): return [x ** 2 for x in range(100)]\n", "naïve café, 你好世界 привет"] * 20
CHAT = "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}{{ eos_token }}{% endfor %}"


def byte_level(split, ignore_merges=False, nfc=False):
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [*split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    if nfc:
        tokenizer.normalizer = normalizers.NFC()
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(TEXT, trainers.BpeTrainer(
        vocab_size=400, show_progress=False, special_tokens=["<s>", "</s>", "<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    return tokenizer


def regex(pattern):
    return pre_tokenizers.Split(Regex(pattern), "isolated")


def llama3():
    tokenizer = byte_level([regex(LLAMA3)], ignore_merges=True)
    tokenizer.post_processor = processors.TemplateProcessing("<s> $A", special_tokens=[("<s>", 0)])
    return tokenizer


def gpt2():
    tokenizer = byte_level([])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return tokenizer


def smollm():
    tokenizer = byte_level([])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    return tokenizer


def with_every_merge(tokenizer, special):
    """Every way to make a token is a merge, as in the files that SentencePiece models become; of the
    added tokens the first `special` stay."""
    parts = json.loads(tokenizer.to_str())
    vocab, merges = parts["model"]["vocab"], []
    rank = {"".join(pair): i for i, pair in reversed(list(enumerate(parts["model"]["merges"])))}
    for token, _ in sorted(rank.items(), key=lambda item: item[1]):
        ways = [(token[:i], token[i:]) for i in range(1, len(token))]
        merges += [list(way) for way in ways if all(part in vocab for part in way)]
    parts["model"]["merges"] = merges
    parts["added_tokens"] = parts["added_tokens"][:special]
    return Tokenizer.from_str(json.dumps(parts))


def llama2(prefix=True):
    """SentencePiece's BPE as transformers turns it into a tokenizer.json."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    steps = [normalizers.Prepend("▁")] if prefix else []
    tokenizer.normalizer = normalizers.Sequence([*steps, normalizers.Replace(" ", "▁")])
    strip = [decoders.Strip(" ", 1, 0)] if prefix else []
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), *strip])
    tokenizer.train_from_iterator(TEXT, trainers.BpeTrainer(
        vocab_size=500, show_progress=False,
        special_tokens=["<unk>", "<s>", "</s>", *(f"<0x{i:02X}>" for i in range(256))]))
    tokenizer = with_every_merge(tokenizer, special=3)
    tokenizer.post_processor = processors.TemplateProcessing("<s> $A", special_tokens=[("<s>", 1)])
    return tokenizer


TOKENIZERS = {
    "llama3": llama3, "gpt2": gpt2, "smollm": smollm, "llama2": llama2,
    "llama2_without_prefix": lambda: llama2(prefix=False),
    "qwen2": lambda: byte_level([regex(QWEN2)], nfc=True),
}  # fmt: skip


def save(folder, tokenizer="llama3", **config):
    """A random model in a folder, with a tokenizer and a chat template."""
    tokens = TOKENIZERS[tokenizer]()
    model = make_model(**{**config, "vocab_size": tokens.get_vocab_size() + 3})
    model.save_pretrained(folder)
    PreTrainedTokenizerFast(tokenizer_object=tokens, bos_token="<s>", eos_token="</s>",
                            chat_template=CHAT).save_pretrained(folder)
    return model, tokens


class LlamaCpp:
    def __init__(self, path, towers=None, drafter=None, cache_type=None):
        import xllamacpp

        params = xllamacpp.CommonParams()
        params.model.path = str(path)
        params.n_ctx = 2048 if towers else 512
        if towers:
            params.mmproj.path = str(towers)
            params.mmproj_use_gpu = False
            params.n_batch = params.n_ubatch = 1024  # an image's tokens see each other in one batch
        if drafter:
            kinds = xllamacpp.common_speculative_type
            params.speculative.types = [kinds.COMMON_SPECULATIVE_TYPE_DRAFT_MTP]
            params.speculative.draft.mparams.path = str(drafter)
            params.speculative.draft.n_max = 3
            params.speculative.draft.p_min = 0.0
            params.speculative.draft.cpuparams.n_threads = 1
        if cache_type:
            type = getattr(xllamacpp.ggml_type, f"GGML_TYPE_{cache_type.upper()}")
            params.cache_type_k = params.cache_type_v = type
            params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_ENABLED
        params.n_parallel = 1
        params.cpuparams.n_threads = 1
        params.cpuparams_batch.n_threads = 1
        params.warmup = False
        self.server = xllamacpp.Server(params)

    def ask(self, path, **body):
        request = urllib.request.Request(f"{self.server.listening_address}/{path}",
                                         json.dumps(body).encode() if body else None,
                                         {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as reply:
            return json.load(reply)

    def tokenize(self, text):
        return self.ask("tokenize", content=text, add_special=True, parse_special=True)["tokens"]

    def after_media(self, text, mark, media):
        """How many tokens a text is with `media` in the place of `mark`, and what follows by id."""
        text = text.replace(mark, self.ask("props")["media_marker"])
        data = base64.b64encode(media).decode()
        reply = self.ask("completion", prompt={"prompt_string": text, "multimodal_data": [data]},
                         temperature=0.0, n_predict=1, n_probs=100, cache_prompt=False)
        likely = reply["completion_probabilities"][0]["top_logprobs"]
        return reply["tokens_evaluated"], {e["id"]: e["logprob"] for e in likely}

    def continued(self, tokens, count):
        """The likeliest `count` tokens after some, and how many of them were drafted."""
        reply = self.ask("completion", prompt=tokens, temperature=0.0, n_predict=count,
                         cache_prompt=False, return_tokens=True, ignore_eos=True)
        return reply["tokens"], reply["timings"]["draft_n_accepted"]

    def log_probabilities(self, tokens):
        """By id, of the likeliest; None where the likeliest is a part of a character."""
        out = self.server.handle_completions({"prompt": tokens, "temperature": 0.0, "n_predict": 1,
                                              "cache_prompt": False, "n_probs": 100})
        found = out["choices"][0]["logprobs"]
        return found and {e["id"]: e["logprob"] for e in found["content"][0]["top_logprobs"]}


def log_softmax(row):
    return torch.log_softmax(torch.from_numpy(row.astype(np.float64)), -1).numpy()


# llama.cpp has no dynamic scaling, no windows in its Qwen2, and one activation.
REFUSED = {"dynamic": 'rope_type "dynamic"', "qwen2_window": "sliding windows",
           "qwen2_window_by_name": "sliding windows", "one_layer_gelu": 'hidden_act "gelu"'}
CONVERTED = [name for name in CONFIGS if name not in REFUSED and "dynamic" not in name]
# Sizes that llama.cpp's kernels take.
IN_LLAMA_CPP = ["grouped", "tied", "theta_500000", "linear", "yarn", "yarn_attention_factor",
                "longrope_long", "llama3", "attention_bias", "heads_of_128", "qwen2", "qwen2_tied"]


@pytest.mark.parametrize("name", CONVERTED)
def test_a_folder_as_gguf_and_back_gives_transformers_logits(name, tallow, tmp_path):
    model, _ = save(tmp_path / "model", **CONFIGS[name])
    tokens = random_tokens(model, 45)
    expected = reference(model, tokens)
    logits = Logits(tallow, tmp_path)
    tallow("convert", tmp_path / "model", tmp_path / "model.gguf")
    assert error(logits(tmp_path / "model.gguf", tokens), expected) < 2e-4
    tallow("convert", tmp_path / "model.gguf", tmp_path / "again")
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "again", attn_implementation="eager")
    assert error(reference(again, tokens), expected) < 2e-4
    assert error(logits(tmp_path / "again", tokens), expected) < 2e-4


@pytest.mark.parametrize("name", IN_LLAMA_CPP)
def test_llama_cpp_answers_alike(name, tallow, tmp_path):
    model, _ = save(tmp_path / "model", **CONFIGS[name])
    tallow("convert", tmp_path / "model", tmp_path / "model.gguf")
    tokens = random_tokens(model, 33)
    peer = LlamaCpp(tmp_path / "model.gguf")
    expected, apart = reference(model, tokens), []
    for length in range(33, 20, -1):
        exact = log_softmax(expected[length - 1])
        found = peer.log_probabilities(tokens[:length]) or {}
        apart += [logprob - exact[token] for token, logprob in found.items()]
    assert len(apart) >= 100
    # llama.cpp keeps keys and values in f16.
    assert np.sqrt(np.mean(np.square(apart))) < 2e-2 and np.abs(apart).max() < 0.1


@pytest.mark.parametrize("name", TOKENIZERS)
def test_tokenizers_survive_the_way_to_gguf_and_back(name, tallow, probe, tmp_path):
    _, tokens = save(tmp_path / "model", name, model_type="qwen2" if name == "qwen2" else "llama")
    tallow("convert", tmp_path / "model", tmp_path / "model.gguf")
    tallow("convert", tmp_path / "model.gguf", tmp_path / "again")
    before = AutoTokenizer.from_pretrained(tmp_path / "model")
    again = AutoTokenizer.from_pretrained(tmp_path / "again")
    peer = LlamaCpp(tmp_path / "model.gguf")
    texts = [t for t in corpus() if isinstance(t, str) and "\0" not in t and len(t) < 2000 and t]
    for text in texts:
        wanted = before(text).input_ids
        assert again(text).input_ids == wanted, text[:200]
        assert again.decode(wanted) == before.decode(wanted), text[:200]
    # llama.cpp does not normalize.
    for text in [unicodedata.normalize("NFC", t) for t in texts[::3]]:
        assert peer.tokenize(text) == tokens.encode(text).ids, text[:200]
    assert again.chat_template == CHAT
    assert (again.bos_token, again.eos_token) == ("<s>", "</s>")


@pytest.mark.parametrize("dtype", ["f32", "f16", "bf16", "q8_0", "q4_0"])
def test_matrices_become_the_asked_dtype(dtype, tallow, tmp_path):
    model, _ = save(tmp_path / "model")
    tallow("convert", tmp_path / "model", tmp_path / "model.gguf", "--dtype", dtype)
    reader = gguf.GGUFReader(tmp_path / "model.gguf")
    weight = model.model.layers[0].mlp.down_proj.weight.detach().numpy()
    found = next(t for t in reader.tensors if t.name == "blk.0.ffn_up.weight")
    up = model.model.layers[0].mlp.up_proj.weight.detach().numpy()
    kind = gguf.GGMLQuantizationType[dtype.upper()]
    assert found.tensor_type == kind
    assert np.array_equal(found.data.view(np.uint8), gguf.quantize(up, kind).view(np.uint8))
    # Rows of 176 are not whole blocks of 32.
    down = next(t for t in reader.tensors if t.name == "blk.0.ffn_down.weight")
    assert down.tensor_type == (kind if weight.shape[1] % 32 == 0 or dtype[0] != "q"
                                else gguf.GGMLQuantizationType.F32)
    norms = [t for t in reader.tensors if "norm" in t.name]
    assert norms and all(t.tensor_type == gguf.GGMLQuantizationType.F32 for t in norms)


@pytest.mark.parametrize("dtype", ["f32", "bf16", "q8_0", "q4_0"])
def test_big_endian_files_hold_the_same(dtype, tallow, tmp_path):
    model, _ = save(tmp_path / "model", hidden_size=64)
    tallow("convert", tmp_path / "model", tmp_path / "little.gguf", "--dtype", dtype)
    tallow("convert", tmp_path / "little.gguf", tmp_path / "big.gguf", "--endian", "big")
    little, big = (gguf.GGUFReader(tmp_path / f"{n}.gguf") for n in ("little", "big"))
    assert big.endianess == gguf.GGUFEndian.BIG
    assert list(little.fields) == list(big.fields)
    for key, field in little.fields.items():
        if not key.startswith("GGUF."):
            assert field.contents() == big.fields[key].contents(), key
    for a, b in zip(little.tensors, big.tensors, strict=True):
        assert (a.name, a.tensor_type, list(a.shape)) == (b.name, b.tensor_type, list(b.shape))
        if a.data.dtype != np.uint8:
            assert np.array_equal(a.data, b.data), a.name
    tallow("convert", tmp_path / "big.gguf", tmp_path / "again.gguf")
    assert (tmp_path / "again.gguf").read_bytes() == (tmp_path / "little.gguf").read_bytes()
    logits, tokens = Logits(tallow, tmp_path), random_tokens(model, 9)
    expected = logits(tmp_path / "little.gguf", tokens)
    assert error(logits(tmp_path / "big.gguf", tokens), expected) < 1e-5
    assert "big-endian" in refusal(tallow, tmp_path / "model", tmp_path / "x", "--endian", "big")


def refusal(tallow, *args):
    result = tallow("convert", *args, check=False)
    assert result.returncode == 1
    return result.stderr.decode()


def test_what_has_no_form_is_refused_by_name_and_nothing_is_left(tallow, tmp_path):
    out = tmp_path / "model.gguf"
    for name, reason in REFUSED.items():
        save(tmp_path / name, **CONFIGS[name])
        assert reason in refusal(tallow, tmp_path / name, out)
    save(tmp_path / "model")
    config = json.loads((tmp_path / "model/config.json").read_text())
    config["architectures"] = ["NoSuchModel"]
    (tmp_path / "model/config.json").write_text(json.dumps(config))
    assert '"NoSuchModel"' in refusal(tallow, tmp_path / "model", out)
    assert "no such file" in refusal(tallow, tmp_path / "absent", out).lower()
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([*REFUSED, "model"])


TENSORS = {"a": torch.arange(6, dtype=torch.int32).reshape(2, 3), "b.weight": torch.randn(4, 64),
           "c": torch.randn(5).to(torch.bfloat16)}


def read(path):
    """By the package that owns the format."""
    if path.suffix == ".safetensors":
        return load_file(path)
    if path.suffix == ".npz":
        return {k: torch.from_numpy(v) for k, v in np.load(path).items()}
    return torch.load(path, weights_only=True)


@pytest.mark.parametrize("source", [".safetensors", ".pth"])
@pytest.mark.parametrize("target", [".safetensors", ".pth", ".bin"])
def test_files_of_tensors_become_each_other(source, target, tallow, tmp_path):
    path, out = tmp_path / ("in" + source), tmp_path / ("out" + target)
    (save_file if source == ".safetensors" else torch.save)(TENSORS, path)
    tallow("convert", path, out)
    found = read(out)
    assert {k: v.dtype for k, v in found.items()} == {k: v.dtype for k, v in TENSORS.items()}
    assert all(torch.equal(found[k], v) for k, v in TENSORS.items())


def test_dtypes_of_numbers_change_on_the_way(tallow, tmp_path):
    torch.save(TENSORS, tmp_path / "in.pth")
    tallow("convert", tmp_path / "in.pth", tmp_path / "out.npz", "--dtype", "f16")
    found = read(tmp_path / "out.npz")
    assert torch.equal(found["b.weight"], TENSORS["b.weight"].half())
    assert torch.equal(found["c"], TENSORS["c"].half())
    assert torch.equal(found["a"], TENSORS["a"])
    tallow("convert", tmp_path / "in.pth", tmp_path / "out.gguf", "--dtype", "q8_0")
    blocks = next(t for t in gguf.GGUFReader(tmp_path / "out.gguf").tensors if t.name == "b.weight")
    kind = gguf.GGMLQuantizationType.Q8_0
    assert np.array_equal(blocks.data, gguf.quantize(TENSORS["b.weight"].numpy(), kind))


def test_folders_change_dtype_and_are_divided(tallow, tmp_path):
    model, tokens = save(tmp_path / "model")
    tallow("convert", tmp_path / "model", tmp_path / "out", "--dtype", "bf16",
           "--max-shard-size", "0.0002")
    assert len(list((tmp_path / "out").glob("model-*-of-*.safetensors"))) > 1
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    assert again.dtype == torch.bfloat16
    for name, weight in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], weight.bfloat16()), name
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert tokenizer("the fox").input_ids == tokens.encode("the fox").ids


def test_the_python_package_converts_too(tmp_path):
    model, _ = save(tmp_path / "model")
    package.convert(tmp_path / "model", tmp_path / "model.gguf", dtype=package.float16)
    found = package.load_file(tmp_path / "model.gguf")["blk.0.ffn_up.weight"]
    weight = model.model.layers[0].mlp.up_proj.weight.detach()
    assert torch.equal(torch.from_dlpack(found), weight.half())
    package.quantize_model(tmp_path / "model", tmp_path / "small.gguf", "q8_0")
    blocks = next(t for t in gguf.GGUFReader(tmp_path / "small.gguf").tensors
                  if t.name == "blk.0.ffn_up.weight")
    kind = gguf.GGMLQuantizationType.Q8_0
    assert np.array_equal(blocks.data.reshape(-1), gguf.quantize(weight.numpy(), kind).reshape(-1))
    with pytest.raises(package.Error, match="no_such_mix"):
        package.quantize_model(tmp_path / "model", tmp_path / "x.gguf", "no_such_mix")
