"""Rounding to block types beside ggml's own code, in one process, at equal threads.

    PYTHONPATH=build/release/python python bench/quantize.py [TYPE...] [--threads N] [--importance]
"""

import argparse
import ctypes
import sys
import threading
import time
from pathlib import Path

import numpy as np

import tallow

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "python"))
import ggml  # noqa: E402

ROWS, K = 1024, 4096


def best(run, repeats=3):
    least = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        least = min(least, time.perf_counter() - start)
    return least


def run_ggml(dtype, x, out, importance, threads):
    """As llama-quantize does it: each thread takes rows."""
    chunk = ggml.library().ggml_quantize_chunk
    chunk.restype = ctypes.c_size_t
    step = -(-len(x) // threads)

    def part(first):
        count = min(step, len(x) - first)
        chunk(ctypes.c_int(ggml.IDS[dtype]), ggml.pointer(x), ggml.pointer(out),
              ctypes.c_int64(first * K), ctypes.c_int64(count), ctypes.c_int64(K),
              ggml.pointer(importance))

    workers = [threading.Thread(target=part, args=(i,)) for i in range(0, len(x), step)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("types", nargs="*", default=["q4_0", "q4_k", "q6_k", "iq4_xs"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--importance", action="store_true")
    args = parser.parse_args()
    tallow.set_num_threads(args.threads)
    rng = np.random.default_rng(0)
    x = rng.normal(0, 1, (ROWS, K)).astype(np.float32)
    out = np.zeros(x.size * 2, np.uint8)
    weights = np.exp(rng.normal(0, 1, K)).astype(np.float32) if args.importance else None
    tensor = tallow.tensor(x)
    column = tallow.tensor(weights) if args.importance else None
    print(f"{'type':8} {'tallow':>8} {'ggml':>8}  million elements/s at {args.threads} threads")
    for dtype in args.types:
        kind = getattr(tallow, dtype)
        few = dtype.startswith(("iq1", "iq2", "iq3"))
        n = ROWS // 16 if few else ROWS
        part, rows = tensor[:n].contiguous(), x[:n]
        repeats = 1 if few else 3
        ours = best(lambda: tallow.quantize(part, kind, column), repeats)
        theirs = best(lambda: run_ggml(dtype, rows, out, weights, args.threads), repeats)
        rate = n * K / 1e6
        print(f"{dtype:8} {rate / ours:8.1f} {rate / theirs:8.1f}  {theirs / ours:5.2f}x")


if __name__ == "__main__":
    main()
