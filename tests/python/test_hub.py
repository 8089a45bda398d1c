"""Downloads from the hub: tallow and Python's huggingface_hub against one server, in one cache."""

import hashlib
import os
import subprocess
import sys

import pytest

from hub_clients import (FILES, NAME, NEEDED, assert_whole, cache_files, contents,  # noqa: F401
                         download, env, hub, noise, python)


# One cache for both.

def test_a_model_comes_once_without_duplicates_of_its_weights(hub, download, env):
    commit = hub.add(NAME, FILES)
    result = download(NAME)
    assert_whole(result, FILES)
    assert result["commit"] == commit
    assert result["received_bytes"] == sum(len(FILES[name]) for name in NEEDED)
    hub.clear()
    assert download(NAME)["received_bytes"] == 0
    assert hub.log == ["GET /api/models/org/name/revision/main"] and hub.sent < 1000


def test_the_layout_is_that_of_the_python_client(hub, download, python, env, tmp_path):
    hub.add(NAME, FILES)
    download(NAME, "--all")
    ours = cache_files(env)
    env["HF_HOME"] = str(tmp_path / "other")
    python(f"h.snapshot_download('{NAME}')")
    theirs = cache_files(env)
    assert ours == theirs

    def links(home):
        root = tmp_path / home / "hub"
        return {str(p.relative_to(root)): os.readlink(p)
                for p in root.rglob("*") if p.is_symlink()}
    assert links("home") == links("other") and len(links("home")) == len(FILES)


@pytest.mark.parametrize("first", ["tallow", "python"])
def test_what_one_client_has_the_other_does_not_download(hub, download, python, first):
    hub.add(NAME, FILES)
    clients = [lambda: download(NAME, "--all")["path"],
               lambda: python(f"print(h.snapshot_download('{NAME}'))")]
    if first == "python":
        clients.reverse()
    path = clients[0]()
    hub.clear()
    assert clients[1]() == path
    assert not hub.asked("resolve") and hub.sent < 5000
    assert contents(path, FILES) == FILES


def test_python_lists_the_cache_without_a_warning(hub, download, python):
    hub.add(NAME, FILES)
    download(NAME, "--all")
    out = python("i = h.scan_cache_dir()\n"
                 "r, = i.repos\n"
                 "print(i.warnings, r.repo_id, r.repo_type, r.nb_files, r.size_on_disk,\n"
                 "      r.refs.keys())")
    size = sum(map(len, FILES.values()))
    assert out == f"[] {NAME} model {len(FILES)} {size} dict_keys(['main'])"


def test_files_of_python_serve_tallow_offline_and_the_other_way(hub, download, python):
    hub.add(NAME, FILES)
    python(f"h.snapshot_download('{NAME}', allow_patterns=['*.json'])")
    hub.clear()
    result = download(NAME, "config.json", HF_HUB_OFFLINE="1")
    assert_whole(result, FILES, ["config.json"])
    message = download(NAME, HF_HUB_OFFLINE="1", code=1)
    assert "model.safetensors" in message and "HF_HUB_OFFLINE" in message
    assert hub.log == []
    download(NAME)
    out = python(f"print(h.hf_hub_download('{NAME}', 'model.safetensors'))", HF_HUB_OFFLINE="1")
    assert contents(os.path.dirname(out), NEEDED) == {n: FILES[n] for n in NEEDED}


def test_a_new_commit_brings_only_what_changed(hub, download):
    first = hub.add(NAME, FILES)
    download(NAME)
    hub.clear()
    changed = FILES | {"config.json": b'{"model_type": "qwen2"}'}
    second = hub.add(NAME, changed)
    result = download(NAME)
    assert result["received_bytes"] == len(changed["config.json"])
    assert_whole(result, changed)
    assert_whole(download(f"{NAME}@{first}"), FILES)
    assert result["commit"] == second


def test_revisions_datasets_and_spaces(hub, download, env):
    hub.add(NAME, FILES)
    pull = hub.add(NAME, FILES | {"config.json": b"{}"}, ref="refs/pr/1")
    assert download(f"{NAME}@refs/pr/1")["commit"] == pull
    assert open(os.path.join(env["HF_HOME"], "hub/models--org--name/refs/refs/pr/1")).read() == pull
    for kind in ("datasets", "spaces"):
        hub.add(NAME, {"data/train 1.csv": b"a,b\n"}, kind=kind)
        result = download(f"{kind}/{NAME}")
        assert f"{kind}--org--name" in result["path"]
        assert_whole(result, {"data/train 1.csv": b"a,b\n"}, ["data/train 1.csv"])


def test_more_files_than_a_page_lists(hub, download):
    files = {f"part/{i:03}.json": b"%d" % i for i in range(120)}
    hub.add(NAME, files)
    assert_whole(download(NAME, "--all"), files, list(files))
    assert len(hub.asked("tree")) == 3


# Choosing files.

def chosen(download, hub, names, *args, repo=NAME):
    hub.add(NAME, {name: noise(10, i) for i, name in enumerate(names)})
    return download(repo, *args)["files"]


@pytest.mark.parametrize("args, expected", [
    (["*.json"], ["config.json", "tokenizer.json"]),
    (["config.json", "onnx/"], ["config.json", "onnx/model.onnx"]),
    (["--include", "*.json", "--exclude", "tok*"], ["config.json"]),
    (["--exclude", "*.json"], ["model.safetensors"]),
    (["--all", "--exclude", "*model*"], ["README.md", "config.json", "tokenizer.json"]),
    (["?onfig.js[a-o]n"], ["config.json"]),
])
def test_globs_choose_files(hub, download, args, expected):
    hub.add(NAME, FILES)
    assert download(NAME, *args)["files"] == expected


@pytest.mark.parametrize("names, expected", [
    (["model.safetensors.index.json", "model-00001-of-00002.safetensors", "config.json",
      "model-00002-of-00002.safetensors", "consolidated.safetensors", "x.gguf"],
     ["config.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
      "model.safetensors.index.json"]),
    (["config.json", "pytorch_model.bin", "flax_model.msgpack", "tf_model.h5"],
     ["config.json", "pytorch_model.bin"]),
    (["m-Q8_0.gguf", "m-Q4_K_M.gguf", "mmproj-m-F16.gguf", "README.md"], ["m-Q4_K_M.gguf"]),
    (["m-Q6_K/m-Q6_K-00001-of-00002.gguf", "m-Q6_K/m-Q6_K-00002-of-00002.gguf", "x.md"],
     ["m-Q6_K/m-Q6_K-00001-of-00002.gguf", "m-Q6_K/m-Q6_K-00002-of-00002.gguf"]),
    (["model_index.json", "unet/config.json", "unet/diffusion_pytorch_model.safetensors",
      "unet/diffusion_pytorch_model.fp16.safetensors", "vae/diffusion_pytorch_model.bin"],
     ["model_index.json", "unet/config.json", "unet/diffusion_pytorch_model.safetensors",
      "vae/diffusion_pytorch_model.bin"]),
    (["a.onnx", "notes.md"], ["a.onnx", "notes.md"]),
])
def test_a_model_without_globs_is_what_runs_it(hub, download, names, expected):
    assert chosen(download, hub, names) == expected


@pytest.mark.parametrize("file, expected", [
    ("Q8_0", ["m-Q8_0.gguf"]), ("q4_k_m", ["m-Q4_K_M.gguf"]), ("m-Q4_0.gguf", ["m-Q4_0.gguf"]),
    ("*-Q4_0*", ["m-Q4_0.gguf"]),
])
def test_a_quantization_is_chosen_by_name(hub, download, file, expected):
    names = ["m-Q8_0.gguf", "m-Q4_K_M.gguf", "m-Q4_0.gguf", "m-IQ4_0_X.gguf", "config.json"]
    assert chosen(download, hub, names, repo=f"{NAME}:{file}") == expected


def test_an_unknown_quantization_is_answered_with_those_there_are(hub, download):
    hub.add(NAME, {"m-Q8_0.gguf": b"x", "m-Q4_0.gguf": b"y"})
    message = download(f"{NAME}:Q2_K", code=1)
    assert "m-Q8_0.gguf" in message and "m-Q4_0.gguf" in message


def test_dry_run_lists_and_downloads_nothing(hub, tallow, env):
    hub.add(NAME, FILES)
    out = tallow("download", NAME, "--dry-run", "--all", env=env).stdout.decode()
    assert all(name in out for name in FILES)
    assert not hub.asked("resolve")


def test_local_dir_is_one_for_both_clients(hub, download, python, tmp_path):
    hub.add(NAME, FILES)
    here = str(tmp_path / "here")
    result = download(NAME, "--all", "--local-dir", here)
    assert result["path"] == here and contents(here, FILES) == FILES
    hub.clear()
    python(f"h.snapshot_download('{NAME}', local_dir={here!r})")
    assert not hub.asked("GET .*resolve|GET /[0-9a-f]{64}"), hub.log
    hub.clear()
    open(os.path.join(here, "config.json"), "w").write("edited")
    os.utime(os.path.join(here, "config.json"), (4e9, 4e9))
    download(NAME, "--all", "--local-dir", here)
    assert contents(here, FILES) == FILES
    there = str(tmp_path / "there")
    python(f"h.snapshot_download('{NAME}', local_dir={there!r})")
    hub.clear()
    assert download(NAME, "--all", "--local-dir", there)["received_bytes"] == 0


# Who asks.

def test_tokens_are_found_as_the_python_client_finds_them(hub, download, python, env, tmp_path):
    hub.add(NAME, FILES, private=True)
    assert "private" in download(NAME, code=1)
    assert_whole(download(NAME, HF_TOKEN=hub.token + "\n"), FILES)
    download("org/name", "README.md", HUGGING_FACE_HUB_TOKEN=hub.token)
    path = tmp_path / "token file"
    path.write_text(hub.token + "\n")
    download(NAME, "onnx/", HF_TOKEN_PATH=str(path))
    os.makedirs(env["HF_HOME"], exist_ok=True)
    (tmp_path / "home" / "token").write_text(hub.token)
    download(NAME, "--force")
    assert "private" in download(NAME, "--force", HF_HUB_DISABLE_IMPLICIT_TOKEN="1", code=1)


def test_the_token_never_goes_to_another_server(hub, download):
    hub.add(NAME, FILES, private=True)
    download(NAME, HF_TOKEN=hub.token)
    assert hub.cdn_authorizations and set(hub.cdn_authorizations) == {None}


def test_gated_repositories_say_where_to_accept_the_terms(hub, download):
    hub.add(NAME, FILES, gated=True)
    message = download(NAME, code=1)
    assert "gated" in message and f"{hub.url}/{NAME}" in message and "HF_TOKEN" in message
    assert_whole(download(NAME, HF_TOKEN=hub.token), FILES)


def test_an_invalid_token_is_named(hub, download):
    hub.add(NAME, FILES)
    hub.required_token = hub.token
    assert "access token is not valid" in download(NAME, HF_TOKEN="hf_wrong", code=1)


def test_what_is_missing_is_told_apart(hub, download, python, env):
    hub.add(NAME, FILES)
    assert "org/none: is not on" in download("org/none", code=1)
    assert 'no revision "v9"' in download(f"{NAME}@v9", code=1)
    assert 'no file "nothing.json"' in download(NAME, "nothing.json", code=1)
    for bad in ("org/name/more", "../name", "org/..", "-x/y", "org/na me", "org/a--b"):
        assert "not a repository" in download("--", bad, code=1)
    assert "not a revision" in download(f"{NAME}@../main", code=1)
    assert hub.asked("name/more") == []


def test_a_missing_file_is_remembered_as_python_remembers_it(hub, python, env):
    commit = hub.add(NAME, FILES)
    script = ("import tallow\n"
              f"try: tallow.hub.hf_hub_download('{NAME}', 'no.json')\n"
              "except tallow.hub.EntryNotFoundError as e: print(e)")
    assert 'has no file "no.json"' in python(script)
    out = python(f"print(h.try_to_load_from_cache('{NAME}', 'no.json') is h._CACHED_NO_EXIST)")
    assert out == "True"
    assert f"models--org--name/.no_exist/{commit}/no.json" in cache_files(env)


# The network is bad.

FAULTS = {
    "an answer that breaks off": dict(where="GET /[0-9a-f]{64}", drop=100_000, times=3),
    "no answer": dict(where="resolve", raw=b"", times=3),
    "no answer about the revision": dict(where="revision", raw=b"", times=2),
    "server errors": dict(where="resolve", status=(503, {}), times=3),
    "server errors of the api": dict(where="api/models", status=(500, {}), times=2),
    "too many requests": dict(where="resolve", status=(429, {"Retry-After": "0"}), times=3),
    "a rate limit": dict(where="resolve", times=2,
                         status=(429, {"RateLimit": '"resolvers";r=0;t=1'})),
    "a body shorter than announced by the hub": dict(where="GET /[0-9a-f]{64}", short=1000),
    "slow bytes": dict(where="GET /[0-9a-f]{64}", slow=0.005),
    "damaged bytes": dict(where="GET /[0-9a-f]{64}", body=noise(300_000, 9)),
    "damaged small bytes": dict(where="GET /api/resolve-cache.*config.json", body=b"x" * 23),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_bad_network_is_overcome(hub, download, env, fault):
    hub.add(NAME, FILES)
    hub.fault(**FAULTS[fault])
    assert_whole(download(NAME), FILES)
    assert all(f.times < FAULTS[fault].get("times", 1) for f in hub.faults)
    assert not [f for f in cache_files(env) if "incomplete" in f]


def test_what_broke_off_goes_on_where_it_was(hub, download, env):
    files = FILES | {"model.safetensors": noise(20_000_000, 4)}
    hub.add(NAME, files)
    hub.fault("GET /[0-9a-f]{64}", drop=15_000_000)
    hub.fault("GET /[0-9a-f]{64}", raw=b"", times=100)
    download(NAME, code=1)
    partial, = [f for f in cache_files(env) if f.endswith(".incomplete")]
    assert os.path.getsize(os.path.join(env["HF_HOME"], "hub", partial)) == 15_000_000
    hub.clear()
    result = download(NAME)
    assert_whole(result, files)
    assert result["received_bytes"] == 5_000_000


def test_a_damaged_beginning_is_noticed_and_replaced(hub, download, env):
    hub.add(NAME, FILES)
    etag = hashlib.sha256(FILES["model.safetensors"]).hexdigest()
    blobs = os.path.join(env["HF_HOME"], "hub/models--org--name/blobs")
    os.makedirs(blobs)
    with open(f"{blobs}/{etag}.incomplete", "wb") as f:
        f.write(b"wrong" * 1000)
    assert_whole(download(NAME), FILES)


LARGE = {"model.safetensors": noise(50_000_000, 5), "config.json": b"{}"}


def test_large_files_come_in_ranges_from_where_the_hub_sends_to(hub, download):
    hub.add(NAME, LARGE)
    assert_whole(download(NAME), LARGE, list(LARGE))
    assert len(hub.asked("GET /[0-9a-f]{64}")) == 6
    assert len(hub.asked("resolve/.*safetensors")) == 1


@pytest.mark.parametrize("fault", [
    dict(where="GET /[0-9a-f]{64}", drop=3_000_000, times=5),
    dict(where="GET /[0-9a-f]{64}", status=(403, {}), times=2),  # the address has expired
    dict(where="GET /[0-9a-f]{64}", status=(503, {}), times=3),
    dict(where="GET /[0-9a-f]{64}", body=noise(8 << 20, 9)),
])
def test_large_files_overcome_a_bad_network(hub, download, fault):
    hub.add(NAME, LARGE)
    hub.fault("GET /[0-9a-f]{64}", status=(503, {}))
    hub.fault(**fault)
    assert_whole(download(NAME), LARGE, list(LARGE))


def test_a_server_without_ranges_sends_the_whole(hub, download, env):
    hub.add(NAME, LARGE)
    hub.ignore_ranges = True
    hub.fault("GET /[0-9a-f]{64}", drop=30_000_000)
    assert_whole(download(NAME), LARGE, list(LARGE))


def test_an_etag_that_changes_in_the_middle_is_an_error(hub, download, env):
    hub.add(NAME, LARGE)
    hub.fault("GET /[0-9a-f]{64}")
    hub.fault("GET /[0-9a-f]{64}", headers={"ETag": '"other"'})
    assert "changed" in download(NAME, code=1)
    assert_whole(download(NAME), LARGE, list(LARGE))


def test_weak_etags_name_the_same_blobs(hub, download, env):
    hub.add(NAME, FILES)
    hub.weak_etags = True
    assert_whole(download(NAME), FILES)
    assert not [f for f in cache_files(env) if '"' in f or "W" in os.path.basename(f)]


def test_the_cache_serves_when_the_hub_does_not_answer(hub, download, tallow, env):
    hub.add(NAME, FILES)
    download(NAME)
    hub.fault(".", raw=b"", times=10**6)
    assert_whole(download(NAME), FILES)
    assert_whole(download(NAME, HF_ENDPOINT="http://127.0.0.1:1"), FILES)
    hub.clear()
    hub.fault(".", status=(500, {}), times=10**6)
    assert_whole(download(NAME), FILES)


def test_two_at_once_download_each_file_once(hub, tallow, env, python):
    files = FILES | {"model.safetensors": noise(3_000_000, 6)}
    hub.add(NAME, files)
    hub.fault("GET /[0-9a-f]{64}", slow=0.02, times=2)
    command = [tallow.path, "download", NAME, "--all"]
    script = f"import huggingface_hub as h; print(h.snapshot_download('{NAME}'))"
    started = [subprocess.Popen(c, env={**os.environ, **env}, stdout=subprocess.PIPE)
               for c in (command, command, [sys.executable, "-c", script])]
    paths = {p.communicate(timeout=60)[0].decode().strip() for p in started}
    assert all(p.returncode == 0 for p in started) and len(paths) == 1
    assert contents(paths.pop(), files) == files
    large = [line for line in hub.log if line.startswith("GET /") and "safetensors" in line
             and "resolve" not in line]
    assert len(large) == 1, large
    assert not [f for f in cache_files(env) if "incomplete" in f]


def test_a_killed_download_goes_on(hub, tallow, download, env):
    files = {"config.json": b"{}", "model.safetensors": noise(20_000_000, 7)}
    hub.add(NAME, files)
    hub.fault("GET /[0-9a-f]{64}", slow=0.1)
    process = subprocess.Popen([tallow.path, "download", NAME], env={**os.environ, **env})
    etag = hashlib.sha256(files["model.safetensors"]).hexdigest()
    partial = os.path.join(env["HF_HOME"], f"hub/models--org--name/blobs/{etag}.incomplete")
    while not (os.path.exists(partial) and os.path.getsize(partial)):
        assert process.poll() is None
    process.kill()
    process.wait()
    result = download(NAME)
    assert_whole(result, files, list(files))
    assert result["received_bytes"] < 20_000_000
