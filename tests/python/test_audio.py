"""Sounds beside libsndfile (the package soundfile): every format that we read, and files that are
damaged."""

import io

import numpy as np
import pytest
import soundfile

import tallow

WAVS = [("WAV", subtype) for subtype in ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE",
                                         "ALAW", "ULAW")]
EXACT = WAVS + [("WAVEX", "PCM_16"), ("WAVEX", "PCM_24"), ("WAVEX", "FLOAT"), ("WAVEX", "ULAW"),
                ("RF64", "PCM_16"), ("RF64", "FLOAT")]


def sound(frames, channels=1, seed=0):
    rng = np.random.default_rng(seed)
    t = np.arange(frames)[:, None] / 16000
    tones = 0.4 * np.sin(2 * np.pi * t * (300 + 170 * np.arange(channels)))
    return tones + 0.05 * rng.standard_normal((frames, channels))


def written(samples, rate=16000, **options):
    file = io.BytesIO()
    soundfile.write(file, samples, rate, **options)
    return file.getvalue()


def both(data):
    """[channels, frames] from us and from libsndfile."""
    ours, rate = tallow.audio.decode(data)
    theirs, expected_rate = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    assert rate == expected_rate
    return ours.numpy(), theirs.T


@pytest.mark.parametrize("channels", [1, 2, 8])
@pytest.mark.parametrize("format,subtype", EXACT)
def test_samples_equal_soundfile(format, subtype, channels):
    for frames in (1, 999, 20001):
        ours, theirs = both(written(sound(frames, channels), format=format, subtype=subtype))
        assert np.array_equal(ours, theirs)


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT", "DOUBLE"])
def test_big_endian_files(subtype):
    ours, theirs = both(written(sound(500, 2), format="WAV", subtype=subtype, endian="BIG"))
    assert np.array_equal(ours, theirs)


def test_every_byte_of_the_laws():
    for subtype, tag in (("ALAW", 6), ("ULAW", 7)):
        data = bytearray(written(np.zeros(256), format="WAV", subtype=subtype))
        data[-256:] = bytes(range(256))
        ours, theirs = both(bytes(data))
        assert np.array_equal(ours, theirs)


def test_files_are_read_by_their_bytes(tmp_path):
    data = written(sound(100), format="WAV", subtype="PCM_16", rate=44100)
    path = tmp_path / "sound.mp3"
    path.write_bytes(data)
    samples, rate = tallow.audio.read(path)
    assert rate == 44100 and samples.shape == (1, 100)
    assert np.array_equal(samples.numpy(), tallow.audio.decode(data)[0].numpy())
