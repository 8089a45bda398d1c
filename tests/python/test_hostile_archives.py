"""Broken and hostile files of PyTorch and archives of NumPy: one typed error each, that names the
file, the field, the offset and the reason, and no memory or time that the file does not pay for.
"""

import io
import os
import pickle
import resource
import struct
import subprocess
import sys
import zipfile
import zlib

import numpy as np
import pytest
import torch

import tallow as package  # `tallow` is the command in the other tests
from test_hostile_files import damaged, open_each

GLOBAL_TENSOR = b"ctorch._utils\n_rebuild_tensor_v2\n"
ORDERED = b"ccollections\nOrderedDict\n)R"


def unicode(text):
    data = text.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def integer(value):
    return b"J" + struct.pack("<i", value) if abs(value) < 2**31 else pickle.dumps(value, 2)[2:-1]


def storage(numel=6, key="0", kind=b"FloatStorage"):
    return (b"(" + unicode("storage") + b"ctorch\n" + kind + b"\n" + unicode(key) + unicode("cpu")
            + integer(numel) + b"tQ")


def numbers(values):
    return b"(" + b"".join(map(integer, values)) + b"t"


def tensor(shape=(2, 3), strides=(3, 1), offset=0, numel=6, key="0", arguments=None):
    inside = arguments or (storage(numel, key) + integer(offset) + numbers(shape)
                           + numbers(strides) + b"\x89" + ORDERED)
    return GLOBAL_TENSOR + b"(" + inside + b"tR"


def state(*values):
    """A pickled dict whose values are the given pickled ones."""
    items = b"".join(unicode(f"k{i}") + value for i, value in enumerate(values))
    return b"\x80\x02}(" + items + b"u."


def archive(pickled, records=(("0", b"\0" * 24),), folder="archive/"):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr(folder + "data.pkl", pickled)
        for key, data in records:
            file.writestr(f"{folder}data/{key}", data)
    return out.getvalue()


def stream(pickled, keys=b"]" + unicode("0") + b"a.", data=struct.pack("<q", 6) + b"\0" * 24):
    head = b"\x80\x02\x8a\nl\xfc\x9c\x46\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}."
    return head + pickled + b"\x80\x02" + keys + data


def error_of(tmp_path, data, name="x.pt"):
    """The message, which must be one line of the form `file: field: offset N: reason`."""
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(package.Error) as caught:
        package.load_file(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and "\n" not in message
    return message


def test_the_sound_ones_are_read(tmp_path):
    for data in (archive(state(tensor())), stream(state(tensor())),
                 archive(state(tensor()), folder="")):
        (tmp_path / "x").write_bytes(data)
        assert package.load_file(tmp_path / "x")["k0"].shape == (2, 3)


REFUSED = {
    "posix.system": b"cposix\nsystem\n" + unicode("true") + b"\x85R",
    "__builtin__.eval": b"c__builtin__\neval\n" + unicode("1") + b"\x85R",
    "builtins.getattr": b"cbuiltins\ngetattr\n",
    "nt.system": b"cnt\nsystem\n",
    "torch.hub.load": unicode("torch.hub") + unicode("load") + b"\x93",
    "numpy.core.multiarray._reconstruct": b"cnumpy.core.multiarray\n_reconstruct\n",
    "torch.nn.modules.linear.Linear": b"ctorch.nn.modules.linear\nLinear\n",
    "torch._utils._rebuild_qtensor": b"ctorch._utils\n_rebuild_qtensor\n",
    "torch._utils._rebuild_sparse_tensor": b"ctorch._utils\n_rebuild_sparse_tensor\n",
    "torch.QInt8Storage": b"ctorch\nQInt8Storage\n",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_data_is_refused_by_its_name(tmp_path, name):
    for form in (archive, stream):
        message = error_of(tmp_path, form(state(REFUSED[name])))
        assert f'"{name}" is refused: ' in message and ": offset " in message


def test_nothing_of_a_pickle_is_run(tmp_path):
    class Harm:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "harm"),)

    torch.save({"a": Harm()}, tmp_path / "x.pt")
    with pytest.raises(package.Error, match='"posix.mkdir" is refused'):
        package.load(tmp_path / "x.pt")
    assert not (tmp_path / "harm").exists()


def test_kinds_of_tensors_that_are_not_read_are_named(tmp_path):
    for value, reason in [(torch.eye(3).to_sparse(), "sparse tensors are not supported"),
                          (torch.eye(3).to_sparse_csr(), "sparse tensors are not supported"),
                          (torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8),
                           "PyTorch's quantized tensors are not supported")]:
        torch.save({"a": value}, tmp_path / "x.pt")
        with pytest.raises(package.Error, match=reason):
            package.load_file(tmp_path / "x.pt")


LARGE = 2**62
PICKLES = {
    "beyond its storage": (state(tensor((2, 4), (4, 1))), "leads out of its storage of 6"),
    "offset beyond": (state(tensor(offset=1)), "leads out of its storage of 6"),
    "offset far beyond": (state(tensor(offset=LARGE)), "begins at element 4611686018427387904 of 6"),
    "negative offset": (state(tensor(offset=-1)), "without a storage and offset"),
    "negative size": (state(tensor((-1, 3))), "not of integers of 0 or more"),
    "negative stride": (state(tensor(strides=(-3, 1))), "not of integers of 0 or more"),
    "size that overflows": (state(tensor((LARGE, LARGE), (LARGE, LARGE))), "leads out of its storage"),
    "expanded past 64 bits": (state(tensor((2**40, 2**40), (0, 0))), "leads out of its storage"),
    "large stride": (state(tensor((2, 3), (LARGE, 1))), "leads out of its storage"),
    "too many dimensions": (state(tensor((1,) * 13, (1,) * 13)), "13 dimensions, more than 12"),
    "other strides": (state(tensor((2, 3), (1,))), "has strides [1]"),
    "short tuple": (state(GLOBAL_TENSOR + b"(" + storage() + b"tR"), "made of 1 arguments, not 6"),
    "no arguments": (state(GLOBAL_TENSOR + b")R"), "made of 0 arguments, not 6"),
    "arguments that are a list": (state(GLOBAL_TENSOR + b"]R"), "made of 0 arguments"),
    "arguments that are a number": (state(GLOBAL_TENSOR + b"K\x01R"), "without a tuple"),
    "no storage": (state(tensor(arguments=integer(0) * 6)), "without a storage and offset"),
    "call of a number": (state(b"K\x01)R"), "calls an integer"),
    "call of a storage's class": (state(b"ctorch\nFloatStorage\n)R"), "no function of plain data"),
    "storage size that overflows": (state(tensor(numel=LARGE)), "overflows 64 bits"),
    "negative storage": (state(tensor(numel=-6)), "is no storage's"),
    "storage in two sizes": (state(tensor(), tensor((1,), (1,), 0, 1)), "mentioned with two sizes"),
    "persistent id that is none": (state(b"K\x01Q"), "is no storage's"),
    "item of a number": (b"\x80\x02K\x01K\x02K\x03s.", "sets items of an integer, which is no dict"),
    "item of a tensor": (b"\x80\x02" + tensor() + b"K\x02K\x03s.", "which is no dict"),
    "item of a list": (b"\x80\x02]K\x02K\x03s.", "sets items of a sequence, which is no dict"),
    "items of a number": (b"\x80\x02K\x01(K\x02K\x03u.", "which is no dict"),
    "odd items": (b"\x80\x02}(K\x02u.", "a key without a value"),
    "append to a dict": (b"\x80\x02}K\x02a.", "adds items to a dict, which is no list"),
    "append to a tuple": (b"\x80\x02)K\x02a.", "which is no list"),
    "attributes of a number": (b"\x80\x02K\x01}b.", "sets attributes of an integer"),
    "its own attributes": (b"\x80\x02c__torch__\nA\n)\x81q\0h\0b.", "as its own attributes"),
    "empty stack": (b"\x80\x02.", "from an empty stack"),
    "pop below a mark": (b"\x80\x02K\x01(0.", "from an empty stack"),
    "no mark": (b"\x80\x02K\x01t.", "a mark that is not there"),
    "values left over": (b"\x80\x02K\x01K\x02.", "left over at the end"),
    "empty memo": (b"\x80\x02h\x05.", "the slot 5 of the memo is empty"),
    "memo far away": (b"\x80\x02K\x01r\xff\xff\xff\xff.", "the slot 4294967295 of the memo"),
    "unknown opcode": (b"\x80\x02\xff.", "the opcode 255 is not one"),
    "extension": (b"\x80\x02\x82\x01.", "the opcode 130 is not one"),
    "instance": (b"\x80\x02(iposix\nsystem\n.", "the opcode 105 is not one"),
    "new protocol": (b"\x80\x09N.", "its protocol 9 is not supported"),
    "text without end": (b"\x80\x02X\xff\xff\xff\xffabc.", "needs 4294967295 bytes"),
    "long text": (b"\x80\x04\x8d" + b"\xff" * 8 + b"abc.", "needs 18446744073709551615 bytes"),
    "long integer": (b"\x80\x02\x8b\xff\xff\xff\x7f.", "needs 2147483647 bytes"),
    "long bytes": (b"\x80\x04\x8e" + b"\xff" * 8 + b".", "bytes"),
    "global without end": (b"\x80\x02ctorch", "needs 1 bytes, but 0 are left"),
    "list in itself": (b"\x80\x02]q\0h\0a.", "a container contains itself"),
    "dict in itself": (b"\x80\x02}q\0K\x01h\0s.", "a container contains itself"),
    "deep lists": (b"\x80\x02" + b"]" * 5000 + b"a" * 4999 + b".", "nest deeper than 500"),
    "deep tuples": (b"\x80\x02)" + b"\x85" * 5000 + b".", "nest deeper than 500"),
    "a class": (state(b"ctorch\nFloatStorage\n"), 'the class or function "FloatStorage" itself'),
    "bytes of text": (state(b"c_codecs\nencode\n" + unicode("\u20ac") + b"\x85R"), "not latin-1"),
}  # fmt: skip


@pytest.mark.parametrize("case", PICKLES)
def test_faulty_pickles(tmp_path, case):
    pickled, reason = PICKLES[case]
    message = error_of(tmp_path, archive(pickled))
    assert reason in message and "data.pkl: " in message
    assert ": offset " in message or "nest" in reason or "contain" in reason or "itself" in reason
    assert reason in error_of(tmp_path, stream(pickled, b"].", b"")) or "storage" in reason


def zip_of(entries, **changes):
    """An archive by hand, each of whose fields can be wrong: (name, method, data, size)."""
    body, directory = b"", b""
    for i, (name, method, data, size) in enumerate(entries):
        crc = changes.get("crc", zlib.crc32(data) if method == 0 else 0)
        sizes = struct.pack("<III", crc, changes.get("stored", len(data)), size)
        head = struct.pack("<HHHHH", 20, changes.get("flags", 0), method, 0, 33) + sizes
        offset = changes["offsets"][i] if "offsets" in changes else len(body)
        body += b"PK\3\4" + head + struct.pack("<HH", len(name), 0) + name + data
        directory += (b"PK\1\2" + struct.pack("<H", 20) + head + struct.pack(
            "<HHHHHII", len(name), 0, 0, 0, 0, 0, offset) + name)
    count = changes.get("count", len(entries))
    end = struct.pack("<HHHHIIH", 0, 0, count, count, changes.get("directory", len(directory)),
                      changes.get("start", len(body)), 0)
    return body + directory + b"PK\5\6" + end


def zip64_of(name, data):
    """An archive whose every size and offset stands in a zip64 field."""
    wide, narrow, short = b"\xff" * 4, struct.pack("<I", zlib.crc32(data)), b"\xff" * 2
    head = struct.pack("<HHHHH", 45, 0, 0, 0, 33) + narrow + wide * 2 + struct.pack("<H", len(name))
    both = struct.pack("<QQ", len(data), len(data))
    local = b"PK\3\4" + head + struct.pack("<H", 20) + name + struct.pack("<HH", 1, 16) + both + data
    row = (b"PK\1\2" + struct.pack("<H", 45) + head + struct.pack("<HHHHI", 28, 0, 0, 0, 0) + wide
           + name + struct.pack("<HH", 1, 24) + both + struct.pack("<Q", 0))
    end64 = b"PK\6\6" + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, 1, 1, len(row), len(local))
    locator = b"PK\6\7" + struct.pack("<IQI", 0, len(local) + len(row), 1)
    end = b"PK\5\6" + bytes(4) + short * 2 + wide * 2 + bytes(2)
    return local + row + end64 + locator + end


def test_sizes_of_64_bits(tmp_path):
    data = zip64_of(b"a.npy", npy(np.arange(6.0)))
    (tmp_path / "x.npz").write_bytes(data)
    assert package.load_file(tmp_path / "x.npz")["a"].tolist() == list(range(6))
    with np.load(tmp_path / "x.npz") as theirs:
        assert theirs["a"].tolist() == list(range(6))
    at = data.index(b"PK\6\7") + 8
    for offset in (0, 5, len(data) - 30, len(data), 2**63, 2**64 - 1):
        message = error_of(tmp_path, data[:at] + struct.pack("<Q", offset) + data[at + 8:], "x.npz")
        assert ": offset " in message


def npy(array):
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def deflated(data):
    return zlib.compress(data, 9)[2:-4]


ARRAY = npy(np.arange(6.0))
BOMB = deflated(b"\0" * 1_000_000)
ZIPS = {
    "overlap": (zip_of([(b"a.npy", 0, ARRAY, len(ARRAY)), (b"b.npy", 0, ARRAY, len(ARRAY))],
                       offsets=[0, 0]), "overlap what follows"),
    "quoted overlap": (zip_of([(b"a.npy", 0, ARRAY, len(ARRAY)), (b"b.npy", 0, ARRAY, len(ARRAY))],
                              offsets=[0, 40]), "overlap what follows"),
    "same name": (zip_of([(b"a.npy", 0, ARRAY, len(ARRAY))] * 2), "the name occurs twice"),
    "encrypted": (zip_of([(b"a.npy", 0, ARRAY, len(ARRAY))], flags=1), "is encrypted"),
    "method": (zip_of([(b"a.npy", 12, ARRAY, len(ARRAY))]), "compression method 12"),
    "expands too far": (zip_of([(b"a.npy", 8, BOMB, 2**32 - 2)]), "cannot be the 4294967294"),
    "stored and larger": (zip_of([(b"a.npy", 0, ARRAY, 2**31)]), "cannot be the 2147483648"),
    "entry past the end": (zip_of([(b"a.npy", 0, ARRAY, 10**6)], stored=10**6), "overlap"),
    "offset past the end": (zip_of([(b"a.npy", 0, ARRAY, len(ARRAY))], offsets=[10**6]), "overlap"),
    "no such number": (zip_of([(b"a.npy", 0, ARRAY, len(ARRAY))], count=60000), "60000 of them"),
    "directory past the end": (zip_of([(b"a.npy", 0, ARRAY, len(ARRAY))], start=10**6),
                               "are not in front of the end record"),
    "directory too long": (zip_of([(b"a.npy", 0, ARRAY, len(ARRAY))], directory=10**6),
                           "are not in front of the end record"),
    "checksum": (zip_of([(b"a.npy", 8, deflated(ARRAY), len(ARRAY))], crc=7), "checksum differs"),
    "shorter stream": (zip_of([(b"a.npy", 8, deflated(ARRAY[:-8]), len(ARRAY))]), "another size"),
    "longer stream": (zip_of([(b"a.npy", 8, deflated(ARRAY * 2), len(ARRAY))]), "another size"),
    "damaged stream": (zip_of([(b"a.npy", 8, b"\xff" * 200, len(ARRAY))]), "is damaged"),
    "no own header": (b"PK\3\4" + zip_of([(b"a.npy", 0, ARRAY, len(ARRAY))])[4:].replace(
        b"PK\3\4", b"PK\0\0", 1), ""),
    "no end": (zip_of([(b"a.npy", 0, ARRAY, len(ARRAY))])[:-1], "the end record is missing"),
    "shape that overflows": (zip_of([(b"a.npy", 0, d := ARRAY.replace(b"(6,)", b"(%d,)" % LARGE)[
        :len(ARRAY)], len(d))]), "overflows"),
    "other size": (zip_of([(b"a.npy", 0, d := ARRAY.replace(b"(6,)", b"(7,)"), len(d))]),
                   "takes 56 bytes, but 48 are left"),
    "empty array": (zip_of([(b"a.npy", 0, b"", 0)]), "the file is empty"),
}  # fmt: skip


@pytest.mark.parametrize("case", [case for case in ZIPS if ZIPS[case][1]])
def test_faulty_archives(tmp_path, case):
    data, reason = ZIPS[case]
    message = error_of(tmp_path, data, "x.npz")
    assert reason in message and ("offset" in message or "empty" in reason)


def test_records_that_differ_from_the_pickle(tmp_path):
    assert "is missing" in error_of(tmp_path, archive(state(tensor()), []))
    for size in (23, 25, 4, 0):
        message = error_of(tmp_path, archive(state(tensor()), [("0", b"\0" * size)]))
        assert f"holds {size} bytes, but the pickle says 24" in message
    for count, data in ((5, b"\0" * 24), (2**61, b""), (-1, b""), (6, b"\0" * 23)):
        message = error_of(tmp_path, stream(state(tensor()), data=struct.pack("<q", count) + data))
        assert ": storage: offset " in message
    message = error_of(tmp_path, stream(state(tensor()), b"].", b""))
    assert 'there is none of the key "0"' in message
    message = error_of(tmp_path, stream(state(tensor()), b"]" + unicode("9") + b"a."))
    assert "a key is no storage's" in message


def limited_load(path, megabytes=1024):
    """Loads in a process that may take so much memory; returns what it prints."""
    program = ("import resource, sys, tallow\n"
               f"resource.setrlimit(resource.RLIMIT_AS, ({megabytes} << 20, {megabytes} << 20))\n"
               "try:\n    print(len(tallow.load_file(sys.argv[1])))\n"
               "except tallow.Error as error:\n    print(error)\n")
    result = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True,
                            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, timeout=60)
    assert result.returncode == 0, result.stderr
    return result.stdout


def put(slot):
    return b"r" + struct.pack("<I", slot)


def get(slot):
    return b"j" + struct.pack("<I", slot)


BOMBS = {
    # Lists of lists of ... of the same list: 2^40 ways to its tensor.
    "ways": (b"\x80\x02(" + tensor() + b"l" + put(0) + b"".join(
        b"0(" + get(i) + get(i) + b"l" + put(i + 1) for i in range(40)) + b".", "too many names"),
    # The same with empty lists: nothing to name, and nothing to walk over twice.
    "empty ways": (b"\x80\x02]" + put(0) + b"".join(
        b"0(" + get(i) + get(i) + b"l" + put(i + 1) for i in range(400)) + b".", "too many names"),
    # A dict that is made of another, again and again.
    "copies of dicts": (b"\x80\x02(}(" + b"".join(integer(i) + b"N" for i in range(20000)) + b"u"
                        + put(0) + (b"ccollections\nOrderedDict\n" + get(0) + b"\x85R") * 20000
                        + b"l.", "made to fill the memory"),
    "copies of sets": (b"\x80\x02((" + b"N" * 100000 + b"l" + put(0) + b"c__builtin__\nset\n"
                       + put(1) + (get(1) + get(0) + b"\x85R") * 20000 + b"l.", "fill the memory"),
    "copies of bytes": (b"\x80\x02(" + unicode("a" * 200000) + put(0) + b"c_codecs\nencode\n"
                        + put(1) + (get(1) + get(0) + b"\x85R") * 20000 + b"l.", "fill the memory"),
    "copies of attributes": (b"\x80\x02}(" + b"".join(integer(i) + b"N" for i in range(20000)) + b"u"
                             + put(0) + b"0c__torch__\nA\n)\x81" + (get(0) + b"b") * 20000 + b".",
                             "fill the memory"),
    "copies of text": (b"\x80\x02(" + unicode("a" * 200000) + put(0) + get(0) * 100000 + b"l.", "0"),
    "one dimension expanded": (state(tensor((2**45,), (0,))), "1"),
}  # fmt: skip


@pytest.mark.parametrize("case", BOMBS)
def test_small_files_take_little_memory_and_time(tmp_path, case):
    pickled, answer = BOMBS[case]
    (tmp_path / "x.pt").write_bytes(archive(pickled))
    assert answer in limited_load(tmp_path / "x.pt")


def test_shared_containers_stay_shared(tmp_path):
    """2^40 ways to a list, which Python's objects do not multiply either."""
    pickled = b"\x80\x02]" + put(0) + b"".join(
        b"0(" + get(i) + get(i) + b"l" + put(i + 1) for i in range(14)) + b"."
    (tmp_path / "x.pt").write_bytes(archive(pickled))
    value = package.load(tmp_path / "x.pt")
    while value:
        assert value[0] is value[1]
        value = value[0]


def test_a_bomb_in_an_archive_is_not_expanded_before_it_is_asked_for(tmp_path):
    head = npy(np.zeros(0, np.uint8)).replace(b"(0,)", b"(%d,)" % 1_000_000_000)
    head = head[:6] + b"\1\0" + struct.pack("<H", len(head) - 10) + head[10:]
    with zipfile.ZipFile(tmp_path / "x.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as file:
        with file.open("a.npy", "w") as entry:
            entry.write(head)
            for _ in range(1000):
                entry.write(bytes(1_000_000))
    assert os.path.getsize(tmp_path / "x.npz") > 900_000  # deflate cannot do better
    with package.open_file(tmp_path / "x.npz") as file:
        assert file.keys() == ["a"]
    usage = resource.getrusage(resource.RUSAGE_SELF)
    assert usage.ru_maxrss < 8 << 20


def small_pytorch(zipped):
    out = io.BytesIO()
    base = torch.arange(8.0)
    torch.save({"a": base.view(2, 4), "b": base[2:6:2], "n": [1, {"x": torch.ones(3).bool()}]}, out,
               _use_new_zipfile_serialization=zipped)
    return out.getvalue()


def small_npz(save):
    out = io.BytesIO()
    save(out, a=np.arange(6, dtype=np.float32).reshape(2, 3), b=np.arange(3, dtype=">i2"))
    return out.getvalue()


SMALL = {"pth": lambda: small_pytorch(True), "pt": lambda: small_pytorch(False),
         "npz": lambda: small_npz(np.savez), "compressed.npz": lambda: small_npz(np.savez_compressed)}


@pytest.mark.parametrize("kind", SMALL)
def test_every_prefix_is_an_error(probe, tmp_path, kind):
    data = SMALL[kind]()
    answers = open_each(probe, tmp_path, kind, [data[:n] for n in range(len(data))])
    assert "ok" not in answers
    assert open_each(probe, tmp_path, kind, [data]) == ["ok"]


@pytest.mark.parametrize("kind", SMALL)
def test_damaged_files_do_no_harm(probe, tmp_path, kind):
    open_each(probe, tmp_path, kind, list(damaged(SMALL[kind](), 3000, seed=kind)))
