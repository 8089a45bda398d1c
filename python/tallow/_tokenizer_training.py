"""Training of tokenizers: `Tokenizer.train(["book.txt"], "bpe", vocab_size=8000)`."""

import json
import os

from . import _C
from ._C import Tokenizer

_STAGES = ("normalizer", "pre_tokenizer", "post_processor", "decoder")
_USUAL = object()
_BATCH = 1 << 22  # characters that are counted at a time
_COMMON = "vocab_size special_tokens"
_WORDS = f"{_COMMON} min_frequency"
_PAIRS = f"{_WORDS} limit_alphabet initial_alphabet continuing_subword_prefix end_of_word_suffix"
_OPTIONS = {
    "BPE": f"{_PAIRS} max_token_length",
    "WordPiece": _PAIRS,
    "WordLevel": _WORDS,
    "Unigram": f"{_COMMON} initial_alphabet shrinking_factor unk_token max_piece_length "
               "n_sub_iterations",
}


def _stage(value):
    """A stage as a value of JSON: that, its text, or an object of the package `tokenizers`."""
    if hasattr(value, "__getstate__") and type(value).__module__.startswith("tokenizers"):
        value = value.__getstate__()
    return json.loads(value) if isinstance(value, (str, bytes)) else value


def _texts(iterator):
    for item in iterator:
        if isinstance(item, str):
            yield item
        else:
            yield from _texts(item)


def _batches(iterator):
    batch, size = [], 0
    for text in _texts(iterator):
        batch.append(text)
        size += len(text) + 64
        if size > _BATCH:
            yield batch
            batch, size = [], 0
    yield batch


def _trainer(untrained, progress, options):
    kind = untrained["model"]["type"]
    known = _OPTIONS.get(kind, "").split()
    if unknown := sorted(set(options) - set(known)):
        raise TypeError(f"training {kind} got an unexpected option {unknown[0]!r}; "
                        f"it takes {', '.join(known)}")
    given = {name: value for name, value in options.items() if value is not None}
    if "initial_alphabet" in given:
        given["initial_alphabet"] = list(given["initial_alphabet"])
    return _C._TokenizerTrainer(json.dumps(untrained), given, progress)


def _from_iterator(trainer, iterator):
    if isinstance(iterator, (str, bytes)):
        raise TypeError("an iterator of texts is expected, or of lists of texts; one text is [text]")
    for batch in _batches(iterator):
        trainer.add(batch)
    return trainer.train()


def _untrained(model, stages, model_options):
    untrained = json.loads(_C._untrained_tokenizer(model))
    for name, value in stages.items():
        if value is not _USUAL:
            untrained[name] = _stage(value)
    untrained["model"].update(model_options or {})
    return untrained


def train(files, model="bpe", *, normalizer=_USUAL, pre_tokenizer=_USUAL, post_processor=_USUAL,
          decoder=_USUAL, model_options=None, progress=None, **options):
    """A tokenizer with a vocabulary made of text files, line by line, as the trainers of the package
    `tokenizers` make it. `model` is "bpe", "wordpiece", "unigram" or "wordlevel". Stages are objects
    of that package or dicts as in tokenizer.json; None is none, and what is not given is what
    usually goes with the model. `model_options` are members of the model, such as
    {"byte_fallback": True}. `progress(stage, done, total)` is called now and then.

    `options` (None: the default): vocab_size, special_tokens; but for unigram min_frequency; for bpe
    and wordpiece limit_alphabet, initial_alphabet, continuing_subword_prefix, end_of_word_suffix;
    for bpe max_token_length; for unigram initial_alphabet, unk_token, shrinking_factor,
    max_piece_length, n_sub_iterations."""
    stages = dict(zip(_STAGES, (normalizer, pre_tokenizer, post_processor, decoder), strict=True))
    trainer = _trainer(_untrained(model, stages, model_options), progress, options)
    for file in [files] if isinstance(files, (str, os.PathLike)) else files:
        trainer.add_file(os.fspath(file))
    return trainer.train()


def train_from_iterator(iterator, model="bpe", *, normalizer=_USUAL, pre_tokenizer=_USUAL,
                        post_processor=_USUAL, decoder=_USUAL, model_options=None, progress=None,
                        **options):
    """The same from an iterator of texts, or of lists of texts."""
    stages = dict(zip(_STAGES, (normalizer, pre_tokenizer, post_processor, decoder), strict=True))
    trainer = _trainer(_untrained(model, stages, model_options), progress, options)
    return _from_iterator(trainer, iterator)


def _rename(part, names):
    """Renames the tokens of a post-processor. A template goes on calling them by their old names."""
    for step in part.get("processors", []):
        _rename(step, names)
    for side in {"cls", "sep"} & part.keys():
        part[side][0] = names.get(part[side][0], part[side][0])
    for entry in part.get("special_tokens", {}).values():
        entry["tokens"] = [names.get(token, token) for token in entry["tokens"]]


def train_new_from_iterator(self, iterator, vocab_size=None, new_special_tokens=(),
                            special_tokens_map=None, progress=None, **options):
    """A tokenizer like this one, its special tokens included, with a vocabulary made of an iterator
    of texts, or of lists of texts. `special_tokens_map` renames special tokens; `options` are those
    of `train`."""
    untrained = json.loads(_C._untrained_tokenizer(self))
    names = special_tokens_map or {}
    for token in untrained["added_tokens"]:
        token["content"] = names.get(token["content"], token["content"])
    unk = untrained["model"].get("unk_token")
    if unk in names:
        untrained["model"]["unk_token"] = names[unk]
    _rename(untrained["post_processor"] or {}, names)
    options.update(vocab_size=vocab_size, special_tokens=new_special_tokens or ())
    return _from_iterator(_trainer(untrained, progress, options), iterator)


Tokenizer.train = staticmethod(train)
Tokenizer.train_from_iterator = staticmethod(train_from_iterator)
Tokenizer.train_new_from_iterator = train_new_from_iterator
