"""Broken and hostile files: an error of one line, or a file that is read; never anything else.

Files come from the packages that own the formats; the safetensors package and NumPy also judge
each damaged file, and tallow must agree with them.
"""

import io
import json
import random
import resource
import struct

import gguf
import numpy as np
import pytest
import safetensors
from safetensors.numpy import save


def small_safetensors():
    return save({"model.embed.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
                 "b": np.arange(3, dtype=np.int16), "empty": np.zeros((0, 2), np.float32)},
                metadata={"format": "pt"})


def small_gguf(tmp_path):
    path = tmp_path / "small.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_uint32("llama.block_count", 1)
    writer.add_array("tokenizer.ggml.tokens", ["a", "bb", "ccc"])
    writer.add_array("tokenizer.ggml.scores", [0.0, 1.0, 2.0])
    writer.add_tensor("token_embd.weight", np.ones((3, 4), np.float32))
    writer.add_tensor("output_norm.weight", np.ones(4, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path.read_bytes()


def small_npy():
    out = io.BytesIO()
    np.save(out, np.arange(6, dtype=np.float32).reshape(2, 3))
    return out.getvalue()


SMALL = {"safetensors": lambda _: small_safetensors(), "gguf": small_gguf,
         "npy": lambda _: small_npy()}


def open_each(probe, tmp_path, kind, files):
    """What tallow says of each: "ok", or an error that must begin with the file's name."""
    folder = tmp_path / "damaged"
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{i}.{kind}" for i in range(len(files))]
    for path, data in zip(paths, files):
        path.write_bytes(data)
    result = probe("open_each", stdin="".join(f"{path}\n" for path in paths))
    assert result.stderr == b""
    answers = result.stdout.decode().splitlines()
    assert len(answers) == len(files)
    for path, answer in zip(paths, answers):
        assert answer == "ok" or answer.startswith(f"{path}: "), answer
    return answers


@pytest.mark.parametrize("kind", SMALL)
def test_every_prefix_is_an_error(probe, tmp_path, kind):
    data = SMALL[kind](tmp_path)
    answers = open_each(probe, tmp_path, kind, [data[:n] for n in range(len(data))])
    assert "ok" not in answers
    assert open_each(probe, tmp_path, kind, [data]) == ["ok"]


def damaged(data, count, seed):
    """Copies with a few bits, bytes, numbers or pieces changed."""
    rng = random.Random(seed)
    numbers = [0, 1, 2**31 - 1, 2**31, 2**32 - 1, 2**42 + 1, 2**62, 2**63 - 1, 2**63, 2**64 - 1]
    for _ in range(count):
        copy = bytearray(data)
        for _ in range(rng.choice([1, 1, 2, 4])):
            at = rng.randrange(len(copy))
            match rng.randrange(6):
                case 0 | 1:
                    copy[at] ^= 1 << rng.randrange(8)
                case 2:
                    copy[at] = rng.randrange(256)
                case 3:
                    copy[at:at + 8] = struct.pack("<Q", rng.choice(numbers))
                case 4:
                    del copy[at:at + rng.randrange(1, 9)]
                case 5:
                    other = rng.randrange(len(copy))
                    copy[at:at] = copy[other:other + rng.randrange(1, 17)]
            if not copy:
                copy = bytearray(data)
        yield bytes(copy)


@pytest.mark.parametrize("kind", SMALL)
def test_damaged_files_do_no_harm(probe, tmp_path, kind):
    data = SMALL[kind](tmp_path)
    open_each(probe, tmp_path, kind, list(damaged(data, 4000, seed=kind)))


def accepts_safetensors(data):
    try:
        safetensors.deserialize(data)
        return True
    except safetensors.SafetensorError:
        return False


def names_twice(data):
    """Whether an object of the header has a key twice: the package lets the last one win."""
    found = False

    def pairs(items):
        nonlocal found
        found |= len({key for key, _ in items}) < len(items)
        return dict(items)

    size = int.from_bytes(data[:8], "little")
    json.loads(data[8:8 + size], object_pairs_hook=pairs)
    return found


def test_damaged_safetensors_are_judged_as_by_the_package(probe, tmp_path):
    files = list(damaged(small_safetensors(), 4000, seed=5))
    answers = open_each(probe, tmp_path, "safetensors", files)
    disagreements = []
    for data, answer in zip(files, answers):
        theirs = accepts_safetensors(data)
        if theirs and answer != "ok" and not names_twice(data):
            disagreements.append((answer, data))
        # A type that nobody knows is listed, and refused when it is asked for.
        if not theirs and answer == "ok" and b"unknown variant" not in error_of_package(data):
            disagreements.append((error_of_package(data), data))
    assert disagreements == []


def error_of_package(data):
    try:
        safetensors.deserialize(data)
    except safetensors.SafetensorError as error:
        return str(error).encode()
    return b""


def test_damaged_npy_is_refused_wherever_numpy_refuses(probe, tmp_path):
    files = list(damaged(small_npy(), 4000, seed=6))
    for data, answer in zip(files, open_each(probe, tmp_path, "npy", files)):
        if answer == "ok":
            array = np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
            assert array.dtype.kind in "fiub", data


def test_greedy_files_get_no_memory(probe, tmp_path):
    """Files of a few bytes that claim to hold terabytes, under a limit of 512 MB."""
    claims = [b"GGUF" + struct.pack("<IQQ", 3, tensors, values) + bytes(40)
              for tensors in (0, 2**20, 2**40, 2**61, 2**64 - 1)
              for values in (2**20, 2**40, 2**63, 2**64 - 1)]
    claims += [b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 1) + b"k" + struct.pack("<IIQ", 9, t, n)
               for t in range(14) for n in (2**24, 2**32, 2**60, 2**61, 2**63, 2**64 - 1)]
    answers = limited(probe, tmp_path, "gguf", claims)
    assert "ok" not in answers
    headers = [struct.pack("<Q", n) + b"{}"
               for n in (3, 10**8, 10**8 + 1, 2**63, 2**64 - 8, 2**64 - 1)]
    assert "ok" not in limited(probe, tmp_path, "safetensors", headers)
    arrays = [b"\x93NUMPY\x02\x00" + struct.pack("<I", n) for n in (1, 2**31, 2**32 - 1)]
    assert "ok" not in limited(probe, tmp_path, "npy", arrays)


def limited(probe, tmp_path, kind, files):
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (512 << 20, hard))
    try:
        return open_each(probe, tmp_path, kind, files)
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def test_a_header_of_100_mb_or_without_end_is_an_error(probe, tmp_path):
    deep = b'{"a":{"more":' + b"[" * 2_000_000
    wide = b'{"a":{"more":[' + b"0," * 49_000_000
    lists = [struct.pack("<Q", len(text)) + text for text in (deep, wide)]
    answers = open_each(probe, tmp_path, "safetensors", lists)
    assert "nested deeper than" in answers[0]
    assert "ok" not in answers


def test_an_unknown_architecture_is_passed_on_by_its_name(probe, tmp_path):
    path = tmp_path / "w.gguf"
    writer = gguf.GGUFWriter(path, "martian")
    writer.add_tensor("token_embd.weight", np.ones((3, 4), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    opened = json.loads(probe("checkpoint", path).stdout)
    assert opened["architecture"] == "martian"
    assert opened["unused"] == ["token_embd.weight"]


@pytest.mark.parametrize("path", ["/nonexistent/x.gguf", "/", "/dev/null", "/dev/zero"])
def test_paths_that_cannot_be_opened(probe, path):
    for name in ("inspect", "checkpoint"):
        result = probe(name, path, check=False)
        assert result.returncode == 1 and result.stdout == b""
        assert result.stderr.startswith(f"{path}: ".encode())
        assert result.stderr.count(b"\n") == 1
