"""Loading and saving: models, safetensors, NumPy's files, pickled objects."""

import json
import os
import pickle
import struct

from . import _C
from ._C import LanguageModel, Tensor

_SAFETENSORS_NAMES = {
    "float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16",
    "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2", "int64": "I64", "int32": "I32",
    "int16": "I16", "int8": "I8", "uint64": "U64", "uint32": "U32", "uint16": "U16",
    "uint8": "U8", "bool": "BOOL", "complex64": "C64",
}


def _suffix(path):
    return os.path.splitext(path)[1].lower()


def load(f):
    """A LanguageModel of a folder, a .gguf file or a name on the hub (tallow.hub.download); a dictionary of tensors of a .safetensors file;
    the tensor of a .npy file; else the object that save() wrote. Only load pickled files that you
    trust: unpickling runs code."""
    if hasattr(f, "read"):
        return pickle.load(f)
    path = os.fspath(f)
    kind = _suffix(path)
    if kind == ".safetensors":
        return _C._load_safetensors(path)
    if kind == ".npy":
        return _C._load_npy(path)
    if os.path.isdir(path) or kind == ".gguf" or not os.path.exists(path):
        return LanguageModel(path)
    with open(path, "rb") as file:
        return pickle.load(file)


def save(obj, f):
    """Writes a dictionary of tensors to a .safetensors file, a tensor to a .npy file, and anything
    else by pickling."""
    if hasattr(f, "write"):
        return pickle.dump(obj, f)
    path = os.fspath(f)
    kind = _suffix(path)
    if kind == ".safetensors":
        return save_safetensors(obj, path)
    if kind == ".npy":
        return _C._save_npy(path, obj.detach())
    with open(path, "wb") as file:
        pickle.dump(obj, file)


def save_safetensors(tensors, path, metadata=None):
    """Writes a dictionary of tensors. huggingface.co/docs/safetensors"""
    header, parts, offset = {}, [], 0
    if metadata:
        header["__metadata__"] = dict(metadata)
    # Wide elements first, so that all are aligned.
    order = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))
    for name in order:
        tensor = tensors[name]
        if not isinstance(tensor, Tensor):
            raise TypeError(f"save: {name} is a {type(tensor).__name__}, not a Tensor")
        kind = _SAFETENSORS_NAMES.get(tensor.dtype.name)
        if kind is None:
            raise _C.Error(f"save: safetensors has no {tensor.dtype} ({name})")
        end = offset + tensor.nbytes
        header[name] = {"dtype": kind, "shape": list(tensor.shape), "data_offsets": [offset, end]}
        parts.append(tensor)
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    partial = f"{path}.part"
    with open(partial, "wb") as file:
        file.write(struct.pack("<Q", len(text)))
        file.write(text)
        for tensor in parts:
            file.write(_C._to_bytes(tensor))
    os.replace(partial, path)
