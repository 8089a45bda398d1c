"""Loading and saving: models, and files of tensors in every format."""

import os
import pickle
import tempfile

from . import _C
from ._C import LanguageModel, Tensor, TensorFiles

_UNITS = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
          "KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}  # fmt: skip


def load_file(path):
    """The tensors of a file or folder by name: safetensors, GGUF, PyTorch's files, .npz, .npy,
    whatever the name; folders of shards, or their index.json. They lie over the mapped file."""
    return _C._load_file(os.fspath(path))


def open_file(path):
    """The same, opened: keys(), metadata(), and [name] for each tensor, without the others."""
    return TensorFiles(os.fspath(path))


def _bytes_of(size):
    """A number of bytes, or a text such as "5GB"."""
    if not isinstance(size, str):
        return int(size or 0)
    number = size.strip().upper().rstrip("KMGTIB")
    unit = size.strip().upper()[len(number):].strip()
    if unit and unit not in _UNITS:
        raise ValueError(f"save_file: max_shard_size {size!r} has no unit of {', '.join(_UNITS)}")
    return int(float(number) * _UNITS.get(unit, 1))


def save_file(tensors, path, metadata=None, *, max_shard_size=None, compressed=False):
    """Writes a dictionary of tensors as .safetensors, .gguf, .pth, .pt, .bin, .npz (`compressed` or
    not) or .npy, as the path ends, or as shards of at most `max_shard_size` ("5GB") into a folder.
    `metadata` is a dictionary of strings, which .safetensors and .gguf hold."""
    rows = [(str(key), str(value)) for key, value in (metadata or {}).items()]
    _C._save_file(dict(tensors), os.fspath(path), rows, _bytes_of(max_shard_size), compressed)


def _suffix(path):
    return os.path.splitext(path)[1].lower()


def _is_pytorch(path):
    """Whether a file is one of torch.save: a zip archive with a pickle in it, or a pickle."""
    with open(path, "rb") as file:
        start = file.read(4)
    return start[:1] == b"\x80" or (start == b"PK\3\4" and TensorFiles(path).format == "pytorch")


def load(f, *, weights_only=True, drafter=None, mmproj=None, cache_type=None):
    """A LanguageModel of a folder, a .gguf file or a name on the hub (tallow.hub.download); the tensor
    of a .npy file; what torch.save wrote, tensors in containers; else a dictionary of the tensors
    of a file. Nothing of a file is ever run, unless weights_only=False unpickles one that you
    trust. Of models: `drafter` names a smaller one that guesses ahead, `mmproj` the GGUF file of
    their towers where that is not mmproj-NAME.gguf beside them, `cache_type` what keys and values
    are kept in: "f32", "bf16", "f16", "q8_0" or "q4_0", None for the model's own choice."""
    if not weights_only:
        if hasattr(f, "read"):
            return pickle.load(f)
        with open(f, "rb") as file:
            return pickle.load(file)
    if hasattr(f, "read"):
        return _C._load_pytorch_bytes(f.read(), str(getattr(f, "name", "the stream")))
    path = os.fspath(f)
    if os.path.isdir(path) or _suffix(path) == ".gguf" or not os.path.exists(path):
        others = (None if p is None else os.fspath(p) for p in (drafter, mmproj))
        return LanguageModel(path, *others, cache_type)
    if _suffix(path) == ".npy":
        return _C._load_npy(path)
    return _C._load_pytorch(path) if _is_pytorch(path) else load_file(path)


def save(obj, f):
    """Writes a dictionary of tensors to a .safetensors, .gguf or .npz file, a tensor to a .npy
    file; else, as torch.save, tensors in containers of plain values, which torch.load reads."""
    if hasattr(f, "write"):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "archive.pt")
            _C._save_pytorch(obj, path)
            with open(path, "rb") as file:
                f.write(file.read())
        return
    path = os.fspath(f)
    kind = _suffix(path)
    if kind == ".npy" and isinstance(obj, Tensor):
        return save_file({"data": obj.detach()}, path)
    if kind in (".safetensors", ".gguf", ".npz", ".npy"):
        return save_file(obj, path)
    _C._save_pytorch(obj, path)
