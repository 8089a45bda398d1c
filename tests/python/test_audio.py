"""Sounds beside libsndfile (the package soundfile): every format that we read, and files that are
damaged."""

import io
import struct

import numpy as np
import pytest
import soundfile

import tallow

WAVS = [("WAV", subtype) for subtype in ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE",
                                         "ALAW", "ULAW")]
EXACT = WAVS + [("WAVEX", "PCM_16"), ("WAVEX", "PCM_24"), ("WAVEX", "FLOAT"), ("WAVEX", "ULAW"),
                ("RF64", "PCM_16"), ("RF64", "FLOAT"), ("FLAC", "PCM_S8"), ("FLAC", "PCM_16"),
                ("FLAC", "PCM_24")]
LOSSY = [("VORBIS", 16000), ("VORBIS", 44100), ("OPUS", 8000), ("OPUS", 12000), ("OPUS", 16000),
         ("OPUS", 24000), ("OPUS", 48000)]


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


@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize("subtype,rate", LOSSY)
def test_lossy_sounds_are_those_of_soundfile(subtype, rate, channels):
    for frames in (1, 999, 20001, 100000):
        ours, theirs = both(written(sound(frames, channels), rate, format="OGG", subtype=subtype))
        assert ours.shape == theirs.shape
        assert np.abs(ours - theirs).max() < 1e-4


@pytest.mark.parametrize("rate", [8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000])
def test_mp3_is_that_of_soundfile(rate):
    rng = np.random.default_rng(rate)
    for frames, channels, options in [
            (1, 1, {}), (1153, 2, {}),
            (40000, 1, dict(compression_level=0.0, bitrate_mode="CONSTANT")),
            (40000, 2, dict(compression_level=0.5, bitrate_mode="CONSTANT")),
            (40000, 2, dict(compression_level=0.99, bitrate_mode="VARIABLE"))]:
        x = sound(frames, 1) + 0.01 * rng.standard_normal((frames, channels))
        for at in rng.integers(0, frames, 8):  # blocks become short where it cracks
            x[at:at + 60] += 0.5 * rng.standard_normal(x[at:at + 60].shape)
        data = written(x.clip(-1, 1), rate, format="MP3", **options)
        ours, theirs = both(data)
        assert ours.shape == theirs.shape
        assert np.abs(ours - theirs).max() < 1e-5


@pytest.mark.parametrize("extension", [0, 1, 2, 3])
def test_stereo_of_mp3_is_that_of_soundfile(extension):
    """Frames that say they hold intensities, or middle and side, whatever was written."""
    rng = np.random.default_rng(0)
    x = sound(30000, 1) * [1, 0.2] + 0.01 * rng.standard_normal((30000, 2)) * [1, 0]
    for at in rng.integers(0, 29000, 6):
        x[at:at + 60] += 0.5 * rng.standard_normal((60, 1))
    data = bytearray(written(x.clip(-1, 1), 32000, format="MP3", compression_level=0.3,
                             bitrate_mode="CONSTANT"))
    kilobits = [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320]
    at = 0
    while at + 4 <= len(data):
        data[at + 3] = data[at + 3] & 0x0F | 0x40 | extension << 4
        at += 144 * kilobits[data[at + 2] >> 4] * 1000 // 32000 + (data[at + 2] >> 1 & 1)
    ours, theirs = both(bytes(data))
    assert np.abs(ours - theirs).max() < 1e-5


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
    path = tmp_path / "sound.flac"
    path.write_bytes(data)
    samples, rate = tallow.audio.read(path)
    assert rate == 44100 and samples.shape == (1, 100)
    assert np.array_equal(samples.numpy(), tallow.audio.decode(data)[0].numpy())


def test_a_tag_may_come_first():
    data = written(sound(100), format="FLAC", subtype="PCM_16")
    tagged = b"ID3\x04\0\0\0\0\x01\x05" + bytes(128 + 5) + data
    assert np.array_equal(tallow.audio.decode(tagged)[0].numpy(), both(data)[0])


FILES = {"wav": dict(format="WAV", subtype="PCM_16"), "flac": dict(format="FLAC"),
         "mp3": dict(format="MP3"),
         "vorbis": dict(format="OGG", subtype="VORBIS"), "opus": dict(format="OGG", subtype="OPUS")}


@pytest.mark.parametrize("name", FILES)
def test_files_cut_off_are_errors_or_shorter(name):
    data = written(sound(3000), **FILES[name])
    whole = tallow.audio.decode(data)[0].shape[1]
    for length in [*range(0, 200), *range(200, len(data), 97)]:
        try:
            samples, _ = tallow.audio.decode(data[:length])
        except tallow.Error as error:
            assert str(error).startswith("audio: ")
        else:
            assert samples.shape[1] <= whole


@pytest.mark.parametrize("name", FILES)
def test_damage_is_an_error_or_heard(name):
    data = written(sound(3000), **FILES[name])
    rng = np.random.default_rng(3)
    for _ in range(300):
        damaged = bytearray(data)
        for at in rng.integers(0, len(data) if rng.integers(2) else 200, rng.integers(1, 4)):
            damaged[at] = rng.integers(256)
        try:
            samples, rate = tallow.audio.decode(bytes(damaged))
        except tallow.Error as error:
            assert str(error).startswith("audio: ")
        else:
            assert samples.ndim == 2 and rate > 0


def wav(channels=1, rate=16000, bits=16, tag=1, claimed=None, data=b"\0" * 64):
    form = struct.pack("<HHIIHH", tag, channels, rate, rate * channels * bits // 8,
                       channels * bits // 8, bits)
    size = len(data) if claimed is None else claimed
    return (b"RIFF" + struct.pack("<I", 36 + size & 0xFFFFFFFF) + b"WAVEfmt " +
            struct.pack("<I", 16) + form + b"data" + struct.pack("<I", size) + data)


@pytest.mark.parametrize("data,message", [
    (b"", "is empty"),
    (b"MThd\0\0\0\x06", "no sound of a known format"),
    (wav(data=b""), "holds no sound"),
    (wav(channels=0), "unknown"),
    (wav(rate=0), "sample rate: 0"),
    (wav(bits=12, channels=3), "unknown"),
    (wav(tag=85), "unknown"),
    (wav(claimed=10 * 3600 * 32000), "truncated"),
    (wav()[:40], "truncated"),
    (b"RIFF\x24\0\0\0WAVEdata\4\0\0\0abcd", "before the format"),
    (b"RIFF\x24\0\0\0WAVE", "no samples"),
    (b"OggS", "truncated"),
    (b"OggS" + bytes(60), "checksum"),
    (b"fLaC", "holds no sound"),
])
def test_what_is_no_sound_is_an_error(data, message):
    with pytest.raises(tallow.Error, match="^audio: .*" + message):
        tallow.audio.decode(data)


def test_sizes_that_a_pipe_never_knew():
    samples, _ = tallow.audio.decode(wav(claimed=0xFFFFFFFF))
    assert samples.shape == (1, 32)


def ogg_pages(packets):
    """A stream of Ogg with correct checksums."""
    out = b""
    for number, packet in enumerate(packets):
        lacing = bytes([255] * (len(packet) // 255) + [len(packet) % 255])
        flags = 2 * (number == 0) + 4 * (number == len(packets) - 1)
        head = struct.pack("<4sBBqII", b"OggS", 0, flags, 0, 7, number)
        page = bytes([len(lacing)]) + lacing + packet
        crc = 0
        for byte in head + bytes(4) + page:
            crc ^= byte << 24
            for _ in range(8):
                crc = (crc << 1 ^ (0x04C11DB7 if crc >> 31 else 0)) & 0xFFFFFFFF
        out += head + struct.pack("<I", crc) + page
    return out


def test_codebooks_that_claim_gigabytes_are_refused():
    bits = []
    put = lambda value, count: bits.extend(value >> i & 1 for i in range(count))  # noqa: E731
    put(63, 8)
    for _ in range(64):  # of 4 million words each, in order, all of the same length
        put(0x564342, 24), put(1, 16), put(1 << 22, 24), put(1, 1), put(21, 5)
        put(1 << 22, 23), put(0, 4)
    setup = np.packbits(np.array(bits, np.uint8), bitorder="little").tobytes()
    head = struct.pack("<IBIIIIBB", 0, 1, 16000, 0, 0, 0, 0xB8, 1)
    notes = struct.pack("<II", 0, 0) + b"\1"
    data = ogg_pages([b"\x01vorbis" + head, b"\x03vorbis" + notes, b"\x05vorbis" + setup])
    with pytest.raises(tallow.Error, match="codebooks of more than"):
        tallow.audio.decode(data)


@pytest.mark.parametrize("rate,new", [(44100, 16000), (48000, 16000), (8000, 16000), (22050, 16000),
                                      (16000, 44100), (11025, 8000), (44101, 16000)])
def test_resampled_tones_stay_and_those_past_the_band_go(rate, new):
    frames = rate // 2 + 3
    old, t = np.arange(frames) / rate, np.arange(-(-frames * new // rate)) / new
    for share in (0.01, 0.5, 0.9):
        tone = 2 * np.pi * share * min(rate, new) / 2
        x = np.stack([np.sin(tone * old), np.cos(tone * old)]).astype(np.float32)
        y = tallow.audio.resample(x, rate, new).numpy()
        assert y.shape == (2, len(t))
        inside = slice(new // 8, -new // 8)
        expected = np.stack([np.sin(tone * t), np.cos(tone * t)])
        assert np.abs(y - expected)[:, inside].max() < 5e-6
    if new < rate:
        for share in (1.01, 1.2):
            x = np.sin(np.pi * share * new * old).astype(np.float32)
            assert np.abs(tallow.audio.resample(x, rate, new).numpy()[inside]).max() < 3e-6


def test_resampling_keeps_what_needs_none_and_takes_no_odd_rates():
    x = np.arange(5, dtype=np.float32)
    assert np.array_equal(tallow.audio.resample(x, 7, 7).numpy(), x)
    assert tallow.audio.resample(np.zeros((2, 0), np.float32), 3, 2).shape == (2, 0)
    np.testing.assert_allclose(tallow.audio.resample(np.ones(999, np.float32), 3, 2)[300].item(), 1)
    for rate in (0, -1, 10**8):
        with pytest.raises(tallow.Error, match="resample: rates"):
            tallow.audio.resample(x, rate, 16000)
