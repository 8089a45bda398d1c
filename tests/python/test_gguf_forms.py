"""GGUF in all its forms (versions, byte orders, split files), and the files that came before it."""

import json
import struct

import gguf
import numpy as np
import pytest
from gguf import GGMLQuantizationType as Type

from test_formats import listing, read_tensors

RNG = np.random.default_rng(11)
TENSORS = {"a": RNG.normal(size=(3, 64)).astype(np.float32),
           "b": RNG.normal(size=(2, 32)).astype(np.float16),
           "c": RNG.integers(-9, 9, (5,), dtype=np.int32)}


def write_gguf(path, tensors=TENSORS, **options):
    writer = gguf.GGUFWriter(path, "llama", **options)
    writer.add_block_count(7)
    writer.add_float32("k.float", 0.25)
    writer.add_array("k.words", ["one", "", "three"])
    writer.add_array("k.numbers", [1, -2, 3])
    writer.add_array("k.floats", [0.5, -1.5])
    for name, value in tensors.items():
        if value.dtype == np.uint8:
            writer.add_tensor(name, value, raw_dtype=Type.Q8_0)
        else:
            writer.add_tensor(name, value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def check_contents(probe, path, tmp_path, tensors=TENSORS):
    metadata = listing(probe, path)["metadata"]
    assert metadata["llama.block_count"] == 7 and metadata["k.float"] == 0.25
    assert metadata["k.words"] == ["one", "", "three"]
    assert metadata["k.numbers"] == [1, -2, 3] and metadata["k.floats"] == [0.5, -1.5]
    got = read_tensors(probe, path, tmp_path)
    assert got == {name: value.tobytes() for name, value in tensors.items()}


def test_big_endian_files_are_turned_around(probe, tmp_path):
    write_gguf(tmp_path / "big.gguf", endianess=gguf.GGUFEndian.BIG)
    check_contents(probe, tmp_path / "big.gguf", tmp_path)
    assert listing(probe, tmp_path / "big.gguf")["format"] == "GGUF v3, big-endian"


def pack(order, form, *values):
    return struct.pack(order + form, *values)


def v1_file(order="<"):
    """By hand: version 1 has counts, lengths and sizes of 32 bits."""
    def text(s):
        return pack(order, "I", len(s)) + s.encode()

    data = b"GGUF" + pack(order, "III", 1, 1, 3)
    data += text("llama.block_count") + pack(order, "II", 4, 7)
    data += text("words") + pack(order, "III", 9, 8, 2) + text("one") + text("")
    data += text("numbers") + pack(order, "IIIhh", 9, 3, 2, 5, -6)
    data += text("w") + pack(order, "IIIIQ", 2, 4, 2, 0, 0)
    data += b"\0" * (-len(data) % 32)
    return data + np.arange(8, dtype=order + "f4").tobytes()


@pytest.mark.parametrize("order", "<>")
def test_version_1(probe, tmp_path, order):
    path = tmp_path / "v1.gguf"
    path.write_bytes(v1_file(order))
    got = listing(probe, path)
    assert got["metadata"] == {"llama.block_count": 7, "words": ["one", ""], "numbers": [5, -6]}
    assert got["tensors"][0]["shape"] == [2, 4]
    assert read_tensors(probe, path, tmp_path)["w"] == np.arange(8, dtype=np.float32).tobytes()


BLOCKS = {"q8_0": "<e32s", "q4_k": "<ee140s", "q6_k": "<208se", "iq2_xs": "<e32H8s"}


@pytest.mark.parametrize("dtype", BLOCKS)
def test_blocks_of_big_endian_files(probe, tmp_path, dtype):
    rng = np.random.default_rng(3)
    length, size = gguf.GGML_QUANT_SIZES[Type[dtype.upper()]]
    little = rng.integers(0, 60, (4, size), dtype=np.uint8)
    form = BLOCKS[dtype]
    big = b"".join(struct.pack(">" + form[1:], *struct.unpack(form, row.tobytes())) for row in little)
    name = b"w"
    data = b"GGUF" + struct.pack(">IQQ", 3, 1, 0) + struct.pack(">Q", 1) + name
    data += struct.pack(">IQIQ", 1, 4 * length, int(Type[dtype.upper()]), 0)
    data += b"\0" * (-len(data) % 32) + big
    path = tmp_path / "big.gguf"
    path.write_bytes(data + b"\0" * (-len(data) % 32))
    assert read_tensors(probe, path, tmp_path)["w"] == little.tobytes()


def split(tmp_path):
    write_gguf(tmp_path / "model.gguf", split_max_tensors=1)
    parts = sorted(tmp_path.glob("model-*.gguf"))
    assert len(parts) == 3
    return parts


def test_any_part_of_a_split_model_opens_all(probe, tmp_path):
    for part in split(tmp_path):
        check_contents(probe, part, tmp_path)


def test_parts_that_are_missing_or_swapped_are_named(probe, tmp_path):
    parts = split(tmp_path)

    def message(path):
        return probe("inspect", path, check=False).stderr.decode()

    second = parts[1].read_bytes()
    parts[1].unlink()
    assert "part 2 of 3 cannot be opened" in message(parts[0]) and parts[1].name in message(parts[0])
    parts[1].write_bytes(parts[2].read_bytes())
    assert 'metadata "split.no": it is not part 2 of 3' in message(parts[0])
    parts[1].write_bytes(second)
    lone = tmp_path / "lone.gguf"
    lone.write_bytes(second)
    assert "its name does not end in -00001-of-3.gguf" in message(lone)


GGML = {"ggml": (0x67676D6C, None), "ggmf v1": (0x67676D66, 1), "ggjt v1": (0x67676A74, 1),
        "ggjt v2": (0x67676A74, 2), "ggjt v3": (0x67676A74, 3)}
BLOCK_BYTES = {"ggjt v3": {2: 18, 6: 22}, "ggjt v2": {2: 20, 6: 22}}


def ggml_file(form, types=(0, 1)):
    magic, version = GGML[form]
    data = struct.pack("<I", magic) + (b"" if version is None else struct.pack("<I", version))
    data += struct.pack("<7i", 3, 64, 256, 4, 2, 16, 1)
    for token in (b"<s>", b"a", b"\xff"):
        data += struct.pack("<I", len(token)) + token
        data += b"" if form == "ggml" else struct.pack("<f", -1.5)
    for kind in types:
        size = {0: 4, 1: 2}.get(kind)
        count = 128 * size if size else 4 * BLOCK_BYTES.get(form, {}).get(kind, 20)
        data += struct.pack("<3i2i", 2, 2, kind, 64, 2) + f"w{kind}"[:2].encode()
        if form.startswith("ggjt"):
            data += b"\0" * (-len(data) % 32)
        data += bytes(i % 251 for i in range(count))
    return data


@pytest.mark.parametrize("form", GGML)
def test_files_before_gguf(probe, tmp_path, form):
    path = tmp_path / "model.bin"
    path.write_bytes(ggml_file(form))
    got = listing(probe, path)
    assert got["format"] == form and got["metadata"]["n_embd"] == 64
    assert [(t["name"], t["shape"], t["dtype"]) for t in got["tensors"]] == [
        ("w0", [2, 64], "f32"), ("w1", [2, 64], "f16")]


def test_old_blocks_are_listed_by_the_version_that_wrote_them(probe, tmp_path):
    path = tmp_path / "model.bin"
    for form, want in {"ggjt v2": ["q4_0 of ggjt v2", "q5_0"], "ggjt v3": ["q4_0", "q5_0"]}.items():
        path.write_bytes(ggml_file(form, (2, 6)))
        assert [t["dtype"] for t in listing(probe, path)["tensors"]] == want


def old_blocks(rng, form, name):
    """Random blocks as the version wrote them, and what they are as GGUF has them."""
    halves, wide = form == "ggjt v2", name in ("q4_0", "q4_1", "q8_0")
    scales = rng.normal(size=(4, {"q4_1": 2, "q5_1": 2}.get(name, 1))).astype(np.float32)
    kept = rng.integers(0, 256, (4, {"q8_0": 32, "q5_0": 4, "q5_1": 4}.get(name, 0)), np.uint8)
    nibbles = rng.integers(0, 16, (4, 0 if name == "q8_0" else 32), np.uint8)
    one, other = nibbles[:, ::2] | nibbles[:, 1::2] << 4, nibbles[:, :16] | nibbles[:, 16:] << 4
    narrow = scales.astype(np.float16).view(np.uint8)
    old = np.hstack([scales.view(np.uint8) if wide else narrow, kept, other if halves else one])
    return old.tobytes(), np.hstack([narrow, kept, other]).tobytes()


@pytest.mark.parametrize("form", ["ggmf v1", "ggjt v1", "ggjt v2"])
@pytest.mark.parametrize("name", ["q4_0", "q4_1", "q8_0", "q5_0", "q5_1"])
def test_old_blocks_become_those_of_today(probe, tmp_path, form, name):
    old, today = old_blocks(np.random.default_rng(5), form, name)
    data = ggml_file(form, ()) + struct.pack("<3i2i", 2, 1, int(Type[name.upper()]), 64, 2) + b"w"
    data += b"\0" * (-len(data) % 32 if form.startswith("ggjt") else 0)
    path = tmp_path / "model.bin"
    path.write_bytes(data + old)
    probe("tensors", path, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == today


def test_old_blocks_that_cannot_be_those_of_today_are_refused(probe, tmp_path):
    def message(form, block):
        data = ggml_file(form, ()) + struct.pack("<3i2i", 2, 1, 2, 32, 1) + b"w"
        data += b"\0" * (-len(data) % 32 if form.startswith("ggjt") else 0)
        (tmp_path / "model.bin").write_bytes(data + block)
        result = probe("tensors", tmp_path / "model.bin", tmp_path / "out", check=False)
        assert result.returncode != 0
        return result.stderr.decode()

    assert "q4_0 of ggml is not supported" in message("ggml", bytes(20))
    assert "too large for f16" in message("ggjt v2", struct.pack("<f", 1e6) + bytes(16))


def test_truncated_and_damaged_files_before_gguf(probe, tmp_path):
    whole = ggml_file("ggjt v1")
    paths = []
    for n in [*range(0, 130), len(whole) - 1]:
        paths.append(tmp_path / f"{n}.bin")
        paths[-1].write_bytes(whole[:n])
    for at in (8, 36, 40):  # n_vocab, the first token's length, and what follows
        for value in (0x7FFFFFFF, 0xFFFFFFFF):
            paths.append(tmp_path / f"{at}-{value}.bin")
            paths[-1].write_bytes(whole[:at] + struct.pack("<I", value) + whole[at + 4:])
    for path in paths:
        result = probe("inspect", path, check=False)
        if result.returncode == 0:
            assert json.loads(result.stdout)["tensors"] == [] or path.stat().st_size > 100
        else:
            assert str(path) in result.stderr.decode()
