"""Rows for pooling, images and signals that PyTorch's table lacks. The oracle of mel banks is
transformers, that of resampling the formula of torchaudio written with torch."""

import math

import torch
import torch.nn.functional as F

from conformance.rows import ROWS, Row, Sample

FLOATS = (torch.float64, torch.float32)


def window_samples(*extra):
    def of(make):
        dtype = make(1).dtype
        for n in (0, 1, 2, 7, 16):
            yield Sample(n, extra, {"dtype": dtype})
            yield Sample(n, (False, *extra), {"dtype": dtype}) if not extra else Sample(n, extra, {"dtype": dtype})

    return of


def lp_samples(dims):
    def of(make):
        shape = (2, 3, 9, 8, 7)[: 2 + dims]
        yield Sample(make(*shape).detach().abs().requires_grad_(make(1).requires_grad), (2, 3))
        yield Sample(make(*shape), (2.0, 2), {"stride": 1, "ceil_mode": True})
        yield Sample(make(*shape), (math.inf, 3), {"stride": 2})

    return of


def fractional_samples(dims):
    def of(make):
        shape = (2, 3, 9, 8, 7)[: 2 + dims]
        places = torch.rand(2, 3, dims, dtype=make(1).dtype, generator=torch.Generator().manual_seed(3))
        yield Sample(make(*shape), (2,), {"output_size": (4, 3, 3)[:dims], "_random_samples": places})
        yield Sample(make(*shape), (3,), {"output_ratio": (0.6, 0.5, 0.7)[:dims], "_random_samples": places})
        yield Sample(make(*shape), (2,), {"output_size": 3, "return_indices": True, "_random_samples": places})

    return of


def affine_samples(make):
    for align in (False, True):
        yield Sample(make(2, 2, 3), ((2, 3, 4, 5),), {"align_corners": align})
        yield Sample(make(2, 3, 4), ((2, 1, 3, 1, 5),), {"align_corners": align})


def factor_samples(make):
    x = make(1, 2, 5, 7)
    yield Sample(x, (), {"scale_factor": (2.0, 1.5), "mode": "bilinear"})
    yield Sample(x, (), {"scale_factor": (0.6, 0.8), "mode": "bicubic", "antialias": True})
    yield Sample(x, (), {"scale_factor": 1.7, "mode": "bilinear", "recompute_scale_factor": True})
    yield Sample(x, ((3, 4),), {"mode": "lanczos", "antialias": True})


def mel_bank(bins, filters, low, high, rate, norm=None, mel_scale="htk", triangularize_in_mel_space=False):
    import warnings

    from transformers.audio_utils import mel_filter_bank

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.from_numpy(
            mel_filter_bank(bins, filters, low, high, rate, norm, mel_scale, triangularize_in_mel_space))


def mel_samples(make):
    for scale in ("htk", "slaney", "kaldi"):
        for norm in (None, "slaney"):
            yield Sample(201, (80, 0.0, 8000.0, 16000), {"norm": norm, "mel_scale": scale})
    yield Sample(257, (40, 20.0, 7600.0, 16000),
                 {"mel_scale": "kaldi", "triangularize_in_mel_space": True})


def fbanks(n_freqs, f_min, f_max, n_mels, sample_rate, norm=None, mel_scale="htk"):
    return mel_bank(n_freqs, n_mels, f_min, f_max, sample_rate, norm, mel_scale).float()


def fbank_samples(make):
    yield Sample(201, (0.0, 8000.0, 80, 16000))
    yield Sample(513, (20.0, 11025.0, 64, 22050), {"norm": "slaney", "mel_scale": "slaney"})


def resampled(wave, orig_freq, new_freq, lowpass_filter_width=6, rolloff=0.99,
              resampling_method="sinc_interp_hann", beta=None):
    """torchaudio.functional.resample, as its documentation derives it."""
    if orig_freq == new_freq:
        return wave
    common = math.gcd(orig_freq, new_freq)
    orig, new = orig_freq // common, new_freq // common
    base = min(orig, new) * rolloff
    width = math.ceil(lowpass_filter_width * orig / base)
    at = torch.arange(-width, width + orig, dtype=torch.float64)[None, None] / orig
    t = torch.arange(0, -new, -1, dtype=torch.float64)[:, None, None] / new + at
    t = (t * base).clamp_(-lowpass_filter_width, lowpass_filter_width)
    if resampling_method == "sinc_interp_hann":
        window = torch.cos(t * math.pi / lowpass_filter_width / 2) ** 2
    else:
        beta = torch.tensor(float(14.769656459379492 if beta is None else beta))
        window = torch.i0(beta * torch.sqrt(1 - (t / lowpass_filter_width) ** 2)) / torch.i0(beta)
    t *= math.pi
    kernels = torch.where(t == 0, torch.ones_like(t), t.sin() / t) * window * base / orig
    flat = wave.reshape(-1, wave.shape[-1])
    padded = F.pad(flat, (width, width + orig))
    out = F.conv1d(padded[:, None], kernels.to(wave.dtype), stride=orig)
    out = out.transpose(1, 2).reshape(flat.shape[0], -1)
    length = -(-new * wave.shape[-1] // orig)
    return out[:, :length].reshape(*wave.shape[:-1], length)


def resample_samples(make):
    yield Sample(make(2, 400), (16000, 8000))
    yield Sample(make(300), (44100, 16000), {"lowpass_filter_width": 16})
    yield Sample(make(2, 3, 100), (8000, 12000), {"resampling_method": "sinc_interp_kaiser"})
    yield Sample(make(50), (8000, 8000))


def indexed(function):
    return lambda *args, **kwargs: function(*args, return_indices=True, **kwargs)


def indexed_samples(make):
    yield Sample(make(2, 3, 9, 8), (3,), {"stride": 2, "padding": 1})
    yield Sample(make(3, 9, 8), (2,), {"dilation": 2, "ceil_mode": True})


ROWS += [Row(f"{n}_window", getattr(torch, f"{n}_window"), window_samples(), FLOATS, False)
         for n in ("hann", "hamming", "blackman", "bartlett", "kaiser")]
ROWS += [Row(f"nn.functional.lp_pool{d}d", getattr(F, f"lp_pool{d}d"), lp_samples(d)) for d in (1, 2, 3)]
ROWS += [Row(f"nn.functional.fractional_max_pool{d}d", getattr(F, f"fractional_max_pool{d}d"),
             fractional_samples(d)) for d in (2, 3)]
ROWS += [
    Row("nn.functional.max_pool2d_with_indices", indexed(F.max_pool2d), indexed_samples),
    Row("nn.functional.affine_grid", F.affine_grid, affine_samples),
    Row("nn.functional.interpolate", F.interpolate, factor_samples),
    Row("mel_filter_bank", mel_bank, mel_samples, (torch.float64,), False),
    Row("melscale_fbanks", fbanks, fbank_samples, (torch.float32,), False),
    Row("resample", resampled, resample_samples),
]
