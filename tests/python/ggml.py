"""ggml itself, as llama.cpp has it: its conversions by name, through the wheel's shared library."""

import ctypes
import functools

import numpy as np

IDS = {"q4_0": 2, "q4_1": 3, "q5_0": 6, "q5_1": 7, "q8_0": 8, "q2_k": 10, "q3_k": 11, "q4_k": 12,
       "q5_k": 13, "q6_k": 14, "iq2_xxs": 16, "iq2_xs": 17, "iq3_xxs": 18, "iq1_s": 19,
       "iq4_nl": 20, "iq3_s": 21, "iq2_s": 22, "iq4_xs": 23, "iq1_m": 29, "tq1_0": 34, "tq2_0": 35,
       "mxfp4": 39, "nvfp4": 40, "q1_0": 41, "q2_0": 42}


@functools.cache
def library():
    import xllamacpp.xllamacpp

    return ctypes.CDLL(xllamacpp.xllamacpp.__file__)


def pointer(array):
    return ctypes.c_void_p(array.ctypes.data) if array is not None else None


def dequantize(blocks, dtype, sizes):
    """[rows, bytes] as f32."""
    blocks = np.ascontiguousarray(blocks)
    length, size = sizes
    out = np.empty((len(blocks), blocks.shape[1] // size * length), np.float32)
    function = getattr(library(), "dequantize_row_" + dtype.replace("_k", "_K"))
    function(pointer(blocks), pointer(out), ctypes.c_int64(out.size))
    return out


def quantize(x, dtype, sizes, importance=None):
    """[rows, k] of f32 as [rows, bytes]; importance [k] or None."""
    x = np.ascontiguousarray(x, np.float32)
    rows, k = x.shape
    length, size = sizes
    out = np.empty((rows, k // length * size), np.uint8)
    if importance is not None:
        importance = np.ascontiguousarray(importance, np.float32)
    function = library().ggml_quantize_chunk
    function.restype = ctypes.c_size_t
    function(ctypes.c_int(IDS[dtype]), pointer(x), pointer(out), ctypes.c_int64(0),
             ctypes.c_int64(rows), ctypes.c_int64(k), pointer(importance))
    return out
