"""Chats with videos: animations and folders of frames, with transformers' logits."""

import json
import shutil
import subprocess
from types import SimpleNamespace

import numpy as np
import pytest
import tallow as tallow_package
import torch
from gemma4_chat import make_network, make_tokenizer
from PIL import Image
from transformers import Gemma4Processor
from transformers.models.gemma4.image_processing_pil_gemma4 import Gemma4ImageProcessorPil
from transformers.video_processing_utils import VideoProcessorMixin
from transformers.video_utils import VideoMetadata, default_sample_indices_fn
from vision_models import picture


@pytest.fixture(scope="module")
def tokenizer():
    return make_tokenizer()


@pytest.fixture(scope="module")
def network(tokenizer):
    return make_network(tokenizer)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tokenizer, network):
    folder = tmp_path_factory.mktemp("video")
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    frames = [Image.fromarray(picture(60, 90, s)) for s in range(3)]
    frames[0].save(folder / "a.webp", save_all=True, append_images=frames[1:], duration=2000,
                   lossless=True)
    (folder / "b").mkdir()
    for i in range(40):
        Image.fromarray(picture(50, 40, i)).save(folder / "b" / f"{i:03}.png")
    return folder


def expected(network, tokenizer, path, frames, fps, indices, max_soft_tokens=70, **settings):
    """As Gemma4Processor and its video processor make it, of whose parts torchvision resizes."""
    processor = Gemma4ImageProcessorPil(max_soft_tokens=max_soft_tokens, **settings)
    made = [processor(Image.open(frame), return_tensors="pt") for frame in frames]
    count = int(made[0]["num_soft_tokens_per_image"][0])
    metadata = VideoMetadata(total_num_frames=len(frames), fps=fps, frames_indices=indices)
    marks = SimpleNamespace(boi_token="<|image>", video_token="<|video|>", eoi_token="<image|>")
    video = Gemma4Processor.replace_video_token(
        marks, {"num_soft_tokens_per_video": [count], "video_metadata": [metadata]}, 0)
    messages = [{"role": "user", "content": [{"type": "video", "path": path},
                                             {"type": "text", "text": "what is it?"}]}]
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    ids = torch.tensor([tokenizer(text.replace("<|video|>", video),
                                  add_special_tokens=False).input_ids])
    kinds = 2 * (ids == tokenizer.convert_tokens_to_ids("<|video|>")).long()
    with torch.no_grad():
        return network(
            input_ids=ids, mm_token_type_ids=kinds, num_frames_per_video=torch.tensor([len(made)]),
            pixel_values_videos=torch.cat([m["pixel_values"] for m in made]),
            video_position_ids=torch.cat([m["image_position_ids"] for m in made])).logits[0]


def logits(tallow, folder, path, tmp_path, **more):
    chat = folder / "chat.json"
    chat.write_text(json.dumps([{"role": "user", "content": [
        {"type": "video", "path": path, **more}, {"type": "text", "text": "what is it?"}]}]))
    tallow("logits", folder, "--chat", chat, "--out", tmp_path / "out.npy")
    return torch.from_numpy(np.load(tmp_path / "out.npy"))


def same(ours, theirs):
    assert ours.shape == theirs.shape
    assert (ours - theirs).abs().max() < 2e-4 * theirs.abs().max()


@pytest.mark.parametrize("tokens", [70, 140])
def test_an_animation(tokens, tallow, folder, network, tokenizer, tmp_path):
    for i in range(3):
        Image.fromarray(picture(60, 90, i)).save(tmp_path / f"{i}.png")
    theirs = expected(network, tokenizer, "a.webp", [tmp_path / f"{i}.png" for i in range(3)], 0.5,
                      [0, 1, 2], tokens)
    more = {} if tokens == 70 else dict(tokens=tokens)
    same(logits(tallow, folder, "a.webp", tmp_path, **more), theirs)


def test_a_folder_of_more_frames_than_are_seen(tallow, folder, network, tokenizer, tmp_path):
    indices = [i * 40 // 32 for i in range(32)]
    theirs = expected(network, tokenizer, "b", [folder / "b" / f"{i:03}.png" for i in indices], 24,
                      indices)
    same(logits(tallow, folder, "b", tmp_path), theirs)


SETTINGS = {
    "number": dict(num_frames=5),
    "rate": dict(num_frames=None, fps=3),
    "slow": dict(num_frames=None, fps=0.1),
    "every_frame": dict(num_frames=None),
    "unsampled": dict(num_frames=7, do_sample_frames=False),
    "budget": dict(num_frames=4, max_soft_tokens=140),
    "filter": dict(num_frames=3, resample=2),
    "scale": dict(num_frames=3, rescale_factor=1 / 127),
    "mean": dict(num_frames=3, image_mean=[0.5, 0.4, 0.3], image_std=[0.5, 0.6, 0.7]),
    "no_mean": dict(num_frames=3, image_mean=[0.5, 0.4, 0.3], do_normalize=False),
}
FILES = {  # which of them goes first
    "whole": ["processor_config", "video_preprocessor_config", "preprocessor_config"],
    "own": ["video_preprocessor_config", "preprocessor_config"],
    "image": ["preprocessor_config"],
}


@pytest.mark.parametrize("name,files", [*((name, "whole") for name in SETTINGS), ("number", "own"),
                                        ("budget", "own"), ("number", "image")])
def test_settings_of_the_processor(name, files, tallow, folder, network, tokenizer, tmp_path):
    model = tmp_path / "model"
    shutil.copytree(folder, model)
    first, *others = FILES[files]
    settings = SETTINGS[name]
    (model / f"{first}.json").write_text(json.dumps(
        {"video_processor": settings} if files == "whole" else settings))
    for other in others:
        (model / f"{other}.json").write_text(json.dumps(dict(num_frames=1, max_soft_tokens=560)))
    read = VideoProcessorMixin.get_video_processor_dict(str(model))[0]
    number, rate, sample, *_ = (read.pop(key, usual) for key, usual in (
        ("num_frames", 32), ("fps", None), ("do_sample_frames", True)))
    indices = list(default_sample_indices_fn(VideoMetadata(total_num_frames=40, fps=24),
                                             number, rate)) if sample else list(range(40))
    theirs = expected(network, tokenizer, "b", [model / "b" / f"{i:03}.png" for i in indices], 24,
                      indices, **{"do_normalize": True, **read})
    same(logits(tallow, model, "b", tmp_path), theirs)


@pytest.mark.parametrize("settings,words", [
    (dict(num_frames=3, fps=2), "num_frames and fps"), (dict(fps=-1), "fps -1 is not positive"),
    (dict(num_frames=0), "num_frames"), (dict(fps="a"), "fps"), (dict(max_soft_tokens=71), "71"),
])
def test_settings_that_make_no_sense(settings, words, folder, network, tmp_path):
    network.save_pretrained(tmp_path)
    (tmp_path / "video_preprocessor_config.json").write_text(json.dumps(settings))
    with pytest.raises(tallow_package.Error, match=words):
        tallow_package.load(tmp_path)


def test_a_video_that_is_none(tallow, folder, tmp_path):
    (folder / "none.mp4").write_bytes(b"\0\0\0\x18ftypmp42")
    with pytest.raises(pytest.fail.Exception, match="none.mp4"):
        logits(tallow, folder, "none.mp4", tmp_path)


class TestFFmpeg:
    """Videos that only FFmpeg decodes."""

    @pytest.mark.skipif(not shutil.which("ffmpeg"), reason="FFmpeg is not installed")
    def test_frames_are_those_that_were_encoded(self, tmp_path):
        for i in range(50):
            Image.fromarray(picture(48, 64, i)).save(tmp_path / f"{i:03}.png")
        made = tmp_path / "it's a; video.mkv"
        subprocess.run(["ffmpeg", "-v", "error", "-framerate", "10", "-i", tmp_path / "%03d.png",
                        "-c:v", "ffv1", "-pix_fmt", "bgr0", made], check=True)
        frames, seconds = tallow_package.image.read_frames(made)
        wanted = [i * 50 // 32 for i in range(32)]
        assert seconds == [i / 10 for i in wanted]
        for frame, i in zip(frames, wanted):
            np.testing.assert_array_equal(frame.numpy(), picture(48, 64, i))
        made.write_bytes(made.read_bytes()[:2000])
        with pytest.raises(tallow_package.Error, match="video.mkv: "):
            tallow_package.image.read_frames(made)

    def test_it_is_asked_for_where_it_lacks(self, tallow, folder, tmp_path):
        (folder / "film.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + bytes(100))
        result = tallow("run", folder, "-p", "hi", "--video", folder / "film.mp4", check=False,
                        env={"PATH": str(tmp_path)})
        assert result.returncode == 1
        assert b"film.mp4" in result.stderr and b"install FFmpeg" in result.stderr
