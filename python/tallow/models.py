"""Language models: `tallow.load("folder").generate("Once upon a time")`."""

import json
import os
import queue
import threading

from . import _C, image
from ._data import as_tensor
from ._C import AddedToken, Encoding, LanguageModel, Tensor, Tokenizer

__all__ = ["AddedToken", "Encoding", "LanguageModel", "Tokenizer", "convert", "quantize_model"]


def _ids(model, prompt):
    if isinstance(prompt, str):
        return model.tokenizer.encode(prompt).ids
    if isinstance(prompt, Tensor):
        return prompt.tolist()
    return [int(i) for i in prompt]


def _answer(model, ids, stream, options):
    if isinstance(options.get("stop"), str):
        options["stop"] = [options["stop"]]
    if isinstance(options.get("logit_bias"), dict):
        options["logit_bias"] = list(options["logit_bias"].items())
    if stream:
        return _stream(model, ids, options)
    return model._generate(ids, options, None).text


def _stream(model, ids, options):
    """The answer's pieces as they come; leaving the loop stops the model."""
    pieces, stopped = queue.Queue(), threading.Event()

    def receive(text):
        if text:
            pieces.put(text)
        return not stopped.is_set()

    def run():
        try:
            model._generate(ids, options, receive)
            pieces.put(None)
        except BaseException as error:  # raised again where the pieces are read
            pieces.put(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        while (piece := pieces.get()) is not None:
            if isinstance(piece, BaseException):
                raise piece
            yield piece
    finally:
        stopped.set()
        thread.join()


def generate(self, prompt, *, max_new_tokens=None, stop=None, stream=False, **sampling):
    """The text that continues `prompt` (a text, or token ids). With `stream` an iterator of its
    pieces. `sampling`: temperature, top_k, top_p, min_p, typical_p, repetition_penalty,
    presence_penalty, frequency_penalty, logit_bias, seed; what is not given is as the model's
    makers advise. `stop`: texts that end the answer."""
    options = dict(sampling, max_new_tokens=max_new_tokens, stop=stop)
    return _answer(self, _ids(self, prompt), stream, options)


def chat(self, messages, *, max_new_tokens=None, stop=None, stream=False, **sampling):
    """The answer to messages, [{"role": "user", "content": "..."}, ...], or to one text."""
    if isinstance(messages, str):
        messages = [{"role": "user", "content": messages}]
    prompt = self._render_chat(json.dumps(messages), True)
    ids = self.tokenizer.encode(prompt, add_special_tokens=False).ids
    options = dict(sampling, max_new_tokens=max_new_tokens, stop=stop)
    return _answer(self, ids, stream, options)


def apply_chat_template(self, messages, add_generation_prompt=True):
    """The prompt that the model's template makes of messages."""
    return self._render_chat(json.dumps(messages), add_generation_prompt)


def logits(self, ids, last_only=False):
    """Logits [tokens, vocab] of a sequence of ids, or of several, one after the other; with
    `last_only` [sequences, vocab] of their last tokens."""
    if isinstance(ids, Tensor):
        ids = ids.tolist()
    many = len(ids) > 0 and isinstance(ids[0], (list, tuple, Tensor))
    rows = [list(r.tolist() if isinstance(r, Tensor) else r) for r in ids] if many else [list(ids)]
    return self._logits(rows, last_only)


def _pixels(given):
    return image.read(given) if isinstance(given, (str, os.PathLike)) else as_tensor(given)


def prepare_image(self, picture, tokens=None):
    """What the model's vision tower takes of an image (a path, or u8 [height, width, 3]) within
    `tokens` soft tokens, None for the model's own number: (patches f32 [patches, features],
    positions i32 [patches, 2])."""
    return self._prepare_image(_pixels(picture), tokens or 0)


def encode_image(self, picture, tokens=None):
    """The soft tokens f32 [soft tokens, hidden] that stand for an image (a path, or u8 [height,
    width, 3]) in a prompt."""
    return self._encode_image(_pixels(picture), tokens or 0)


_KEYWORDS = {"temperature", "top_k", "top_p", "min_p", "typical_p", "repetition_penalty",
             "presence_penalty", "frequency_penalty", "logit_bias", "seed"}


def _checked(method):
    def checked(self, prompt, **options):
        known = _KEYWORDS | {"max_new_tokens", "stop", "stream"}
        if unknown := set(options) - known:
            raise TypeError(f"{method.__name__}() got an unexpected keyword argument "
                            f"{sorted(unknown)[0]!r}; it takes {', '.join(sorted(known))}")
        return method(self, prompt, **options)

    checked.__name__, checked.__doc__ = method.__name__, method.__doc__
    return checked


LanguageModel.generate = _checked(generate)
LanguageModel.chat = _checked(chat)
LanguageModel.apply_chat_template = apply_chat_template
LanguageModel.logits = logits
LanguageModel.prepare_image = prepare_image
LanguageModel.encode_image = encode_image
LanguageModel.__call__ = logits
LanguageModel.__repr__ = lambda self: f"LanguageModel({self.path!r})"


def convert(source, target, *, dtype=None, max_shard_bytes=5_000_000_000):
    """Writes the model or the tensors of `source` as `target`, one tensor in memory at a time. What
    `target` becomes its name says: .gguf, .safetensors, .pth, .pt, .bin, .npz, or else a folder with
    config.json, tokenizer and safetensors. `dtype` is that of real numbers; None keeps what there
    is. Raises Error, and leaves what was at `target`, where that cannot be done."""
    _C._convert(os.fspath(source), os.fspath(target), dtype, max_shard_bytes)


def quantize_model(source, target, type, *, imatrix=None, pure=False, requantize=False):
    """Writes `source`, a model's folder or a GGUF file, as a GGUF file of one of llama.cpp's mixes:
    `type` is "q4_k_m", "iq3_xxs", "q8_0" and so on. `imatrix` is a file of importance."""
    _C._quantize_model(os.fspath(source), os.fspath(target), type,
                       os.fspath(imatrix) if imatrix else "", pure, requantize)
