"""Language models: `tallow.load("folder").generate("Once upon a time")`."""

import json
import os
import queue
import threading

from . import _C, _tokenizer_training, image  # noqa: F401
from ._C import AddedToken, Encoding, Error, Generation, LanguageModel, Prompt, Tensor, Tokenizer
from ._data import as_tensor

__all__ = ["AddedToken", "Encoding", "LanguageModel", "Prompt", "Tokenizer", "convert",
           "quantize_model"]


def _prompt(model, prompt):
    if isinstance(prompt, Prompt):
        return prompt
    if isinstance(prompt, str):
        return Prompt(model.tokenizer.encode(prompt).ids)
    if isinstance(prompt, Tensor):
        prompt = prompt.tolist()
    return Prompt([int(i) for i in prompt])


def _request(add_generation_prompt=True, tools=None, image_tokens=0, **variables):
    return json.dumps(dict(add_generation_prompt=add_generation_prompt, tools=tools,
                           image_tokens=image_tokens, variables=variables or None))


def _answer(model, prompt, stream, options):
    if isinstance(options.get("stop"), str):
        options["stop"] = [options["stop"]]
    if isinstance(options.get("logit_bias"), dict):
        options["logit_bias"] = list(options["logit_bias"].items())
    if stream:
        return _stream(model, prompt, options)
    return model._generate(prompt, options, None)


def _stream(model, prompt, options):
    """The answer's pieces as they come; leaving the loop stops the model."""
    pieces, stopped = queue.Queue(), threading.Event()

    def receive(text):
        if text:
            pieces.put(text)
        return not stopped.is_set()

    def run():
        try:
            model._generate(prompt, options, receive)
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
    """The text that continues `prompt` (a text, token ids, or what `prompt()` returned). With `stream` an iterator of its
    pieces. `sampling`: temperature, top_k, top_p, min_p, typical_p, repetition_penalty,
    presence_penalty, frequency_penalty, logit_bias, seed; what is not given is as the model's
    makers advise. `stop`: texts that end the answer."""
    options = dict(sampling, max_new_tokens=max_new_tokens, stop=stop)
    answer = _answer(self, _prompt(self, prompt), stream, options)
    return answer if stream else answer.text


def respond(self, messages, *, tools=None, image_tokens=0, think=False, max_new_tokens=None,
            stop=None, **sampling):
    """As `chat`, but the whole `Generation`: its `text`, `thought`, `tool_calls` and figures."""
    asked = prompt(self, messages, tools=tools, image_tokens=image_tokens, think=think)
    return _answer(self, asked, None, dict(sampling, max_new_tokens=max_new_tokens, stop=stop,
                                           chat=True))


def chat(self, messages, *, tools=None, image_tokens=0, think=False, max_new_tokens=None, stop=None,
         stream=False, **sampling):
    """The answer to messages, [{"role": "user", "content": "..."}, ...], or to one text; `content`,
    `tools`, `image_tokens` and `think` are as in `prompt`, the rest as in `generate`."""
    asked = prompt(self, messages, tools=tools, image_tokens=image_tokens, think=think)
    options = dict(sampling, max_new_tokens=max_new_tokens, stop=stop, chat=True)
    answer = _answer(self, asked, stream, options)
    return answer if stream else answer.text


def prompt(self, messages, *, tools=None, image_tokens=0, think=False, add_generation_prompt=True):
    """What `generate` and `logits` take for messages. `content` may be a list of {"type": "text",
    "text": ...}, {"type": "image", "path": ...} and {"type": "audio", "path": ...}. `tools`: JSON
    schemas of functions. `image_tokens`: what an image may become at most; 0 is the model's own
    number. `think` lets the model think first, where it can."""
    if isinstance(messages, str):
        messages = [{"role": "user", "content": messages}]
    variables = {"enable_thinking": True} if think else {}
    return self._chat_prompt(json.dumps(messages), _request(add_generation_prompt, tools,
                                                            image_tokens, **variables))


def apply_chat_template(self, messages, add_generation_prompt=True, tools=None, **variables):
    """The text that the model's template makes of messages."""
    return self._render_chat(json.dumps(messages),
                             _request(add_generation_prompt, tools, **variables))


def logits(self, ids, last_only=False):
    """Logits [tokens, vocab] of a sequence of ids (or what `prompt()` returned), or of several, one
    after the other; with `last_only` [sequences, vocab] of their last tokens."""
    if isinstance(ids, Tensor):
        ids = ids.tolist()
    many = isinstance(ids, (list, tuple)) and len(ids) > 0 and \
        isinstance(ids[0], (list, tuple, Tensor, Prompt))
    return self._logits([_prompt(self, row) for row in (ids if many else [ids])], last_only)


def hidden_states(self, prompt):
    """What the layers make of a prompt, as transformers' `output_hidden_states`: a list of f32
    [tokens, hidden] tensors, the embeddings first (soft tokens of images and sounds among them), then
    the output of each layer, the last one's normed: what the head reads. Of Gemma 3n, all but the
    last are of its streams, [tokens, streams, hidden]."""
    return self._hidden_states(_prompt(self, prompt))[0]


def per_layer_inputs(self, prompt):
    """What each layer of a Gemma 3n or 4 is given of its own: f32 [tokens, layers, dim]."""
    inputs = self._hidden_states(_prompt(self, prompt))[1]
    if inputs is None:
        raise Error(f"{self.path}: the layers of this model have no inputs of their own")
    return inputs


def _pixels(given):
    return image.read(given) if isinstance(given, (str, os.PathLike)) else as_tensor(given)


def prepare_image(self, picture, tokens=None):
    """What the model's vision tower takes of an image (a path, or u8 [height, width, 3]) within
    `tokens` soft tokens, None for the model's own number: (patches f32 [patches, features],
    positions i32 [patches, 2])."""
    return self._prepare_image(_pixels(picture), tokens or 0)


def _encoded(self, picture, tokens, inside):
    prepared = isinstance(picture, tuple)
    return self._encode_image(*(picture if prepared else self.prepare_image(picture, tokens)), inside)


def encode_image(self, picture, tokens=None):
    """The soft tokens f32 [soft tokens, hidden] that stand for an image (a path, u8 [height, width,
    3], or what prepare_image made of it) in a prompt."""
    return _encoded(self, picture, tokens, False)


def image_hidden_states(self, picture, tokens=None):
    """What the vision tower makes of an image on its way to soft tokens: a list of f32 [patches,
    width], what its first layer takes, then the output of each layer."""
    return _encoded(self, picture, tokens, True)


def prepare_audio(self, samples):
    """What the model's audio tower takes, features [frames, mels], of samples f32 [count] at the
    rate that it was trained with, mostly 16 kHz (see `tallow.audio.resample`)."""
    return self._prepare_audio(as_tensor(samples))


def encode_audio(self, samples):
    """The soft tokens f32 [count, hidden] that stand in a prompt for samples f32 [count]."""
    return self._encode_audio(as_tensor(samples), False)


def audio_hidden_states(self, samples):
    """What the audio tower makes of samples f32 [count], as image_hidden_states: [frames, width]."""
    return self._encode_audio(as_tensor(samples), True)


_KEYWORDS = {"temperature", "top_k", "top_p", "min_p", "typical_p", "repetition_penalty",
             "presence_penalty", "frequency_penalty", "logit_bias", "seed"}


def _checked(method, *more):
    def checked(self, prompt, **options):
        known = _KEYWORDS | {"max_new_tokens", "stop", "stream", *more}
        if unknown := set(options) - known:
            raise TypeError(f"{method.__name__}() got an unexpected keyword argument "
                            f"{sorted(unknown)[0]!r}; it takes {', '.join(sorted(known))}")
        return method(self, prompt, **options)

    checked.__name__, checked.__doc__ = method.__name__, method.__doc__
    return checked


LanguageModel.generate = _checked(generate)
LanguageModel.chat = _checked(chat, "tools", "image_tokens", "think")
LanguageModel.respond = _checked(respond, "tools", "image_tokens", "think")
Generation.tool_calls = property(lambda g: json.loads(g._tool_calls),
                                 doc='[{"name": ..., "arguments": {...}}, ...]')
LanguageModel.prompt = prompt
LanguageModel.apply_chat_template = apply_chat_template
LanguageModel.logits = logits
for method in (hidden_states, per_layer_inputs, prepare_image, encode_image, image_hidden_states,
               prepare_audio, encode_audio, audio_hidden_states):
    setattr(LanguageModel, method.__name__, method)
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
