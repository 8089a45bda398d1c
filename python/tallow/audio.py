"""Sounds: files and bytes to samples.

    samples, rate = tallow.audio.read("speech.flac")  # f32 [channels, frames], in [-1, 1]
"""

import os

from . import _C
from ._data import as_tensor

__all__ = ["decode", "read", "resample"]


def read(path):
    """The samples f32 [channels, frames] of a WAV, FLAC, MP3 or OGG (Vorbis, Opus) file, and the
    number of frames in a second. Raises Error for one that is damaged, empty or of another
    format."""
    return _C._read_audio(os.fspath(path))


def decode(data):
    """The same of bytes."""
    return _C._decode_audio(bytes(data), "audio")


def resample(samples, rate, new_rate):
    """samples f32 [..., frames] of `rate` frames per second as `new_rate` per second, by a windowed
    sinc: [..., ceil(frames * new_rate / rate)]."""
    return _C._resample_audio(as_tensor(samples), rate, new_rate)
