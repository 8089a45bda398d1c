"""`tallow convert` of the Gemma family: folders into GGUF files that llama.cpp opens and answers
alike, and back into folders that transformers opens."""

import json
import math
import shutil
import unicodedata

import gemma4_chat
import gguf
import numpy as np
import pytest
import tallow as package
import test_gemma4_audio
import test_gemma4_chat as chats
import test_gemma4_unified
import torch
import vision_models
from gemma_models import ALL, BASE, CONFIGS, DENSE, EXPERTS, SHARED, make_model, randomize
from PIL import Image
from safetensors.torch import load_file
from test_convert import CHAT, TEXT, LlamaCpp, log_softmax, refusal, with_every_merge
from test_gemma import HEAD, IN_GGUF, gemma3_with_tower, gemma4_with_towers
from test_models import Logits, error, random_tokens, reference
from tokenizer_corpus import corpus
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    Gemma4ForConditionalGeneration,
    PreTrainedTokenizerFast,
)

SPECIAL = ["<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>"]


def gemma_tokenizer(size=None):
    """As Gemma's SentencePiece model becomes a tokenizer.json."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.train_from_iterator(TEXT, trainers.BpeTrainer(
        vocab_size=size or 520, show_progress=False,
        special_tokens=[*SPECIAL, *(f"<0x{i:02X}>" for i in range(256))]))
    tokenizer = with_every_merge(tokenizer, special=len(SPECIAL))
    tokenizer.post_processor = processors.TemplateProcessing(
        "<bos> $A", special_tokens=[("<bos>", 2)])
    return tokenizer


def small_tokenizer(size):
    """Of so many tokens as the model has rows."""
    vocab = {token: i for i, token in enumerate(SPECIAL)}
    for i in range(256):
        if len(vocab) < size:
            vocab[f"<0x{i:02X}>"] = len(vocab)
    tokenizer = Tokenizer(models.BPE(vocab, [], unk_token="<unk>", byte_fallback=True))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.add_special_tokens(SPECIAL)
    return tokenizer


def save(folder, model, tokenizer=None):
    model.save_pretrained(folder)
    size = model.config.get_text_config().vocab_size
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer or small_tokenizer(size), bos_token="<bos>", eos_token="<eos>",
        pad_token="<pad>", unk_token="<unk>", chat_template=CHAT).save_pretrained(folder)
    return model


# What GGUF has no key for.
REFUSED = {
    ("gemma2", "plain"): "query_pre_attn_scalar",
    ("gemma2", "tight_caps"): "query_pre_attn_scalar",
    ("gemma2", "no_caps"): "softcapping",
    ("gemma2", "scalar"): "query_pre_attn_scalar",
    ("gemma2", "types"): "layer_types",
    ("gemma2", "untied"): "query_pre_attn_scalar",
    ("gemma3_text", "plain"): "query_pre_attn_scalar",
    ("gemma3_text", "linear"): "query_pre_attn_scalar",
    ("gemma3_text", "yarn"): "query_pre_attn_scalar",
    ("gemma3_text", "caps"): "query_pre_attn_scalar",
    ("gemma3_text", "encoder"): "use_bidirectional_attention",
    ("gemma4_text", "silu"): "hidden_activation",
    ("gemma4_text", "encoder"): "use_bidirectional_attention",
    ("gemma3n_text", "streams"): "altup_correct_scale",
}
CONVERTED = {f"{kind}-{name}": (kind, CONFIGS[kind][name]) for kind, name in ALL
             if (kind, name) not in REFUSED and name != "types"}
CONVERTED |= IN_GGUF
CONVERTED |= {
    "gemma2_untied": ("gemma2", dict(HEAD, tie_word_embeddings=False)),
    "gemma3_types": ("gemma3_text", dict(HEAD, layer_types=3 * ["sliding_attention",
                                                                "full_attention"])),
    "gemma3_cap": ("gemma3_text", dict(HEAD, final_logit_softcapping=3.0)),
    "gemma3_yarn": ("gemma3_text", dict(HEAD, **CONFIGS["gemma3_text"]["yarn"])),
    "gemma3n_streams": ("gemma3n_text", dict(CONFIGS["gemma3n_text"]["streams"],
                                             altup_correct_scale=True)),
}


@pytest.mark.parametrize("name", CONVERTED)
def test_a_folder_as_gguf_and_back_is_the_same_model(name, tallow, tmp_path):
    model = save(tmp_path / "model", make_model(*CONVERTED[name]))
    tokens = random_tokens(model, 40)
    expected = reference(model, tokens)
    logits = Logits(tallow, tmp_path)
    tallow("convert", tmp_path / "model", tmp_path / "model.gguf")
    assert error(logits(tmp_path / "model.gguf", tokens), expected) < 2e-4
    tallow("convert", tmp_path / "model.gguf", tmp_path / "again")
    assert error(logits(tmp_path / "again", tokens), expected) < 2e-4
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "again", attn_implementation="eager")
    assert error(reference(again.eval(), tokens), expected) < 2e-4
    before, after = (load_file(tmp_path / f / "model.safetensors") for f in ("model", "again"))
    rows = "embed_tokens_per_layer"  # as many as there are tokens
    assert {k for k in before if k != "lm_head.weight"} == {k for k in after if k != "lm_head.weight"}
    for key, weight in before.items():
        if rows in key:
            assert torch.equal(after[key][:len(weight)], weight[:len(after[key])])
        elif key in after:
            # One that is stored larger by 1 has fewer digits.
            assert (after[key] - weight).abs().max() <= (1e-7 if "norm" in key else 0), key


# Those of one size that llama.cpp knows no other of.
IN_LLAMA_CPP = {n: c for n, c in IN_GGUF.items() if n != "gemma3n"}
IN_LLAMA_CPP |= {n: CONVERTED[n] for n in ("gemma3_types", "gemma4_text-rope",
                                           "gemma4_text-untied")}
IN_LLAMA_CPP["gemma4_table"] = ("gemma4_text", dict(IN_GGUF["gemma4_shared"][1],
                                                    vocab_size_per_layer_input=160))
IN_LLAMA_CPP["gemma4_no_cap"] = ("gemma4_text", DENSE)
# It divides by one less than the width for the deviation of an MLP's features: width hides that.
IN_LLAMA_CPP["gemma3n"] = ("gemma3n_text", dict(
    intermediate_size=2048, num_hidden_layers=22, num_kv_shared_layers=2, vocab_size_per_layer_input=140,
    hidden_size_per_layer_input=256, laurel_rank=64, vocab_size=151,
    activation_sparsity_pattern=10 * [0.95] + 12 * [0.0],
    layer_types=(5 * (4 * ["sliding_attention"] + ["full_attention"]))[:22]))


def apart(path, model, tokens, texts):
    peer, found = LlamaCpp(path), []
    expected = reference(model, tokens)
    for length in texts:
        exact = log_softmax(expected[length - 1])
        likely = peer.log_probabilities(tokens[:length]) or {}
        found += [logprob - exact[token] for token, logprob in likely.items()]
    assert len(found) >= 100
    return found


@pytest.mark.parametrize("name", IN_LLAMA_CPP)
def test_llama_cpp_answers_alike(name, tallow, tmp_path):
    model = make_model(*IN_LLAMA_CPP[name])
    if name == "gemma3n":
        with torch.no_grad():  # less sure of what it attends to, so small differences stay small
            for part, parameter in model.named_parameters():
                parameter.mul_(0.3 if "k_norm" in part else 1)
    save(tmp_path / "model", model)
    tallow("convert", tmp_path / "model", tmp_path / "model.gguf")
    found = apart(tmp_path / "model.gguf", model, random_tokens(model, 33), range(33, 20, -3))
    # llama.cpp keeps keys and values in f16.
    assert np.sqrt(np.mean(np.square(found))) < 2e-2 and np.abs(found).max() < 0.1


@pytest.mark.parametrize("make", [lambda: gemma4_with_towers(**SHARED),
                                  lambda: gemma4_with_towers(**EXPERTS), gemma3_with_tower],
                         ids=["gemma4_shared", "gemma4_experts", "gemma3"])
def test_models_with_towers_give_their_decoder(make, tallow, tmp_path):
    torch.manual_seed(0)
    model = make().eval()
    if hasattr(model.config.text_config, "query_pre_attn_scalar"):
        model.config.text_config.query_pre_attn_scalar = 16
        model = type(model)(model.config).eval()
    save(tmp_path / "model", randomize(model))
    tallow("convert", tmp_path / "model", tmp_path / "model.gguf")
    tallow("convert", tmp_path / "model.gguf", tmp_path / "again")
    tokens = list(range(3, 43))
    logits, expected = Logits(tallow, tmp_path), reference(model, tokens)
    assert error(logits(tmp_path / "model.gguf", tokens), expected) < 2e-4
    assert error(logits(tmp_path / "again", tokens), expected) < 2e-4


def test_models_without_encoders_give_their_decoder(tallow, tmp_path):
    model = save(tmp_path / "model", test_gemma4_unified.make_model())
    tallow("convert", tmp_path / "model", tmp_path / "model.gguf")
    tokens = list(range(3, 36))
    expected = reference(model, tokens)
    assert error(Logits(tallow, tmp_path)(tmp_path / "model.gguf", tokens), expected) < 2e-4
    found = apart(tmp_path / "model.gguf", model, tokens, range(33, 20, -3))
    assert np.sqrt(np.mean(np.square(found))) < 2e-2 and np.abs(found).max() < 0.1


@pytest.mark.parametrize("kind,name", [("gemma3_text", HEAD), ("gemma4_text", SHARED),
                                       ("gemma3n_text", CONFIGS["gemma3n_text"]["sparse"])])
def test_bf16_folders_come_back_to_the_bit(kind, name, tallow, tmp_path):
    model = make_model(kind, name, dtype=torch.bfloat16).to(torch.bfloat16)
    save(tmp_path / "model", model)
    tallow("convert", tmp_path / "model", tmp_path / "model.gguf")
    tallow("convert", tmp_path / "model.gguf", tmp_path / "again")
    before, after = (load_file(tmp_path / f / "model.safetensors") for f in ("model", "again"))
    for key, weight in before.items():
        if key == "lm_head.weight" or "per_layer" in key:
            continue
        assert torch.equal(after[key].to(weight.dtype), weight), key


@pytest.mark.parametrize("kind,name", REFUSED)
def test_what_gguf_has_no_key_for_is_refused_by_name(kind, name, tallow, tmp_path):
    save(tmp_path / "model", make_model(kind, CONFIGS[kind][name]))
    message = refusal(tallow, tmp_path / "model", tmp_path / "model.gguf")
    assert REFUSED[kind, name] in message and not (tmp_path / "model.gguf").exists()


# What the keys of mmproj files do not say is fixed.
TOWERS_REFUSED = {
    "silu": ("vision_config", "hidden_activation"), "theta": ("vision_config", "rope_theta"),
    "eps": ("vision_config", "rms_norm_eps"), "odd_chunk": ("audio_config", "attention_chunk_size"),
    "tight_cap": ("audio_config", "attention_logit_cap"), "relu": ("audio_config", "hidden_act"),
}


@pytest.fixture(scope="module")
def seeing(tmp_path_factory):
    """A model that sees and hears, and what it was made of."""
    tokenizer = gemma4_chat.make_tokenizer()
    network = gemma4_chat.make_network(tokenizer)
    folder = chats.save(tmp_path_factory.mktemp("seeing"), tokenizer, network)
    return folder, tokenizer, network


def converted(tallow, folder, out):
    """The model as GGUF files, with the pictures and sounds of the folder beside them."""
    out.mkdir()
    tallow("convert", folder, out / "model.gguf")
    for path in folder.iterdir():
        if path.suffix in (".png", ".wav"):
            shutil.copy(path, out)
    return out


def chat_logits(tallow, model, messages, folder, *options):
    chat = folder / "chat.json"
    chat.write_text(json.dumps(messages))
    tallow("logits", model, "--chat", chat, "--out", folder / "out.npy", *options)
    return torch.from_numpy(np.load(folder / "out.npy"))


@pytest.mark.parametrize("changes", [
    {}, dict(use_bidirectional_attention="vision", num_kv_shared_layers=0,
             use_double_wide_mlp=False, hidden_size_per_layer_input=0)], ids=["small", "both_ways"])
def test_towers_become_a_file_of_their_own_and_come_back(changes, seeing, tallow, tmp_path):
    folder, tokenizer, network = seeing
    if changes:
        network = gemma4_chat.make_network(tokenizer, seed=2, **changes)
        (tmp_path / "model").mkdir()
        folder = chats.save(tmp_path / "model", tokenizer, network)
    out = converted(tallow, folder, tmp_path / "out")
    messages = chats.MESSAGES["mixed"]
    _, expected = gemma4_chat.Reference(tokenizer, network, folder, chats.features)(messages)
    chats.within(chat_logits(tallow, out / "model.gguf", messages, out), expected)
    tallow("convert", out / "model.gguf", tmp_path / "again")
    chats.within(chat_logits(tallow, tmp_path / "again", messages, out), expected)
    before, after = (load_file(f / "model.safetensors") for f in (folder, tmp_path / "again"))
    before.pop("lm_head.weight", None)
    assert before.keys() == after.keys()
    for key, weight in before.items():
        assert after[key].shape == weight.shape, key
        # softplus is taken of scales, and undone.
        assert (after[key] - weight).abs().max() <= (2e-6 if "per_dim_scale" in key else 0), key
    again = Gemma4ForConditionalGeneration.from_pretrained(
        tmp_path / "again", attn_implementation="eager").eval()
    _, logits = gemma4_chat.Reference(tokenizer, again, folder, chats.features)(messages)
    chats.within(logits, expected)
    # The file of the towers may lie anywhere.
    towers = (out / "mmproj-model.gguf").rename(tmp_path / "towers.gguf")
    chats.within(chat_logits(tallow, out / "model.gguf", messages, out, "--mmproj", towers), expected)
    chats.within(torch.from_dlpack(package.load(out / "model.gguf", mmproj=towers).logits(
        package.load(folder).prompt(chats.absolute(messages, folder)))), expected)


def test_towers_have_llama_cpps_names_and_shapes(seeing, tallow, tmp_path):
    folder, _, network = seeing
    out = converted(tallow, folder, tmp_path / "out")
    reader = gguf.GGUFReader(out / "mmproj-model.gguf")
    found = {t.name: t for t in reader.tensors}
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.MMPROJ, 128)
    ends = (".weight", ".bias", ".input_max", ".input_min", ".output_max", ".output_min")
    wanted = {}
    for name, tensor in network.state_dict().items():
        if "language_model" in name or name == "lm_head.weight":
            continue
        if "audio" in name:
            name = name.replace("model.audio_tower.", "conformer.").replace(".linear.", ".")
            if name.endswith("per_dim_scale"):
                name, tensor = name + ".weight", torch.nn.functional.softplus(tensor)
            if "depthwise_conv1d" in name:
                tensor = tensor.squeeze(1)
        else:
            name = name.replace("model.vision_tower.encoder.", "vision_model.model.")
            name = name.replace(".linear.weight", ".weight")
            if name.endswith("position_embedding_table"):
                name += ".weight"
            if name.endswith("patch_embedder.input_proj.weight"):
                tensor = tensor.reshape(len(tensor), 16, 16, 3).permute(0, 3, 1, 2)
        wanted[names.get_name(name, ends)] = tensor.reshape(tensor.shape or 1)
    assert wanted.keys() == found.keys()
    for name, tensor in wanted.items():
        assert tuple(reversed(found[name].shape)) == tuple(tensor.shape), name
        np.testing.assert_allclose(found[name].data.reshape(tensor.shape), tensor.numpy(), 1e-6)
    keys = {key: field.contents() for key, field in reader.fields.items()}
    for key, value in {"general.type": "mmproj", "clip.has_vision_encoder": True,
                       "clip.has_audio_encoder": True, "clip.vision.projector_type": "gemma4v",
                       "clip.audio.projector_type": "gemma4a", "clip.vision.patch_size": 16,
                       "clip.vision.projection_dim": 48, "clip.audio.num_mel_bins": 128}.items():
        assert keys[key] == value, key


def test_llama_cpp_sees_and_hears_alike(seeing, tallow, tmp_path):
    tokenizer = seeing[1]
    network = gemma4_chat.make_network(
        tokenizer, seed=2, use_bidirectional_attention="vision", num_kv_shared_layers=0,
        use_double_wide_mlp=False, hidden_size_per_layer_input=0, sliding_window=1024)
    (tmp_path / "model").mkdir()
    folder = chats.save(tmp_path / "model", tokenizer, network)
    # Of the largest size that llama.cpp takes: neither side makes it another.
    Image.fromarray(vision_models.picture(672, 960)).save(folder / "whole.png")
    out = converted(tallow, folder, tmp_path / "out")
    peer = LlamaCpp(out / "model.gguf", out / "mmproj-model.gguf")
    reference = gemma4_chat.Reference(tokenizer, network, folder, chats.features)
    for kind, path in (("image", "whole.png"), ("audio", "long.wav"), ("audio", "short.wav")):
        messages = [{"role": "user", "content": [{"type": kind, "path": path},
                                                 {"type": "text", "text": "what is it?"}]}]
        ids, expected = reference(messages)
        text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        count, found = peer.after_media(text, f"<|{kind}|>", (folder / path).read_bytes())
        exact = log_softmax(expected[-1].numpy())
        off = [logprob - exact[token] for token, logprob in found.items()]
        assert count == len(ids) and len(off) >= 100
        assert np.sqrt(np.mean(np.square(off))) < 4e-2 and np.abs(off).max() < 0.15, path


@pytest.mark.parametrize("name", TOWERS_REFUSED)
def test_towers_that_gguf_has_no_key_for_are_refused(name, seeing, tallow, tmp_path):
    section, key = TOWERS_REFUSED[name]
    values = {**vision_models.CONFIGS, **test_gemma4_audio.TOWERS}[name]
    shutil.copytree(seeing[0], tmp_path / "model")
    config = json.loads((tmp_path / "model/config.json").read_text())
    config[section].update(values)
    (tmp_path / "model/config.json").write_text(json.dumps(config))
    assert key in refusal(tallow, tmp_path / "model", tmp_path / "out.gguf")
    assert not list(tmp_path.glob("*.gguf"))


def test_towers_of_another_model_are_refused(seeing, tallow, tmp_path):
    out = converted(tallow, seeing[0], tmp_path / "out")
    args = ["--tokens", "1,2", "--out", tmp_path / "o.npy"]
    save(tmp_path / "other", make_model("gemma2", HEAD))
    tallow("convert", tmp_path / "other", tmp_path / "other.gguf")
    shutil.copy(out / "mmproj-model.gguf", tmp_path / "mmproj-other.gguf")
    failed = tallow("logits", tmp_path / "other.gguf", *args, check=False)
    assert failed.returncode == 1 and b"towers of Gemma2ForCausalLM" in failed.stderr
    shutil.copy(out / "model.gguf", out / "mmproj-model.gguf")
    failed = tallow("logits", out / "model.gguf", *args, check=False)
    assert failed.returncode == 1 and b'is not "clip"' in failed.stderr


def reads(path):
    fields = gguf.GGUFReader(path).fields
    return {key: field.contents() for key, field in fields.items()}


def test_keys_are_those_of_llama_cpps_converter(tallow, tmp_path):
    save(tmp_path / "model", make_model("gemma4_text", dict(SHARED, final_logit_softcapping=30.0)))
    tallow("convert", tmp_path / "model", tmp_path / "model.gguf")
    found = reads(tmp_path / "model.gguf")
    sliding = [t == "sliding_attention" for t in SHARED["layer_types"]]
    wanted = {
        "block_count": 6, "context_length": 256, "embedding_length": 48,
        "feed_forward_length": [80, 80, 80, 160, 160, 160], "attention.head_count": 4,
        "attention.head_count_kv": 2, "attention.key_length": 32, "attention.value_length": 32,
        "attention.key_length_swa": 16, "attention.value_length_swa": 16,
        "attention.sliding_window": 12, "attention.sliding_window_pattern": sliding,
        "attention.shared_kv_layers": 3, "rope.freq_base": 1e6, "rope.freq_base_swa": 1e4,
        "rope.dimension_count": 32, "rope.dimension_count_swa": 16,
        "final_logit_softcapping": 30.0, "embedding_length_per_layer_input": 8,
    }
    for key, value in wanted.items():
        assert found["gemma4." + key] == value, key
    assert found["tokenizer.ggml.model"] == "gemma4"
    assert found["tokenizer.chat_template"] == CHAT
    tensors = {t.name: t for t in gguf.GGUFReader(tmp_path / "model.gguf").tensors}
    assert list(tensors["rope_freqs.weight"].data) == [1.0] * 4 + [np.float32(1e30)] * 12


def test_gemma3n_sparsity_is_in_deviations(tallow, tmp_path):
    save(tmp_path / "model", make_model("gemma3n_text", CONFIGS["gemma3n_text"]["sparse"]))
    tallow("convert", tmp_path / "model", tmp_path / "model.gguf")
    found = reads(tmp_path / "model.gguf")["gemma3n.activation_sparsity_scale"]
    normal = torch.distributions.Normal(0, 1)
    wanted = normal.icdf(torch.tensor([0.95, 0.5, 0.0, 0.25, 0.0, 0.0])).tolist()
    assert all(a == b or math.isclose(a, b, abs_tol=1e-6) for a, b in zip(found, wanted))
    tallow("convert", tmp_path / "model.gguf", tmp_path / "again")
    config = json.loads((tmp_path / "again/config.json").read_text())
    assert config["activation_sparsity_pattern"] == [0.95, 0.5, 0.0, 0.25, 0.0, 0.0]


@pytest.mark.parametrize("kind", ["gemma2", "gemma4_text"])
def test_tokenizers_survive_the_way_to_gguf_and_back(kind, tallow, tmp_path):
    tokens = gemma_tokenizer()
    changes = DENSE if kind == "gemma4_text" else HEAD
    model = make_model(kind, {**changes, "vocab_size": tokens.get_vocab_size()})
    save(tmp_path / "model", model, tokens)
    tallow("convert", tmp_path / "model", tmp_path / "model.gguf")
    tallow("convert", tmp_path / "model.gguf", tmp_path / "again")
    before = AutoTokenizer.from_pretrained(tmp_path / "model")
    again = AutoTokenizer.from_pretrained(tmp_path / "again")
    peer = LlamaCpp(tmp_path / "model.gguf")
    texts = [t for t in corpus() if isinstance(t, str) and "\0" not in t and len(t) < 2000 and t]
    texts += ["a<end_of_turn>\n<start_of_turn>model\n", "  two  spaces ", "\n\n\n", "x\n\n y"]
    for text in texts:
        wanted = before(text).input_ids
        assert again(text).input_ids == wanted, text[:200]
        assert again.decode(wanted) == before.decode(wanted), text[:200]
    for text in [unicodedata.normalize("NFC", t) for t in texts[::3]]:
        assert peer.tokenize(text) == tokens.encode(text).ids, text[:200]
    assert again.chat_template == CHAT
    assert (again.bos_token, again.eos_token, again.pad_token) == ("<bos>", "<eos>", "<pad>")
