"""Training tokenizers beside the trainers of `tokenizers`: the same vocabulary, merges and ids where
that library's own result is the same in every run. It numbers characters with affixes in the order
of a hash table, unless they are special tokens already. Unigram's seeds and scores agree; which of
many nearly worthless pieces a pruning drops may differ."""

import argparse
import decimal
import inspect
import json
import pickle
import random
import string
import textwrap

import pytest
import tallow as tl
from tallow.models import AddedToken, Tokenizer
from tokenizer_corpus import corpus, training_text
from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers, processors, trainers
from tokenizers import AddedToken as TheirToken
from tokenizers import Tokenizer as Theirs

ALPHABET = pre_tokenizers.ByteLevel.alphabet()


def english():
    """The documentation of some modules of Python."""
    docs = [m.__doc__ or "" for module in (argparse, decimal, pickle, random, string, textwrap)
            for m in (module, *vars(module).values())]
    return [line + "\n" for doc in docs for line in doc.split("\n") if line.isascii()][:1500]


def code():
    return [line + "\n" for line in inspect.getsource(textwrap).split("\n")]


def chinese():
    rng = random.Random(7)
    words = "的 了 在 是 我 不 人 他 有 这 时候 大家 中国 学生 世界 发展 社会 经济 问题 因为 所以 什么".split()
    weights = [1 / (i + 2) for i in range(len(words))]
    return ["".join(rng.choices(words, weights, k=40)) + "。" for _ in range(60)]


def odd():
    texts = [t if isinstance(t, str) else t.decode(errors="replace") for t in corpus()]
    return [t for t in texts if len(t) < 2000][:400]


CORPORA = {"English": english(), "languages": training_text(), "code": code(), "Chinese": chinese(), "odd": odd(),
           "repeats": ["aaaa aaa aa a", "abababab abab", "aaaaaaaaaaaaaaaaab"] * 3}
TEXTS = [t for c in CORPORA.values() for t in c[:20]]


def model_of(tokenizer):
    return json.loads(tokenizer.to_str())["model"]


def train_both(texts, kind, model, trainer, options, **parts):
    theirs = Theirs(model)
    for name, part in parts.items():
        setattr(theirs, name, part)
    theirs.train_from_iterator(texts, trainer(show_progress=False, **options))
    parts = dict.fromkeys(("normalizer", "pre_tokenizer", "post_processor", "decoder")) | parts
    options.setdefault("initial_alphabet", [])
    if kind == "wordlevel":
        del options["initial_alphabet"]
    if kind == "unigram":
        options.setdefault("unk_token", "")
    ours = Tokenizer.train_from_iterator(texts, kind, **parts, **options)
    return ours, theirs


def same_ids(ours, theirs):
    for a, b in zip(ours.encode_batch(TEXTS), theirs.encode_batch(TEXTS), strict=True):
        assert a.ids == b.ids
        assert a.tokens == b.tokens
    assert ours.get_vocab() == theirs.get_vocab()
    reread = Theirs.from_str(ours.to_str())
    assert model_of(reread) == model_of(theirs)


PRE = {
    "byte-level": pre_tokenizers.ByteLevel(),
    "metaspace": pre_tokenizers.Metaspace(),
    "whitespace": pre_tokenizers.Whitespace(),
    "split and bytes": pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(r"\p{N}{1,3}|\p{L}+|[^\p{L}\p{N}]"), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]),
    "none": None,
}
BPE_OPTIONS = {
    "plain": {},
    "special": {"special_tokens": ["<s>", "</s>", "the", "<s>", "a"]},
    "frequent": {"min_frequency": 5},
    "alphabet": {"initial_alphabet": ["ß", "xyz", "中", "a"]},
    "bytes": {"initial_alphabet": ALPHABET},
    "short": {"max_token_length": 4},
    "shorter": {"max_token_length": 2},
    "small": {"vocab_size": 10},
    "zero": {"vocab_size": 0},
    "large": {"vocab_size": 3000},
}


@pytest.mark.parametrize("options", BPE_OPTIONS.values(), ids=BPE_OPTIONS)
@pytest.mark.parametrize("pre", PRE)
@pytest.mark.parametrize("texts", CORPORA)
def test_bpe_equals_tokenizers(texts, pre, options):
    options = {"vocab_size": 500} | options
    same_ids(*train_both(CORPORA[texts], "bpe", models.BPE(), trainers.BpeTrainer, dict(options),
                         pre_tokenizer=PRE[pre]))


@pytest.mark.parametrize("size", [30, 300, 2000])
@pytest.mark.parametrize("texts", CORPORA)
@pytest.mark.parametrize("kind", ["bpe", "wordpiece"])
def test_affixes_equal_where_their_ids_are_given(kind, texts, size):
    prefix, suffix = ("##", None) if kind == "wordpiece" else ("@@", "</w>")
    characters = sorted({c for t in CORPORA[texts] for c in t})
    forms = [p + c + s for c in characters for p in ("", prefix) for s in ("", suffix or "")]
    model, trainer = ((models.WordPiece(unk_token="[UNK]"), trainers.WordPieceTrainer)
                      if kind == "wordpiece" else (models.BPE(), trainers.BpeTrainer))
    options = {"vocab_size": size + len(forms), "special_tokens": ["[UNK]", *forms],
               "continuing_subword_prefix": prefix}
    if suffix:
        options["end_of_word_suffix"] = suffix
    ours, theirs = train_both(CORPORA[texts], kind, model, trainer, options,
                              pre_tokenizer=pre_tokenizers.BertPreTokenizer())
    assert model_of(ours)["vocab"] == model_of(theirs)["vocab"]
    assert model_of(ours).get("merges") == model_of(theirs).get("merges")


def test_word_piece_without_given_ids_has_the_same_alphabet():
    options = {"vocab_size": 200, "special_tokens": ["[UNK]"]}
    ours, theirs = train_both(CORPORA["English"], "wordpiece", models.WordPiece(unk_token="[UNK]"),
                              trainers.WordPieceTrainer, options,
                              pre_tokenizer=pre_tokenizers.BertPreTokenizer())
    alphabet = [{t for t in x.get_vocab() if len(t.removeprefix("##")) == 1} for x in (ours, theirs)]
    assert alphabet[0] == alphabet[1] and len(ours.get_vocab()) == len(theirs.get_vocab())
    assert ours.encode("qqq~~").tokens == theirs.encode("qqq~~").tokens
    assert Tokenizer.train_from_iterator(CORPORA["English"], "wordpiece").encode("").ids == []


def test_limit_of_the_alphabet_keeps_the_most_frequent():
    texts = ["".join(c * n for c, n in zip("abcdefgh", range(1, 9), strict=True))]
    for limit in (0, 1, 3, 8, 20):
        same_ids(*train_both(texts, "bpe", models.BPE(), trainers.BpeTrainer,
                             {"vocab_size": 20, "limit_alphabet": limit}))


@pytest.mark.parametrize("options", [
    {}, {"min_frequency": 3}, {"vocab_size": 7}, {"vocab_size": 0},
    {"special_tokens": ["[UNK]", "the", "[UNK]", "zzz"]}], ids=str)
@pytest.mark.parametrize("texts", CORPORA)
def test_word_level_equals_tokenizers(texts, options):
    ours, theirs = train_both(CORPORA[texts], "wordlevel", models.WordLevel(unk_token="[UNK]"),
                              trainers.WordLevelTrainer, dict(options),
                              pre_tokenizer=pre_tokenizers.Whitespace())
    assert ours.get_vocab() == theirs.get_vocab()
    assert model_of(ours)["vocab"] == model_of(theirs)["vocab"]


UNIGRAM_OPTIONS = {
    "plain": {},
    "unknown": {"unk_token": "<unk>", "special_tokens": ["<s>", "</s>"]},
    "unknown listed": {"unk_token": "<unk>", "special_tokens": ["<s>", "<unk>"]},
    "large": {"vocab_size": 50000},
    "short": {"max_piece_length": 3},
    "alphabet": {"initial_alphabet": ["ß", "é", "a"]},
    "one round": {"n_sub_iterations": 1},
    "no rounds": {"n_sub_iterations": 0},
    "fast": {"shrinking_factor": 0.3},
}


@pytest.mark.parametrize("options", UNIGRAM_OPTIONS.values(), ids=UNIGRAM_OPTIONS)
@pytest.mark.parametrize("texts", [t for t in CORPORA if t != "odd"])
def test_unigram_has_the_pieces_and_scores_of_tokenizers(texts, options):
    options = {"vocab_size": 900 if texts == "languages" else 350} | options
    ours, theirs = train_both(CORPORA[texts], "unigram", models.Unigram(), trainers.UnigramTrainer,
                              dict(options), pre_tokenizer=pre_tokenizers.Metaspace())
    a, b = model_of(ours), model_of(theirs)
    assert a["unk_id"] == b["unk_id"] and len(a["vocab"]) == len(b["vocab"])
    scores, others = dict(map(tuple, a["vocab"])), dict(map(tuple, b["vocab"]))
    special = len(options.get("special_tokens", [])) + bool(options.get("unk_token"))
    assert [t for t, _ in a["vocab"][:special]][:1] == [t for t, _ in b["vocab"][:special]][:1]
    assert scores.keys() == others.keys()
    # Characters that are no longer pieces get scores a ten thousandth apart in any order.
    assert all(abs(scores[t] - others[t]) < 0.01 for t in scores)
    ranks = [score for _, score in a["vocab"][special:]]
    assert ranks == sorted(ranks, reverse=True)


def test_results_do_not_depend_on_threads_or_order():
    before = tl.get_num_threads()
    for kind in ("bpe", "wordpiece", "unigram", "wordlevel"):
        texts, results = list(CORPORA["English"]), set()
        for threads in (1, 2, 3):
            tl.set_num_threads(threads)
            results.add(Tokenizer.train_from_iterator(texts, kind, vocab_size=300).to_str())
            random.Random(threads).shuffle(texts)
        tl.set_num_threads(before)
        assert len(results) == 1, kind


def test_files_are_read_by_lines_with_their_ends(tmp_path):
    text = "one two\r\nthree\n\n four five\rsix\nno end"
    (tmp_path / "a.txt").write_bytes(text.encode())
    (tmp_path / "empty.txt").write_bytes(b"")
    files = [str(tmp_path / "a.txt"), str(tmp_path / "empty.txt")]
    for kind, model, trainer in (("bpe", models.BPE(), trainers.BpeTrainer),
                                 ("wordlevel", models.WordLevel(), trainers.WordLevelTrainer)):
        theirs = Theirs(model)
        theirs.train(files, trainer(show_progress=False))
        ours = Tokenizer.train(files, kind, pre_tokenizer=None, normalizer=None)
        assert ours.get_vocab() == theirs.get_vocab()
    assert Tokenizer.train(tmp_path / "a.txt").encode("two").ids


def test_stages_are_those_that_usually_go_with_the_model():
    text = CORPORA["English"]
    for kind in ("bpe", "wordpiece", "unigram", "wordlevel"):
        special = {"wordpiece": ["[UNK]"], "wordlevel": ["[UNK]"]}.get(kind)
        t = Tokenizer.train_from_iterator(text, kind, vocab_size=500, special_tokens=special)
        theirs = Theirs.from_str(t.to_str())
        line = "The quick brown fox, 12 times."
        assert t.encode(line).ids == theirs.encode(line).ids != []
        assert t.decode(t.encode(line).ids) == theirs.decode(theirs.encode(line).ids)
    raw = Tokenizer.train_from_iterator(text, vocab_size=300)
    assert raw.decode(raw.encode("ÿ 中\x00").ids) == "ÿ 中\x00"


def test_stages_and_model_options_are_taken():
    t = Tokenizer.train_from_iterator(
        ["Hello there, hello"], "bpe", normalizer=normalizers.Lowercase(),
        pre_tokenizer='{"type": "Whitespace"}', decoder=decoders.BPEDecoder(),
        post_processor={"type": "BertProcessing", "sep": ["[SEP]", 0], "cls": ["[CLS]", 0]},
        model_options={"unk_token": "[UNK]", "fuse_unk": True},
        special_tokens=["[UNK]", AddedToken("[CLS]"), "[SEP]"])
    assert t.encode("Hello zz").tokens == ["[CLS]", "hello", "[UNK]", "[SEP]"]
    assert model_of(t)["fuse_unk"] is True
    assert [t.token(i) for i in range(3) if t.is_special(i)] == ["[UNK]", "[CLS]", "[SEP]"]


def template():
    return processors.TemplateProcessing(single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]",
                                         special_tokens=[("[CLS]", 1), ("[SEP]", 2)])


def test_training_anew_keeps_stages_and_special_tokens():
    from transformers import PreTrainedTokenizerFast
    for kind, model, trainer, pre in (
            ("bpe", models.BPE(), trainers.BpeTrainer, pre_tokenizers.ByteLevel()),
            ("unigram", models.Unigram(), trainers.UnigramTrainer, pre_tokenizers.Metaspace())):
        first = Theirs(model)
        first.pre_tokenizer = pre
        options = {"unk_token": "[UNK]"} if kind == "unigram" else {}
        first.train_from_iterator(CORPORA["English"], trainer(
            vocab_size=400, special_tokens=["[UNK]", "[CLS]", TheirToken("[SEP]", lstrip=True)],
            show_progress=False, **options))
        first.post_processor = template()
        first.add_tokens(["plain"])
        theirs = PreTrainedTokenizerFast(tokenizer_object=first)
        names = {"[CLS]": "<cls>"}
        want = theirs.train_new_from_iterator(CORPORA["code"], 600, new_special_tokens=["<new>"],
                                              special_tokens_map=names)
        got = Tokenizer.from_str(first.to_str()).train_new_from_iterator(
            CORPORA["code"], 600, new_special_tokens=["<new>"], special_tokens_map=names)
        line = "def plain(x): return <new>  [SEP]"
        assert got.encode(line).ids[:1] == [got.token_to_id("<cls>")]
        if kind == "bpe":
            assert got.get_vocab() == want.get_vocab()
            assert got.encode(line, "and").ids == want(line, "and")["input_ids"]
        else:
            assert len(got.get_vocab().keys() & want.get_vocab().keys()) > 540


def test_progress_is_told_and_stops_the_training():
    seen = []
    Tokenizer.train_from_iterator(CORPORA["English"], vocab_size=600,
                                  progress=lambda stage, done, total: seen.append(stage))
    assert "joining pairs" in seen

    def stop(stage, done, total):
        raise RuntimeError("enough")

    for kind in ("bpe", "unigram"):
        with pytest.raises(RuntimeError, match="enough"):
            Tokenizer.train_from_iterator(CORPORA["English"], kind, progress=stop)


@pytest.mark.parametrize("kind", ["bpe", "wordpiece", "unigram", "wordlevel"])
@pytest.mark.parametrize("texts", [[], [""], [" "], ["\0"], ["a"], ["a\0b", "\0\0"], ["\ud7ff￿"]],
                         ids=repr)
def test_nearly_empty_texts_make_a_tokenizer(kind, texts):
    for stages in ({}, {"pre_tokenizer": None, "normalizer": None}):
        for size in (0, 1, 5, 600):
            try:
                t = Tokenizer.train_from_iterator(texts, kind, vocab_size=size, **stages)
            except tl.Error as error:
                assert "vocab_size" in str(error)
                continue
            assert Theirs.from_str(t.to_str()).get_vocab() == t.get_vocab()


@pytest.mark.parametrize(("kind", "options", "message"), [
    ("bpe", {"vocab_size": -1}, "vocab_size is -1"),
    ("bpe", {"vocab_size": 1 << 40}, "vocab_size is"),
    ("bpe", {"special_tokens": [""]}, "a special token is empty"),
    ("bpe", {"min_frequency": -3}, "min_frequency is -3"),
    ("unigram", {"shrinking_factor": 1.0}, "shrinking_factor is 1"),
    ("unigram", {"shrinking_factor": float("nan")}, "shrinking_factor"),
    ("unigram", {"max_piece_length": 0}, "max_piece_length is 0"),
    ("unigram", {"n_sub_iterations": -1}, "n_sub_iterations is -1"),
    ("unigram", {"vocab_size": 3}, "cannot hold the"),
    ("unigram", {"special_tokens": list("ABCDEFGHI"), "vocab_size": 8}, "vocab_size 8"),
    ("nonsense", {}, "nonsense is not known; bpe, wordpiece, unigram and wordlevel are"),
])
def test_bad_options_are_named(kind, options, message):
    with pytest.raises(tl.Error, match=message):
        Tokenizer.train_from_iterator(["the cat sat"], kind, **options)


def test_wrong_arguments_are_named(tmp_path):
    with pytest.raises(TypeError, match="unexpected option 'shrinking_factor'"):
        Tokenizer.train_from_iterator(["a"], "bpe", shrinking_factor=0.5)
    with pytest.raises(TypeError, match="one text is"):
        Tokenizer.train_from_iterator("one text")
    with pytest.raises(TypeError, match="vocab_size has a wrong type"):
        Tokenizer.train_from_iterator(["a"], vocab_size="many")
    with pytest.raises(tl.Error, match="missing.txt: cannot open"):
        Tokenizer.train([str(tmp_path / "missing.txt")])
    with pytest.raises(tl.Error, match="post_processor names .SEP., which is no token"):
        Tokenizer.train_from_iterator(["a"], post_processor=template(), special_tokens=["[CLS]"])
    with pytest.raises(tl.Error, match="pre_tokenizer: the type Nonsense"):
        Tokenizer.train_from_iterator(["a"], pre_tokenizer={"type": "Nonsense"})


def test_invalid_utf8_is_named_with_its_offset(tmp_path):
    path = tmp_path / "bad.txt"
    path.write_bytes(b"good line\n" * 3 + b"bad \xff line\n")
    with pytest.raises(tl.Error, match=r"bad\.txt: offset 34: is not UTF-8"):
        Tokenizer.train([path])
    with pytest.raises(Exception, match="UTF-8"):
        Theirs(models.BPE()).train([str(path)], trainers.BpeTrainer(show_progress=False))


def test_long_words_and_long_lines_are_trained_on():
    rng = random.Random(3)
    line = "".join(rng.choices("ab c", k=200_000))
    for kind in ("bpe", "unigram"):
        t = Tokenizer.train_from_iterator([line, "a" * 50_000], kind, pre_tokenizer=None,
                                          vocab_size=300, initial_alphabet=[])
        assert t.decode(t.encode("abab").ids).replace("▁", " ").split()


def test_command_trains_like_the_package(tallow, tmp_path):
    text, out = tmp_path / "text.txt", tmp_path / "out.json"
    text.write_text("".join(CORPORA["English"]))
    for kind in ("bpe", "wordpiece", "unigram", "wordlevel"):
        tallow("tokenizer", "train", str(text), "-o", str(out), "--type", kind, "--vocab-size", "400",
               "--special", "[UNK]", "--special", "<end>")
        want = Tokenizer.train(text, kind, vocab_size=400, special_tokens=["[UNK]", "<end>"])
        assert out.read_text() == want.to_str()
    ids = json.loads(tallow("tokenize", str(out), stdin=b"the zzzq").stdout)
    assert ids == want.encode("the zzzq").ids
    tallow("tokenizer", "train", str(text), "-o", str(out), "--like", str(out), "--vocab-size", "90")
    assert Tokenizer.from_file(str(out)).get_vocab_size() == 90


def test_command_names_what_is_wrong(tallow, tmp_path):
    out, bad = str(tmp_path / "out.json"), tmp_path / "bad.txt"
    bad.write_bytes(b"\xff")
    for args, message in ((["missing.txt"], "missing.txt: cannot open"),
                          ([str(bad)], "bad.txt: offset 0: is not UTF-8"),
                          ([__file__, "--type", "unigram", "--vocab-size", "3"], "cannot hold"),
                          ([__file__, "--like", "missing.json"], "missing.json"),
                          ([__file__, "--stages", str(bad)], "bad.txt")):
        result = tallow("tokenizer", "train", *args, "-o", out, check=False)
        assert result.returncode == 1 and message in result.stderr.decode(), result.stderr
        assert not (tmp_path / "out.json").exists()
    for args in (["train", "x"], ["train", "x", "-o", out, "--type", "lstm"], []):
        assert tallow("tokenizer", *args, check=False).returncode == 2
