"""tallow.load of models and files, beside transformers, safetensors and NumPy."""

import numpy as np
import pytest
import safetensors.torch
import torch

import tallow as package  # `tallow` is the command in the other tests
from small_chat import model, network, tokenizer  # noqa: F401: fixtures


@pytest.fixture(scope="module")
def loaded(model):  # noqa: F811
    return package.load(str(model))


def test_logits_are_transformers(loaded, network):  # noqa: F811
    ids = [[1, 5, 9, 2], [3, 4]]
    ours = torch.from_dlpack(loaded.logits(ids))
    with torch.no_grad():
        theirs = torch.cat([network(torch.tensor([row])).logits[0] for row in ids])
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    last = torch.from_dlpack(loaded.logits(package.tensor(ids[0]), last_only=True))
    torch.testing.assert_close(last[0], theirs[3], rtol=1e-4, atol=1e-4)


def test_generate_is_transformers_greedy_choice(loaded, network, tokenizer):  # noqa: F811
    prompt = loaded.tokenizer.encode("hello").ids
    wanted = network.generate(torch.tensor([prompt]), max_new_tokens=8, do_sample=False)
    ids = wanted[0, len(prompt):].tolist()
    while ids and loaded.tokenizer.is_end(ids[-1]):
        ids.pop()
    text = loaded.generate("hello", max_new_tokens=8, temperature=0)
    assert text == loaded.tokenizer.decode(ids, skip_special_tokens=True)
    assert "".join(loaded.generate("hello", max_new_tokens=8, temperature=0, stream=True)) == text
    assert loaded.generate(prompt, max_new_tokens=8, temperature=0) == text


def test_a_seed_gives_the_same_text(loaded):
    answers = {loaded.generate("hello", max_new_tokens=12, temperature=1.0, seed=5) for _ in range(2)}
    assert len(answers) == 1


def test_a_stream_can_be_left(loaded):
    for _ in loaded.generate("hello", max_new_tokens=200, temperature=1.0, stream=True):
        break
    assert isinstance(loaded.generate("hello", max_new_tokens=1), str)


def test_chat_uses_the_template(loaded, tokenizer):  # noqa: F811
    messages = [{"role": "user", "content": "hello"}]
    prompt = loaded.apply_chat_template(messages)
    wanted = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    assert prompt == wanted
    ids = loaded.tokenizer.encode(prompt, add_special_tokens=False).ids
    assert loaded.chat(messages, max_new_tokens=5, temperature=0) == loaded.generate(
        ids, max_new_tokens=5, temperature=0)


def test_keys_and_values_are_kept_in_the_type_that_is_asked_for(loaded, model):  # noqa: F811
    ids, exact = [1, 5, 9, 2], loaded.logits([1, 5, 9, 2]).numpy()
    def off(type):
        return np.abs(package.load(model, cache_type=type).logits(ids).numpy() - exact).max()
    assert off("f32") == 0 and 0 < off("f16") < off("bf16") == off(package.bfloat16)
    for type, message in (("q5_0", "f32, bf16, f16, q8_0 or q4_0"), ("x", "no dtype"),
                          (package.int32, "holds no i32"), ("q8_0", "whole blocks")):
        with pytest.raises(package.Error, match=message):
            package.load(model, cache_type=type)
    with pytest.raises(TypeError, match="expected a dtype"):
        package.load(model, cache_type=8)


def test_wrong_use_raises(loaded, tmp_path):
    with pytest.raises(TypeError, match="max_tokens"):
        loaded.generate("hello", max_tokens=3)
    with pytest.raises(package.Error, match="temperature"):
        loaded.generate("hello", temperature=-1.0)
    with pytest.raises(package.Error):
        loaded.logits([100000])
    with pytest.raises(package.Error):
        package.load(str(tmp_path / "nothing"))


def test_safetensors_of_every_dtype_go_both_ways(tmp_path):
    path = str(tmp_path / "x.safetensors")
    tensors = {
        str(d): torch.arange(6).reshape(2, 3).to(d)
        for d in (torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64,
                  torch.int8, torch.uint8, torch.bool)
    }
    package.save({k: package.from_dlpack(v) for k, v in tensors.items()}, path)
    theirs = safetensors.torch.load_file(path)
    ours = package.load(path)
    assert set(theirs) == set(ours) == set(tensors)
    for k, v in tensors.items():
        assert torch.equal(theirs[k], v) and torch.equal(torch.from_dlpack(ours[k].clone()), v)
    with pytest.raises(package.Error):
        ours["torch.float32"].add_(1)  # mapped from the file


def test_other_objects_are_pickled(tmp_path):
    path = str(tmp_path / "x.pt")
    package.save({"a": package.tensor([1, 2]), "n": 3}, path)
    back = package.load(path)
    assert back["a"].tolist() == [1, 2] and back["n"] == 3
    path = str(tmp_path / "x.npy")
    package.save(package.tensor([[1.5, 2]]), path)
    assert np.load(path).tolist() == package.load(path).tolist() == [[1.5, 2]]
