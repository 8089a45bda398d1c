"""Tokenizers from other files than tokenizer.json: SentencePiece models beside `sentencepiece`,
tiktoken's ranks beside `tiktoken`, and the files of older tokenizers beside `tokenizers`."""

import base64
import io
import json
import random

import pytest
import sentencepiece
import tiktoken
from tallow import Error
from tallow.models import Tokenizer
from tokenizer_corpus import corpus, fuzz, training_text
from tokenizers import Tokenizer as Theirs
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

TEXTS = [t if isinstance(t, str) else t.decode(errors="replace") for t in corpus()]
TEXTS = [t for t in TEXTS if len(t) < 3000]

SPM = {
    "bpe": {"model_type": "bpe"},
    "bpe_bytes": {"model_type": "bpe", "byte_fallback": True},
    "bpe_llama": {"model_type": "bpe", "byte_fallback": True, "normalization_rule_name": "identity",
                  "remove_extra_whitespaces": False, "split_digits": True},
    "bpe_symbols": {"model_type": "bpe", "user_defined_symbols": ["<sep>", "lazy", "ab", "▁x"]},
    "unigram": {"model_type": "unigram"},
    "unigram_bytes": {"model_type": "unigram", "byte_fallback": True},
    "unigram_nmt": {"model_type": "unigram", "normalization_rule_name": "nmt_nfkc_cf"},
    "unigram_bare": {"model_type": "unigram", "add_dummy_prefix": False,
                     "normalization_rule_name": "identity", "remove_extra_whitespaces": False},
    "unigram_symbols": {"model_type": "unigram", "user_defined_symbols": ["<sep>", "lazy", "ab"],
                        "control_symbols": ["<ctl>"]},
}


def spm(**options):
    out = io.BytesIO()
    options.setdefault("vocab_size", 1000 if options.get("byte_fallback") else 700)
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([t for text in training_text() for t in text.split("\n")]),
        model_writer=out, character_coverage=0.98, hard_vocab_limit=False, minloglevel=2,
        num_threads=1, **options)
    return out.getvalue()


@pytest.mark.parametrize("name", SPM)
def test_sentencepiece_model(name, tmp_path):
    path = tmp_path / "tokenizer.model"
    path.write_bytes(spm(**SPM[name]))
    theirs = sentencepiece.SentencePieceProcessor(model_file=str(path))
    ours = Tokenizer.from_file(str(path))
    texts = [t for t in TEXTS if "\0" not in t] + [
        "  two  spaces  ", " ", "   ", "lazy<sep>ab <sep> x", "<s>a</s><ctl> <unk>", "▁▁a ▁"]
    texts += [t for t in fuzz(name, 300) if isinstance(t, str) and "\0" not in t]
    for text in texts:
        proto = theirs.encode(text, return_type="proto")
        encoding = ours.encode(text)
        assert encoding.ids == [p.id for p in proto.pieces], text[:200]
        if "�" not in text:
            tokens = [p.piece for p in proto.pieces]
            assert encoding.tokens == tokens, text[:200]
        # Ids that stand for no text of their own decode alike.
        if theirs.unk_id() not in encoding.ids:
            assert ours.decode(encoding.ids) == theirs.decode(encoding.ids), text[:200]
    assert ours.get_vocab_size() == theirs.vocab_size()
    assert (ours.bos, ours.eos) == (theirs.bos_id(), theirs.eos_id())
    # What is saved opens elsewhere.
    assert Theirs.from_str(ours.to_str()).get_vocab_size() == theirs.vocab_size()


def ranks():
    """Byte-level tokens by rank, trained here."""
    tokenizer = Theirs(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.train_from_iterator(training_text(), trainers.BpeTrainer(
        vocab_size=900, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    table = byte_alphabet()
    tokens = [bytes(table[c] for c in tokenizer.id_to_token(i))
              for i in range(tokenizer.get_vocab_size())]
    return {token: i for i, token in enumerate(tokens)}


def byte_alphabet():
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    table, n = {chr(b): b for b in printable}, 0
    for b in range(256):
        if b not in printable:
            table[chr(256 + n)] = b
            n += 1
    return table


PATTERNS = {
    "cl100k_base": r"""'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s""",
    "r50k_base": r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s""",
    "o200k_base": "|".join([
        r"""[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?""",
        r"""[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?""",
        r"""\p{N}{1,3}""", r""" ?[^\s\p{L}\p{N}]+[\r\n/]*""", r"""\s*[\r\n]+""",
        r"""\s+(?!\S)""", r"""\s+"""]),
}


def offsets_of(encoding, ids, text):
    """The characters that each token's bytes touch."""
    starts, at = [], 0
    for c in text:
        starts.append(at)
        at += len(c.encode())
    of_byte = [i for i, c in enumerate(text) for _ in c.encode()]
    spans, at = [], 0
    for piece in encoding.decode_tokens_bytes(ids):
        spans.append((of_byte[at], of_byte[at + len(piece) - 1] + 1))
        at += len(piece)
    return spans


@pytest.mark.parametrize("name", PATTERNS)
def test_tiktoken_file(name, tmp_path):
    table = ranks()
    theirs = tiktoken.Encoding(name, pat_str=PATTERNS[name], mergeable_ranks=table,
                               special_tokens={})
    path = tmp_path / f"{name}.tiktoken"
    path.write_bytes(b"".join(base64.b64encode(t) + f" {r}\n".encode() for t, r in table.items()))
    ours = Tokenizer.from_file(str(path))
    ours.encode_special_tokens = True
    for text in TEXTS + [t for t in fuzz(name, 300) if isinstance(t, str)]:
        ids = theirs.encode_ordinary(text)
        encoding = ours.encode(text)
        assert encoding.ids == ids, text[:200]
        assert encoding.offsets == offsets_of(theirs, ids, text), text[:200]
        assert ours.decode(ids) == text
    rng = random.Random(0)
    for _ in range(200):
        ids = [rng.randrange(len(table)) for _ in range(20)]
        assert ours.decode(ids) == theirs.decode(ids)


def test_tekken_json(tmp_path):
    table, pattern = ranks(), PATTERNS["o200k_base"]
    vocab = [{"rank": r, "token_bytes": base64.b64encode(t).decode(), "token_str": None}
             for t, r in table.items()]
    path = tmp_path / "tekken.json"
    path.write_text(json.dumps({
        "config": {"pattern": pattern, "num_vocab_tokens": len(table), "default_vocab_size": 800,
                   "default_num_special_tokens": 20, "version": "v3"},
        "vocab": vocab, "special_tokens": [
            {"rank": i, "token_str": s, "is_control": True}
            for i, s in enumerate(["<unk>", "<s>", "</s>", "[INST]", "[/INST]"])]}))
    ours = Tokenizer.from_file(str(path))
    kept = {t: r for t, r in table.items() if r < 780}
    theirs = tiktoken.Encoding("t", pat_str=pattern, mergeable_ranks=kept, special_tokens={})
    ours.encode_special_tokens = True
    for text in TEXTS:
        assert ours.encode(text, add_special_tokens=False).ids == [
            i + 20 for i in theirs.encode_ordinary(text)], text[:200]
    ours.encode_special_tokens = False
    assert ours.encode("[INST]a").ids[:2] == [1, 3]
    assert ours.decode(ours.encode("Grüße").ids) == "Grüße"


def word_piece():
    tokenizer = Theirs(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.train_from_iterator(training_text(), trainers.WordPieceTrainer(
        vocab_size=600, special_tokens=special, show_progress=False))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    return tokenizer


def test_vocab_txt(tmp_path):
    theirs = word_piece()
    theirs.model.save(str(tmp_path))
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer"}')
    for path in (tmp_path, tmp_path / "vocab.txt"):
        ours = Tokenizer.from_file(str(path))
        for text, pair in zip(TEXTS, TEXTS[1:], strict=False):
            a, b = ours.encode(text, pair), theirs.encode(text, pair)
            assert (a.ids, a.type_ids, a.offsets) == (b.ids, b.type_ids, b.offsets), text[:200]
            assert ours.decode(a.ids) == theirs.decode(a.ids)


def test_vocab_json_and_merges_txt(tmp_path):
    theirs = Theirs(models.BPE())
    theirs.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    theirs.decoder = decoders.ByteLevel()
    theirs.train_from_iterator(training_text(), trainers.BpeTrainer(
        vocab_size=900, special_tokens=["<|endoftext|>"], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    theirs.model.save(str(tmp_path))
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "GPT2Tokenizer"}')
    for path in (tmp_path, tmp_path / "vocab.json"):
        ours = Tokenizer.from_file(str(path))
        for text in [*TEXTS, "a<|endoftext|>b"]:
            a, b = ours.encode(text), theirs.encode(text)
            assert (a.ids, a.offsets) == (b.ids, b.offsets), text[:200]


BROKEN = {
    "empty.model": b"", "cut.model": b"\x0a\xff\x01ab", "no_pieces.model": b"\x12\x00",
    "long.model": b"\x0a" + b"\xff" * 9 + b"\x01", "tag.model": b"\x07\x07\x07",
    "type.model": b"\x0a\x04\x0a\x00\x18\x09", "no_unknown.model": b"\x0a\x03\x0a\x01a",
    "no.tiktoken": b"YQ== x\n", "huge.tiktoken": b"YQ== 99999999999\n", "b64.tiktoken": b"!!! 1\n",
    "few.tiktoken": b"YQ== 0\n", "tekken.json": b'{"config": {}, "vocab": []}', "e.txt": b"",
    "tekken2.json": b'{"config": {"pattern": "a", "default_vocab_size": 99999999999, '
                    b'"default_num_special_tokens": 2}, "vocab": []}',
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_file_is_an_error_that_names_it(name, tmp_path):
    path = tmp_path / name
    path.write_bytes(BROKEN[name])
    with pytest.raises(Error) as error:
        Tokenizer.from_file(str(path))
    assert str(path) in str(error.value)


def test_truncated_sentencepiece_models_are_errors_or_models(tmp_path):
    whole = spm(**SPM["unigram_symbols"])
    path = tmp_path / "m.model"
    for size in [*range(0, 400, 7), *range(400, len(whole), len(whole) // 60)]:
        path.write_bytes(whole[:size])
        try:
            Tokenizer.from_file(str(path)).encode("some text")
        except Error:
            pass
