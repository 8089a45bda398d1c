"""tallow.Tokenizer beside Hugging Face's `tokenizers`: every field of an encoding and the decoded
text, for real files and for random tokenizers, one row for each part of a tokenizer.json."""

import json
import os
import random
from pathlib import Path

import pytest
from tallow.models import AddedToken, Tokenizer
from tokenizer_corpus import corpus, fuzz, hard_text, training_text
from tokenizers import AddedToken as TheirToken
from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers, processors, trainers
from tokenizers import Tokenizer as Theirs

ROOT = Path(__file__).resolve().parents[2]
REAL = Path(os.environ.get("TALLOW_TOKENIZERS") or ROOT / "build/tokenizers")
REAL_FILES = sorted(REAL.glob("*/tokenizer.json"))
FIELDS = ["ids", "tokens", "offsets", "type_ids", "special_tokens_mask", "attention_mask",
          "word_ids", "sequence_ids"]


def as_text(texts):
    return [t if isinstance(t, str) else t.decode(errors="replace") for t in texts]


TEXTS = as_text(corpus())
HARD = hard_text()
SHORT = [t for t in TEXTS if len(t) < 400]


def same(ours, theirs, what, overflowing=True):
    for field in FIELDS:
        assert getattr(ours, field) == getattr(theirs, field), (what, field)
    if overflowing:
        assert len(ours.overflowing) == len(theirs.overflowing), what
        for a, b in zip(ours.overflowing, theirs.overflowing, strict=True):
            same(a, b, what, overflowing=False)


def compare(ours, theirs, texts=SHORT, pairs=True, decode=True):
    for special in (True, False):
        got = ours.encode_batch(texts, add_special_tokens=special)
        for text, a, b in zip(texts, got, theirs.encode_batch(texts, add_special_tokens=special),
                              strict=True):
            same(a, b, (text[:200], special))
    if pairs:
        for text, pair in zip(texts, texts[1:], strict=False):
            same(ours.encode(text, pair), theirs.encode(text, pair), (text[:100], pair[:100]))
    if decode:
        ids = [e.ids for e in got if e.ids]
        for skip in (True, False):
            assert ours.decode_batch(ids, skip_special_tokens=skip) == theirs.decode_batch(
                ids, skip_special_tokens=skip)


def open_both(theirs):
    return Tokenizer.from_str(theirs.to_str()), theirs


@pytest.mark.parametrize("path", REAL_FILES or [None], ids=lambda p: p.parent.name if p else "none")
def test_real_tokenizer_equals_tokenizers(path):
    if path is None:
        pytest.skip(f"no tokenizer.json below {REAL}; run scripts/fetch-tokenizers.sh")
    ours, theirs = Tokenizer.from_file(str(path)), Theirs.from_file(str(path))
    compare(ours, theirs, SHORT + as_text(fuzz(path.parent.name, 200)))
    ours.no_truncation(), theirs.no_truncation(), ours.no_padding(), theirs.no_padding()
    parts = TEXTS + HARD
    encoded = list(zip(ours.encode_batch(parts), theirs.encode_batch(parts), strict=True))
    for text, (a, b) in zip(parts, encoded, strict=True):
        assert a.ids == b.ids, text[:200]
    for text, (a, b) in list(zip(parts, encoded, strict=True))[::4]:
        assert a.offsets == b.offsets and a.type_ids == b.type_ids, text[:200]
    ids = [a.ids for a, _ in encoded[::4]]
    assert ours.decode_batch(ids) == theirs.decode_batch(ids)


def words(n=400):
    seen = dict.fromkeys(w for t in training_text() for w in t.split())
    return list(seen)[:n]


def word_level(**parts):
    vocab = {w: i for i, w in enumerate(["[UNK]", "[CLS]", "[SEP]", *words()])}
    return build(models.WordLevel(vocab, unk_token="[UNK]"), **parts)


def characters(**parts):
    """A model whose tokens are characters, so that every offset shows."""
    chars = sorted({c for t in TEXTS for c in t})[::2]
    vocab = [("<unk>", 0.0), *((c, -float(i % 7)) for i, c in enumerate(chars))]
    return build(models.Unigram(vocab, unk_id=0, byte_fallback=False), **parts)


def trained(model, trainer, **parts):
    tokenizer = build(model, **parts)
    tokenizer.train_from_iterator(training_text(), trainer)
    return tokenizer


def word_piece(**parts):
    parts.setdefault("pre_tokenizer", pre_tokenizers.BertPreTokenizer())
    return trained(models.WordPiece(unk_token="[UNK]"), trainers.WordPieceTrainer(
        vocab_size=600, special_tokens=["[UNK]", "[CLS]", "[SEP]", "[PAD]"], show_progress=False),
        **parts)


def unigram(**parts):
    parts.setdefault("pre_tokenizer", pre_tokenizers.Metaspace())
    return trained(models.Unigram(), trainers.UnigramTrainer(
        vocab_size=1500, special_tokens=["<unk>", "<s>"], unk_token="<unk>", show_progress=False),
        **parts)


def bpe(model=None, **parts):
    special = ["[UNK]", "[CLS]", "[SEP]", *(f"<0x{b:02X}>" for b in range(256))]
    return trained(model or models.BPE(unk_token="[UNK]"), trainers.BpeTrainer(
        vocab_size=1200, special_tokens=special, show_progress=False), **parts)


def build(model, normalizer=None, pre_tokenizer=None, post_processor=None, decoder=None):
    tokenizer = Theirs(model)
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    if pre_tokenizer is not None:
        tokenizer.pre_tokenizer = pre_tokenizer
    if post_processor is not None:
        tokenizer.post_processor = post_processor
    if decoder is not None:
        tokenizer.decoder = decoder
    return tokenizer


NORMALIZERS = {
    "nfc": normalizers.NFC(), "nfd": normalizers.NFD(), "nfkc": normalizers.NFKC(),
    "nfkd": normalizers.NFKD(), "lowercase": normalizers.Lowercase(),
    "strip": normalizers.Strip(), "strip_left": normalizers.Strip(True, False),
    "strip_accents": normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents()]),
    "replace": normalizers.Replace("a", "xyz"), "replace_by_nothing": normalizers.Replace("e", ""),
    "replace_regex": normalizers.Replace(Regex(r"\s+"), " "),
    "replace_longer": normalizers.Replace(Regex(r"[aeiou]\w"), "<vowel>"),
    "prepend": normalizers.Prepend("▁▁"), "bert": normalizers.BertNormalizer(),
    "bert_cased": normalizers.BertNormalizer(lowercase=False, strip_accents=False),
    "bert_accents": normalizers.BertNormalizer(clean_text=False, strip_accents=True),
    "nmt": normalizers.Nmt(), "byte_level": normalizers.ByteLevel(),
    "all": normalizers.Sequence([
        normalizers.Strip(), normalizers.NFKD(), normalizers.StripAccents(),
        normalizers.Lowercase(), normalizers.Prepend("_"), normalizers.Replace(" ", "▁▁")]),
}


@pytest.mark.parametrize("name", NORMALIZERS)
def test_normalizer(name):
    compare(*open_both(characters(normalizer=NORMALIZERS[name])), SHORT + as_text(fuzz(name, 200)),
            decode=False)


PRE_TOKENIZERS = {
    "whitespace": pre_tokenizers.Whitespace(), "split": pre_tokenizers.WhitespaceSplit(),
    "bert": pre_tokenizers.BertPreTokenizer(), "byte_level": pre_tokenizers.ByteLevel(),
    "byte_level_plain": pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    "metaspace": pre_tokenizers.Metaspace(),
    "metaspace_first": pre_tokenizers.Metaspace(prepend_scheme="first", split=False),
    "digits": pre_tokenizers.Digits(), "digits_individual": pre_tokenizers.Digits(True),
    "punctuation": pre_tokenizers.Punctuation(), "delimiter": pre_tokenizers.CharDelimiterSplit("e"),
    "scripts": pre_tokenizers.UnicodeScripts(), "fixed": pre_tokenizers.FixedLength(3),
    **{f"split_{b}{i}": pre_tokenizers.Split(Regex(r"[aeiou\d]|\s"), b, bool(i))
       for b in ("removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous")
       for i in (0, 1)},
    "sequence": pre_tokenizers.Sequence([pre_tokenizers.Metaspace(), pre_tokenizers.Digits(True),
                                         pre_tokenizers.Punctuation("contiguous")]),
}


@pytest.mark.parametrize("name", PRE_TOKENIZERS)
def test_pre_tokenizer(name):
    # Scripts are those of Unicode 9 there: newer letters split otherwise.
    texts = TEXTS[:23] if name == "scripts" else SHORT + as_text(fuzz(name, 200))
    compare(*open_both(characters(pre_tokenizer=PRE_TOKENIZERS[name])), texts, decode=False)


TEMPLATE = processors.TemplateProcessing(
    single="[CLS] $A [SEP]", pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
    special_tokens=[("[CLS]", 1), ("[SEP]", 2)])
PROCESSORS = {
    "none": None, "template": TEMPLATE,
    "bert": processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1)),
    "roberta": processors.RobertaProcessing(("[SEP]", 2), ("[CLS]", 1)),
    "roberta_untrimmed": processors.RobertaProcessing(("[SEP]", 2), ("[CLS]", 1), False),
    "byte_level": processors.ByteLevel(), "byte_level_untrimmed": processors.ByteLevel(False),
    "sequence": processors.Sequence([processors.ByteLevel(), TEMPLATE]),
}
TRUNCATIONS = [
    {"max_length": 8}, {"max_length": 9, "stride": 2}, {"max_length": 10, "direction": "left"},
    {"max_length": 12, "stride": 3, "direction": "left"},
    {"max_length": 40, "strategy": "only_first"}, {"max_length": 60, "strategy": "only_second"},
]
PADDINGS = [{}, {"length": 30}, {"direction": "left", "pad_to_multiple_of": 7, "pad_type_id": 1}]


def outcome(f):
    try:
        return f()
    except BaseException:  # noqa: BLE001  a panic of Rust is no Exception
        return None


@pytest.mark.parametrize("name", PROCESSORS)
def test_post_processor_truncation_and_padding(name):
    theirs = bpe(pre_tokenizer=pre_tokenizers.ByteLevel(), post_processor=PROCESSORS[name])
    ours = Tokenizer.from_str(theirs.to_str())
    compare(ours, theirs)
    rng = random.Random(name)
    for options in [None, *TRUNCATIONS]:
        for padding in [None, *PADDINGS]:
            for t in (ours, theirs):
                t.enable_truncation(**options) if options else t.no_truncation()
                t.enable_padding(**padding) if padding is not None else t.no_padding()
            assert ours.truncation == theirs.truncation and ours.padding == theirs.padding
            for _ in range(25):
                text, pair = rng.choice(SHORT), rng.choice([None, rng.choice(SHORT)])
                a, b = (outcome(lambda t=t: t.encode(text, pair)) for t in (ours, theirs))
                assert (a is None) == (b is None), (text, pair, options, padding)
                # Overflow of pairs nests in `tokenizers`, and loses sequence ids without a template.
                if a is not None:
                    same(a, b, (text, pair, options, padding), overflowing=name != "none")
            batch = [rng.choice(SHORT[:20]) for _ in range(5)]
            a, b = (outcome(lambda t=t: t.encode_batch(batch)) for t in (ours, theirs))
            assert (a is None) == (b is None)
            for x, y in zip(a or [], b or [], strict=True):
                same(x, y, (batch, options, padding), overflowing=name != "none")


DECODERS = {
    "byte_level": decoders.ByteLevel(), "word_piece": decoders.WordPiece(),
    "word_piece_plain": decoders.WordPiece("##", False), "bpe": decoders.BPEDecoder("e"),
    "ctc": decoders.CTC("a", "e", True), "ctc_plain": decoders.CTC("a", "e", False),
    "metaspace": decoders.Metaspace(), "fuse": decoders.Fuse(),
    "byte_fallback": decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()]),
    "strip": decoders.Sequence([decoders.Fuse(), decoders.Strip(" ", 1, 0)]),
    "replace": decoders.Sequence([decoders.Replace(Regex("[aeiou]"), "_"),
                                  decoders.Replace("t", "T")]),
}


@pytest.mark.parametrize("name", DECODERS)
def test_decoder(name):
    theirs = word_piece(decoder=DECODERS[name])
    theirs.add_tokens(["<0x41>", "<0xC3>", "<0xA9>", " do not", "can ' t", " .", " n't"])
    ours = Tokenizer.from_str(theirs.to_str())
    rng = random.Random(name)
    ids = [[rng.randrange(theirs.get_vocab_size()) for _ in range(rng.randrange(1, 30))]
           for _ in range(300)]
    ids += [[i, i, j, j] for i, j in zip(range(250, 300), range(260, 310), strict=True)]
    for skip in (True, False):
        wanted = theirs.decode_batch(ids, skip_special_tokens=skip)
        assert ours.decode_batch(ids, skip_special_tokens=skip) == wanted
        for row, text in zip(ids, wanted, strict=True):
            stream = ours.decode_stream(skip_special_tokens=skip)
            assert "".join([stream.step(i) for i in row] + [stream.finish()]) == text


MODELS = {
    "word_level": lambda: word_level(pre_tokenizer=pre_tokenizers.Whitespace()),
    "word_piece": lambda: word_piece(normalizer=normalizers.BertNormalizer()),
    "unigram": unigram, "unigram_whole": lambda: unigram(pre_tokenizer=pre_tokenizers.Split(
        "\n", "isolated"), normalizer=normalizers.NFKC()),
    "bpe_byte_fallback": lambda: bpe(models.BPE(unk_token="[UNK]", byte_fallback=True)),
    "bpe_fused": lambda: bpe(models.BPE(unk_token="[UNK]", fuse_unk=True),
                             pre_tokenizer=pre_tokenizers.Metaspace()),
    "bpe_prefix": lambda: bpe(models.BPE(unk_token="[UNK]", continuing_subword_prefix="##"),
                              pre_tokenizer=pre_tokenizers.Whitespace()),
    "bpe_suffix": lambda: bpe(models.BPE(unk_token="[UNK]", end_of_word_suffix="</w>"),
                              pre_tokenizer=pre_tokenizers.WhitespaceSplit()),
    "bpe_ignore_merges": lambda: bpe(models.BPE(unk_token="[UNK]", ignore_merges=True),
                                     pre_tokenizer=pre_tokenizers.Whitespace()),
}


@pytest.mark.parametrize("name", MODELS)
def test_model(name):
    theirs = MODELS[name]()
    ours = Tokenizer.from_str(theirs.to_str())
    texts = SHORT + as_text(fuzz(name, 200))
    compare(ours, theirs, texts)
    assert ours.get_vocab() == theirs.get_vocab()
    # What is saved is the same tokenizer for both packages.
    saved = ours.to_str()
    again = Theirs.from_str(saved)
    assert [e.ids for e in again.encode_batch(texts)] == [e.ids for e in theirs.encode_batch(texts)]
    compare(Tokenizer.from_str(saved), theirs, texts, pairs=False)


def test_added_tokens_with_all_flags():
    theirs = word_piece(normalizer=normalizers.BertNormalizer(), decoder=decoders.WordPiece())
    ours = Tokenizer.from_str(theirs.to_str())
    rng = random.Random(0)
    contents = ["<a>", "the", "THE", "é", " x ", "ab", "abc", "word", "▁", "<|b|>", "n't", "🙂", "qu"]
    flags = ["single_word", "lstrip", "rstrip", "normalized", "special"]
    for content in contents:
        options = {f: rng.random() < 0.4 for f in flags}
        added = [t.add_tokens([kind(content, **options)])
                 for t, kind in ((ours, AddedToken), (theirs, TheirToken))]
        assert added[0] == added[1]
    texts = SHORT + ["".join(rng.choice(contents + [" ", "a", ".", "\n"]) for _ in range(20))
                     for _ in range(300)]
    for encode_special in (False, True):
        ours.encode_special_tokens = theirs.encode_special_tokens = encode_special
        compare(ours, theirs, texts, pairs=False)
    assert ours.get_vocab_size() == theirs.get_vocab_size()
    assert ours.get_vocab_size(False) == theirs.get_vocab_size(False)
    for content in contents:
        assert ours.token_to_id(content) == theirs.token_to_id(content)


def test_words_given_one_by_one():
    theirs = bpe(pre_tokenizer=pre_tokenizers.ByteLevel(), post_processor=TEMPLATE)
    ours = Tokenizer.from_str(theirs.to_str())
    for text, pair in zip(SHORT, SHORT[1:], strict=False):
        a, b = text.split(), pair.split()
        same(ours.encode(a, is_pretokenized=True), theirs.encode(a, is_pretokenized=True), text)
        same(ours.encode(a, b, is_pretokenized=True), theirs.encode(a, b, is_pretokenized=True), text)


def test_places_of_characters_words_and_tokens():
    theirs = bpe(pre_tokenizer=pre_tokenizers.ByteLevel(), post_processor=TEMPLATE)
    ours = Tokenizer.from_str(theirs.to_str())
    for text, pair in zip(SHORT[:24], SHORT[1:25], strict=False):
        a, b = ours.encode(text, pair), theirs.encode(text, pair)
        assert len(a) == len(b) and a.n_sequences == b.n_sequences
        for sequence in (0, 1):
            for at in range(len(text) + 1):
                assert a.char_to_token(at, sequence) == b.char_to_token(at, sequence)
                assert a.char_to_word(at, sequence) == b.char_to_word(at, sequence)
            for word in range(12):
                assert a.word_to_tokens(word, sequence) == b.word_to_tokens(word, sequence)
                assert a.word_to_chars(word, sequence) == b.word_to_chars(word, sequence)
        for token in range(len(a)):
            assert a.token_to_sequence(token) == b.token_to_sequence(token)
            assert a.token_to_chars(token) == b.token_to_chars(token)
            assert a.token_to_word(token) == b.token_to_word(token)


def test_dropout_skips_merges_at_random():
    theirs = bpe(pre_tokenizer=pre_tokenizers.Whitespace())
    state = json.loads(theirs.to_str())
    text = " ".join(words(60))
    counts = []
    for dropout in (None, 0.3, 1.0):
        state["model"]["dropout"] = dropout
        ours = Tokenizer.from_str(json.dumps(state))
        counts.append(len(ours.encode(text).ids))
    assert counts[0] < counts[1] < counts[2]
    whole = Theirs.from_str(json.dumps(state)).encode(text)
    assert ours.encode(text).ids == whole.ids  # with all merges dropped nothing is random
