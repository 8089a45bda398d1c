"""tallow.load_file, save_file, load and save of every format, beside the packages that own them."""

import collections
import json
import os
import resource
import signal
import subprocess
import sys
import zipfile

import gguf
import huggingface_hub
import numpy as np
import pytest
import safetensors
import safetensors.torch
import torch

import tallow as package  # `tallow` is the command in the other tests

FLOATS8 = [torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e4m3fnuz, torch.float8_e5m2fnuz]
DTYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32,
          torch.int16, torch.int8, torch.uint8, torch.uint16, torch.uint32, torch.uint64,
          torch.bool, torch.complex64, *FLOATS8]
SHAPES = [(), (1,), (3, 5), (0, 4), (2, 1, 7)]


def bytes_of(tensor):
    if isinstance(tensor, torch.Tensor):
        return tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
    return package._C._to_bytes(tensor)


def assert_same(ours, theirs):
    assert ours.dtype.name == str(theirs.dtype).removeprefix("torch.")
    assert tuple(ours.shape) == tuple(theirs.shape)
    assert bytes_of(ours) == bytes_of(theirs)


def assert_same_files(ours, theirs):
    assert list(ours) == list(theirs)
    for name, tensor in theirs.items():
        assert_same(ours[name], tensor)


def random_state(dtypes=DTYPES, seed=0):
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for dtype in dtypes:
        for shape in SHAPES:
            count = int(np.prod(shape)) * torch.empty(0, dtype=dtype).element_size()
            raw = torch.randint(0, 256, (count,), dtype=torch.uint8, generator=generator)
            if dtype == torch.bool:
                raw = raw % 2
            state[f"{dtype}.é.{'x'.join(map(str, shape))}"] = raw.view(dtype).reshape(shape)
    return state


def nested():
    base = torch.arange(100.0)
    return {
        "model": collections.OrderedDict(
            step=base[3:20:2], turned=base.view(10, 10).t()[2:], one=torch.tensor(1.5).expand(3, 4)),
        "optimizer": {"state": {0: {"exp_avg": torch.zeros(2)}, 1: {"step": torch.tensor(3)}}},
        "list": [1, (2.5, None, [{"deep": torch.nn.Parameter(torch.ones(2))}])],
        "set": {1, 2}, "text": "é\u20ac", "bytes": b"a\xff\x00", "buffer": bytearray(b"xyz"),
        "numbers": [0, -5, 255, 256, 2**31, -2**40, 2**63 - 1, 2**70, -2**70, 1e-3, 1 + 2j],
        "size": torch.Size([1, 2]), "dtype": torch.float16, "device": torch.device("cpu"),
        "true": True, "false": False, "none": None, "": "",
    }  # fmt: skip


def to_torch(value):
    """What tallow loaded, in PyTorch's types."""
    match value:
        case package.Tensor():
            return torch.from_dlpack(value.detach().clone()).requires_grad_(value.requires_grad)
        case package.Size():
            return torch.Size(value)
        case package.dtype():
            return getattr(torch, value.name)
        case package.device():
            return torch.device(str(value))
        case dict():
            return type(value)((key, to_torch(item)) for key, item in value.items())
        case list() | tuple():
            return type(value)(to_torch(item) for item in value)
    return value


def assert_equal(ours, theirs):
    assert type(ours) is type(theirs) or isinstance(theirs, torch.nn.Parameter)
    if isinstance(theirs, torch.Tensor):
        assert torch.equal(ours, theirs) and ours.requires_grad == theirs.requires_grad
        assert ours.dtype == theirs.dtype
    elif isinstance(theirs, dict):
        assert list(ours) == list(theirs)
        for key in theirs:
            assert_equal(ours[key], theirs[key])
    elif isinstance(theirs, list | tuple):
        assert len(ours) == len(theirs)
        for a, b in zip(ours, theirs):
            assert_equal(a, b)
    else:
        assert ours == theirs


class TestPytorch:
    @pytest.mark.parametrize("zipped", [True, False])
    def test_every_dtype_and_shape_is_read(self, tmp_path, zipped):
        state = random_state([*DTYPES, torch.complex128, torch.float8_e8m0fnu])
        torch.save(state, tmp_path / "x.any", _use_new_zipfile_serialization=zipped)
        assert_same_files(package.load_file(tmp_path / "x.any"), state)

    @pytest.mark.parametrize("zipped", [True, False])
    def test_complex32_becomes_complex64(self, tmp_path, zipped):
        pairs = torch.randn(5, 6, 2).half()
        whole = torch.view_as_complex(pairs)
        state = {"whole": whole, "part": whole[1:4, ::2].T, "one": whole[2, 3], "none": whole[:0]}
        torch.save(state, tmp_path / "x.pt", _use_new_zipfile_serialization=zipped)
        found = package.load_file(tmp_path / "x.pt")
        for name, wanted in state.items():
            got = torch.from_dlpack(found[name])
            assert got.dtype == torch.complex64 and torch.equal(got, wanted.to(torch.complex64)), name

    def test_complex32_that_repeats_is_refused(self, tmp_path):
        one = torch.view_as_complex(torch.randn(1, 2).half())
        torch.save({"x": one.expand(1 << 40)}, tmp_path / "x.pt")
        with pytest.raises(package.Error, match="repeats elements"):
            package.load_file(tmp_path / "x.pt")
        torch.save({str(i): one.view(1) for i in range(9)}, tmp_path / "y.pt")
        with pytest.raises(package.Error, match="copies more"):
            package.load_file(tmp_path / "y.pt")

    @pytest.mark.parametrize("mmap", [True, False])
    def test_every_dtype_and_shape_is_written(self, tmp_path, mmap):
        state = random_state([*DTYPES, torch.complex128, torch.float8_e8m0fnu])
        torch.save(state, tmp_path / "in.pth")
        package.save_file(package.load_file(tmp_path / "in.pth"), tmp_path / "out.pth")
        back = torch.load(tmp_path / "out.pth", weights_only=True, mmap=mmap)
        assert list(back) == list(state)
        for name in state:
            assert back[name].dtype == state[name].dtype and back[name].shape == state[name].shape
            assert bytes_of(back[name]) == bytes_of(state[name])

    @pytest.mark.parametrize("zipped", [True, False])
    def test_nested_objects_go_both_ways(self, tmp_path, zipped):
        torch.save(nested(), tmp_path / "in.pt", _use_new_zipfile_serialization=zipped)
        ours = package.load(tmp_path / "in.pt")
        assert_equal(to_torch(ours), nested())
        package.save(ours, tmp_path / "out.pt")
        assert_equal(torch.load(tmp_path / "out.pt", weights_only=True), nested())
        names = ["model.step", "model.turned", "model.one", "optimizer.state.0.exp_avg",
                 "optimizer.state.1.step", "list.1.2.0.deep"]
        assert list(package.load_file(tmp_path / "in.pt")) == names

    def test_protocols_that_pickle_has(self, tmp_path):
        state = {"a": torch.arange(3), "b": [b"x" * 300, "y" * 300, {3, 4}, frozenset([5])]}
        for protocol in (2, 3, 4, 5):
            torch.save(state, tmp_path / "x.pt", pickle_protocol=protocol)
            ours = package.load(tmp_path / "x.pt")
            assert ours["a"].tolist() == [0, 1, 2] and ours["b"] == state["b"]

    def test_shared_memory_stays_shared(self, tmp_path):
        base = torch.arange(24.0)
        state = {"a": base[:12].view(3, 4), "b": base[4:10], "c": base.view(4, 6).t()}
        torch.save(state, tmp_path / "in.pt")
        ours = package.load(tmp_path / "in.pt")
        assert ours["b"].data_ptr() - ours["a"].data_ptr() == 16
        assert ours["c"].stride() == (1, 6)
        package.save(ours, tmp_path / "out.pt")
        back = torch.load(tmp_path / "out.pt")
        assert len({tensor.untyped_storage().data_ptr() for tensor in back.values()}) == 1
        back["a"][1, 0] = -1  # element 4 of the memory
        assert back["b"][0] == -1 and back["c"][4, 0] == -1

    def test_a_part_of_a_tensor_is_saved_without_the_rest(self, tmp_path):
        package.save({"x": package.zeros(1000, 100)[10:12, 3:5]}, tmp_path / "x.pt")
        assert os.path.getsize(tmp_path / "x.pt") < 4000
        assert torch.load(tmp_path / "x.pt")["x"].shape == (2, 2)

    def test_torchscript_archives(self, tmp_path):
        class Net(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.conv = torch.nn.Conv2d(3, 4, 3)
                self.layers = torch.nn.ModuleList([torch.nn.Linear(4, 5)])
                self.register_buffer("ids", torch.arange(3))

            def forward(self, x):
                return self.layers[0](self.conv(x).mean((2, 3))) + torch.full((5,), 2.0)

        net = Net()
        torch.jit.trace(net, torch.rand(1, 3, 8, 8)).save(tmp_path / "traced.pt")
        torch.jit.script(torch.nn.Sequential(net.layers[0])).save(tmp_path / "scripted.pt")
        traced = package.load_file(tmp_path / "traced.pt")
        for name, tensor in net.state_dict().items():
            assert_same(traced[name], tensor)
        assert_same(package.load_file(tmp_path / "scripted.pt")["0.bias"], net.layers[0].bias)

    def test_constants_of_torchscript(self, tmp_path):
        table = torch.tensor([[1.0, 2.0], [3.0, 4.0]])

        def net(x):
            return x @ table

        torch.jit.trace(net, torch.ones(1, 2)).save(str(tmp_path / "x.pt"))
        assert_same(package.load_file(tmp_path / "x.pt")["CONSTANTS.c0"], table)

    def test_files_of_big_endian_machines(self, tmp_path):
        state = {"f": torch.arange(6.0).view(2, 3), "i": torch.arange(4, dtype=torch.int16),
                 "c": torch.tensor([1 + 2j, 3 - 4j]), "u": torch.tensor([1, 2, 3], dtype=torch.uint32)}
        torch.save(state, tmp_path / "little.pt")
        widths = [4, 2, 4, 4]
        with (zipfile.ZipFile(tmp_path / "little.pt") as little,
              zipfile.ZipFile(tmp_path / "big.pt", "w") as big):
            for item in little.infolist():
                data = little.read(item)
                name = item.filename.split("/", 1)[1]
                if name.startswith("data/"):
                    data = np.frombuffer(data, f"<u{widths[int(name[5:])]}").byteswap().tobytes()
                big.writestr(item.filename, b"big" if name == "byteorder" else data)
        assert_same_files(package.load_file(tmp_path / "big.pt"), state)

    def test_archives_that_were_packed_again(self, tmp_path):
        """Deflated, and without PyTorch's alignment."""
        state = random_state()
        torch.save(state, tmp_path / "in.pt")
        for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            with (zipfile.ZipFile(tmp_path / "in.pt") as old,
                  zipfile.ZipFile(tmp_path / "out.pt", "w", method) as new):
                for item in old.infolist():
                    new.writestr(item.filename, old.read(item))
            assert_same_files(package.load_file(tmp_path / "out.pt"), state)

    def test_streams(self, tmp_path):
        with open(tmp_path / "x.pt", "wb") as file:
            package.save({"a": package.arange(3)}, file)
        assert torch.load(tmp_path / "x.pt")["a"].tolist() == [0, 1, 2]
        with open(tmp_path / "x.pt", "rb") as file:
            assert package.load(file)["a"].tolist() == [0, 1, 2]

    def test_what_cannot_be_saved_is_named(self, tmp_path):
        with pytest.raises(TypeError, match=r"obj\['a'\]\[1\] is a Thing"):
            package.save({"a": [1, type("Thing", (), {})()]}, tmp_path / "x.pt")
        blocks = package.zeros(2, 32).to(package.q8_0)
        with pytest.raises(package.Error, match="PyTorch has no q8_0"):
            package.save_file({"a": blocks}, tmp_path / "x.pt")
        assert not list(tmp_path.iterdir())


class TestSafetensors:
    def test_files_equal_those_of_the_package(self, tmp_path):
        state = random_state()
        safetensors.torch.save_file(state, tmp_path / "theirs", metadata={"for\"mat": "pt\n\té"})
        ours = package.load_file(tmp_path / "theirs")
        assert set(ours) == set(state)
        for name in state:
            assert_same(ours[name], state[name])
        package.save_file(ours, tmp_path / "ours.safetensors", metadata={"for\"mat": "pt\n\té"})
        assert (tmp_path / "ours.safetensors").read_bytes() == (tmp_path / "theirs").read_bytes()

    def test_floats_of_4_and_6_bits(self, tmp_path):
        x = package.tensor(np.linspace(-6, 6, 48, dtype=np.float32)).reshape(3, 16)
        kinds = {"F4": package.f4_e2m1, "F6_E2M3": package.f6_e2m3, "F6_E3M2": package.f6_e3m2,
                 "F8_E8M0": package.float8_e8m0fnu}
        state = {name: x.to(dtype) for name, dtype in kinds.items()}
        package.save_file(state, tmp_path / "x.safetensors")
        theirs = dict(safetensors.deserialize((tmp_path / "x.safetensors").read_bytes()))
        ours = package.load_file(tmp_path / "x.safetensors")
        for name in kinds:
            assert theirs[name]["dtype"] == name and theirs[name]["shape"] == [3, 16]
            assert bytes(theirs[name]["data"]) == bytes_of(ours[name]) == bytes_of(state[name])
            assert ours[name].float().tolist() == state[name].float().tolist()

    def test_an_opened_file_gives_one_tensor(self, tmp_path):
        package.save_file({"a": package.arange(3), "b": package.ones(2)}, tmp_path / "x.safetensors",
                          metadata={"k": "v"})
        with package.open_file(tmp_path / "x.safetensors") as file:
            assert file.format == "safetensors" and file.metadata() == {"k": "v"}
            assert sorted(file.keys()) == sorted(file) == ["a", "b"] and len(file) == 2
            assert "a" in file and "c" not in file
            assert file["a"].tolist() == file.get_tensor("a").tolist() == [0, 1, 2]
            with pytest.raises(KeyError):
                file["c"]

    def test_shards_and_their_index(self, tmp_path):
        state = {f"layer.{i}.weight": package.full((10, 10), float(i)) for i in range(9)}
        state["large"] = package.ones(30, 30)
        package.save_file(state, tmp_path, max_shard_size="1KB")
        index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
        assert index["metadata"] == {"total_size": 9 * 400 + 3600, "total_parameters": 1800}
        assert list(index["weight_map"]) == sorted(state)
        found = {}
        for name in set(index["weight_map"].values()):
            with safetensors.safe_open(tmp_path / name, "pt") as shard:
                assert shard.metadata() == {"format": "pt"}
                for key in shard.keys():
                    assert index["weight_map"][key] == name
                    found[key] = shard.get_tensor(key)
        assert set(found) == set(state)
        for source in (tmp_path, tmp_path / "model.safetensors.index.json"):
            ours = package.load_file(source)
            for key in state:
                assert torch.equal(found[key], torch.from_dlpack(ours[key].clone()))
        assert len(list(tmp_path.glob("model-*-of-00006.safetensors"))) == 6

    def test_shards_are_those_of_huggingface_hub(self, tmp_path):
        state = {f"w{i:02}": torch.zeros(n) for i, n in enumerate([5, 300, 20, 1, 260, 250, 4])}
        split = huggingface_hub.split_torch_state_dict_into_shards(state, max_shard_size=1040)
        ours = {name: package.zeros(*tensor.shape) for name, tensor in state.items()}
        package.save_file(ours, tmp_path, max_shard_size=1040)
        index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
        assert index["weight_map"] == split.tensor_to_filename

    def test_a_smaller_model_replaces_a_larger_one(self, tmp_path):
        many = {f"w{i}": package.ones(100) for i in range(5)}
        package.save_file(many, tmp_path, max_shard_size=500)
        assert len(list(tmp_path.iterdir())) == 6
        package.save_file({"w": package.ones(3)}, tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]
        assert list(package.load_file(tmp_path)) == ["w"]


class TestNumpy:
    KINDS = ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16", "b1"]

    def arrays(self):
        rng = np.random.default_rng(0)
        arrays = {}
        for kind in self.KINDS:
            for i, shape in enumerate([(), (3,), (4, 5), (0, 2), (2, 1, 3)]):
                arrays[f"{kind}.{i}"] = np.asarray(rng.random(shape) * 100).astype(kind)
                arrays[f"{kind}.{i}.big"] = arrays[f"{kind}.{i}"].astype(f">{kind}")
        arrays["fortran"] = np.asfortranarray(rng.random((4, 5, 6)))
        arrays["fortran.big"] = np.asfortranarray(rng.random((4, 5))).astype(">f4")
        return arrays

    @pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
    def test_archives_are_read(self, tmp_path, save):
        arrays = self.arrays()
        save(tmp_path / "x.npz", **arrays)
        ours = package.load_file(tmp_path / "x.npz")
        assert list(ours) == list(arrays)
        for name, array in arrays.items():
            got = ours[name].numpy()
            assert got.dtype == array.dtype.newbyteorder("=")
            np.testing.assert_array_equal(got, array)

    @pytest.mark.parametrize("compressed", [False, True])
    def test_archives_are_written(self, tmp_path, compressed):
        arrays = {name: a.astype(a.dtype.newbyteorder("=")) for name, a in self.arrays().items()}
        tensors = {name: package.tensor(array) for name, array in arrays.items()}
        package.save_file(tensors, tmp_path / "x.npz", compressed=compressed)
        with np.load(tmp_path / "x.npz", allow_pickle=False) as theirs:
            assert theirs.files == list(arrays)
            for name, array in arrays.items():
                assert theirs[name].dtype == array.dtype
                np.testing.assert_array_equal(theirs[name], array)
        assert zipfile.ZipFile(tmp_path / "x.npz").testzip() is None
        methods = {entry.compress_type for entry in zipfile.ZipFile(tmp_path / "x.npz").infolist()}
        assert methods == {zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED}

    @pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
    def test_every_version_and_order_of_a_single_array(self, tmp_path, version):
        for array in self.arrays().values():
            with open(tmp_path / "x.npy", "wb") as file:
                np.lib.format.write_array(file, array, version)
            np.testing.assert_array_equal(package.load(tmp_path / "x.npy").numpy(), array)
            package.save_file({"any": package.load(tmp_path / "x.npy")}, tmp_path / "y.npy")
            np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), array)

    @pytest.mark.parametrize("array, reason", [
        (np.array([{}]), "pickled objects"), (np.array(["a"]), "text"),
        (np.zeros(2, [("a", "f4")]), "structured arrays"),
        (np.zeros(2, "M8[s]"), "times"), (np.zeros(2, "V2"), "bytes without a meaning"),
        (np.zeros(2, np.longdouble), "number types up to 64 bits")])
    def test_what_is_no_number_is_refused_by_name(self, tmp_path, array, reason):
        np.savez(tmp_path / "x.npz", a=array)
        np.save(tmp_path / "x.npy", array)
        for name in ("x.npz", "x.npy"):
            with pytest.raises(package.Error, match=reason):
                package.load_file(tmp_path / name)

    def test_only_one_tensor_fits_an_array(self, tmp_path):
        with pytest.raises(package.Error, match="holds one tensor, not 2"):
            package.save_file({"a": package.ones(1), "b": package.ones(1)}, tmp_path / "x.npy")
        with pytest.raises(package.Error, match="NumPy has no bf16"):
            package.save_file({"a": package.ones(1).bfloat16()}, tmp_path / "x.npz")
        assert not list(tmp_path.iterdir())


class TestGguf:
    def test_tensors_and_blocks_go_both_ways(self, tmp_path):
        x = package.randn(4, 64)
        state = {"f32": x, "f16": x.half(), "bf16": x.bfloat16(), "q8_0": x.to(package.q8_0),
                 "q4_0": x.to(package.q4_0), "i32": package.arange(7, dtype=package.int32)}
        package.save_file(state, tmp_path / "x.gguf", metadata={"general.name": "é"})
        reader = gguf.GGUFReader(tmp_path / "x.gguf")
        assert reader.fields["general.name"].contents() == "é"
        for tensor in reader.tensors:
            assert tensor.data.tobytes() == bytes_of(state[tensor.name])
        ours = package.load_file(tmp_path / "x.gguf")
        assert list(ours) == list(state)
        for name in state:
            assert ours[name].dtype == state[name].dtype and bytes_of(ours[name]) == bytes_of(state[name])
        assert (ours["q8_0"].to(package.float32) - x).abs().max() < 0.05


@pytest.mark.parametrize("suffix", ["safetensors", "pth", "npz", "gguf"])
def test_a_round_trip_gives_the_same_file(tmp_path, suffix):
    state = {"a": package.randn(3, 4), "b": package.arange(6, dtype=package.int32)}
    package.save_file(state, tmp_path / f"1.{suffix}")
    package.save_file(package.load_file(tmp_path / f"1.{suffix}"), tmp_path / f"2.{suffix}")
    first, second = ((tmp_path / f"{i}.{suffix}").read_bytes() for i in (1, 2))
    assert first == second


WRITE_TOO_MUCH = """
import resource, signal, sys
import tallow
path, deadly = sys.argv[1], sys.argv[2] == "deadly"
signal.signal(signal.SIGXFSZ, signal.SIG_DFL if deadly else signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    tallow.save_file({"x": tallow.ones(100, 1000)}, path)
except tallow.Error as error:
    print(error)
"""


def has_nameless_files(folder):
    try:
        os.close(os.open(folder, os.O_TMPFILE | os.O_WRONLY))
    except OSError:
        return False
    return True


@pytest.mark.parametrize("suffix", ["safetensors", "pth", "npz", "npy", "gguf"])
@pytest.mark.parametrize("end", ["deadly", "error"])
def test_a_write_that_ends_early_leaves_the_old_file(tmp_path, suffix, end):
    path = tmp_path / f"x.{suffix}"
    package.save_file({"x": package.ones(2, 3)}, path)
    before = path.read_bytes()
    result = subprocess.run([sys.executable, "-c", WRITE_TOO_MUCH, path, end], capture_output=True,
                            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, text=True)
    assert path.read_bytes() == before
    if end == "deadly":
        assert result.returncode == -signal.SIGXFSZ
    else:
        assert result.stdout == f"{path}: cannot write: File too large\n"
    if end == "error" or has_nameless_files(tmp_path):
        assert list(tmp_path.iterdir()) == [path]


def test_names_that_say_no_format_are_refused(tmp_path):
    with pytest.raises(package.Error, match="the name says no format; end it in .safetensors"):
        package.save_file({"a": package.ones(1)}, tmp_path / "x.txt")
    with pytest.raises(package.Error, match="only .safetensors and .gguf hold metadata"):
        package.save_file({"a": package.ones(1)}, tmp_path / "x.npz", metadata={"a": "b"})
    with pytest.raises(TypeError, match="'a' is a list, not a Tensor"):
        package.save_file({"a": [1]}, tmp_path / "x.npz")
    (tmp_path / "x.txt").write_text("hello, this is no file of tensors")
    with pytest.raises(package.Error, match="magic: offset 0: is neither safetensors"):
        package.load_file(tmp_path / "x.txt")


def test_a_folder_of_pytorch_bins_opens_as_a_model(probe, tmp_path):
    from transformers import LlamaConfig, LlamaForCausalLM

    model = LlamaForCausalLM(LlamaConfig(
        hidden_size=48, intermediate_size=80, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, vocab_size=96))
    model.config.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(
        json.loads((tmp_path / "config.json").read_text()) | {"architectures": ["LlamaForCausalLM"]}))
    state, names = model.state_dict(), {}
    for i, part in enumerate([list(state)[::2], list(state)[1::2]]):
        file = f"pytorch_model-{i + 1:05}-of-00002.bin"
        torch.save({name: state[name] for name in part}, tmp_path / file)
        names |= dict.fromkeys(part, file)
    (tmp_path / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": names}))
    opened = json.loads(probe("checkpoint", tmp_path).stdout)
    assert set(opened["unused"]) == set(state)
    ours = package.load_file(tmp_path)
    for name, tensor in state.items():
        assert_same(ours[name], tensor)


def test_memory_is_mapped_and_not_copied(tmp_path):
    """Of a sparse file of 2 GB, opening and one element of each tensor read next to nothing."""
    count, size = 4, 512 << 20
    header = json.dumps({f"w{i}": {"dtype": "U8", "shape": [size], "data_offsets":
                                   [i * size, (i + 1) * size]} for i in range(count)}).encode()
    header += b" " * (-len(header) % 8)
    path = tmp_path / "x.safetensors"
    with open(path, "wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + count * size)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for tensor in package.load_file(path).values():
        assert tensor[-1] == 0
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000
