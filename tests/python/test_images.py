"""Images beside Pillow: every format, colour and packing to the pixel, orientation, and resizing.
The hostile ones are in test_hostile_images.py."""

import io
import struct

import numpy as np
import pytest
from image_files import bmp, chunk, gif, png, runs_of
from PIL import Image, ImageOps
from vision_models import picture

import tallow as package  # `tallow` is the command in the other tests

SIZES = [(37, 53), (64, 64), (1, 1), (7, 200)]


def pillow(data):
    image = Image.open(io.BytesIO(data))
    return np.array(ImageOps.exif_transpose(image).convert("RGB"))


def check(data):
    ours = package.image.decode(data)
    assert str(ours.dtype).endswith("uint8")
    np.testing.assert_array_equal(ours.numpy(), pillow(data))
    return ours


def saved(image, kind, **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def with_alpha(height, width):
    alpha = np.random.default_rng(1).integers(0, 256, (height, width, 1), dtype=np.uint8)
    return Image.fromarray(np.concatenate([picture(height, width), alpha], -1))


def of_mode(mode, height, width):
    if mode == "RGBA":
        return with_alpha(height, width)
    if mode == "LA":
        return with_alpha(height, width).convert("LA")
    if mode == "I;16":
        return Image.fromarray(np.random.default_rng(0).integers(
            0, 700, (height, width)).astype(np.uint16))
    return Image.fromarray(picture(height, width)).convert(mode)


@pytest.mark.parametrize("height,width", SIZES)
@pytest.mark.parametrize("mode", ["1", "L", "LA", "RGB", "RGBA", "P", "I;16"])
def test_png_of_every_mode(mode, height, width):
    check(saved(of_mode(mode, height, width), "PNG"))


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("colour,depth", [(0, 1), (0, 2), (0, 4), (0, 8), (0, 16), (2, 8), (2, 16),
                                          (3, 1), (3, 2), (3, 4), (3, 8), (4, 8), (4, 16), (6, 8),
                                          (6, 16)])
def test_png_of_every_depth_and_filter(colour, depth, interlaced):
    for seed, (height, width) in enumerate([(31, 45), (1, 1), (3, 5), (9, 1), (1, 17)]):
        check(png(height, width, colour, depth, interlaced, seed))


def test_png_with_few_colours_and_with_numbers_past_them():
    check(png(20, 30, 3, 8, colours=7))
    data = png(20, 30, 3, 4, colours=16)
    check(data.replace(data[data.index(b"PLTE") - 4:data.index(b"IDAT") - 4],
                       chunk(b"PLTE", bytes(range(1, 16)))))


@pytest.mark.parametrize("colour,clear", [(0, b"\0\5"), (2, b"\0\5\0\6\0\7"), (3, b"\0\x80\xff")])
def test_png_transparency_is_dropped(colour, clear):
    check(png(15, 22, colour, 8, extra=chunk(b"tRNS", clear)))


def test_png_profiles_and_gamma_change_nothing():
    extra = chunk(b"gAMA", struct.pack(">I", 100000)) + chunk(b"sRGB", b"\0")
    check(png(15, 22, 2, 8, extra=extra))


def test_png_animation_shows_its_first_image():
    frames = [Image.fromarray(picture(20, 30, seed)) for seed in range(3)]
    check(saved(frames[0], "PNG", save_all=True, append_images=frames[1:]))
    check(saved(frames[0], "PNG", save_all=True, append_images=frames[1:], default_image=True))


@pytest.mark.parametrize("height,width", SIZES)
@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("progressive", [False, True])
def test_jpeg(mode, height, width, progressive):
    image = of_mode(mode, height, width)
    for quality, subsampling in [(30, 2), (75, 1), (95, 0)]:
        check(saved(image, "JPEG", quality=quality, subsampling=subsampling,
                    progressive=progressive))


def without_adobe(data):
    at = data.index(b"\xff\xee")
    return data[:at] + data[at + 2 + struct.unpack(">H", data[at + 2:at + 4])[0]:]


def test_jpeg_of_other_colour_spaces():
    data = saved(of_mode("CMYK", 40, 50), "JPEG")
    check(without_adobe(data))
    at = data.index(b"Adobe")
    check(data[:at + 11] + b"\2" + data[at + 12:])  # YCCK
    rgb = saved(of_mode("RGB", 40, 50), "JPEG", keep_rgb=True, quality=90)
    check(rgb)


def test_jpeg_with_restarts_and_comments():
    image = of_mode("RGB", 70, 90)
    check(saved(image, "JPEG", restart_marker_blocks=2, comment=b"hello" * 50))
    check(saved(image, "JPEG", restart_marker_rows=1, optimize=True))


@pytest.mark.parametrize("height,width", SIZES)
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@pytest.mark.parametrize("lossless", [False, True])
def test_webp(mode, height, width, lossless):
    image = of_mode(mode, height, width)
    for quality in (20, 90):
        check(saved(image, "WEBP", quality=quality, lossless=lossless, exact=quality > 50))


def test_webp_animation_shows_its_first_frame():
    frames = [of_mode("RGBA", 40, 60)] + [Image.fromarray(picture(40, 60, s)) for s in range(2)]
    for lossless in (False, True):
        check(saved(frames[0], "WEBP", save_all=True, append_images=frames[1:], duration=50,
                    lossless=lossless))


@pytest.mark.parametrize("height,width", SIZES)
@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA"])
def test_gif(mode, height, width):
    check(saved(of_mode(mode, height, width), "GIF"))
    check(saved(of_mode(mode, height, width), "GIF", interlace=0))


@pytest.mark.parametrize("bits", [1, 2, 4, 7, 8])
@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("transparent", [None, 0, 1])
def test_gif_frames_on_a_canvas(bits, interlaced, transparent):
    for seed, frame in enumerate([(0, 0, 20, 15), (3, 4, 9, 7), (15, 10, 30, 2), (0, 0, 1, 1)]):
        for local, shared in [(False, True), (True, True), (True, False), (False, False)]:
            check(gif((20, 15), frame, bits, interlaced, transparent, local, shared, seed))


def test_gif_animation_shows_its_first_frame():
    frames = [Image.fromarray(picture(40, 60, s)).convert("P") for s in range(3)]
    check(saved(frames[0], "GIF", save_all=True, append_images=frames[1:]))


@pytest.mark.parametrize("height,width", SIZES)
@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA"])
def test_bmp(mode, height, width):
    check(saved(of_mode(mode, height, width), "BMP"))


@pytest.mark.parametrize("bits", [1, 4, 8, 16, 24, 32])
@pytest.mark.parametrize("header", [12, 40, 52, 56, 64, 108, 124])
def test_bmp_of_every_depth_and_header(bits, header):
    if header == 12 and bits in (16, 32):
        return
    for seed, (height, width) in enumerate([(11, 21), (1, 1), (5, 8)]):
        check(bmp(height, width, bits, header, seed=seed))
        if header != 12:
            check(bmp(height, width, bits, header, top_down=True, seed=seed))


@pytest.mark.parametrize("bits,masks", [
    (16, (0xF800, 0x7E0, 0x1F)), (16, (0x7C00, 0x3E0, 0x1F)), (24, (0xFF0000, 0xFF00, 0xFF)),
    (32, (0xFF0000, 0xFF00, 0xFF, 0)), (32, (0xFF000000, 0xFF0000, 0xFF00, 0)),
    (32, (0xFF000000, 0xFF00, 0xFF, 0)), (32, (0xFF, 0xFF00, 0xFF0000, 0xFF000000)),
    (32, (0xFF0000, 0xFF00, 0xFF, 0xFF000000)), (32, (0xFF000000, 0xFF0000, 0xFF00, 0xFF)),
    (32, (0xFF000000, 0xFF00, 0xFF, 0xFF0000)), (32, (0, 0, 0, 0)),
])
def test_bmp_masks(bits, masks):
    for header in (40, 56, 108, 124):
        if len(masks) == 4 and masks[3] and header == 40:
            continue
        check(bmp(9, 13, bits, header, masks=masks))


@pytest.mark.parametrize("bits,compression", [(8, 1), (4, 2)])
def test_bmp_runs(bits, compression):
    random = np.random.default_rng(0)
    for height, width in [(12, 31), (1, 1), (4, 300)]:
        numbers = random.integers(0, 4, (height, width)) * (random.random((height, width)) < 0.3)
        data = runs_of(numbers, bits == 4, random)
        check(bmp(height, width, bits, compression=compression, data=data))


def test_bmp_runs_that_skip_leave_the_first_colour():
    data = bytes([0, 2, 3, 1, 2, 1, 0, 0, 0, 1])  # to column 3 of row 1, two pixels, end
    image = package.image.decode(bmp(4, 6, 8, compression=1, data=data, colours=3)).numpy()
    palette = np.frombuffer(bmp(4, 6, 8, compression=1, data=data, colours=3)[54:66],
                            np.uint8).reshape(3, 4)[:, 2::-1]
    expected = np.broadcast_to(palette[0], (4, 6, 3)).copy()
    expected[2, 3:5] = palette[1]
    np.testing.assert_array_equal(image, expected)


def test_bmp_whose_offset_forgets_its_palette():
    data = bytearray(bmp(9, 13, 4))
    data[10:14] = struct.pack("<I", 54)
    check(bytes(data))


def exif(orientation, big_endian=False, type=3):
    order = ">" if big_endian else "<"
    value = struct.pack(order + ("I" if type == 4 else "HH"), *([orientation] + [0] * (type == 3)))
    entries = [struct.pack(order + "HHI", 0x010F, 2, 4) + b"abc\0",
               struct.pack(order + "HHI", 0x0112, type, 1) + value]
    return ((b"MM" if big_endian else b"II") + struct.pack(order + "HIH", 42, 8, len(entries)) +
            b"".join(entries) + bytes(4))


@pytest.mark.parametrize("orientation", range(0, 11))
@pytest.mark.parametrize("big_endian", [False, True])
def test_orientation(orientation, big_endian):
    note = exif(orientation, big_endian, 4 if orientation % 2 else 3)
    image = of_mode("RGB", 23, 31)
    check(saved(image, "JPEG", exif=b"Exif\0\0" + note))
    check(saved(image, "WEBP", exif=note))
    check(saved(image, "WEBP", exif=b"Exif\0\0" + note))
    check(png(23, 31, 2, 8, extra=chunk(b"eXIf", note)))


@pytest.mark.parametrize("style", ['="%d"', ">%d<"])
def test_orientation_in_xmp(style):
    xmp = b"<x:xmpmeta><rdf:Description tiff:Orientation" + (style % 6).encode() + b"/></x:xmpmeta>"
    image = of_mode("RGB", 23, 31)
    check(saved(image, "JPEG", xmp=xmp))
    check(saved(image, "JPEG", xmp=xmp, exif=b"Exif\0\0" + exif(3)))
    check(saved(image, "WEBP", xmp=xmp))
    text = b"XML:com.adobe.xmp\0\0\0\0\0" + xmp
    ours = check(png(23, 31, 2, 8, extra=chunk(b"iTXt", text)))
    assert list(ours.shape) == [31, 23, 3]


def test_read_takes_paths(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(saved(of_mode("RGB", 23, 31), "PNG"))  # names say nothing
    for given in (path, str(path)):
        np.testing.assert_array_equal(package.image.read(given).numpy(), picture(23, 31))


FILTERS = dict(nearest=0, lanczos=1, bilinear=2, bicubic=3, box=4, hamming=5)


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_resize(name, channels):
    random = np.random.default_rng(channels)
    modes = {1: "L", 2: "LA", 3: "RGB", 4: "RGBX"}
    for _ in range(40):
        height, width, to_height, to_width = random.integers(1, 90, 4)
        image = random.integers(0, 256, (height, width, channels), dtype=np.uint8)
        if random.random() < 0.3:
            to_height = height
        planes = [Image.fromarray(image[..., c]) for c in range(channels)]
        # Pillow weighs colours by alpha; plane by plane it does not.
        theirs = [np.array(p.resize((to_width, to_height), FILTERS[name])) for p in planes]
        ours = package.image.resize(image, to_height, to_width, name).numpy()
        np.testing.assert_array_equal(ours, np.stack(theirs, -1), modes[channels])


@pytest.mark.parametrize("name", FILTERS)
def test_resize_of_photographs(name):
    image = picture(1200, 1600)
    for height, width in [(768, 1024), (100, 100), (1300, 48), (1, 1)]:
        theirs = np.array(Image.fromarray(image).resize((width, height), FILTERS[name]))
        ours = package.image.resize(image, height, width, name)
        np.testing.assert_array_equal(ours.numpy(), theirs)


def test_resize_takes_views_and_refuses_the_rest():
    image = picture(40, 60)
    view = package.as_tensor(image)[::2, 5:40]
    theirs = np.array(Image.fromarray(image[::2, 5:40]).resize((13, 11), 3))
    np.testing.assert_array_equal(package.image.resize(view, 11, 13).numpy(), theirs)
    for arguments, words in [((image, 0, 5), "no size"), ((image, 5, 5, "cubic"), "known are"),
                             ((image[0], 5, 5), "it needs u8"),
                             ((image.astype(np.float32), 5, 5), "it needs u8"),
                             ((image[:0], 5, 5), "it needs u8"), ((image, 1 << 40, 5), "no size")]:
        with pytest.raises(package.Error, match=words):
            package.image.resize(*arguments)
