"""Convolutions of ResNet-50, YOLOv8n and MobileNetV2 at their sizes beside PyTorch's and ONNX
Runtime's, in one process, on equal threads: milliseconds, GFLOP/s, the share of the measured peak of
f32, and how many times faster tallow is than the better of the two. Runs alternate, and the best
counts. Each layer is called alone, f32, batch 1, with a bias, from and to ordinary tensors."""

import argparse
import math
import time

import numpy as np
import torch
import torch.nn.functional as F

import tallow
import tallow.nn.functional as TF

# channels, size, outputs, kernel, stride, groups
RESNET50 = [
    (3, 224, 64, 7, 2, 1), (64, 56, 64, 1, 1, 1), (64, 56, 64, 3, 1, 1), (64, 56, 256, 1, 1, 1),
    (256, 56, 64, 1, 1, 1), (256, 56, 128, 1, 1, 1), (128, 56, 128, 3, 2, 1), (128, 28, 512, 1, 1, 1),
    (256, 56, 512, 1, 2, 1), (512, 28, 128, 1, 1, 1), (128, 28, 128, 3, 1, 1), (512, 28, 256, 1, 1, 1),
    (256, 28, 256, 3, 2, 1), (256, 14, 1024, 1, 1, 1), (512, 28, 1024, 1, 2, 1), (1024, 14, 256, 1, 1, 1),
    (256, 14, 256, 3, 1, 1), (1024, 14, 512, 1, 1, 1), (512, 14, 512, 3, 2, 1), (512, 7, 2048, 1, 1, 1),
    (1024, 14, 2048, 1, 2, 1), (2048, 7, 512, 1, 1, 1), (512, 7, 512, 3, 1, 1),
]  # fmt: skip
YOLOV8N = [
    (3, 640, 16, 3, 2, 1), (16, 320, 32, 3, 2, 1), (32, 160, 32, 1, 1, 1), (16, 160, 16, 3, 1, 1),
    (48, 160, 32, 1, 1, 1), (32, 160, 64, 3, 2, 1), (64, 80, 64, 1, 1, 1), (32, 80, 32, 3, 1, 1),
    (128, 80, 64, 1, 1, 1), (64, 80, 128, 3, 2, 1), (128, 40, 128, 1, 1, 1), (64, 40, 64, 3, 1, 1),
    (256, 40, 128, 1, 1, 1), (128, 40, 256, 3, 2, 1), (256, 20, 256, 1, 1, 1), (128, 20, 128, 3, 1, 1),
    (384, 20, 256, 1, 1, 1), (256, 20, 128, 1, 1, 1), (512, 20, 256, 1, 1, 1), (384, 40, 128, 1, 1, 1),
    (192, 40, 128, 1, 1, 1), (192, 80, 64, 1, 1, 1), (96, 80, 64, 1, 1, 1), (64, 80, 64, 3, 2, 1),
    (128, 40, 128, 3, 2, 1), (64, 80, 64, 3, 1, 1), (64, 80, 80, 3, 1, 1), (80, 80, 80, 3, 1, 1),
    (64, 80, 64, 1, 1, 1), (80, 80, 80, 1, 1, 1), (128, 40, 64, 3, 1, 1), (128, 40, 80, 3, 1, 1),
    (80, 40, 80, 3, 1, 1), (256, 20, 64, 3, 1, 1), (64, 20, 64, 3, 1, 1), (256, 20, 80, 3, 1, 1),
    (80, 20, 80, 3, 1, 1), (64, 40, 64, 1, 1, 1), (80, 40, 80, 1, 1, 1),
]  # fmt: skip
MOBILENET = [
    (32, 112, 32, 3, 1, 32), (96, 112, 96, 3, 2, 96), (144, 56, 144, 3, 1, 144), (144, 56, 144, 3, 2, 144),
    (192, 28, 192, 3, 1, 192), (384, 14, 384, 3, 1, 384), (576, 14, 576, 3, 2, 576), (960, 7, 960, 3, 1, 960),
]  # fmt: skip
NETS = {"resnet50": RESNET50, "yolov8n": YOLOV8N, "mobilenet": MOBILENET}


def onnx_conv(x, w, b, stride, pad, groups, threads):
    """A callable that runs a model of one Conv, or None without ONNX Runtime."""
    try:
        import onnx
        import onnxruntime
    except ImportError:
        return None
    from onnx import TensorProto, helper, numpy_helper

    node = helper.make_node("Conv", ["x", "w", "b"], ["y"], strides=[stride] * 2, pads=[pad] * 4, group=groups)
    out = (x.shape[2] + 2 * pad - w.shape[2]) // stride + 1
    graph = helper.make_graph(
        [node], "conv",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [x.shape[0], w.shape[0], out, out])],
        [numpy_helper.from_array(w, "w"), numpy_helper.from_array(b, "b")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    feed = {"x": x}
    return lambda: session.run(None, feed)


def best_times(calls, seconds):
    """The best time of each call, in turns, so that all meet the same conditions."""
    best = [math.inf] * len(calls)
    for call in calls:
        call()
    end = time.perf_counter() + seconds
    rounds = 0
    while rounds < 3 or time.perf_counter() < end:
        for i, call in enumerate(calls):
            for _ in range(3):  # the first of them finds a cold cache
                begin = time.perf_counter()
                call()
                best[i] = min(best[i], time.perf_counter() - begin)
        rounds += 1
    return best


def peak_flops(threads):
    """What a product of two large matrices reaches is taken for the peak, the best of the peers."""
    a = torch.randn(1024, 1024)
    ours = tallow.from_dlpack(a)
    times = best_times([lambda: a @ a, lambda: ours @ ours], 0.5)
    return 2 * 1024**3 / min(times)


def run(layer, threads, seconds, peak):
    channels, size, outs, kernel, stride, groups = layer
    pad = kernel // 2
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, channels, size, size, generator=generator)
    w = torch.randn(outs, channels // groups, kernel, kernel, generator=generator)
    b = torch.randn(outs, generator=generator)
    tx, tw, tb = (tallow.from_dlpack(t).clone() for t in (x, w, b))
    ours = lambda: TF.conv2d(tx, tw, tb, stride, pad, 1, groups)  # noqa: E731
    theirs = lambda: F.conv2d(x, w, b, stride, pad, 1, groups)  # noqa: E731
    ort = onnx_conv(x.numpy(), w.numpy(), b.numpy(), stride, pad, groups, threads)
    want = F.conv2d(x.double(), w.double(), b.double(), stride, pad, 1, groups)
    got = torch.from_dlpack(ours()).double()
    error = float((got - want).abs().max() / want.abs().max())
    assert error < 1e-4, f"{layer}: differs by {error}"
    times = best_times([ours, theirs] + ([ort] if ort else []), seconds)
    peers = min(times[1:])
    flops = 2 * want.numel() * channels // groups * kernel**2
    name = f"{kernel}x{kernel}{f' s{stride}' if stride > 1 else ''} {channels}>{outs} {size}"
    if groups > 1:
        name += " dw"
    ort_ms = f"{times[2] * 1e3:8.3f}" if ort else "       -"
    print(f"{name:22s} {times[0] * 1e3:8.3f} {times[1] * 1e3:8.3f} {ort_ms} {flops / times[0] / 1e9:8.1f} "
          f"{flops / times[0] / peak:7.0%} {peers / times[0]:7.2f}x {error:8.0e}", flush=True)
    return peers / times[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("nets", nargs="*", default=["resnet50", "yolov8n", "mobilenet"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=0.15, help="per layer")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    tallow.set_num_threads(args.threads)
    peak = peak_flops(args.threads)
    print(f"{args.threads} threads, peak {peak / 1e9:.0f} GFLOP/s")
    for net in args.nets:
        print(f"{net:22s}   tallow  PyTorch  ONNX RT  GFLOP/s    peak    ratio    error")
        with torch.inference_mode():
            ratios = [run(layer, args.threads, args.seconds, peak) for layer in NETS[net]]
        mean = math.exp(np.mean(np.log(ratios)))
        print(f"{net}: geometric mean {mean:.2f}x, least {min(ratios):.2f}x\n", flush=True)


if __name__ == "__main__":
    main()
