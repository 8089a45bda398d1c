"""Chats with images and sounds: logits against transformers', and thoughts and calls in answers."""

import json
import random
import wave

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import Gemma4AudioFeatureExtractor

import tallow as package
from gemma4_chat import Reference, make_network, make_tokenizer


@pytest.fixture(scope="module")
def tokenizer():
    return make_tokenizer()


def save(folder, tokenizer, network):
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    rng = np.random.default_rng(3)
    for name, (width, height) in {"a.png": (130, 90), "b.png": (61, 200), "c.png": (48, 48)}.items():
        Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8)).save(folder / name)
    frames = [Image.fromarray(rng.integers(0, 256, (60, 100, 3), np.uint8)) for _ in range(3)]
    frames[0].save(folder / "few.gif", save_all=True, append_images=frames[1:], duration=2500)
    for name, seconds in {"long.wav": 1.3, "short.wav": 0.21}.items():
        with wave.open(str(folder / name), "wb") as clip:
            clip.setparams((1, 2, 16000, 0, "NONE", ""))
            clip.writeframes(rng.integers(-20000, 20000, int(16000 * seconds), np.int16).tobytes())
    return folder


def features(path):
    """transformers' features of a clip, and which of them count."""
    with wave.open(str(path)) as clip:
        samples = np.frombuffer(clip.readframes(clip.getnframes()), np.int16) / np.float32(32768)
    made = Gemma4AudioFeatureExtractor()([samples], sampling_rate=16000, return_tensors="pt")
    return made["input_features"][0].float(), made["input_features_mask"][0].bool()


@pytest.fixture(scope="module")
def network(tokenizer):
    return make_network(tokenizer)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tokenizer, network):
    return save(tmp_path_factory.mktemp("gemma4"), tokenizer, network)


@pytest.fixture(scope="module")
def model(folder):
    return package.load(folder)


def image(path, **more):
    return {"type": "image", "path": path, **more}


def sound(path):
    return {"type": "audio", "path": path}


def video(path):
    return {"type": "video", "path": path}


def text(words):
    return {"type": "text", "text": words}


MESSAGES = {
    "one": [{"role": "user", "content": [image("a.png", tokens=70), text("what is this?")]}],
    "behind": [{"role": "user", "content": [text("see "), image("c.png", tokens=70)]}],
    "three": [{"role": "user", "content": [image("a.png", tokens=70), text("and"),
                                           image("b.png", tokens=140), image("c.png", tokens=70),
                                           text("which?")]}],
    "sound": [{"role": "user", "content": [sound("long.wav"), text("who is it?")]}],
    "mixed": [{"role": "user", "content": [
        sound("short.wav"), image("a.png", tokens=70), text("and"), image("b.png", tokens=140),
        sound("long.wav"), text("or"), image("c.png", tokens=70)]}],
    "video": [{"role": "user", "content": [video("few.gif"), text("or"),
                                           image("a.png", tokens=70)]}],
    "turns": [{"role": "user", "content": [image("b.png", tokens=70), text("this?")]},
              {"role": "assistant", "content": "a cat"},
              {"role": "user", "content": [text("and this"), image("a.png", tokens=70)]}],
}


def within(got, expected, bound=2e-4):
    worst = (got - expected).abs().max() / expected.abs().max()
    assert worst < bound, f"{worst:.2e}"


def logits(tallow, folder, messages, tmp_path, *options):
    chat = folder / "chat.json"  # paths begin where the file is
    chat.write_text(json.dumps(messages))
    tallow("logits", folder, "--chat", chat, "--out", tmp_path / "out.npy", *options)
    return torch.from_numpy(np.load(tmp_path / "out.npy"))


@pytest.mark.parametrize("name", MESSAGES)
def test_logits_of_chats_with_images(name, tallow, folder, tokenizer, network, tmp_path):
    ids, expected = Reference(tokenizer, network, folder, features)(MESSAGES[name])
    for options in ([], ["--chunk", 8]):
        within(logits(tallow, folder, MESSAGES[name], tmp_path, *options), expected)


@pytest.mark.parametrize("changes", [
    dict(use_bidirectional_attention="vision", num_kv_shared_layers=0, use_double_wide_mlp=False,
         hidden_size_per_layer_input=0),
    dict(enable_moe_block=True, num_experts=4, top_k_experts=2, moe_intermediate_size=24),
], ids=["both_ways", "experts"])
def test_other_text_models_see_the_same(changes, tallow, tokenizer, tmp_path):
    network = make_network(tokenizer, seed=2, **changes)
    folder = save(tmp_path, tokenizer, network)
    for name in ("mixed", "turns", "video"):
        _, expected = Reference(tokenizer, network, folder, features)(MESSAGES[name])
        for options in ([], ["--chunk", 8]):
            within(logits(tallow, folder, MESSAGES[name], tmp_path, *options), expected)


def absolute(messages, folder):
    moved = json.loads(json.dumps(messages))
    for message in moved:
        if isinstance(message["content"], list):
            for item in message["content"]:
                if "path" in item:
                    item["path"] = str(folder / item["path"])
    return moved


def test_a_conversation_is_continued_in_the_cache(model, folder, tokenizer, network):
    """Each turn answers as a fresh session does, though images of earlier turns are not seen anew."""
    def ask(messages):
        asked = absolute(messages, folder)
        return model.respond(asked, max_new_tokens=6, temperature=0)
    first = MESSAGES["turns"][:1]
    ask(first)
    again = ask(MESSAGES["turns"])
    assert again.prefilled_tokens < again.prompt_tokens
    fresh = package.load(folder)
    assert fresh.respond(absolute(MESSAGES["turns"], folder), max_new_tokens=6,
                         temperature=0).tokens == again.tokens
    other = json.loads(json.dumps(MESSAGES["turns"]))
    other[0]["content"][0]["path"] = "a.png"  # the same number of tokens, another image
    ask(MESSAGES["turns"])
    assert ask(other).tokens == fresh.respond(absolute(other, folder), max_new_tokens=6,
                                              temperature=0).tokens


def test_prompts_that_go_back_before_the_window_answer_as_fresh_ones(model, folder, tokenizer):
    random.seed(1)
    words = [random.choice(["see", "this", "a cat", "and", "which"]) for _ in range(600)]

    def ask(asker, count, more):
        ends = tokenizer.convert_tokens_to_ids(["<eos>", "<turn|>"])
        message = {"role": "user", "content": " ".join(words[:count]) + more}
        return asker.respond([message], max_new_tokens=400, temperature=0,
                             logit_bias={i: -100.0 for i in ends})
    # After an answer longer than what can be taken back: the prompt goes on otherwise, ends as
    # before, ends earlier than anything that is left, and goes on from there.
    for count, more, kept in ((600, "", 0), (600, " or what", 500), (600, "", 500), (200, "", 0),
                              (400, "", 150)):
        got = ask(model, count, more)
        fresh = ask(package.load(folder), count, more)
        assert len(got.tokens) == 400 and got.tokens == fresh.tokens
        reused = got.prompt_tokens - got.prefilled_tokens
        assert (reused >= kept) if kept else reused < 20


def test_greedy_answers_are_those_of_transformers(model, folder, tokenizer, network):
    ids, _ = Reference(tokenizer, network, folder, features)(MESSAGES["three"])
    asked = model.prompt(absolute(MESSAGES["three"], folder))
    assert asked.tokens == ids
    got = model.respond(absolute(MESSAGES["three"], folder), max_new_tokens=5, temperature=0).tokens
    whole = Reference(tokenizer, network, folder, features)
    inputs, _ = whole.images([i for i in MESSAGES["three"][0]["content"] if i["type"] == "image"])
    for n in range(len(got)):
        so_far = torch.tensor([ids + got[:n]])
        kinds = (so_far == tokenizer.convert_tokens_to_ids("<|image|>")).long()
        with torch.no_grad():
            after = network(input_ids=so_far, mm_token_type_ids=kinds, **inputs).logits[0, -1]
        assert after[got[n]] > after.max() - 1e-3 * after.abs().max()


class TestRefusals:
    def refused(self, tallow, *args):
        result = tallow("run", *args, check=False)
        assert result.returncode == 1, result.stderr
        return result.stderr.decode()

    def test_models_without_towers(self, tallow, smollm2, folder):
        message = self.refused(tallow, smollm2, "-p", "hi", "--image", folder / "a.png")
        assert "takes no images" in message

    def test_what_is_no_image(self, tallow, folder):
        assert "config.json" in self.refused(tallow, folder, "-p", "hi", "--image",
                                             folder / "config.json")
        assert "nothing.png" in self.refused(tallow, folder, "-p", "x", "--image", "nothing.png")

    def test_unknown_budgets(self, tallow, folder):
        message = self.refused(tallow, folder, "-p", "hi", "--image", folder / "a.png",
                               "--image-tokens", 100)
        assert "100" in message and "280" in message

    def test_marks_in_the_text(self, tallow, folder):
        assert "<|image|>" in self.refused(tallow, folder, "-p", "what is <|image|>?")

    def test_more_soft_tokens_than_context(self, tallow, folder):
        message = self.refused(tallow, folder, "-p", "hi", "--image", folder / "a.png", "--context",
                               50)
        assert "images" in message and "50" in message

    def test_no_place_in_the_template(self, tallow, folder, tmp_path):
        for file in folder.iterdir():
            (tmp_path / file.name).symlink_to(file)
        (tmp_path / "chat_template.jinja").unlink()
        (tmp_path / "chat_template.jinja").write_text("{{ messages[0].role }}")
        message = self.refused(tallow, tmp_path, "-p", "hi", "--image", folder / "a.png")
        assert "no place" in message

    def test_links_are_not_fetched(self, model):
        with pytest.raises(package.Error, match="download"):
            model.prompt([{"role": "user", "content": [image("https://localhost/a.png")]}])


def random_value(rng, depth=0):
    kinds = [lambda: rng.randint(-1000, 1000), lambda: rng.random() < 0.5,
             lambda: rng.choice([0.5, -2.25, 1e20]), lambda: None,
             lambda: rng.choice(["", "a b", "naïve {x:1}", "🎈, [1]", "line\nline"])]
    if depth < 3:
        kinds += [lambda: [random_value(rng, depth + 1) for _ in range(rng.randint(0, 3))],
                  lambda: {rng.choice("pqrs"): random_value(rng, depth + 1)
                           for _ in range(rng.randint(0, 3))}]
    return rng.choice(kinds)()


def test_calls_and_thoughts_are_read_as_the_template_spells_them(model, tokenizer):
    rng = random.Random(7)
    for _ in range(100):
        calls = [{"name": rng.choice(["get_weather", "f"]),
                  "arguments": {rng.choice("abcd"): random_value(rng) for _ in range(rng.randint(0, 3))}}
                 for _ in range(rng.randint(0, 2))]
        thought = rng.choice(["", "hm\nlet me see"])
        content = rng.choice(["", "It is so.", "naïve 🎈"])
        spelled = tokenizer.apply_chat_template(
            [{"role": "assistant", "content": content, "thought": thought, "tool_calls": calls}],
            tokenize=False)
        answer = spelled.split("<|turn>model\n")[1]
        read = model.read_answer(tokenizer(answer, add_special_tokens=False).input_ids)
        assert read.tool_calls == calls, spelled
        assert read.thought == thought
        assert read.text == content


@pytest.mark.parametrize("call", [
    "call:f{", "call:f", "call:{}", "f{}", "call:f{a:}", "call:f{a:1", "call:f{a:[1}", "call:f{}}",
    'call:f{a:<|"|>x}', "call:f" + "{a:" * 100 + "1" + "}" * 100, ""])
def test_malformed_calls_stay_text(model, tokenizer, call):
    ids = tokenizer(f"<|tool_call>{call}<tool_call|>!", add_special_tokens=False).input_ids
    read = model.read_answer(ids)
    assert read.tool_calls == []
    assert read.text == f"<|tool_call>{call}<tool_call|>!"


def test_a_call_that_is_cut_off_stays_text(model, tokenizer):
    ids = tokenizer("so: <|tool_call>call:f{a:1", add_special_tokens=False).input_ids
    assert model.read_answer(ids).text == "so: <|tool_call>call:f{a:1"


def test_thinking_is_asked_for(model, tokenizer):
    messages = [{"role": "user", "content": "hi"}]
    thinking = tokenizer.apply_chat_template(messages, add_generation_prompt=True,
                                             enable_thinking=True)["input_ids"]
    assert model.prompt(messages, think=True).tokens == thinking
    assert "<|think|>" not in model.apply_chat_template(messages)


def test_functions_are_declared(model, folder, tokenizer, tallow, tmp_path):
    messages = [{"role": "user", "content": "how is the weather?"}]
    tools = [{"type": "function", "function": {
        "name": "get_weather", "description": "", "parameters": {
            "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}]
    expected = tokenizer.apply_chat_template(messages, tools=tools, add_generation_prompt=True)
    asked = model.prompt(messages, tools=tools).tokens
    assert asked == expected["input_ids"] and asked != model.prompt(messages).tokens
    (tmp_path / "tools.json").write_text(json.dumps(tools))
    told = json.loads(tallow("run", folder, "-p", messages[0]["content"], "--tools",
                             tmp_path / "tools.json", "-n", 1, "--json").stdout)
    assert told["prompt_tokens"] == len(asked)
    failed = tallow("run", folder, "-p", "x", "--tools", tmp_path / "none.json", check=False)
    assert failed.returncode == 1 and b"none.json" in failed.stderr
