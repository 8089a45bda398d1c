"""What the tests of the hub share: a server, the environment of clients, and both clients."""

import json
import os
import random
import subprocess
import sys

import pytest

import hub_server

NAME = "org/name"


def noise(size, seed=0):
    return random.Random(seed).randbytes(size)


FILES = {
    "config.json": b'{"model_type": "llama"}',
    "tokenizer.json": b"t" * 3000,
    "model.safetensors": noise(300_000, 1),
    "pytorch_model.bin": noise(9000, 2),
    "README.md": b"# A model\n",
    "onnx/model.onnx": noise(5000, 3),
}
NEEDED = ["config.json", "model.safetensors", "tokenizer.json"]

# Whatever the machine needs for other servers.
UNSET = {name: "" for low in ("http_proxy", "https_proxy", "all_proxy", "no_proxy",
                              "ssl_cert_file", "requests_ca_bundle", "curl_ca_bundle")
         for name in (low, low.upper())}


@pytest.fixture
def hub():
    with hub_server.running() as server:
        yield server


@pytest.fixture
def env(hub, tmp_path):
    """The environment of clients: the cache is empty, and nobody is logged in."""
    return {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "0",
            "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "HF_HUB_DISABLE_UPDATE_CHECK": "1", "HF_HUB_DISABLE_XET": "1", "HF_TOKEN": "",
            **UNSET}


@pytest.fixture
def download(tallow, env):
    """Runs `tallow download`; the result's JSON, or on failure the message."""
    def run(*args, code=0, env=env, **more):
        result = tallow("download", *args, "--json", check=False, env=env | more)
        message = result.stderr.decode()
        assert result.returncode == code, message
        if code == 0:
            assert message == ""
            return json.loads(result.stdout)
        assert result.stdout == b"" and message.count("\n") == 1, message
        return message
    return run


@pytest.fixture
def python(env):
    """Runs lines of Python with huggingface_hub as `h` in a process of its own."""
    def run(lines, **more):
        code = "import huggingface_hub as h\n" + lines
        result = subprocess.run([sys.executable, "-c", code], env={**os.environ, **env, **more},
                                capture_output=True, text=True, timeout=60)
        assert result.returncode == 0, result.stderr
        return result.stdout.strip()
    return run


def contents(folder, names):
    return {name: open(os.path.join(folder, name), "rb").read() for name in names}


def assert_whole(result, files, names=NEEDED):
    assert result["files"] == sorted(names)
    assert contents(result["path"], names) == {name: files[name] for name in names}


def cache_files(env):
    root = os.path.join(env["HF_HOME"], "hub")
    return sorted(os.path.relpath(os.path.join(folder, name), root)
                  for folder, _, names in os.walk(root) for name in names)
