"""Image files that no common program writes: every depth, packing and header of PNG, BMP and GIF."""

import struct
import zlib

import numpy as np


def chunk(name, data=b""):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2),
         (0, 1, 1, 2)]


def packed(values, depth):
    """Rows of numbers as bytes, each row filled up to whole ones, the highest bits first."""
    if depth == 16:
        return values.astype(">u2").view(np.uint8).reshape(values.shape[0], -1)
    bits = np.unpackbits(values.astype(np.uint8)[..., None], axis=-1)[..., 8 - depth:]
    return np.packbits(bits.reshape(values.shape[0], -1), axis=-1)


def filtered(rows, step, random):
    """Each row with a filter of its own."""
    out, above = bytearray(), np.zeros(rows.shape[1], np.int32)
    for row in rows.astype(np.int32):
        left = np.concatenate([np.zeros(step, np.int32), row[:-step]])[:len(row)]
        corner = np.concatenate([np.zeros(step, np.int32), above[:-step]])[:len(row)]
        guess = left + above - corner
        distances = np.abs(np.stack([guess - left, guess - above, guess - corner]))
        paeth = np.stack([left, above, corner])[distances.argmin(0), np.arange(len(row))]
        kind = int(random.integers(5))
        predicted = [0, left, above, (left + above) // 2, paeth][kind]
        out += bytes([kind]) + ((row - predicted) % 256).astype(np.uint8).tobytes()
        above = row
    return bytes(out)


def png(height, width, colour, depth, interlaced=False, seed=0, extra=b"", colours=None):
    random = np.random.default_rng(seed)
    channels = CHANNELS[colour]
    most = 1 << depth
    pixels = random.integers(0, most, (height, width, channels))
    if colour == 0 and depth == 16:
        pixels %= 600  # Pillow clips those past 255
    if colours:
        pixels %= min(colours, most)
    step = max(1, channels * depth // 8)
    data = b""
    for x, y, dx, dy in ADAM7 if interlaced else [(0, 0, 1, 1)]:
        part = pixels[y::dy, x::dx]
        if part.size:
            data += filtered(packed(part.reshape(part.shape[0], -1), depth), step, random)
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, int(interlaced))
    out = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    if colour == 3:
        out += chunk(b"PLTE", random.bytes(3 * (colours or most)))
    out += extra
    compressed = zlib.compress(data)
    cut = len(compressed) // 2
    return out + chunk(b"IDAT", compressed[:cut]) + chunk(b"IDAT", compressed[cut:]) + chunk(b"IEND")


def bmp(height, width, bits, header=40, top_down=False, masks=None, compression=0, seed=0,
        data=None, colours=None):
    random = np.random.default_rng(seed)
    if data is None:
        data = random.bytes((width * bits + 31) // 32 * 4 * height)
    palette = b""
    if bits <= 8:
        count = colours or 1 << bits
        palette = random.bytes(count * (3 if header == 12 else 4))
    if masks:
        compression = 3
    if header == 12:
        info = struct.pack("<IHHHH", 12, width, height, 1, bits)
    else:
        info = struct.pack("<IiiHHIIiiII", header, width, -height if top_down else height, 1, bits,
                           compression, len(data), 2835, 2835, colours or 0, 0)
        fields = struct.pack(f"<{len(masks)}I", *masks) if masks else b""
        info = (info + fields).ljust(header, b"\0") if header > 40 else info + fields[:12]
    offset = 14 + len(info) + len(palette)
    return struct.pack("<2sIHHI", b"BM", offset + len(data), 0, 0, offset) + info + palette + data


def runs_of(numbers, nibbles, random):
    """Rows of numbers, the lowest first, as run lengths and as they are, by turns."""
    out = bytearray()
    for row in numbers[::-1]:
        x = 0
        while x < len(row):
            same = 1
            while x + same < len(row) and row[x + same] == row[x] and same < 255:
                same += 1
            literal = min(len(row) - x, int(random.integers(3, 9)))
            if same < 3 and literal >= 3:
                part = row[x:x + literal]
                if nibbles:
                    padded = np.pad(part, (0, len(part) % 2))
                    stored = (padded[::2] << 4 | padded[1::2]).astype(np.uint8).tobytes()
                else:
                    stored = part.astype(np.uint8).tobytes()
                out += bytes([0, literal]) + stored + b"\0" * (len(stored) % 2)
                x += literal
            else:
                value = int(row[x])
                out += bytes([same, value << 4 | value if nibbles else value])
                x += same
        out += b"\0\0"
    return bytes(out + b"\0\1")


def gif_codes(numbers, bits):
    """Codes that never grow: after each clear a few numbers as they are."""
    clear, width, out, held, count = 1 << bits, bits + 1, bytearray(), 0, 0

    def put(code):
        nonlocal held, count
        held |= code << count
        count += width
        while count >= 8:
            out.append(held & 255)
            held >>= 8
            count -= 8

    for i, number in enumerate(numbers):
        if i % max(1, (1 << bits) - 2) == 0:
            put(clear)
        put(int(number))
    put(clear + 1)
    out.append(held & 255)
    return b"".join(bytes([len(out[i:i + 255])]) + out[i:i + 255] for i in range(0, len(out), 255)) + b"\0"


def gif(canvas, frame, bits=4, interlaced=False, transparent=None, local=False, shared=True, seed=0):
    """canvas (width, height), frame (x, y, width, height)."""
    random = np.random.default_rng(seed)
    x, y, width, height = frame
    flags = 0x80 | (bits - 1) if shared else 0
    out = b"GIF89a" + struct.pack("<HHBBB", *canvas, flags, 3 if shared else 0, 0)
    if shared:
        out += random.bytes(3 << bits)
    out += b"!\xfe\x05hello\0"
    if transparent is not None:
        out += b"!\xf9\x04" + struct.pack("<BHB", 1, 0, transparent) + b"\0"
    out += b"," + struct.pack("<HHHHB", x, y, width, height,
                              (0x40 if interlaced else 0) | (0x80 | (bits - 1) if local else 0))
    if local:
        out += random.bytes(3 << bits)
    numbers = random.integers(0, 1 << bits, width * height)
    return out + bytes([max(2, bits)]) + gif_codes(numbers, max(2, bits)) + b";"


def gif_animation(canvas, frames, bits=4, background=3, seed=0):
    """frames: dicts of gif_frame's arguments."""
    random = np.random.default_rng(seed)
    out = b"GIF89a" + struct.pack("<HHBBB", *canvas, 0x80 | (bits - 1), background, 0)
    out += random.bytes(3 << bits)
    for frame in frames:
        out += gif_frame(random, bits=bits, **frame)
    return out + b";"


def gif_frame(random, place, bits, after=0, transparent=None, hundredths=10, local=False,
              interlaced=False):
    flags = after << 2 | (transparent is not None)
    out = b"!\xf9\x04" + struct.pack("<BHB", flags, hundredths, transparent or 0) + b"\0"
    out += b"," + struct.pack("<HHHHB", *place,
                              (0x40 if interlaced else 0) | (0x80 | (bits - 1) if local else 0))
    if local:
        out += random.bytes(3 << bits)
    numbers = random.integers(0, 1 << bits, place[2] * place[3])
    return out + bytes([max(2, bits)]) + gif_codes(numbers, max(2, bits))
