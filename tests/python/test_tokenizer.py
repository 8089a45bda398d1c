"""The tokenizer's ids and text equal those of `tokenizers` and of llama.cpp, on a hard corpus and on
random strings: for tokenizers trained here and for GGUF vocabularies. What is beside ids and text,
and real files, are in test_tokenizers.py."""

import json
import random
import struct
import urllib.request
from pathlib import Path

import gguf
import pytest
from tallow.models import Tokenizer as OurTokenizer
from tokenizer_corpus import corpus, fuzz, training_text
from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models, normalizers,
                        pre_tokenizers, processors, trainers)

ROOT = Path(__file__).resolve().parents[2]

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace("{1,3}", "")
GPT4O = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
         r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+"
         r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}"
         r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")


class Ours:
    """Our tokenizer of a file, through the probe."""

    def __init__(self, probe, path):
        self.probe, self.path = probe, str(path)

    def encode(self, texts, special=True):
        frames = b"".join(struct.pack("<I", len(t)) + t for t in texts)
        out = self.probe("tokenize", self.path, "encode", *([] if special else ["no-special"]),
                         stdin=frames).stdout
        return [json.loads(line) for line in out.decode().splitlines()]

    def _text(self, mode, ids, skip):
        lines = "".join(json.dumps(i) + "\n" for i in ids)
        out = self.probe("tokenize", self.path, mode, *(["skip"] if skip else []),
                         stdin=lines).stdout
        return [json.loads(line) for line in out.decode().split("\n")[:-1]]

    def decode(self, ids, skip=False):
        return self._text("decode", ids, skip)

    def stream(self, ids, skip=False):
        return self._text("stream", ids, skip)


def as_bytes(texts):
    return [t if isinstance(t, bytes) else t.encode() for t in texts]


def compare(ours, theirs, texts, seed=0):
    """Ids with and without special tokens; decoded and streamed text, of real and random ids."""
    texts = as_bytes(texts)
    for special in (True, False):
        wanted = [e.ids for e in theirs.encode_batch([t.decode(errors="replace") for t in texts],
                                                     add_special_tokens=special)]
        for text, a, b in zip(texts, ours.encode(texts, special), wanted, strict=True):
            assert a == b, (text[:200], special)
    rng = random.Random(seed)
    size = theirs.get_vocab_size()
    known = [i for i in range(size) if theirs.id_to_token(i) is not None]
    wanted += [[rng.choice(known) for _ in range(rng.randrange(1, 30))] for _ in range(300)]
    for skip in (False, True):
        text = theirs.decode_batch(wanted, skip_special_tokens=skip)
        for ids, a, b in zip(wanted, ours.decode(wanted, skip), text, strict=True):
            assert a == b, (ids[:50], skip)
        for a, b in zip(ours.stream(wanted, skip), text, strict=True):
            assert "".join(a) == b


def byte_level(pre_tokenizer, normalizer=None, **options):
    tokenizer = Tokenizer(models.BPE(**options))
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    train(tokenizer, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    return tokenizer


def train(tokenizer, vocab_size=900, **options):
    tokenizer.train_from_iterator(training_text(), trainers.BpeTrainer(
        vocab_size=vocab_size, show_progress=False, **options))


def split_bytes(pattern, behavior="isolated", invert=False):
    return pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(pattern), behavior, invert),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def gpt2(prefix_space=False):
    return byte_level(pre_tokenizers.ByteLevel(add_prefix_space=prefix_space))


def smollm():
    tokenizer = byte_level(pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False)]))
    tokenizer.add_special_tokens(["<|im_start|>", "<|im_end|>"])
    return tokenizer


def llama3():
    tokenizer = byte_level(split_bytes(LLAMA3), ignore_merges=True)
    tokenizer.add_special_tokens(["<|begin_of_text|>", "<|eot_id|>"])
    tokenizer.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=False),
        processors.TemplateProcessing(
            single="<|begin_of_text|> $A", pair="<|begin_of_text|> $A $B",
            special_tokens=[("<|begin_of_text|>",
                             tokenizer.token_to_id("<|begin_of_text|>"))])])
    return tokenizer


def without_full_alphabet():
    tokenizer = Tokenizer(models.BPE(unk_token="?", fuse_unk=True))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel()
    tokenizer.decoder = decoders.ByteLevel()
    train(tokenizer, special_tokens=["?"], limit_alphabet=60)
    return tokenizer


def sentencepiece(fuse=True, byte_fallback=True, modern=False):
    """LLaMA 1 and 2: visible spaces, byte fallback, no pre-tokenizer; or Metaspace's newer form."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=fuse,
                                     byte_fallback=byte_fallback))
    bytes_ = [f"<0x{b:02X}>" for b in range(256)] if byte_fallback else []
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    train(tokenizer, vocab_size=1100, limit_alphabet=120,
          special_tokens=["<unk>", "<s>", "</s>", *bytes_])
    state = json.loads(tokenizer.to_str())
    state["added_tokens"] = state["added_tokens"][:3]  # byte tokens are no added tokens
    tokenizer = Tokenizer.from_str(json.dumps(state))
    if modern:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    else:
        tokenizer.pre_tokenizer = None
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"),
                                                     normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(),
                                           decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A $B", special_tokens=[("<s>", 1), ("</s>", 2)])
    return tokenizer


def classic(pre_tokenizer, normalizer=None, decoder=None, **options):
    tokenizer = Tokenizer(models.BPE(unk_token="[UNK]", **options))
    tokenizer.pre_tokenizer = pre_tokenizer
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    if decoder is not None:
        tokenizer.decoder = decoder
    train(tokenizer, special_tokens=["[UNK]"], **(
        {"end_of_word_suffix": "</w>"} if "end_of_word_suffix" in options else {}))
    return tokenizer


def added_tokens():
    tokenizer = byte_level(split_bytes(QWEN2), normalizers.NFC())
    tokenizer.add_special_tokens([AddedToken("<|s|>"), AddedToken("<|strip|>", lstrip=True,
                                                                  rstrip=True)])
    tokenizer.add_tokens([
        AddedToken("word", single_word=True, normalized=False), AddedToken("wor", normalized=True),
        AddedToken("ab", normalized=False), AddedToken("abc", normalized=False),
        AddedToken("é", normalized=True), AddedToken("left", lstrip=True, normalized=False),
        AddedToken("right", rstrip=True, normalized=False), AddedToken("two words")])
    return tokenizer


def added_tokens_in_sentencepiece():
    tokenizer = sentencepiece()
    tokenizer.add_tokens([AddedToken("</turn>", normalized=True),
                          AddedToken("<mid>", normalized=False, rstrip=True)])
    return tokenizer


BEHAVIORS = ["removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous"]
CASES = {
    "gpt2": gpt2,
    "gpt2_prefix_space": lambda: gpt2(True),
    "smollm": smollm,
    "llama3": llama3,
    "qwen2": lambda: byte_level(split_bytes(QWEN2), normalizers.NFC()),
    "gpt4o_removed_inverted": lambda: byte_level(split_bytes(GPT4O, "removed", True)),
    "without_full_alphabet": without_full_alphabet,
    "sentencepiece": sentencepiece,
    "sentencepiece_unfused": lambda: sentencepiece(fuse=False, byte_fallback=False),
    "sentencepiece_fused_unk": lambda: sentencepiece(byte_fallback=False),
    "sentencepiece_modern": lambda: sentencepiece(modern=True),
    "added_tokens": added_tokens,
    "added_tokens_in_sentencepiece": added_tokens_in_sentencepiece,
    "whitespace": lambda: classic(pre_tokenizers.Whitespace()),
    "whitespace_split": lambda: classic(pre_tokenizers.WhitespaceSplit(), normalizers.Lowercase()),
    "punctuation": lambda: classic(pre_tokenizers.Sequence([
        pre_tokenizers.Punctuation("merged_with_previous"), pre_tokenizers.Digits()])),
    "metaspace": lambda: classic(pre_tokenizers.Metaspace(), decoder=decoders.Metaspace()),
    "metaspace_never": lambda: classic(
        pre_tokenizers.Metaspace(prepend_scheme="never"),
        decoder=decoders.Metaspace(prepend_scheme="never")),
    "suffix": lambda: classic(pre_tokenizers.Whitespace(), end_of_word_suffix="</w>"),
    "normalizers": lambda: classic(pre_tokenizers.Whitespace(), normalizers.Sequence([
        normalizers.NFD(), normalizers.StripAccents(), normalizers.Strip(),
        normalizers.Replace(Regex(r"\d+"), "0")])),
    "nfkc": lambda: byte_level(split_bytes(LLAMA3), normalizers.NFKC()),
    "line_anchors": lambda: byte_level(split_bytes(r"^\w+|\s+$")),
    "lookahead": lambda: byte_level(split_bytes(r"(?=(\d{3})+(?!\d))")),
    **{f"split_{b}{'_inverted' * i}":
       (lambda b=b, i=i: byte_level(split_bytes(r"[aeiou\d]|\s", b, bool(i))))
       for b in BEHAVIORS for i in (0, 1)},
}


@pytest.mark.parametrize("name", CASES)
def test_trained_tokenizer_equals_tokenizers(name, probe, tmp_path):
    theirs = CASES[name]()
    path = tmp_path / "tokenizer.json"
    theirs.save(str(path))
    compare(Ours(probe, path), theirs, corpus() + fuzz(name, 300))


def test_merges_as_strings_and_as_pairs_are_the_same(probe, tmp_path):
    theirs = gpt2()
    state = json.loads(theirs.to_str())
    assert isinstance(state["model"]["merges"][0], list)
    state["model"]["merges"] = [" ".join(pair) for pair in state["model"]["merges"]]
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(state), encoding="ascii")  # so that every letter is an escape
    compare(Ours(probe, path), theirs, corpus())


def gguf_vocabulary(path):
    fields = gguf.GGUFReader(path).fields
    read = lambda key: fields[f"tokenizer.ggml.{key}"].contents()
    return read("tokens"), read("merges"), read("token_type")


def test_smollm2_gguf_equals_tokenizers(probe, smollm2):
    tokens, merges, types = gguf_vocabulary(smollm2)
    theirs = Tokenizer(models.BPE({t: i for i, t in enumerate(tokens)},
                                  [tuple(m.split(" ")) for m in merges]))
    theirs.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False)])
    theirs.decoder = decoders.ByteLevel()
    theirs.add_special_tokens([t for t, kind in zip(tokens, types, strict=True) if kind == 3])
    assert theirs.get_vocab_size() == len(tokens)
    compare(Ours(probe, smollm2), theirs, corpus() + fuzz("smollm2", 1000))


def test_smollm2_gguf_equals_llama_cpp(probe, smollm2):
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(smollm2)
    params.n_ctx = 64
    params.warmup = False
    server = xllamacpp.Server(params)
    # llama.cpp takes no NUL, and reads invalid UTF-8 its own way.
    texts = [t for t in corpus() if isinstance(t, str) and "\0" not in t and len(t) < 20000]

    def tokenize(text):
        body = json.dumps({"content": text, "add_special": True, "parse_special": True}).encode()
        request = urllib.request.Request(f"{server.listening_address}/tokenize", body,
                                         {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as reply:
            return json.load(reply)["tokens"]

    for text, ids in zip(texts, Ours(probe, smollm2).encode(as_bytes(texts)), strict=True):
        assert ids == tokenize(text), text[:200]


def write_gguf(path, model, pre, tokens, types, merges=None, scores=None, **flags):
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tokenizer_model(model)
    if pre:
        writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    if merges is not None:
        writer.add_token_merges(merges)
    if scores is not None:
        writer.add_token_scores(scores)
    for key, value in flags.items():
        getattr(writer, f"add_{key}")(value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def tokens_by_id(tokenizer):
    return [tokenizer.id_to_token(i) for i in range(tokenizer.get_vocab_size())]


GGUF_PRE = {
    "gpt-2": gpt2, "llama-bpe": llama3, "smollm": smollm, "starcoder": smollm,
    "qwen2": CASES["qwen2"], "gpt-4o": lambda: byte_level(split_bytes(GPT4O)),
}


@pytest.mark.parametrize("pre", GGUF_PRE)
def test_gguf_pre_tokenizer_equals_tokenizers(pre, probe, tmp_path):
    theirs = GGUF_PRE[pre]()
    state = json.loads(theirs.to_str())
    added = {t["id"] for t in state["added_tokens"]}
    tokens = tokens_by_id(theirs)
    flags = {"bos_token_id": theirs.token_to_id("<|begin_of_text|>")} if pre == "llama-bpe" else {}
    write_gguf(tmp_path / "v.gguf", "gpt2", pre, tokens,
               [3 if i in added else 1 for i in range(len(tokens))],
               merges=[" ".join(m) for m in state["model"]["merges"]], **flags)
    compare(Ours(probe, tmp_path / "v.gguf"), theirs, corpus() + fuzz(pre, 300))


@pytest.mark.parametrize("pre", """deepseek-llm chameleon qwen35 minicpm5 jais-2 ufakzeka laguna
    exaone-moe youtu spark2_5 kimi-k2 tiny_aya cohere2moe granite-embed-multi-97m afmoe talkie hy_v4
    joyai-llm kormo f2llmv2 jina-v5-nano""".split())
def test_gguf_pre_tokenizer_says_what_it_does(pre, tmp_path):
    """The tokenizer.json made of it gives the same ids in `tokenizers`."""
    state = json.loads(llama3().to_str())["model"]
    tokens = sorted(state["vocab"], key=state["vocab"].get)
    write_gguf(tmp_path / "v.gguf", "gpt2", pre, tokens, [1] * len(tokens),
               merges=[" ".join(m) for m in state["merges"]], add_bos_token=False)
    ours = OurTokenizer.from_file(str(tmp_path / "v.gguf"))
    theirs = Tokenizer.from_str(ours.to_str())
    for text in corpus() + fuzz(pre, 200) + ["1234567 12 1 12345", "漢字カナ한글 ab漢", "a  \n\n  b"]:
        text = text if isinstance(text, str) else text.decode(errors="replace")
        assert ours.encode(text).ids == theirs.encode(text).ids, text[:200]


def test_gguf_rwkv_takes_the_longest_token(tmp_path):
    """As RWKV's own tokenizer does; tokens are written as Python writes bytes."""
    rng = random.Random(5)
    data = "\n".join(training_text()).encode()
    words = {bytes([b]) for b in range(256)} | {b"'\"", b"\\\\", b"\t\n", b"\\x41"}
    for _ in range(1500):
        at = rng.randrange(len(data))
        words.add(data[at:at + rng.randint(2, 9)])
    words = sorted(words)
    spelled = ["<s>", *(repr(w)[2:-1] for w in words)]
    write_gguf(tmp_path / "v.gguf", "rwkv", None, spelled, [3] + [1] * len(words))
    ours = OurTokenizer.from_file(str(tmp_path / "v.gguf"))
    theirs = Tokenizer.from_str(ours.to_str())
    ids = {w: i + 1 for i, w in enumerate(words)}
    for text in corpus() + fuzz("rwkv", 200):
        raw = text.encode() if isinstance(text, str) else text.decode(errors="replace").encode()
        if b"<s>" in raw:
            continue
        want, at = [], 0
        while at < len(raw):
            n = next(n for n in range(9, 0, -1) if raw[at:at + n] in ids)
            want.append(ids[raw[at:at + n]])
            at += n
        assert ours.encode(raw.decode()).ids == want, raw[:100]
        if len(raw) < 300:  # it takes cubic time
            assert theirs.encode(raw.decode()).ids == want, raw[:100]
        assert ours.decode(want) == raw.decode()


def test_gguf_sentencepiece_equals_tokenizers(probe, tmp_path):
    theirs = sentencepiece()
    state = json.loads(theirs.to_str())
    # The score of a token is the rank of its merge; distinct tokens of the training have one each.
    rank = {"".join(m): i for i, m in enumerate(state["model"]["merges"])}
    assert len(rank) == len(state["model"]["merges"])
    tokens = tokens_by_id(theirs)
    types = [2, 3, 3] + [6] * 256 + [1] * (len(tokens) - 259)
    write_gguf(tmp_path / "v.gguf", "llama", None, tokens, types,
               scores=[-float(rank.get(t, 1e6)) for t in tokens], bos_token_id=1, eos_token_id=2,
               unk_token_id=0, add_eos_token=True)
    compare(Ours(probe, tmp_path / "v.gguf"), theirs, corpus() + fuzz("spm", 300))


def test_gguf_of_real_llama2_equals_tokenizers(probe, tmp_path):
    path = ROOT / "build/tokenizers/llama2/tokenizer.json"
    if not path.exists():
        pytest.skip(f"no {path}; run scripts/fetch-tokenizers.sh")
    theirs = Tokenizer.from_file(str(path))
    tokens = tokens_by_id(theirs)
    types = [2, 3, 3] + [6] * 256 + [1] * (len(tokens) - 259)
    rank = {}
    for i, (left, right) in enumerate(m if isinstance(m, list) else m.split(" ")
                                      for m in json.loads(path.read_text())["model"]["merges"]):
        rank.setdefault(left + right, i)
    write_gguf(tmp_path / "v.gguf", "llama", None, tokens, types,
               scores=[-float(rank.get(t, 1e6)) for t in tokens],
               bos_token_id=1, eos_token_id=2, unk_token_id=0)
    compare(Ours(probe, tmp_path / "v.gguf"), theirs, corpus() + fuzz("llama2", 1000))


def test_folder_names_the_special_tokens(probe, tmp_path):
    llama3().save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(
        {"bos_token": "<|begin_of_text|>", "eos_token": {"content": "<|eot_id|>"}}))
    info = json.loads(probe("tokenize", tmp_path, "info").stdout)
    assert (info["bos"], info["eos"]) == (900, 901)
    assert info["bos_token"] == "<|begin_of_text|>" and info["ends"] == [901]


@pytest.mark.parametrize("flags", [{}, {"add_bos_token": True}, {"add_eos_token": True},
                                   {"add_bos_token": False, "add_eos_token": True}])
def test_folder_adds_special_tokens_as_transformers_does(flags, probe, tmp_path):
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    PreTrainedTokenizerFast(tokenizer_object=llama3(), bos_token="<|begin_of_text|>",
                            eos_token="<|eot_id|>").save_pretrained(tmp_path)
    config = json.loads((tmp_path / "tokenizer_config.json").read_text())
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({**config, **flags}))
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    texts = corpus()[:40]
    assert Ours(probe, tmp_path).encode(as_bytes(texts)) == [theirs(t)["input_ids"] for t in texts]


def test_no_streamed_part_ends_inside_a_character(probe, tmp_path):
    theirs = gpt2()
    theirs.save(str(tmp_path / "tokenizer.json"))
    ids = theirs.encode("🏳️‍🌈 한국어 नमस्ते").ids
    parts = Ours(probe, tmp_path / "tokenizer.json").stream([ids])[0]
    assert len(ids) > 20  # so characters are split among tokens
    assert "".join(parts) == "🏳️‍🌈 한국어 नमस्ते"
    assert not any("\ufffd" in part for part in parts)


def bad(change):
    """A small tokenizer.json with one thing wrong."""
    state = {"version": "1.0", "added_tokens": [], "normalizer": None, "pre_tokenizer": None,
             "post_processor": None, "decoder": None,
             "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": [["a", "b"]]}}
    change(state)
    return json.dumps(state)


def setting(**parts):
    return lambda state: state.update(parts)


def model(**parts):
    return lambda state: state["model"].update(parts)


SPLIT = {"type": "Split", "behavior": "Isolated", "invert": False}
BAD = {
    "empty": ("", "an object is expected"),
    "list": ("[]", "an object is expected"),
    "truncated": (bad(lambda s: None)[:-20], "offset"),
    "deep": ('{"a":' + "[" * 10**6, "offset"),
    "deep_stage": (bad(setting(decoder=None)).replace(
        '"decoder": null', '"decoder": ' + '{"type":"Sequence","decoders":[' * 10**5
        + "]}" * 10**5), "decoder"),
    "no_model": (bad(lambda s: s.pop("model")), "no model"),
    "unknown_model": (bad(model(type="Quantum")), "Quantum"),
    "unknown_stage": (bad(setting(normalizer={"type": "Alien"})), "Alien"),
    "missing_merge": (bad(model(merges=[["a", "c"]])), "not in the vocabulary"),
    "odd_merge": (bad(model(merges=["abc"])), "merge"),
    "huge_id": (bad(model(vocab={"a": 2**40})), "too large"),
    "negative_id": (bad(model(vocab={"a": -1})), "negative"),
    "text_as_id": (bad(model(vocab={"a": "b"})), "integer"),
    "bad_pattern": (bad(setting(pre_tokenizer={**SPLIT, "pattern": {"Regex": "(a"}})), "malformed"),
    "deep_pattern": (bad(setting(pre_tokenizer={**SPLIT, "pattern": {"Regex": "(" * 30000 +
                                                                     ")" * 30000}})), "malformed"),
    "half_surrogate": ('{"model": {"vocab": {"\\ud800": 1}}}', "surrogate"),
}


@pytest.mark.parametrize("name", BAD)
def test_malformed_tokenizer_is_a_clear_error(name, probe, tmp_path):
    text, reason = BAD[name]
    path = tmp_path / "tokenizer.json"
    path.write_text(text)
    result = probe("tokenize", path, "info", check=False, timeout=20)
    message = result.stderr.decode()
    assert result.returncode == 1 and message.count("\n") == 1, message
    assert str(path) in message and reason in message


def test_exploding_pattern_is_an_error_and_soon(probe, tmp_path):
    path = tmp_path / "tokenizer.json"
    path.write_text(bad(setting(pre_tokenizer={**SPLIT, "pattern": {"Regex": "(a+)+$|(a|a)*c"}})))
    text = b"a" * 50 + b"b"
    result = probe("tokenize", path, "encode", stdin=struct.pack("<I", len(text)) + text,
                   check=False, timeout=20)
    assert result.returncode == 1 and b"match limit" in result.stderr


DOUBLE = {"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}


@pytest.mark.parametrize("stage", [
    {"normalizer": {"type": "Sequence", "normalizers": [DOUBLE] * 60}},
    {"normalizer": {"type": "Prepend", "prepend": "a" * 10**5}},
    {"decoder": {"type": "Sequence", "decoders": [DOUBLE] * 60}},
    {"decoder": {"type": "Replace", "pattern": {"String": "a"}, "content": "b" * 10**5}},
], ids=["normalizers", "prefix", "decoders", "content"])
def test_text_that_a_file_blows_up_is_an_error(stage, probe, tmp_path):
    path = tmp_path / "tokenizer.json"
    path.write_text(bad(setting(**stage)))
    result = probe("tokenize", path, "encode", stdin=struct.pack("<I", 50) + b"a" * 50,
                   check=False, timeout=20)
    message = result.stderr.decode()
    assert result.returncode == 1 and message.count("\n") == 1, message


def test_unknown_id_is_an_error(probe, tmp_path):
    path = tmp_path / "tokenizer.json"
    path.write_text(bad(lambda s: None))
    for ids in ([3], [-1], [2**31 - 1]):
        result = probe("tokenize", path, "decode", stdin=json.dumps(ids) + "\n", check=False)
        assert result.returncode == 1 and b"outside the vocabulary of 3 tokens" in result.stderr


@pytest.mark.parametrize("unit", ["a", "ab", " ", "é", "\n", "1", "🙂", "<|im_start", "▁"])
def test_a_megabyte_in_one_word_takes_no_quadratic_time(unit, probe, smollm2, tmp_path):
    sentencepiece().save(str(tmp_path / "sentencepiece.json"))
    llama3().save(str(tmp_path / "llama3.json"))
    text = (unit * (10**6 // len(unit.encode()))).encode()
    for path in (smollm2, tmp_path / "sentencepiece.json", tmp_path / "llama3.json"):
        ids = Ours(probe, path).encode([text])[0]  # a quadratic one would run into the time limit
        decoded = Ours(probe, path).decode([ids], skip=True)[0]
        assert decoded.strip(" ▁") == text.decode().strip(" ▁")
