"""Opening and reading checkpoints: tallow beside safetensors, PyTorch and gguf, in one process.

usage: PYTHONPATH=build/release/python python bench/load.py [--gigabytes 8] [--read-gigabytes 1]

Opens sparse files of 8 GB, of which nothing is read, and reads a file of 1 GB through from the page
cache. The limit is a plain read of the same file into memory. The last column is the peer's time
as a multiple of tallow's.
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

import gguf
import numpy as np
import safetensors
import safetensors.torch
import torch

import tallow

LAYERS = 32


def names(count=LAYERS):
    for layer in range(count):
        for part in ("q", "k", "v", "o", "gate", "up", "down", "norm", "post_norm"):
            yield f"model.layers.{layer}.{part}.weight"


def sparse_safetensors(folder, total, shards=4):
    """A folder of shards whose data is a hole, with its index."""
    folder.mkdir()
    rows = list(names())
    rows = rows[:len(rows) // shards * shards]
    each = total // len(rows) // 4096 * 4096
    index = {}
    for shard in range(shards):
        part = rows[shard::shards]
        file = f"model-{shard + 1:05}-of-{shards:05}.safetensors"
        header = {name: {"dtype": "BF16", "shape": [each // 2048, 1024],
                         "data_offsets": [i * each, (i + 1) * each]}
                  for i, name in enumerate(part)}
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        with open(folder / file, "wb") as out:
            out.write(len(text).to_bytes(8, "little") + text)
            out.truncate(8 + len(text) + each * len(part))
        index |= dict.fromkeys(part, file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))


def sparse_gguf(path, total):
    rows = list(names())
    each = total // len(rows) // 4096 * 4096
    writer = gguf.GGUFWriter(path, "llama")
    for name in rows:
        writer.add_tensor_info(name, (each // 2048, 1024), np.dtype(np.float16), each)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    os.truncate(path, os.path.getsize(path) + each * len(rows) + 32)


def milliseconds(run, repeat):
    """The least of several runs."""
    best = float("inf")
    for _ in range(repeat):
        start = time.perf_counter()
        held = run()
        best = min(best, time.perf_counter() - start)
        del held
    return best * 1e3


def row(what, rows, repeat):
    times = {name: milliseconds(run, repeat) for name, run in rows.items()}
    ours = times["tallow"]
    for name, ms in times.items():
        print(f"{what:34} {name:20} {ms:9.2f} ms   {ms / ours:6.2f}x")


def opening(folder, total):
    sparse_safetensors(folder / "sharded", total)
    sparse_gguf(folder / "x.gguf", total)

    def peer_folder():
        return [safetensors.safe_open(path, "pt")
                for path in sorted((folder / "sharded").glob("*.safetensors"))]

    what = f"open {total / 1e9:g} GB"
    row(f"{what}, sharded safetensors",
        {"tallow": lambda: tallow.open_file(folder / "sharded"), "safetensors": peer_folder}, 5)
    row(f"{what}, with all {9 * LAYERS} tensors",
        {"tallow": lambda: tallow.load_file(folder / "sharded"),
         "safetensors": lambda: [file.get_tensor(name) for file in peer_folder()
                                 for name in list(file.keys())[:1]]}, 5)
    row(f"{what}, GGUF", {"tallow": lambda: tallow.load_file(folder / "x.gguf"),
                          "gguf": lambda: gguf.GGUFReader(folder / "x.gguf")}, 3)


def reading(folder, total):
    each = total // 16 // 4
    state = {f"w{i}": torch.rand(each // 1024, 1024) for i in range(16)}
    safetensors.torch.save_file(state, folder / "x.safetensors")
    torch.save(state, folder / "x.pth")
    space = bytearray(os.path.getsize(folder / "x.safetensors"))

    def plain():
        with open(folder / "x.safetensors", "rb", buffering=0) as file:
            view = memoryview(space)
            while len(view) and (count := file.readinto(view)):
                view = view[count:]

    def copies(path):
        return [tensor.clone() for tensor in tallow.load_file(path).values()]

    def summed(tensors):
        return [tensor.sum() for tensor in tensors.values()]

    what = f"{total / 1e9:g} GB"
    row(f"copy {what} of safetensors",
        {"tallow": lambda: copies(folder / "x.safetensors"),
         "safetensors": lambda: {name: tensor.clone() for name, tensor in safetensors.torch.load_file(
             folder / "x.safetensors").items()}, "plain read": plain}, 3)
    row(f"sum {what} of safetensors",
        {"tallow": lambda: summed(tallow.load_file(folder / "x.safetensors")),
         "safetensors": lambda: summed(safetensors.torch.load_file(folder / "x.safetensors"))}, 3)
    row(f"sum {what} of .pth",
        {"tallow": lambda: summed(tallow.load_file(folder / "x.pth")),
         "torch": lambda: summed(torch.load(folder / "x.pth")),
         "torch, mmap": lambda: summed(torch.load(folder / "x.pth", mmap=True))}, 3)
    ours = tallow.load_file(folder / "x.safetensors")
    row(f"write {what} of safetensors",
        {"tallow": lambda: tallow.save_file(ours, folder / "y.safetensors"),
         "safetensors": lambda: safetensors.torch.save_file(state, folder / "y.safetensors")}, 2)
    row(f"write {what} of .pth",
        {"tallow": lambda: tallow.save_file(ours, folder / "y.pth"),
         "torch": lambda: torch.save(state, folder / "y.pth")}, 2)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=8)
    parser.add_argument("--read-gigabytes", type=float, default=1)
    parser.add_argument("--only", choices=["opening", "reading"])
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if args.only != "reading":
            opening(Path(folder), int(args.gigabytes * 1e9))
        if args.only != "opening":
            reading(Path(folder), int(args.read_gigabytes * 1e9))


if __name__ == "__main__":
    main()
