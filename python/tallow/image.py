"""Images: `tallow.image.read("cat.jpg")` is a tensor u8 [height, width, 3], as Pillow's
`ImageOps.exif_transpose(Image.open(path)).convert("RGB")`."""

import os

from . import _C
from ._C import Error
from ._data import as_tensor

__all__ = ["decode", "read", "read_frames", "resize"]


def read(path):
    """The pixels u8 [height, width, 3] of a PNG, JPEG, WebP, GIF or BMP file: the first frame, in
    RGB, turned as its EXIF orientation says. Raises Error for a damaged one."""
    return _C._read_image(os.fspath(path))


def decode(data):
    """The same of a file's bytes."""
    return _C._decode_image(bytes(data))


def read_frames(path, most=32, fps=None):
    """([pixels u8 [height, width, 3], ...], [seconds, ...]): the frames of an animated GIF or WebP
    file and when each is shown, or the images of a folder in the order of their names, 24 a second;
    of more than `most` as many, at even distances (None: all); or so many as `fps` a second are."""
    if fps is not None and not fps > 0:
        raise Error(f"read_frames: {fps} frames a second are too few")
    return _C._read_frames(os.fspath(path), most, fps or 0)


def resize(image, height, width, filter="bicubic"):
    """`image` u8 [height, width, channels] at another size, equal to Pillow's `Image.resize`.
    `filter`: nearest, box, bilinear, hamming, bicubic or lanczos."""
    return _C._resize_image(as_tensor(image), height, width, filter)
