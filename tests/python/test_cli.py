"""The command's contract: what it prints, its exit codes, its errors."""

import json
import os
import re
import subprocess

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from small_chat import ENDLESS, make_tokenizer, model, network, tokenizer  # noqa: F401


def fails(tallow, *args, code=1, stdin=b"", env=None):
    """Runs, expecting one line on standard error and nothing on standard output."""
    result = tallow(*args, check=False, stdin=stdin, env=env)
    message = result.stderr.decode()
    assert result.returncode == code, (result.returncode, message)
    assert result.stdout == b""
    assert re.fullmatch(r"tallow[^\n]*: [^\n]+\n", message), message
    return message


# Help and usage.

def test_version_and_help(tallow):
    assert re.fullmatch(rb"tallow \d+\.\d+\.\d+\n", tallow("--version").stdout)
    assert b"run" in tallow("--help").stdout
    for command in ("run", "logits", "tokenize", "inspect", "download", "cache", "bench"):
        text = tallow(command, "--help").stdout.decode()
        assert "Examples:" in text and f"tallow {command} " in text


@pytest.mark.parametrize("args, mention", [
    (["walk"], "unknown command walk"),
    (["rum", "x"], "did you mean run?"),
    (["run"], "MODEL"),
    (["run", "x", "--tmep", "1"], "did you mean --temp?"),
    (["run", "x", "--temp", "hot"], "hot"),
    (["run", "x", "-n", "-5"], "-5"),
    (["run", "x", "--top-p", "1.5"], "1.5"),
    (["run", "x", "--threads", "0"], "0"),
    (["logits", "x", "--text", "a"], "--out"),
    (["logits", "x", "--text", "a", "--tokens", "1", "--out", "o"], "--"),
    (["inspect"], "FILE_OR_MODEL"),
])
def test_wrong_usage_exits_2(tallow, args, mention):
    message = fails(tallow, *args, code=2)
    assert mention in message
    assert "--help" in message


def test_no_arguments_print_help_and_exit_2(tallow):
    result = tallow(check=False)
    assert result.returncode == 2 and result.stdout == b"" and b"Examples" in result.stderr


# run

def test_run_is_greedy_generation_at_temperature_0(tallow, model, network, tokenizer):
    prompt = "the cat sat on"
    ids = torch.tensor([tokenizer.encode(prompt)])
    generated = network.generate(ids, max_new_tokens=24, do_sample=False, pad_token_id=0)[0]
    expected = tokenizer.decode(generated[ids.shape[1]:], skip_special_tokens=True)
    actual = tallow("run", model, "--raw", "-p", prompt, "-n", 24, "--temp", 0).stdout.decode()
    assert actual.removesuffix("\n") == expected.removesuffix("\n")


def test_run_through_the_chat_template(tallow, model, network, tokenizer):
    chat = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "the mat"}]
    ids = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=False)
    out = json.loads(tallow("run", model, "-p", "the mat", "--system", "be brief", "-n", 8,
                            "--temp", 0, "--json").stdout)
    assert out["prompt_tokens"] == len(ids)
    generated = network.generate(torch.tensor([ids]), max_new_tokens=8, do_sample=False,
                                 pad_token_id=0)[0]
    assert out["text"] == tokenizer.decode(generated[len(ids):], skip_special_tokens=True)


def test_prompt_from_standard_input(tallow, model):
    args = ("run", model, "--raw", "-n", 10, "--temp", 0)
    assert tallow(*args, stdin="the cat\n").stdout == tallow(*args, "-p", "the cat").stdout


def test_json_object(tallow, model):
    result = tallow("run", model, "-p", "the cat", "-n", 12, "--json", *ENDLESS)
    out = json.loads(result.stdout)
    assert list(out) == ["text", "prompt_tokens", "tokens", "finish_reason", "load_ms",
                         "first_token_ms", "prefill_tokens_per_s", "decode_tokens_per_s",
                         "peak_rss_bytes"]
    assert out["tokens"] == 12 and out["finish_reason"] == "length"
    assert 0 < out["load_ms"] < out["first_token_ms"] < 60_000
    assert out["prefill_tokens_per_s"] > 0 and out["decode_tokens_per_s"] > 0
    assert 1e6 < out["peak_rss_bytes"] < 1e9
    assert result.stderr == b""


def test_peak_memory_is_the_commands_own(tallow, model):
    """getrusage would count the parent's memory before exec; this parent holds PyTorch."""
    out = json.loads(tallow("run", model, "-p", "the cat", "-n", 2, "--json").stdout)
    assert out["peak_rss_bytes"] < 100e6


def test_stats_go_to_standard_error(tallow, model):
    result = tallow("run", model, "-p", "the", "-n", 3, "--stats", "--seed", 77)
    for word in (b"load", b"first", b"prefill", b"decode", b"seed 77"):
        assert word in result.stderr


def test_an_end_token_stops(tallow, model, tokenizer):
    out = json.loads(tallow("run", model, "-p", "the", "-n", 5, "--temp", 0, "--json",
                            "--logit-bias", f"{tokenizer.eos_token_id}=1000").stdout)
    assert (out["text"], out["tokens"], out["finish_reason"]) == ("", 0, "stop")


def test_every_end_token_of_the_generation_config_stops(tallow, model, tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    for file in model.iterdir():
        (folder / file.name).symlink_to(file)
    (folder / "generation_config.json").unlink()
    (folder / "generation_config.json").write_text('{"eos_token_id": [2, 40, 41]}')
    for end in (40, 41):
        out = json.loads(tallow("run", folder, "-p", "the", "-n", 5, "--json",
                                "--logit-bias", f"{end}=1000").stdout)
        assert (out["tokens"], out["finish_reason"]) == (0, "stop")
    out = json.loads(tallow("run", folder, "-p", "the", "-n", 5, "--json",
                            "--logit-bias", "42=1000").stdout)
    assert (out["tokens"], out["finish_reason"]) == (5, "length")


def test_defaults_come_from_the_generation_config(tallow, model, tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    for file in model.iterdir():
        (folder / file.name).symlink_to(file)
    (folder / "generation_config.json").unlink()
    args = ("run", folder, "--raw", "-p", "the cat", "-n", 20, *ENDLESS)
    greedy = tallow(*args, "--temp", 0).stdout

    def texts(config):
        (folder / "generation_config.json").write_text(json.dumps(config))
        return {tallow(*args, "--seed", seed).stdout for seed in range(4)}

    assert texts({"do_sample": False}) == {greedy}
    assert texts({"do_sample": True, "top_k": 1}) == {greedy}
    assert len(texts({"do_sample": True, "temperature": 5.0})) > 1


def test_seed(tallow, model):
    def text(seed):
        return tallow("run", model, "-p", "the", "-n", 16, "--temp", 2, "--seed", seed,
                      *ENDLESS).stdout
    assert text(1) == text(1)
    assert len({text(seed) for seed in range(1, 5)}) > 1


def test_stop_strings_end_the_answer_before_them(tallow, model, tokenizer):
    args = ("run", model, "--raw", "-p", "the cat", "-n", 30, "--temp", 0, "--json", *ENDLESS)
    full = json.loads(tallow(*args).stdout)["text"]
    stop = full[7:11]
    out = json.loads(tallow(*args, "--stop", stop, "--stop", "never in it").stdout)
    assert out["text"] == full[:full.index(stop)]
    assert out["finish_reason"] == "stop"


def test_context_bounds_the_answer(tallow, model, tokenizer):
    length = len(tokenizer.encode("the cat sat"))
    out = json.loads(tallow("run", model, "--raw", "-p", "the cat sat", "--context", length + 6,
                            "--json", *ENDLESS).stdout)
    # The last token needs no place in the cache.
    assert (out["tokens"], out["finish_reason"]) == (7, "length")


def test_prompt_longer_than_the_context(tallow, model, tokenizer):
    prompt = "the cat sat on the mat " * 20
    length = len(tokenizer.encode(prompt))
    message = fails(tallow, "run", model, "--raw", "-p", prompt, "--context", 64)
    assert str(length) in message and "64" in message and "--context" in message


def test_empty_prompt(tallow, model):
    assert "empty" in fails(tallow, "run", model, "--raw", "-p", "")
    assert "empty" in fails(tallow, "run", model, "--raw", stdin=b"")
    assert tallow("run", model, "-p", "", "-n", 2, "--temp", 0).returncode == 0


def test_odd_prompts(tallow, model):
    for prompt in ("--help", "-n", "[1,2]", "a\nb", "日本語 🦀", "%s%n"):
        assert tallow("run", model, "-p", prompt, "-n", 1).returncode == 0


# logits, tokenize, inspect, bench

def test_logits_of_text_and_chat(tallow, model, network, tokenizer, tmp_path):
    chat = [{"role": "user", "content": "the cat"}]
    file, out = tmp_path / "chat.json", tmp_path / "out.npy"
    file.write_text(json.dumps(chat))
    cases = {("--text", "the cat sat"): tokenizer.encode("the cat sat"),
             ("--chat", file): tokenizer.apply_chat_template(chat, add_generation_prompt=True,
                                                             return_dict=False)}
    for args, ids in cases.items():
        tallow("logits", model, *args, "--out", out)
        actual = np.load(out)
        with torch.no_grad():
            expected = network(torch.tensor([ids])).logits[0].numpy()
        assert actual.dtype == np.float32 and actual.shape == expected.shape
        assert np.abs(actual - expected).max() < 2e-4 * np.abs(expected).max()


def test_tokenize_and_back(tallow, model, tokenizer):
    text = "the cat <|im_start|> sat  on\n日本語 🦀"
    ids = json.loads(tallow("tokenize", model, stdin=text).stdout)
    assert ids == tokenizer.encode(text)
    assert tallow("tokenize", model, "--decode", stdin=json.dumps(ids)).stdout.decode() == text
    plain = tallow("tokenize", model, "--decode", "--no-special", stdin=json.dumps(ids)).stdout
    assert plain.decode() == tokenizer.decode(ids, skip_special_tokens=True)


def test_tokenize_chat(tallow, model, tokenizer, tmp_path):
    chat = [{"role": "system", "content": "x"}, {"role": "user", "content": "the\n cat"}]
    (tmp_path / "chat.json").write_text(json.dumps(chat))
    expected = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    actual = tallow("tokenize", model, "--chat", tmp_path / "chat.json").stdout.decode()
    assert actual == expected


def test_inspect_lists_tensors(tallow, model):
    expected = load_file(model / "model.safetensors")
    out = json.loads(tallow("inspect", model, "--json").stdout)
    actual = {t["name"]: t for t in out["tensors"]}
    assert set(actual) == set(expected)
    for name, tensor in expected.items():
        assert actual[name]["shape"] == list(tensor.shape)
        assert actual[name]["bytes"] == tensor.numel() * tensor.element_size()
        assert actual[name]["dtype"] == "f32"
    text = tallow("inspect", model).stdout.decode()
    assert all(name in text for name in expected)


def test_bench_rows(tallow, model):
    rows = json.loads(tallow("bench", model, "--prefill", 20, "--decode", 4, "--context", "0,33",
                             "--threads", "1,2", "--json").stdout)
    assert [(r["threads"], r["context"], r["test"], r["tokens"]) for r in rows] == [
        (threads, context, test, tokens) for threads in (1, 2) for context in (0, 33)
        for test, tokens in (("prefill", 20), ("decode", 4))]
    for row in rows:
        assert set(row) >= {"test", "tokens", "context", "threads", "tokens_per_s", "gb_per_s",
                            "limit_gb_per_s"}
        assert row["tokens_per_s"] > 0 and row["gb_per_s"] > 0 and row["limit_gb_per_s"] > 0.5
    text = tallow("bench", model, "--prefill", 8, "--decode", 2, "--context", 0).stdout.decode()
    assert "prefill" in text and "decode" in text


# Errors.

def test_missing_and_malformed_models(tallow, tmp_path):
    assert "No such file" in fails(tallow, "run", tmp_path / "none", "-p", "x")
    (tmp_path / "empty.gguf").touch()
    fails(tallow, "run", tmp_path / "empty.gguf", "-p", "x")
    (tmp_path / "folder").mkdir()
    assert "config.json" in fails(tallow, "run", tmp_path / "folder", "-p", "x")
    (tmp_path / "text.gguf").write_text("hello")
    fails(tallow, "run", tmp_path / "text.gguf", "-p", "x")
    message = fails(tallow, "run", "smollm2", "-p", "x", env={"TALLOW_CACHE": str(tmp_path)})
    assert "fetch-model.sh" in message


def test_truncated_gguf(tallow, smollm2, tmp_path):
    with open(smollm2, "rb") as file:
        head = file.read(3_000_000)
    for length in (3, 4, 23, 24, 100, 5000, 1_500_000, 3_000_000):
        (tmp_path / "cut.gguf").write_bytes(head[:length])
        fails(tallow, "run", tmp_path / "cut.gguf", "-p", "x")


def edited(model, tmp_path, **changes):
    folder = tmp_path / "edited"
    folder.mkdir(exist_ok=True)
    for file in model.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    config = json.loads((folder / "config.json").read_text())
    config.update(changes)
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_unknown_architecture_names_the_known(tallow, model, tmp_path):
    folder = edited(model, tmp_path, architectures=["PigeonForCausalLM"])
    message = fails(tallow, "run", folder, "-p", "x")
    assert "PigeonForCausalLM" in message and "LlamaForCausalLM" in message


@pytest.mark.parametrize("changes", [
    dict(hidden_size=0), dict(hidden_size=-64), dict(hidden_size=2**62), dict(hidden_size="64"),
    dict(num_hidden_layers=0), dict(num_hidden_layers=3), dict(num_hidden_layers=10**9),
    dict(num_attention_heads=0), dict(num_attention_heads=3), dict(num_key_value_heads=3),
    dict(num_key_value_heads=0), dict(head_dim=0), dict(head_dim=10**9), dict(vocab_size=5),
    dict(vocab_size=2**40), dict(intermediate_size=95), dict(hidden_act="pigeon"),
    dict(rope_parameters={"rope_type": "pigeon", "rope_theta": 1e4}),
    dict(rope_parameters={"rope_type": "linear", "rope_theta": 1e4}),
    dict(rope_parameters={"rope_type": "linear", "factor": 0, "rope_theta": 1e4}),
    dict(rope_parameters={"rope_type": "default", "rope_theta": -1}),
    dict(architectures=[]), dict(architectures=3), dict(rms_norm_eps="small"),
    dict(max_position_embeddings=0), dict(max_position_embeddings=-3),
])
def test_configurations_that_make_no_sense(tallow, model, tmp_path, changes):
    folder = edited(model, tmp_path, **changes)
    fails(tallow, "logits", folder, "--tokens", "1,2", "--out", tmp_path / "out.npy")
    assert not (tmp_path / "out.npy").exists()


def test_tensor_of_another_shape(tallow, model, tmp_path):
    folder = edited(model, tmp_path)
    tensors = load_file(folder / "model.safetensors")
    tensors["model.layers.1.mlp.up_proj.weight"] = torch.zeros(96, 63)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    message = fails(tallow, "run", folder, "-p", "x")
    assert "up_proj" in message and "96, 63" in message and "96, 64" in message


def test_missing_tensor_names_the_nearest(tallow, model, tmp_path):
    folder = edited(model, tmp_path)
    tensors = load_file(folder / "model.safetensors")
    tensors["model.layers.1.mlp.up_prj.weight"] = tensors.pop("model.layers.1.mlp.up_proj.weight")
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    message = fails(tallow, "run", folder, "-p", "x")
    assert "up_proj" in message and "up_prj" in message


def test_missing_shard(tallow, network, tokenizer, tmp_path):
    network.save_pretrained(tmp_path / "model", max_shard_size="100KB")
    tokenizer.save_pretrained(tmp_path / "model")
    shard = sorted((tmp_path / "model").glob("*.safetensors"))[1]
    shard.unlink()
    assert shard.name in fails(tallow, "run", tmp_path / "model", "-p", "x")


def test_tokens_that_are_none(tallow, model, tokenizer, tmp_path):
    out = tmp_path / "out.npy"
    size = len(tokenizer)
    for bad in (str(size), "-1", f"1,{size + 5}"):
        message = fails(tallow, "logits", model, f"--tokens={bad}", "--out", out)
        assert bad.split(",")[-1] in message and str(size) in message
    for bad in ("", "1,,2", "1,x", "1.5", "99999999999999999999", "1 2"):
        fails(tallow, "logits", model, "--tokens", bad, "--out", out)
    assert "--tokens" in fails(tallow, "logits", model, "--out", out)
    message = fails(tallow, "tokenize", model, "--decode", stdin=f"[1, {size}]")
    assert str(size) in message
    for bad in ("", "1", "[1", '["a"]', "[1.5]", "[99999999999]"):
        fails(tallow, "tokenize", model, "--decode", stdin=bad)
    assert "999999" in fails(tallow, "run", model, "-p", "x", "--logit-bias", "999999=1")
    fails(tallow, "run", model, "-p", "x", "--logit-bias", "nonsense")


def test_malformed_chats(tallow, model, tmp_path):
    file = tmp_path / "chat.json"
    fails(tallow, "tokenize", model, "--chat", file)
    for text in ("", "{", "[]", "3", '{"role": "user"}', "[" * 100_000):
        file.write_text(text)
        fails(tallow, "tokenize", model, "--chat", file)


def test_a_model_without_template_or_tokenizer(tallow, network, tokenizer, tmp_path):
    network.save_pretrained(tmp_path / "model")
    fails(tallow, "run", tmp_path / "model", "-p", "x")
    tallow("logits", tmp_path / "model", "--tokens", "1,2", "--out", tmp_path / "out.npy")
    plain = make_tokenizer()
    plain.chat_template = None
    plain.save_pretrained(tmp_path / "model")
    result = tallow("run", tmp_path / "model", "-p", "the", "-n", 2)
    assert b"no chat template" in result.stderr
    assert "template" in fails(tallow, "run", tmp_path / "model", "-p", "x", "--system", "y")


def test_memory_that_cannot_be_had(tallow, model, smollm2):
    for context in (10**9, 10**12, 2**61):
        message = fails(tallow, "run", model, "-p", "x", "--context", context)
        assert str(context) in message
    # An address space too small for the file's mapping.
    result = subprocess.run(["bash", "-c", 'ulimit -v 60000; exec "$0" "$@"', tallow.path, "run",
                             str(smollm2), "-p", "x", "-n", "1"], capture_output=True)
    assert result.returncode == 1, result
    assert re.fullmatch(rb"tallow: [^\n]+\n", result.stderr)


def test_outputs_that_cannot_be_written(tallow, model, tmp_path):
    args = ("logits", model, "--tokens", "1,2,3", "--out")
    assert "No space" in fails(tallow, *args, "/dev/full")
    assert os.path.exists("/dev/full")
    fails(tallow, *args, tmp_path / "no" / "folder.npy")
    fails(tallow, *args, tmp_path)
    # A file system without room: the file that was there stays, nothing else is left.
    target = tmp_path / "kept.npy"
    target.write_bytes(b"before")
    result = subprocess.run(["bash", "-c", 'ulimit -f 1; trap "" XFSZ; exec "$0" "$@"', tallow.path,
                             *map(str, args), str(target)], capture_output=True)
    assert result.returncode == 1, result
    assert target.read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["kept.npy"]
    with open("/dev/full", "w") as full:
        result = subprocess.run([tallow.path, "run", str(model), "-p", "x", "-n", "3"], stdout=full,
                                stderr=subprocess.PIPE)
    assert result.returncode == 1 and result.stderr.count(b"\n") == 1


def test_a_closed_pipe_ends_quietly(tallow, model):
    script = '"$0" "$@" | head -c 10 | wc -c; echo "${PIPESTATUS[0]}"'
    result = subprocess.run(["bash", "-c", script, tallow.path, "run", str(model), "-p", "x",
                             *ENDLESS], capture_output=True, timeout=60)
    assert result.stdout == b"10\n0\n" and result.stderr == b"", result
    script = '"$0" "$@" | head -1 > /dev/null; echo "${PIPESTATUS[0]}"'
    result = subprocess.run(["bash", "-c", script, tallow.path, "inspect", str(model)],
                            capture_output=True)
    assert result.stdout == b"0\n" and result.stderr == b"", result
