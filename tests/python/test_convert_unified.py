"""The Gemma 4 without encoders and the drafters as GGUF files that llama.cpp opens, and back."""

import json

import gemma4_chat
import gguf
import numpy as np
import pytest
import tallow as package  # `tallow` is the command in the other tests
import test_drafts as drafts
import test_gemma4_chat as chats
import torch
from gemma_models import BASE, randomize
from PIL import Image
from safetensors.torch import load_file
from test_convert import LlamaCpp, log_softmax, refusal
from test_drafts import all_layers_may_share  # noqa: F401: a fixture for all
from test_gemma4_unified import near
from transformers import Gemma4UnifiedConfig, Gemma4UnifiedForConditionalGeneration
from vision_models import picture

MARKS = {"image_token_id": "<|image|>", "boi_token_id": "<|image>", "eoi_token_id": "<image|>",
         "audio_token_id": "<|audio|>", "boa_token_id": "<|audio>", "eoa_token_index": "<audio|>",
         "video_token_id": "<|video|>"}


def make_unified(tokenizer, **text):
    sizes = {**BASE, "global_head_dim": 32, "vocab_size": len(tokenizer), "sliding_window": 1024,
             "max_position_embeddings": 8192, **text}
    config = Gemma4UnifiedConfig(
        text_config=sizes, audio_config=dict(audio_embed_dim=640),
        vision_config=dict(mm_embed_dim=40, mm_posemb_size=280, output_proj_dims=40),
        **{key: tokenizer.convert_tokens_to_ids(mark) for key, mark in MARKS.items()},
        attn_implementation="eager")
    torch.manual_seed(0)
    network = randomize(Gemma4UnifiedForConditionalGeneration(config).eval())
    with torch.no_grad():
        eyes = network.model.embed_vision
        for norm in (eyes.patch_ln1, eyes.patch_ln2, eyes.pos_norm):
            norm.weight.uniform_(0.5, 1.5)
            norm.bias.normal_(0, 0.3)
        eyes.patch_dense.weight.normal_(0, 0.02)
        eyes.pos_embedding.normal_(0, 0.5)
        for name, tensor in network.named_parameters():
            if name.endswith(("q_norm.weight", "k_norm.weight")):
                tensor.mul_(0.3)
    return network


@pytest.fixture(scope="module")
def tokenizer():
    return gemma4_chat.make_tokenizer()


@pytest.fixture(scope="module")
def seeing(tmp_path_factory, tokenizer):
    """A folder with a model that sees and hears, and what was made of it."""
    folder = chats.save(tmp_path_factory.mktemp("unified"), tokenizer, make_unified(tokenizer))
    # Of the largest size that llama.cpp takes: neither side makes it another.
    Image.fromarray(picture(672, 960)).save(folder / "whole.png")
    return folder


def converted(tallow, folder, out):
    tallow("convert", folder, out / "model.gguf")
    return out / "model.gguf"


def messages(folder, kind, name):
    return [{"role": "user", "content": [{"type": kind, "path": str(folder / name)},
                                         {"type": "text", "text": "what is it?"}]}]


MEDIA = [("image", "a.png"), ("image", "whole.png"), ("audio", "long.wav"), ("audio", "short.wav")]


@pytest.mark.parametrize("changes", [{}, dict(use_bidirectional_attention=None)],
                         ids=["both_ways", "causal"])
def test_the_unified_model_in_two_files_is_the_same_and_comes_back(changes, seeing, tokenizer,
                                                                   tallow, tmp_path):
    folder = seeing
    if changes:
        (tmp_path / "model").mkdir()
        folder = chats.save(tmp_path / "model", tokenizer, make_unified(tokenizer, **changes))
    path = converted(tallow, folder, tmp_path)
    tallow("convert", path, tmp_path / "again")
    models = [package.load(m) for m in (folder, path, tmp_path / "again")]
    for kind, name in MEDIA[:1] + MEDIA[2:]:
        made = [m.logits(m.prompt(messages(folder, kind, name))).numpy() for m in models]
        near(made[1], made[0], 1e-5)
        near(made[2], made[0], 1e-5)
    before, after = (load_file(f / "model.safetensors") for f in (folder, tmp_path / "again"))
    before.pop("lm_head.weight", None)
    assert before.keys() == after.keys()
    for key, weight in before.items():
        assert torch.equal(after[key], weight), key
    config = Gemma4UnifiedForConditionalGeneration.from_pretrained(tmp_path / "again").config
    old = Gemma4UnifiedConfig.from_pretrained(folder)
    for part in ("vision_config", "audio_config"):
        have, want = (dict(getattr(c, part).to_dict(), dtype=None) for c in (config, old))
        assert have.pop("rms_norm_eps") == pytest.approx(want.pop("rms_norm_eps"))
        assert have == want
    for key in (*MARKS, "use_bidirectional_attention", "layer_types"):
        have, want = (getattr(c if key in MARKS else c.text_config, key) for c in (config, old))
        assert have == want, key


def test_the_file_of_its_embedders_is_as_llama_cpps_converter_writes_it(seeing, tallow, tmp_path):
    converted(tallow, seeing, tmp_path)
    reader = gguf.GGUFReader(tmp_path / "mmproj-model.gguf")
    found = {t.name: t.data.reshape(tuple(reversed(t.shape))) for t in reader.tensors}
    state = load_file(seeing / "model.safetensors")
    i = np.arange(6912)
    colour_by_colour = i % (48 * 48) * 3 + i // (48 * 48)
    eyes = "model.vision_embedder."
    wanted = {
        "v.position_embd.weight": state[eyes + "pos_embedding"].permute(1, 0, 2),
        "v.patch_embd.weight": state[eyes + "patch_dense.weight"][:, colour_by_colour],
        "v.patch_embd.bias": state[eyes + "patch_dense.bias"],
        "mm.input_projection.weight": state["model.embed_vision.embedding_projection.weight"],
        "mm.a.input_projection.weight": state["model.embed_audio.embedding_projection.weight"],
    }
    for i, norm in enumerate(("patch_ln1", "patch_ln2", "pos_norm"), 1):
        for part in ("weight", "bias"):
            x = state[f"{eyes}{norm}.{part}"]
            wanted[f"v.patch_norm.{i}.{part}"] = x[colour_by_colour] if i == 1 else x
    assert found.keys() == wanted.keys()
    for name, tensor in wanted.items():
        np.testing.assert_array_equal(found[name], tensor.numpy(), name)
    keys = {key: field.contents() for key, field in reader.fields.items()}
    for key, value in {"general.type": "mmproj", "clip.vision.projector_type": "gemma4uv",
                       "clip.audio.projector_type": "gemma4ua", "clip.vision.patch_size": 16,
                       "clip.vision.embedding_length": 40, "clip.audio.embedding_length": 640,
                       "clip.vision.block_count": 0, "clip.vision.projection_dim": 48}.items():
        assert keys[key] == value, key


def test_llama_cpp_sees_and_hears_alike(seeing, tokenizer, tallow, tmp_path):
    path = converted(tallow, seeing, tmp_path)
    peer, model = LlamaCpp(path, tmp_path / "mmproj-model.gguf"), package.load(seeing)
    for kind, name in MEDIA[1:]:
        asked = messages(seeing, kind, name)
        prompt = model.prompt(asked)
        exact = log_softmax(model.logits(prompt, last_only=True).numpy()[0])
        text = tokenizer.apply_chat_template(asked, tokenize=False, add_generation_prompt=True)
        count, found = peer.after_media(text, f"<|{kind}|>", (seeing / name).read_bytes())
        off = [logprob - exact[token] for token, logprob in found.items()]
        assert count == len(prompt) and len(off) >= 100
        assert np.sqrt(np.mean(np.square(off))) < 4e-2 and np.abs(off).max() < 0.15, name


@pytest.mark.parametrize("eyes,ears,shapes,words", [
    ("gemma4uv", "gemma4a", {}, "of two kinds"),
    ("gemma4x", "gemma4ua", {}, "gemma4x.* is not known"),
    ("gemma4uv", "gemma4ua", {"v.position_embd.weight": (280, 40)}, "v.position_embd.weight"),
    ("gemma4uv", "gemma4ua", {"v.patch_norm.1.weight": (6911,)}, "patch_ln1"),
    ("gemma4uv", "gemma4ua", {"v.patch_embd.weight": (40, 6913)}, "patch_dense"),
    ("gemma4uv", "gemma4ua", {"mm.a.input_projection.weight": (48,)}, "mm.a.input_projection"),
])
def test_files_of_embedders_that_make_no_sense(eyes, ears, shapes, words, seeing, tallow, tmp_path):
    path = converted(tallow, seeing, tmp_path)
    tensors = gguf.GGUFReader(tmp_path / "mmproj-model.gguf").tensors
    writer = gguf.GGUFWriter(tmp_path / "other.gguf", "clip")
    for tower, kind in (("vision", eyes), ("audio", ears)):
        writer.add_bool(f"clip.has_{tower}_encoder", True)
        writer.add_string(f"clip.{tower}.projector_type", kind)
    writer.add_uint32("clip.vision.patch_size", 16)
    for t in tensors:
        shape = shapes.get(t.name, tuple(int(n) for n in reversed(t.shape)))
        writer.add_tensor(t.name, np.zeros(shape, np.float32))
    for write in (writer.write_header_to_file, writer.write_kv_data_to_file,
                  writer.write_tensors_to_file, writer.close):
        write()
    with pytest.raises(package.Error, match=words):
        package.load(path, mmproj=tmp_path / "other.gguf")


def soften(decoder, strength):
    """Makes what layers add less."""
    with torch.no_grad():
        for name, x in [*decoder.named_parameters(), *decoder.named_buffers()]:
            if ".post_" in name and name.endswith("norm.weight"):
                x.mul_(strength)
            if name.endswith("layer_scalar"):
                x.fill_(1)


class TestDrafters:
    @pytest.mark.parametrize("name", [n for n in drafts.CONFIGS if n != "untied"])
    def test_guesses_from_gguf_and_back_are_the_same(self, name, tokenizer, tallow, tmp_path):
        network, assistant = drafts.save(tmp_path, name)
        tokenizer.save_pretrained(tmp_path / "drafter")
        path = tmp_path / "drafter.gguf"
        tallow("convert", tmp_path / "drafter", path)
        tallow("convert", path, tmp_path / "again")
        if assistant.masked_embedding is not None:  # GGUF's look at all tokens
            config = tmp_path / "drafter" / "config.json"
            config.write_text(json.dumps(dict(json.loads(config.read_text()),
                                              use_ordered_embeddings=False)))
        models = [package.load(tmp_path / "large", drafter=d)
                  for d in (tmp_path / "drafter", path, tmp_path / "again")]
        for length in (2, 17, 40):
            ids = np.random.default_rng(length).integers(20, 300, length).tolist()
            expected = models[0]._draft(ids, 6)
            assert models[1]._draft(ids, 6) == expected and models[2]._draft(ids, 6) == expected
        again = type(assistant).from_pretrained(tmp_path / "again")
        for key, weight in again.state_dict().items():
            assert torch.equal(weight, assistant.state_dict()[key]), key

    def test_llama_cpp_guesses_alike(self, tokenizer, tallow, tmp_path):
        # It takes the keys of the two last layers that have some, of which the last slides not.
        network = gemma4_chat.make_network(
            tokenizer, layer_types=2 * (2 * ["sliding_attention"] + ["full_attention"]))
        hidden = network.config.text_config.hidden_size
        small = hidden - 8
        assistant = drafts.make_assistant(network, len(tokenizer), dict(hidden_size=small), {})
        soften(network.model.language_model, 0.9)
        soften(assistant.model, 0.3)
        with torch.no_grad():  # a drafter that is often right, about a model that says this and that
            assistant.pre_projection.weight.mul_(0.2)
            assistant.pre_projection.weight[:, :hidden] += torch.eye(hidden)[:small]
            assistant.model.norm.weight.copy_(network.model.language_model.norm.weight[:small])
            assistant.model.embed_tokens.weight.copy_(network.lm_head.weight[:, :small])
        for part, name in ((network, "large"), (assistant, "drafter")):
            part.save_pretrained(tmp_path / name)
            tokenizer.save_pretrained(tmp_path / name)
            tallow("convert", tmp_path / name, tmp_path / f"{name}.gguf")
        files = tmp_path / "large.gguf", tmp_path / "drafter.gguf"
        peer, model = LlamaCpp(files[0], drafter=files[1]), package.load(files[0], drafter=files[1])
        counts = []
        for start in (20, 100, 170):
            ids = list(range(start, start + 20))
            said, accepted = peer.continued(ids, 40)
            ids, at, right = ids + said, len(ids) + 1, 0
            while at < len(ids) - 1:
                guessed = model._draft(ids[:at], min(3, len(ids) - at - 1))
                same = [a == b for a, b in zip(guessed, ids[at:])] + [False]
                right += same.index(False)
                at += same.index(False) + 1
            counts.append((right, accepted))
        assert all(abs(ours - theirs) <= 1 for ours, theirs in counts), counts
        assert any(15 < ours < 28 for ours, _ in counts), counts

    def test_a_head_of_its_own_is_refused(self, tokenizer, tallow, tmp_path):
        drafts.save(tmp_path, "untied")
        tokenizer.save_pretrained(tmp_path / "drafter")
        assert "tie_word_embeddings" in refusal(tallow, tmp_path / "drafter", tmp_path / "d.gguf")
