"""Chats with videos: animations and folders of frames, with transformers' logits."""

import json
import shutil
import subprocess
from types import SimpleNamespace

import numpy as np
import pytest
import tallow as tallow_package
import torch
from gemma4_chat import Reference, make_network, make_tokenizer
from PIL import Image
from transformers import Gemma4Processor
from transformers.video_utils import VideoMetadata
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


def expected(network, tokenizer, folder, path, frames, fps, tokens, indices):
    """As Gemma4Processor and its video processor make it, of whose parts torchvision resizes."""
    made = [Reference(tokenizer, network, folder).images(
        [dict(path=str(frame), tokens=tokens)]) for frame in frames]
    count = made[0][1][0]
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
            pixel_values_videos=torch.cat([m[0]["pixel_values"] for m in made]),
            video_position_ids=torch.cat([m[0]["image_position_ids"] for m in made])).logits[0]


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
    theirs = expected(network, tokenizer, folder, "a.webp", [tmp_path / f"{i}.png" for i in range(3)],
                      0.5, tokens, [0, 1, 2])
    more = {} if tokens == 70 else dict(tokens=tokens)
    same(logits(tallow, folder, "a.webp", tmp_path, **more), theirs)


def test_a_folder_of_more_frames_than_are_seen(tallow, folder, network, tokenizer, tmp_path):
    indices = [i * 40 // 32 for i in range(32)]
    theirs = expected(network, tokenizer, folder, "b", [folder / "b" / f"{i:03}.png" for i in indices],
                      24, 70, indices)
    same(logits(tallow, folder, "b", tmp_path), theirs)


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
