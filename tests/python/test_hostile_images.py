"""Damaged and hostile images: an Error that names what is wrong, or the right pixels, and never
more memory than a file can justify."""

import pickle
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from image_files import bmp, chunk, gif, png, runs_of
from PIL import Image
from test_images import exif, of_mode, saved
from vision_models import picture

import tallow as package  # `tallow` is the command in the other tests


def samples():
    image = of_mode("RGB", 24, 33)
    numbers = np.random.default_rng(0).integers(0, 3, (12, 31))
    frames = [Image.fromarray(picture(24, 33, seed)) for seed in range(2)]
    return {
        "png": png(13, 17, 2, 8),
        "png-palette": png(13, 17, 3, 4, interlaced=True, extra=chunk(b"eXIf", exif(6))),
        "jpeg": saved(image, "JPEG", exif=b"Exif\0\0" + exif(6)),
        "jpeg-progressive": saved(image, "JPEG", progressive=True),
        "jpeg-cmyk": saved(image.convert("CMYK"), "JPEG", restart_marker_blocks=1),
        "webp": saved(image, "WEBP", exif=exif(6)),
        "webp-lossless": saved(of_mode("RGBA", 24, 33), "WEBP", lossless=True),
        "webp-animated": saved(frames[0], "WEBP", save_all=True, append_images=frames[1:]),
        "gif": saved(image, "GIF"),
        "gif-frame": gif((20, 15), (3, 4, 9, 7), 4, True, 1),
        "bmp": bmp(9, 13, 24),
        "bmp-palette": bmp(9, 13, 4),
        "bmp-masks": bmp(9, 13, 16, masks=(0xF800, 0x7E0, 0x1F)),
        "bmp-runs": bmp(12, 31, 8, compression=1, data=runs_of(numbers, False,
                                                               np.random.default_rng(0))),
    }


SAMPLES = samples()


def decoded(data):
    """The pixels, or None for an Error in one line."""
    try:
        return package.image.decode(data).numpy()
    except package.Error as error:
        assert str(error).startswith("image: ") and "\n" not in str(error)
        return None


@pytest.mark.parametrize("name", SAMPLES)
def test_a_truncated_image_is_refused_or_whole(name):
    data = SAMPLES[name]
    whole = decoded(data)
    assert whole is not None
    refused = 0
    for length in {*range(0, len(data), max(1, len(data) // 300)), *range(len(data) - 20, len(data))}:
        part = decoded(data[:length])
        refused += part is None
        if part is not None:
            np.testing.assert_array_equal(part, whole)
    assert refused > 20


@pytest.mark.parametrize("name", SAMPLES)
def test_a_damaged_image_is_refused_or_some_image(name):
    data, random = SAMPLES[name], np.random.default_rng(0)
    for _ in range(400):
        broken = bytearray(data)
        for _ in range(random.integers(1, 5)):
            broken[random.integers(len(broken))] = random.integers(256)
        pixels = decoded(bytes(broken))
        assert pixels is None or pixels.ndim == 3


def huge(width, height):
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    yield "png", (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) +
                  chunk(b"IDAT", zlib.compress(bytes(900_000))) + chunk(b"IEND"))
    data = bytearray(SAMPLES["jpeg"])
    at = data.index(b"\xff\xc0")
    data[at + 5:at + 9] = struct.pack(">HH", min(height, 65000), min(width, 65000))
    yield "jpeg", bytes(data)
    data = bytearray(SAMPLES["jpeg-progressive"])
    at = data.index(b"\xff\xc2")
    data[at + 5:at + 9] = struct.pack(">HH", min(height, 65000), min(width, 65000))
    yield "jpeg-progressive", bytes(data)
    canvas = (min(width, 65535), min(height, 65535))
    yield "gif", gif(canvas, (0, 0, 4, 4))
    data = bytearray(gif((4, 4), (0, 0, 4, 4)))
    at = data.index(b",\0\0\0\0")
    data[at + 5:at + 9] = struct.pack("<HH", *canvas)
    yield "gif-frame", bytes(data)
    for bits, compression in ((24, 0), (8, 1), (1, 0)):
        data = bytearray(bmp(4, 4, bits, compression=compression))
        data[18:26] = struct.pack("<ii", width, height)
        yield f"bmp{bits}", bytes(data)
    data = bytearray(SAMPLES["webp-animated"])
    at = data.index(b"VP8X") + 12
    data[at:at + 6] = struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]
    yield "webp", bytes(data)


@pytest.mark.parametrize("width,height", [(100_000, 100_000), (30_000, 5_000), (10_000, 10_000),
                                          (5, 10_000_000), (2**31 - 1, 2**31 - 1)])
def test_a_huge_image_in_a_small_file_is_refused(width, height):
    for name, data in huge(width, height):
        if name.startswith("webp") and max(width, height) > 1 << 24:
            continue
        if name.startswith(("jpeg", "gif")) and width == 5:  # a legal size, cut to 65,535
            continue
        assert decoded(data) is None, name


def test_small_files_take_little_memory():
    """In a process of its own that may not have more than a GB over what it starts with."""
    script = """
import pickle, resource, sys, tallow
tallow.set_num_threads(1)
files = pickle.load(sys.stdin.buffer)
tallow.image.decode(files[0][1])
used = int(open("/proc/self/statm").read().split()[0]) * 4096
resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 30),) * 2)
for name, data in files:
    try:
        tallow.image.decode(data)
    except tallow.Error:
        pass
"""
    files = [("first", SAMPLES["png"])]
    for size in [(100_000, 100_000), (13_000, 13_000), (4096, 4096)]:
        files += huge(*size)
    for colour, depth in ((0, 1), (2, 16)):
        header = struct.pack(">IIBBBBB", 13_000, 13_000, depth, colour, 0, 0, 0)
        files.append(("bomb", b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) +
                      chunk(b"IDAT", zlib.compress(bytes(1 << 20))) + chunk(b"IEND")))
    blank = Image.new("RGB", (4000, 4000))
    files += [(kind, saved(blank, kind, **options)) for kind, options in
              (("PNG", {}), ("WEBP", dict(lossless=True)), ("GIF", {}))]
    result = subprocess.run([sys.executable, "-c", script], input=pickle.dumps(files),
                            capture_output=True)
    assert result.returncode == 0, result.stderr.decode()


def test_a_large_image_of_one_colour_is_read():
    blank = Image.new("RGB", (4000, 4000), (1, 2, 3))
    for kind, options in (("PNG", {}), ("WEBP", dict(lossless=True)), ("GIF", {})):
        pixels = package.image.decode(saved(blank, kind, **options)).numpy()
        assert pixels.shape == (4000, 4000, 3) and (pixels == (1, 2, 3)).all()


def test_many_scans_are_refused():
    data = saved(of_mode("L", 16, 16), "JPEG", progressive=True)
    last = data[data.rindex(b"\xff\xda"):-2]
    assert decoded(data[:-2] + last * 5 + b"\xff\xd9") is not None
    assert decoded(data[:-2] + last * 500 + b"\xff\xd9") is None


@pytest.mark.parametrize("data,words", [
    (b"", "is empty"), (b"hello", "known are PNG, JPEG, WebP, GIF, BMP"), (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"), (b"GIF89a", "GIF"), (b"BM", "BMP"),
    (b"RIFF\0\0\0\0WEBP", "WebP"), (b"RIFF\0\0\0\0WAVE", "known are"),
    (png(0, 5, 2, 8), "size"), (bmp(0, 5, 24), "size"), (bmp(4, 4, 24)[:14] + b"\5\0\0\0", "header size"),
    (png(3, 3, 2, 8)[:16] + png(3, 3, 2, 8)[20:], "PNG"),
])
def test_errors_say_what_is_wrong(data, words):
    with pytest.raises(package.Error, match=words):
        package.image.decode(data)


def test_errors_name_the_file(tmp_path):
    path = tmp_path / "broken.png"
    path.write_bytes(SAMPLES["png"][:-30])
    with pytest.raises(package.Error, match="broken.png: PNG"):
        package.image.read(path)
    with pytest.raises(package.Error, match="nothing.png"):
        package.image.read(tmp_path / "nothing.png")
    with pytest.raises(package.Error):
        package.image.read(tmp_path)


def test_a_damaged_orientation_is_none():
    note = exif(6)
    for broken in (note[:5], note[:12], note[:-3], b"II*\0\xff\xff\xff\xff", b"", b"XX" + note[2:],
                   note[:8] + b"\xff\xff" + note[10:]):
        data = png(23, 31, 2, 8, extra=chunk(b"eXIf", broken))
        assert decoded(data).shape in ((23, 31, 3), (31, 23, 3))
