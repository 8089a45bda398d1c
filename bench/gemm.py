"""Float products beside PyTorch's, in GFLOP/s, from one run: bench/gemm.py BENCH_PROGRAM"""

import os
import subprocess
import sys
import time

import torch

SHAPES = [(1024, 1024), (576, 576), (192, 576), (1536, 576), (576, 1536), (49152, 576),
          (2048, 2048), (512, 2048), (8192, 2048), (2048, 8192)]
TYPES = {"f32": torch.float32, "bf16": torch.bfloat16}


def peer(dtype, m, n, k):
    x, w = torch.rand(m, k).to(dtype), torch.rand(n, k).to(dtype)
    best, end, runs = 1e9, time.perf_counter() + 0.25, 0
    while runs < 5 or time.perf_counter() < end:
        begin = time.perf_counter()
        torch.nn.functional.linear(x, w)
        best, runs = min(best, time.perf_counter() - begin), runs + 1
    return 2e-9 * m * n * k / best


def main():
    program = sys.argv[1]
    only = sys.argv[2:] or ["f32", "bf16"]
    print("type threads     m      n      k   tallow  PyTorch  ratio   (GFLOP/s)")
    for name in only:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            for n, k in SHAPES:
                for m in ((1024,) if n == 1024 else (1, 8, 512)):
                    environment = {**os.environ, "TALLOW_THREADS": str(threads)}
                    text = subprocess.run([program, name, str(m), str(n), str(k)], check=True,
                                          env=environment, capture_output=True, text=True).stdout
                    ours, theirs = float(text.split()[3]), peer(TYPES[name], m, n, k)
                    print(f"{name:4} {threads:7} {m:5} {n:6} {k:6} {ours:8.1f} {theirs:8.1f} "
                          f"{ours / theirs:6.2f}", flush=True)


if __name__ == "__main__":
    with torch.inference_mode():
        main()
