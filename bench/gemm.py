"""Matrix products of the Python package beside PyTorch's, in one process, on equal threads:
bench/gemm.py [--dtype f32 bf16] [--threads 1 2] [--only TEXT].

Each row: microseconds of both, how many times faster tallow is, and the share of the limit that
binds: operations over the measured peak, or the operands' bytes over the measured bandwidth of
memory of their size. The two take turns, and the best run counts."""

import argparse
import math
import time

import torch
import torch.nn.functional as F

import tallow
import tallow.nn.functional as TF

TYPES = {"f32": torch.float32, "bf16": torch.bfloat16, "f64": torch.float64}


def mm(m, n, k, batch=()):
    make = lambda t: (torch.randn(*batch, m, k).to(t), torch.randn(*batch, k, n).to(t))  # noqa: E731
    return ("matmul", batch, m, n, k), make, lambda L, N, a, b: L.matmul(a, b)


def scores(m, n, k, batch):
    """q k^T, where k is a transposed view."""
    make = lambda t: (torch.randn(*batch, m, k).to(t), torch.randn(*batch, n, k).to(t))  # noqa: E731
    return ("q k^T", batch, m, n, k), make, lambda L, N, a, b: L.matmul(a, b.transpose(-2, -1))


def gradient(m, n, k):
    """The gradient of a weight, g^T x, where g is a transposed view."""
    make = lambda t: (torch.randn(k, m).to(t), torch.randn(k, n).to(t))  # noqa: E731
    return ("g^T x", (), m, n, k), make, lambda L, N, a, b: L.matmul(a.transpose(0, 1), b)


def linear(m, n, k):
    make = lambda t: (torch.randn(m, k).to(t), torch.randn(n, k).to(t))  # noqa: E731
    return ("linear", (), m, n, k), make, lambda L, N, x, w: N.linear(x, w)


def cases():
    for n in (64, 128, 256, 512, 1024, 2048):
        yield mm(n, n, n)
    for m, n, k in ((1, 4096, 4096), (1, 576, 576), (1, 49152, 576), (2, 2048, 2048),
                    (4, 1536, 576), (8, 576, 1536), (8, 4096, 4096), (16, 2048, 2048),
                    (32, 4096, 4096), (32, 1536, 576)):
        yield linear(m, n, k)
    for m, n, k in ((1, 4096, 4096), (4, 2048, 2048), (16, 1536, 576), (32, 2048, 2048)):
        yield mm(m, n, k)
    for m, n, k in ((512, 576, 576), (512, 192, 576), (512, 1536, 576), (512, 576, 1536),
                    (64, 49152, 576)):
        yield linear(m, n, k)
    for m, n, k in ((197, 768, 768), (197, 3072, 768), (197, 768, 3072), (1576, 768, 768),
                    (128, 768, 768), (128, 3072, 768)):
        yield linear(m, n, k)
    yield gradient(3072, 768, 197)
    yield scores(197, 197, 64, (12,))
    yield mm(197, 64, 197, (12,))
    yield scores(512, 512, 64, (8, 12))
    yield mm(512, 64, 512, (8, 12))


def best_times(ours, theirs, seconds):
    """The best of both, run in turns. A turn begins when the threads of the other, which spin for
    some milliseconds after its last call, have given back the cores."""
    times, turns = [1e9, 1e9], 3
    for _ in range(turns):
        for i, f in enumerate((ours, theirs)):
            time.sleep(0.02)
            end, runs = time.perf_counter() + seconds / turns / 2, 0
            while runs < 2 or time.perf_counter() < end:
                repeat = max(1, min(50, int(2e-4 / times[i])))
                begin = time.perf_counter()
                for _ in range(repeat):
                    f()
                times[i] = min(times[i], (time.perf_counter() - begin) / repeat)
                runs += 1
    return times


def limit(dtype, threads, batch, m, n, k):
    """The least seconds that arithmetic or memory allow."""
    count = math.prod(batch)
    size = torch.empty(0, dtype=TYPES[dtype]).element_size()
    moved = count * (m * k + k * n + m * n) * size
    peak = tallow._C.peak_bf16(threads) if dtype == "bf16" else tallow._C.peak_f32(threads)
    if dtype == "f64":
        peak /= 2
    return max(2 * count * m * n * k / peak,
               moved / tallow._C.read_bandwidth(max(4096, min(moved, 1 << 28)), threads))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dtype", nargs="*", default=["f32", "bf16"], choices=TYPES)
    parser.add_argument("--threads", nargs="*", type=int, default=[1, 2])
    parser.add_argument("--only", default="", help="rows whose text holds this")
    parser.add_argument("--seconds", type=float, default=0.15, help="for each row")
    options = parser.parse_args()
    print("type  threads  product  batch       m      n      k      ours   PyTorch  ratio  of limit")
    ratios, met = [], 0
    for dtype in options.dtype:
        for threads in options.threads:
            torch.set_num_threads(threads)
            tallow.set_num_threads(threads)
            for (name, batch, m, n, k), make, call in cases():
                text = f"{name} {list(batch)} {m}x{n}x{k}"
                if options.only not in text:
                    continue
                theirs = make(TYPES[dtype])
                ours = [tallow.from_dlpack(x) for x in theirs]
                times = best_times(lambda: call(tallow, TF, *ours), lambda: call(torch, F, *theirs),
                                   options.seconds)
                ratio = times[1] / times[0]
                share = limit(dtype, threads, batch, m, n, k) / times[0]
                good = ratio >= 1.2 or share >= 0.85
                ratios.append(ratio)
                met += good
                print(f"{dtype:5} {threads:7}  {name:7} {str(list(batch)):8} {m:6} {n:6} {k:6} "
                      f"{1e6 * times[0]:9.1f} {1e6 * times[1]:9.1f} {ratio:6.2f} {share:8.0%} "
                      f"{'' if good else '  <'}{'<' if ratio < 0.9 else ''}", flush=True)
    if not ratios:
        parser.error(f"no row holds {options.only!r}; rows read as 'linear [] 32x4096x4096'")
    mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
    print(f"{met} of {len(ratios)} at 1.2x or 85% of the limit; least {min(ratios):.2f}, "
          f"geometric mean {mean:.2f}")


if __name__ == "__main__":
    with torch.inference_mode():
        main()
