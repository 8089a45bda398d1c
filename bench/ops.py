"""Ops of the Python package beside PyTorch's, in one process, on equal threads: `make bench-ops`.

Each row: microseconds of both, how many times faster tallow is, and the share of the limit that
binds: bytes over the measured bandwidth (of memory, or of the cache where the data fits), or
operations over the measured peak. Runs alternate between the two, and the best counts."""

import argparse
import math
import sys
import time

import torch
import torch.nn.functional as F

import tallow
import tallow.nn.functional as TF

FUNCTIONAL = {torch: F, tallow: TF}


class Case:
    """`make(torch)` gives the inputs as torch tensors; `call(lib, functional, *inputs)` runs.
    `moved` is the bytes that must be read and written, `flops` the operations, if those bind."""

    def __init__(self, name, inputs, call, moved=None, flops=0, backward=False):
        self.name, self.inputs, self.call = name, inputs, call
        self.moved, self.flops, self.backward = moved, flops, backward


def rand(*shape, dtype=torch.float32):
    return torch.randn(shape).to(dtype)


def nbytes(*tensors):
    return sum(t.numel() * t.element_size() for t in tensors)


def cases():
    big, image, logits = rand(4096, 4096), rand(32, 197, 768), rand(8, 128, 50257)
    small = rand(256, 1024)  # fits the L2 cache
    row, column = rand(4096), rand(4096, 1)
    weight, bias = rand(768), rand(768)
    index = torch.randint(0, 4096, (4096, 4096))
    half = big.to(torch.bfloat16)
    one = lambda x: 2 * nbytes(x)  # read once, written once  # noqa: E731
    yield Case("add [4096,4096]", [big, big.clone()], lambda L, N, a, b: a + b, 3 * nbytes(big))
    yield Case("add [256,1024]", [small, small.clone()], lambda L, N, a, b: a + b, 3 * nbytes(small))
    yield Case("add a row", [big, row], lambda L, N, a, b: a + b, one(big))
    yield Case("add a column", [big, column], lambda L, N, a, b: a + b, one(big))
    yield Case("add bf16", [half, half.clone()], lambda L, N, a, b: a + b, 3 * nbytes(half))
    yield Case("mul by a number", [big], lambda L, N, a: a * 2.5, one(big))
    for name in ("exp", "tanh", "sigmoid", "sqrt"):
        yield Case(name, [big], lambda L, N, a, name=name: getattr(L, name)(a), one(big))
    yield Case("gelu [32,197,768]", [image], lambda L, N, a: N.gelu(a), one(image))
    yield Case("gelu tanh", [image], lambda L, N, a: N.gelu(a, approximate="tanh"), one(image))
    yield Case("silu", [image], lambda L, N, a: N.silu(a), one(image))
    yield Case("where", [big > 0, big, big.clone()], lambda L, N, m, a, b: L.where(m, a, b),
               3 * nbytes(big) + big.numel())
    yield Case("to bf16", [big], lambda L, N, a: a.to(L.bfloat16), nbytes(big) * 3 // 2)
    yield Case("sum all", [big], lambda L, N, a: a.sum(), nbytes(big))
    yield Case("sum last dim", [big], lambda L, N, a: a.sum(-1), nbytes(big))
    yield Case("sum first dim", [big], lambda L, N, a: a.sum(0), nbytes(big))
    yield Case("sum bf16", [half], lambda L, N, a: a.sum(-1), nbytes(half))
    yield Case("mean last dim", [image], lambda L, N, a: a.mean(-1), nbytes(image))
    yield Case("amax last dim", [big], lambda L, N, a: a.amax(-1), nbytes(big))
    yield Case("argmax last dim", [big], lambda L, N, a: a.argmax(-1), nbytes(big))
    yield Case("var last dim", [big], lambda L, N, a: a.var(-1), nbytes(big))
    yield Case("softmax [4096,4096]", [big], lambda L, N, a: N.softmax(a, -1), one(big))
    yield Case("softmax [256,1024]", [small], lambda L, N, a: N.softmax(a, -1), one(small))
    yield Case("softmax vocabulary", [logits], lambda L, N, a: N.softmax(a, -1), one(logits))
    yield Case("log_softmax", [big], lambda L, N, a: N.log_softmax(a, -1), one(big))
    yield Case("softmax first dim", [big], lambda L, N, a: N.softmax(a, 0), one(big))
    yield Case("layer_norm", [image, weight, bias],
               lambda L, N, a, w, b: N.layer_norm(a, (768,), w, b), one(image))
    yield Case("rms_norm", [image, weight], lambda L, N, a, w: N.rms_norm(a, (768,), w), one(image))
    yield Case("transpose copy", [big], lambda L, N, a: a.t().contiguous(), one(big))
    yield Case("transpose copy bf16", [half], lambda L, N, a: a.t().contiguous(), one(half))
    yield Case("permute NCHW->NHWC", [rand(8, 64, 112, 112)],
               lambda L, N, a: a.permute(0, 2, 3, 1).contiguous(), 2 * 8 * 64 * 112 * 112 * 4)
    yield Case("cat", [big, big.clone()], lambda L, N, a, b: L.cat([a, b], 1), 4 * nbytes(big))
    yield Case("cumsum last dim", [big], lambda L, N, a: a.cumsum(-1), one(big))
    yield Case("cumsum first dim", [big], lambda L, N, a: a.cumsum(0), one(big))
    yield Case("sort [64,65536]", [rand(64, 65536)], lambda L, N, a: a.sort(-1)[0])
    yield Case("sort [1000000]", [rand(1000000)], lambda L, N, a: a.sort()[0])
    yield Case("topk 50 of 50257", [rand(128, 50257)], lambda L, N, a: a.topk(50)[0],
               128 * 50257 * 4)
    yield Case("gather", [big, index], lambda L, N, a, i: a.gather(1, i), 4 * nbytes(big))
    yield Case("index_select", [big, index[0]], lambda L, N, a, i: a.index_select(0, i), one(big))
    yield Case("scatter_add", [torch.zeros(4096, 4096), index, big],
               lambda L, N, z, i, a: z.scatter_add(1, i, a), 5 * nbytes(big))
    yield Case("embedding", [rand(50257, 768), index[:8, :512]],
               lambda L, N, w, i: N.embedding(i, w), 2 * 8 * 512 * 768 * 4)
    targets = torch.randint(0, 50257, (1024,))
    yield Case("cross_entropy", [rand(1024, 50257), targets],
               lambda L, N, a, t: N.cross_entropy(a, t), 1024 * 50257 * 4)
    yield Case("cross_entropy, backward", [rand(1024, 50257), targets],
               lambda L, N, a, t: N.cross_entropy(a, t), backward=True)
    yield Case("layer_norm, backward", [image, weight, bias],
               lambda L, N, a, w, b: N.layer_norm(a, (768,), w, b).sum(), backward=True)
    for b, h, n, d in ((1, 12, 197, 64), (8, 12, 512, 64), (1, 32, 2048, 128)):
        for dtype in (torch.float32, torch.bfloat16):
            qkv = [rand(b, h, n, d, dtype=dtype) for _ in range(3)]
            name = f"attention [{b},{h},{n},{d}] {str(dtype)[6:]}"
            flops = 4 * b * h * n * n * d
            attend = lambda L, N, q, k, v: N.scaled_dot_product_attention(q, k, v)  # noqa: E731
            yield Case(name, qkv, attend, flops=flops)
            yield Case(name + ", backward", qkv, lambda L, N, q, k, v: N.scaled_dot_product_attention(
                q, k, v).sum(), flops=flops * 7 // 2, backward=True)
    for t, b, i, h in ((100, 1, 256, 256), (128, 32, 512, 512), (64, 8, 128, 1024)):
        bound = 1 / math.sqrt(h)
        weights = [rand(4 * h, i) * bound, rand(4 * h, h) * bound, rand(4 * h), rand(4 * h)]
        states = [torch.zeros(1, b, h), torch.zeros(1, b, h)]

        def lstm(L, N, x, h0, c0, *w):
            return L.lstm(x, [h0, c0], list(w), True, 1, 0.0, False, False, False)[0]

        flops = 8 * t * b * h * (i + h)
        yield Case(f"lstm [{t},{b},{i},{h}]", [rand(t, b, i), *states, *weights], lstm, flops=flops)
        yield Case(f"lstm [{t},{b},{i},{h}], backward", [rand(t, b, i), *states, *weights],
                   lambda *a, lstm=lstm: lstm(*a).sum(), flops=3 * flops, backward=True)
    for n in (1 << 10, 1 << 16, 1 << 20, 400):
        count = max(1, (1 << 20) // n)
        yield Case(f"fft [{count},{n}]", [rand(count, n, dtype=torch.complex64)],
                   lambda L, N, a: L.fft.fft(a))


def best_time(runs, seconds):
    """The best time of each of several functions, called in turn."""
    times = [math.inf] * len(runs)
    end, rounds = time.perf_counter() + seconds, 0
    while rounds < 3 or time.perf_counter() < end:
        for i, run in enumerate(runs):
            for _ in range(3):  # the first of them meets the other's threads, which still spin
                begin = time.perf_counter()
                result = run()
                times[i] = min(times[i], time.perf_counter() - begin)
                del result
        rounds += 1
    return times


def runner(lib, case):
    inputs = case.inputs
    if lib is tallow:
        inputs = [tallow.from_dlpack(t) for t in inputs]
    if not case.backward:
        return lambda: case.call(lib, FUNCTIONAL[lib], *inputs)
    inputs = [t.detach().requires_grad_() if t.is_floating_point() else t for t in inputs]
    wanted = [t for t in inputs if t.requires_grad]
    return lambda: lib.autograd.grad(case.call(lib, FUNCTIONAL[lib], *inputs), wanted, allow_unused=True)


def limit_share(case, seconds, threads):
    if case.moved:
        return case.moved / tallow._C.read_bandwidth(min(case.moved, 1 << 28), threads) / seconds
    if case.flops:
        peak = tallow._C.peak_bf16 if case.inputs[0].dtype == torch.bfloat16 else tallow._C.peak_f32
        return case.flops / peak(threads) / seconds
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-k", metavar="TEXT", default="", help="only rows whose name holds TEXT")
    parser.add_argument("--threads", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--seconds", type=float, default=0.5, help="of measuring, a row")
    options = parser.parse_args()
    torch.manual_seed(0)
    for threads in options.threads:
        torch.set_num_threads(threads)
        tallow.set_num_threads(threads)
        print(f"\n{threads} thread{'s' * (threads > 1)}\n{'op':36}{'tallow':>10}{'PyTorch':>10}   us"
              f"{'ratio':>8}{'of limit':>10}")
        ratios = []
        for case in cases():
            if options.k not in case.name:
                continue
            try:
                runs = [runner(tallow, case), runner(torch, case)]
                runs[0](), runs[1]()
            except (AttributeError, TypeError, RuntimeError) as e:
                print(f"{case.name:36}  {type(e).__name__}: {str(e)[:70]}")
                continue
            ours, theirs = best_time(runs, options.seconds)
            share = limit_share(case, ours, threads)
            ratios.append(theirs / ours)
            print(f"{case.name:36}{ours * 1e6:10.1f}{theirs * 1e6:10.1f}     {ratios[-1]:7.2f}x"
                  f"{f'{share:9.0%}' if share else '':>10}", flush=True)
        if ratios:
            mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
            print(f"{'geometric mean':36}{'':25}{mean:7.2f}x, least {min(ratios):.2f}x")


if __name__ == "__main__":
    sys.exit(main())
