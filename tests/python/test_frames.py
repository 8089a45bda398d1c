"""Frames of animations beside Pillow, and of folders."""

import numpy as np
import pytest
from image_files import gif_animation
from PIL import Image
from test_hostile_images import SAMPLES
from test_images import saved, with_alpha
from transformers.video_utils import VideoMetadata, default_sample_indices_fn
from vision_models import picture

import tallow as package  # `tallow` is the command in the other tests


def pillow(path):
    frames, seconds, time = [], [], 0
    with Image.open(path) as image:
        for i in range(getattr(image, "n_frames", 1)):
            image.seek(i)
            image.load()
            frames.append(np.array(image.convert("RGB")))
            seconds.append(time / 1000)
            time += image.info.get("duration", 0)
    return frames, seconds


def check(path):
    frames, seconds = package.image.read_frames(path, 100)
    theirs, times = pillow(path)
    assert len(frames) == len(theirs)
    for ours, expected in zip(frames, theirs):
        np.testing.assert_array_equal(ours.numpy(), expected)
    np.testing.assert_allclose(seconds, times, atol=1e-9)


@pytest.mark.parametrize("seed", range(25))
def test_gif(seed, tmp_path):
    random = np.random.default_rng(seed)
    frames = []
    for _ in range(6):
        x, y = random.integers(0, 12, 2)
        place = (x, y, random.integers(1, 21 - x), random.integers(1, 16 - y))
        frames.append(dict(place=tuple(map(int, place)), after=int(random.integers(0, 4)),
                           transparent=int(random.integers(16)) if random.random() < 0.5 else None,
                           hundredths=int(random.integers(1, 40)), local=random.random() < 0.4,
                           interlaced=random.random() < 0.3))
    path = tmp_path / "a.gif"
    path.write_bytes(gif_animation((20, 15), frames, seed=seed))
    check(path)


def test_pillows_own_gif(tmp_path):
    frames = [Image.fromarray(picture(40, 60, s)) for s in range(5)]
    path = tmp_path / "a.gif"
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=[40, 80, 120, 40, 50])
    check(path)


@pytest.mark.parametrize("lossless", [False, True])
def test_webp(lossless, tmp_path):
    frames = [with_alpha(40, 60)] + [Image.fromarray(picture(40, 60, s)) for s in range(3)]
    path = tmp_path / "a.webp"
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=[40, 80, 120, 40],
                   lossless=lossless)
    check(path)


def test_a_picture_is_one_frame(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(SAMPLES["png"])
    check(path)


def test_more_frames_than_wanted_are_chosen_as_transformers_chooses(tmp_path):
    frames = [Image.fromarray(np.full((8, 8, 3), 5 * i, np.uint8)) for i in range(45)]
    frames[0].save(tmp_path / "a.webp", save_all=True, append_images=frames[1:], duration=100,
                   lossless=True)
    for most in (1, 7, 32, 45, 60):
        read, seconds = package.image.read_frames(tmp_path / "a.webp", most)
        count = min(most, 45)
        wanted = np.arange(count) * 45 // count
        assert [int(f.numpy()[0, 0, 0]) for f in read] == list(5 * wanted)
        np.testing.assert_allclose(seconds, wanted / 10)
    for fps in (0.1, 1, 3, 7.5, 10, 40):
        read, seconds = package.image.read_frames(tmp_path / "a.webp", fps=fps)
        metadata = VideoMetadata(total_num_frames=45, fps=10)
        wanted = default_sample_indices_fn(metadata, fps=min(fps, 10))
        assert [int(f.numpy()[0, 0, 0]) for f in read] == list(5 * wanted)
    assert len(package.image.read_frames(tmp_path / "a.webp", None)[0]) == 45


def test_a_folder_is_read_by_name(tmp_path):
    for i in (3, 1, 2):
        Image.fromarray(picture(20 + i, 30, i)).save(tmp_path / f"frame{i:03}.png")
    frames, seconds = package.image.read_frames(tmp_path)
    for i, frame in enumerate(frames, 1):
        np.testing.assert_array_equal(frame.numpy(), picture(20 + i, 30, i))
    np.testing.assert_allclose(seconds, [0, 1 / 24, 2 / 24])
    assert len(package.image.read_frames(tmp_path, 2)[0]) == 2


def test_what_cannot_be_read(tmp_path):
    (tmp_path / "empty").mkdir()
    for path, most, words in [(tmp_path / "empty", 5, "holds no images"), (tmp_path / "no", 5, "no"),
                              (tmp_path / "empty", 0, "too few")]:
        with pytest.raises(package.Error, match=words):
            package.image.read_frames(path, most)
    for fps in (0, -1, float("nan")):
        with pytest.raises(package.Error, match="too few"):
            package.image.read_frames(tmp_path, fps=fps)


def test_too_many_frames_are_refused_before_they_are_read(tmp_path):
    for i in range(4097):
        (tmp_path / f"{i}.png").touch()
    with pytest.raises(package.Error, match="4097 frames .* 4096 are the most"):
        package.image.read_frames(tmp_path, None)


@pytest.mark.parametrize("kind", ["gif", "webp"])
def test_truncated_and_damaged_animations(kind, tmp_path):
    frames = [Image.fromarray(picture(20, 30, s)) for s in range(3)]
    options = dict(save_all=True, append_images=frames[1:], duration=50)
    data, random, path = saved(frames[0], kind.upper(), **options), np.random.default_rng(0), tmp_path / "a"
    for i in range(200):
        broken = bytearray(data)
        if i < 100:
            del broken[len(data) * i // 100:]
        else:
            broken[random.integers(6, len(data))] = random.integers(256)
        path.write_bytes(bytes(broken))
        try:
            read, _ = package.image.read_frames(path)
        except package.Error as error:
            assert str(path) in str(error)
        else:
            assert len(read) <= 32


def test_many_frames_of_a_large_canvas_are_refused(tmp_path):
    path = tmp_path / "a.gif"
    path.write_bytes(gif_animation((4000, 4000), [dict(place=(0, 0, 2, 2))] * 20))
    with pytest.raises(package.Error, match="cannot be in"):
        package.image.read_frames(path)
