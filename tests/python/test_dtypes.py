"""Block dtypes against the `gguf` package: conversions to the bit, and the packed form's products
and panels, at every instruction set, against NumPy on the dequantized weights.
"""

import gguf
import ml_dtypes
import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType as Type

import ggml

WRITTEN = ["q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "mxfp4"]
LEVELS = ["portable", "avx2", "avx512", "avx512_vnni", "avx512_bf16", "amx"]
# The block dtypes, and where a block's f16 fields stand: random bytes would make them infinite.
HALVES = {"q4_0": [0], "q4_1": [0, 2], "q5_0": [0], "q5_1": [0, 2], "q8_0": [0], "q2_k": [80, 82],
          "q3_k": [108], "q4_k": [0, 2], "q5_k": [0, 2], "q6_k": [208], "iq4_nl": [0],
          "iq4_xs": [0], "mxfp4": [], "tq2_0": [64], "tq1_0": [52], "nvfp4": [], "iq1_s": [0],
          "iq1_m": [], "iq2_xxs": [0], "iq2_xs": [0], "iq2_s": [0], "iq3_xxs": [0], "iq3_s": [0],
          "q1_0": [0], "q2_0": [0], "q8_1": [0, 2], "q8_k": []}
BLOCKS = list(HALVES)
UNPACKED = {"q8_k"}  # without a form for speed
PACKED = [dtype for dtype in BLOCKS if dtype not in UNPACKED]


def sizes(dtype):
    if dtype == "q2_0":  # which gguf lacks
        return 64, 18
    if dtype == "q8_1":  # of which it has the size of an older form
        return 32, 36
    return gguf.GGML_QUANT_SIZES[Type[dtype.upper()]]


def random_blocks(dtype, rows, k, seed=0):
    """Random codes and 6-bit scales under scales of about 0.01, as [rows, bytes]."""
    rng = np.random.default_rng(seed)
    length, size = sizes(dtype)
    blocks = rng.integers(0, 256, (rows * k // length, size), dtype=np.uint8)
    for at in HALVES[dtype]:
        scale = rng.normal(0, 0.01, len(blocks)).astype(np.float16)
        blocks[:, at:at + 2] = scale.view(np.uint8).reshape(-1, 2)
    if dtype == "mxfp4":
        blocks[:, 0] = rng.integers(118, 124, len(blocks))
    if dtype == "nvfp4":
        blocks[:, :4] = rng.integers(0, 128, (len(blocks), 4))
    if dtype == "q8_k":
        blocks[:, :4] = rng.normal(0, 0.01, (len(blocks), 1)).astype(np.float32).view(np.uint8)
    if dtype == "iq1_m":  # the nibbles of an f16 above those of the scales
        scale = rng.normal(0, 0.01, len(blocks)).astype(np.float16).view(np.uint16)
        for word in range(4):
            high = (scale >> (4 * word) & 15).astype(np.uint8) << 4
            blocks[:, 49 + 2 * word] = blocks[:, 49 + 2 * word] & 15 | high
    return blocks.reshape(rows, -1)


def expected(blocks, dtype):
    """What gguf makes of the blocks, or ggml itself where gguf does not know the type."""
    if dtype in ("q1_0", "q2_0", "q8_k"):
        return ggml.dequantize(blocks, dtype, sizes(dtype))
    if dtype == "q8_1":
        halves = blocks.reshape(-1, 36)[:, :2].copy().view(np.float16).astype(np.float32)
        codes = blocks.reshape(-1, 36)[:, 4:].view(np.int8).astype(np.float32)
        return (codes * halves).reshape(len(blocks), -1)
    return gguf.quants.dequantize(blocks, Type[dtype.upper()])


def test_every_block_dtype_is_compared(probe):
    assert probe("block_dtypes").stdout.decode().split() == BLOCKS


@pytest.mark.parametrize("dtype", BLOCKS)
def test_to_f32_is_bit_exact(probe, dtype):
    blocks = random_blocks(dtype, 64, 1024)
    got = np.frombuffer(probe("dequantize", dtype, stdin=blocks.tobytes()).stdout, np.float32)
    np.testing.assert_array_equal(got.view(np.uint32), expected(blocks, dtype).ravel().view(np.uint32))


@pytest.mark.parametrize("dtype", BLOCKS)
def test_to_f32_takes_every_scale(probe, dtype):
    """All bytes random: subnormal, infinite and NaN scales too."""
    length, size = sizes(dtype)
    blocks = np.random.default_rng(1).integers(0, 256, (4096, size), dtype=np.uint8)
    got = np.frombuffer(probe("dequantize", dtype, stdin=blocks.tobytes()).stdout, np.float32)
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(got, expected(blocks, dtype).ravel())


@pytest.mark.parametrize("dtype", WRITTEN)
def test_from_f32_writes_the_same_bytes(probe, dtype):
    rng = np.random.default_rng(2)
    x = rng.normal(0, 1, (256, 1024)).astype(np.float32) * np.exp2(rng.integers(-12, 8, (256, 1)))
    x = x.astype(np.float32)
    x[:4] = 0
    x[4:8] = 1.5
    x[8:12, ::2] *= -1
    got = probe("quantize", dtype, stdin=x.tobytes()).stdout
    assert got == gguf.quants.quantize(x, Type[dtype.upper()]).tobytes()


TORCH = {"f16": torch.float16, "bf16": torch.bfloat16, "f8_e4m3": torch.float8_e4m3fn,
         "f8_e5m2": torch.float8_e5m2, "f8_e4m3fnuz": torch.float8_e4m3fnuz,
         "f8_e5m2fnuz": torch.float8_e5m2fnuz, "f8_e8m0": torch.float8_e8m0fnu}
PACKED_FLOATS = {"f4_e2m1": (ml_dtypes.float4_e2m1fn, 4), "f6_e2m3": (ml_dtypes.float6_e2m3fn, 6),
                 "f6_e3m2": (ml_dtypes.float6_e3m2fn, 6)}


@pytest.mark.parametrize("dtype", TORCH)
def test_every_small_float_equals_pytorch(probe, dtype):
    count = 1 << 8 * TORCH[dtype].itemsize
    bits = np.arange(count, dtype=np.uint16 if count > 256 else np.uint8)
    got = np.frombuffer(probe("dequantize", dtype, stdin=bits.tobytes()).stdout, np.float32)
    want = torch.from_numpy(bits).view(TORCH[dtype]).float().numpy()
    np.testing.assert_array_equal(got, want)
    np.testing.assert_array_equal(np.signbit(got)[~np.isnan(want)], np.signbit(want)[~np.isnan(want)])


@pytest.mark.parametrize("dtype", TORCH)
def test_rounding_to_small_floats_equals_pytorch(probe, dtype):
    """Every value, the midpoints between neighbours, their f32 neighbours, and random bits."""
    count = 1 << 8 * TORCH[dtype].itemsize
    bits = torch.arange(count, dtype=torch.int32).to(torch.uint16 if count > 256 else torch.uint8)
    exact = bits.view(TORCH[dtype]).float().numpy()
    exact = np.sort(exact[np.isfinite(exact)])
    middle = ((exact[1:].astype(np.float64) + exact[:-1]) / 2).astype(np.float32)
    x = np.concatenate([exact, middle, np.nextafter(middle, np.float32(np.inf)),
                        np.nextafter(middle, np.float32(-np.inf)),
                        np.random.default_rng(3).integers(0, 2**32, 1 << 16, dtype=np.uint32)
                        .view(np.float32)])
    got = np.frombuffer(probe("quantize", dtype, stdin=x.tobytes()).stdout,
                        np.uint16 if count > 256 else np.uint8)
    want = torch.from_numpy(x).to(TORCH[dtype])
    nan = torch.isnan(want.float()).numpy()
    want = want.view(torch.uint16 if count > 256 else torch.uint8).numpy()
    np.testing.assert_array_equal(got[~nan], want[~nan])
    back = np.frombuffer(probe("dequantize", dtype, stdin=got.tobytes()).stdout, np.float32)
    assert np.isnan(back[nan]).all()


def packed(codes, bits):
    """Codes of a few bits one after the other, the first in the lowest bits."""
    flat = (codes[:, None] >> np.arange(bits) & 1).astype(np.uint8)
    return np.packbits(flat.ravel(), bitorder="little").tobytes()


@pytest.mark.parametrize("dtype", PACKED_FLOATS)
def test_floats_of_4_and_6_bits_equal_ml_dtypes(probe, dtype):
    kind, bits = PACKED_FLOATS[dtype]
    codes = np.arange(1 << bits, dtype=np.uint8)
    values = codes.view(kind).astype(np.float32)
    got = np.frombuffer(probe("dequantize", dtype, stdin=packed(codes, bits)).stdout, np.float32)
    np.testing.assert_array_equal(got.view(np.uint32), values.view(np.uint32))
    exact = np.unique(values)
    middle = (exact[1:] + exact[:-1]) / 2
    x = np.concatenate([values, middle, np.nextafter(middle, np.float32(9)), [1e30, -1e30, np.inf],
                        np.random.default_rng(4).normal(0, 4, 4096)]).astype(np.float32)
    x = x[:len(x) // 4 * 4]
    want = packed(x.astype(kind).view(np.uint8), bits)
    assert probe("quantize", dtype, stdin=x.tobytes()).stdout == want


def run_packed(probe, dtype, blocks, x, level):
    n, m, k = len(blocks), *x.shape
    out = probe("packed", dtype, n, k, m, stdin=blocks.tobytes() + x.tobytes(),
                env={"TALLOW_ISA": level}).stdout
    panels = (n + 31) // 32
    y, rest = out[:4 * m * n], out[4 * m * n:]
    f32, bf16 = rest[:4 * panels * 32 * k], rest[4 * panels * 32 * k:]
    f32 = np.frombuffer(f32, np.float32).reshape(panels, k, 32).transpose(0, 2, 1)
    bf16 = (np.frombuffer(bf16, np.uint16).reshape(panels, 2, k // 2, 16, 2)
            .transpose(0, 1, 3, 2, 4))
    return (np.frombuffer(y, np.float32).reshape(m, n), f32.reshape(-1, k), bf16.reshape(-1, k))


def rounded_activations(x):
    """What the kernels multiply: x in 8 bits, a scale for every 32."""
    groups = x.reshape(len(x), -1, 32)
    scale = np.abs(groups).max(-1, keepdims=True) / 127
    return (np.rint(groups / np.where(scale == 0, 1, scale)) * scale).reshape(x.shape)


SHAPES = [(1, 1), (17, 1), (33, 3), (16, 8), (50, 9), (31, 31)]


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("dtype", PACKED)
def test_packed_product_and_panels(probe, dtype, level):
    for n, m in SHAPES:
        length = sizes(dtype)[0]
        for k in (length, 3 * length if length >= 64 else 576):
            blocks = random_blocks(dtype, n, k, seed=n)
            weights = expected(blocks, dtype)
            x = np.random.default_rng(m).normal(0, 1, (m, k)).astype(np.float32)
            y, f32, bf16 = run_packed(probe, dtype, blocks, x, level)

            # With x rounded the same way, what is left is f32 sums, and rarely a byte at a tie.
            want = rounded_activations(x.astype(np.float64)) @ weights.astype(np.float64).T
            size = np.abs(x.astype(np.float64)) @ np.abs(weights.astype(np.float64)).T
            assert (np.abs(y - want) <= 2e-4 * size + 1e-6).all()
            # And to the activations as given: half a step of 1/127 of each group's largest.
            exact = x.astype(np.float64) @ weights.astype(np.float64).T
            step = np.abs(x.reshape(m, -1, 32)).max(-1).repeat(32, -1) / 127
            bound = 0.51 * step @ np.abs(weights.astype(np.float64)).T
            assert (np.abs(y - exact) <= bound + 2e-5 * size + 1e-6).all()

            np.testing.assert_allclose(f32[:n], weights, rtol=3e-7, atol=2e-7 * np.abs(weights).max())
            assert (f32[n:] == 0).all()
            # Where there is a minimum, what is rounded to bf16 is off by up to 2^-17 of a scale.
            want16 = torch.from_numpy(weights).bfloat16().view(torch.uint16).numpy()
            if dtype in ("q4_1", "q5_1", "q2_k", "q4_k", "q5_k"):
                value = (bf16[:n].astype(np.uint32) << 16).view(np.float32)
                np.testing.assert_allclose(value, weights, rtol=2**-8,
                                           atol=2e-7 * np.abs(weights).max())
                assert (bf16[:n] == want16).mean() > 0.98
            else:
                zero = weights == 0
                np.testing.assert_array_equal(bf16[:n][~zero], want16[~zero])
                assert (bf16[:n][zero] & 0x7FFF == 0).all()
            assert (bf16[n:] & 0x7FFF == 0).all()


@pytest.mark.parametrize("dtype", PACKED)
def test_levels_agree(probe, dtype):
    """The integer sums are exact, so levels differ by the rounding of a few f32 operations."""
    blocks = random_blocks(dtype, 96, 1024)
    x = np.random.default_rng(5).normal(0, 1, (11, 1024)).astype(np.float32)
    want, _, _ = run_packed(probe, dtype, blocks, x, "portable")
    for level in LEVELS[1:]:
        got, _, _ = run_packed(probe, dtype, blocks, x, level)
        assert np.abs(got - want).max() <= 2e-3 * np.abs(want).max()


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("dtype", PACKED)
def test_hostile_blocks_end_quietly(probe, dtype, level):
    length, size = sizes(dtype)
    rng = np.random.default_rng(6)
    blocks = rng.integers(0, 256, (20, 4 * size), dtype=np.uint8)
    blocks[3] = 0xFF
    x = rng.normal(0, 1, (9, 4 * length)).astype(np.float32)
    x[1] = np.nan
    x[2, 5] = np.inf
    x[3] = 1e-42
    x[4] = 3e38
    y, _, _ = run_packed(probe, dtype, blocks, x, level)
    assert np.isnan(y[1]).all()
