"""Ways to the hub: TLS, proxies, time limits; the command `tallow cache`; tallow.hub in Python."""

import json
import os
import shutil
import signal
import ssl
import subprocess
import sys

import pytest
import trustme

import hub_server
from hub_clients import (FILES, NAME, assert_whole, cache_files, download, env, hub,  # noqa: F401
                         noise, python)


# TLS.

@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    ca = trustme.CA()
    ca.cert_pem.write_to_path(tmp_path_factory.mktemp("ca") / "ca.pem")
    ca.path = str(next(tmp_path_factory.getbasetemp().glob("ca*/ca.pem")))
    return ca


def server_context(ca, *names):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(*names).configure_cert(context)
    return context


@pytest.fixture
def secure_hub(authority):
    with hub_server.running(server_context(authority, "localhost")) as server:
        server.add(NAME, FILES | {"model.safetensors": noise(40_000_000)})
        yield server


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_tls_with_an_authority_of_ones_own(secure_hub, download, authority, variable):
    result = download(NAME, HF_ENDPOINT=secure_hub.url, **{variable: authority.path})
    assert os.path.getsize(result["path"] + "/model.safetensors") == 40_000_000


@pytest.mark.parametrize("names, endpoint, mention", [
    (["localhost"], "https://127.0.0.1", "certificate"),     # another name than it is asked by
    (["other.example"], "https://localhost", "certificate"),
])
def test_certificates_of_other_hosts_are_refused(download, authority, names, endpoint, mention):
    with hub_server.running(server_context(authority, *names)) as server:
        port = server.url.rpartition(":")[2]
        message = download(NAME, HF_ENDPOINT=f"{endpoint}:{port}", SSL_CERT_FILE=authority.path,
                           code=1)
    assert mention in message and server.log == []


def test_certificates_of_unknown_authorities_are_refused(secure_hub, download, tmp_path):
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(other)
    message = download(NAME, HF_ENDPOINT=secure_hub.url, SSL_CERT_FILE=str(other), code=1)
    assert "not to be trusted" in message and "SSL_CERT_FILE" in message
    assert secure_hub.log == []


def test_a_file_without_certificates_is_named(secure_hub, download, tmp_path):
    empty = tmp_path / "empty.pem"
    empty.write_text("")
    message = download(NAME, HF_ENDPOINT=secure_hub.url, SSL_CERT_FILE=str(empty), code=1)
    assert "empty.pem" in message


def test_nobody_is_led_from_https_to_http(secure_hub, download, authority):
    secure_hub.fault("resolve", status=(302, {"Location": "http://127.0.0.1:1/file"}), times=99)
    message = download(NAME, HF_ENDPOINT=secure_hub.url, SSL_CERT_FILE=authority.path, code=1)
    assert "https to http" in message


# Proxies.

@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY", "ALL_PROXY"])
def test_requests_go_through_a_proxy(hub, download, variable):
    hub.add(NAME, FILES)
    with hub_server.proxy() as proxy:
        assert_whole(download(NAME, **{variable: f"http://{proxy.address}"}), FILES)
        assert len(proxy.log) == len(hub.log) and f"GET {hub.url}/api" in proxy.log[0]


def test_tls_goes_through_a_tunnel(secure_hub, download, authority):
    with hub_server.proxy("user:p@ss word") as proxy:
        where = {"HF_ENDPOINT": secure_hub.url, "SSL_CERT_FILE": authority.path}
        message = download(NAME, code=1, HTTPS_PROXY=proxy.address, **where)
        assert "password" in message and secure_hub.log == []
        download(NAME, HTTPS_PROXY=f"http://user:p%40ss%20word@{proxy.address}", **where)
        assert any(line.startswith("CONNECT localhost:") for line in proxy.log)


@pytest.mark.parametrize("excepted", ["*", "127.0.0.1", "localhost, 127.0.0.1 ,x", ".0.0.1"])
def test_no_proxy_names_hosts_that_are_asked_directly(hub, download, excepted):
    hub.add(NAME, FILES)
    download(NAME, HTTP_PROXY="http://127.0.0.1:1", NO_PROXY=excepted)


def test_other_hosts_are_not_asked_directly(hub, download):
    hub.add(NAME, FILES)
    assert "127.0.0.1:1" in download(NAME, HTTP_PROXY="http://127.0.0.1:1", code=1,
                                     NO_PROXY="example.com,27.0.0.1,127.0.0.1:1")
    assert hub.log == []


def test_a_silent_hub_is_given_up_for_the_cache(hub, download):
    hub.add(NAME, FILES)
    download(NAME)
    hub.fault(".", silent=True, times=100)
    assert_whole(download(NAME, HF_HUB_ETAG_TIMEOUT="1"), FILES)
    assert len(hub.asked("revision")) == 2


def test_a_silent_server_is_asked_again(hub, download):
    hub.add(NAME, FILES)
    hub.fault("GET /[0-9a-f]{64}", silent=True)
    assert_whole(download(NAME, HF_HUB_DOWNLOAD_TIMEOUT="1"), FILES)


# The cache's command.

def cached(tallow, env):
    return json.loads(tallow("cache", "--json", env=env).stdout)


def test_cache_lists_what_was_downloaded(hub, tallow, download, env):
    assert b"nothing in" in tallow("cache", env=env).stdout
    commit = hub.add(NAME, FILES)
    hub.add(NAME, {"data.csv": b"1\n"}, kind="datasets")
    download(NAME)
    download(f"datasets/{NAME}")
    model, data = sorted(cached(tallow, env), key=lambda r: -r["bytes"])
    assert (model["repo"], model["repo_type"], model["files"]) == (NAME, "model", 3)
    assert data["repo_type"] == "dataset" and data["bytes"] == 2
    revision, = model["revisions"]
    assert revision["commit"] == commit and revision["refs"] == ["main"]
    text = tallow("cache", env=env).stdout.decode()
    assert NAME in text and f"datasets/{NAME}" in text and commit[:7] in text


def test_cache_delete_frees_a_repository(hub, tallow, download, env):
    hub.add(NAME, FILES)
    hub.add("org/other", FILES)
    download(NAME)
    download("org/other")
    before = cache_files(env)
    out = tallow("cache", "delete", NAME, "--dry-run", env=env).stdout
    assert b"would free" in out and cache_files(env) == before
    tallow("cache", "delete", NAME, env=env)
    left = cache_files(env)
    assert not [f for f in left if "org--name" in f]
    assert [f for f in left if "org--other" in f] == [f for f in before if "org--other" in f]


def test_cache_delete_of_a_revision_keeps_what_others_need(hub, tallow, download, env):
    first = hub.add(NAME, FILES)
    download(NAME)
    changed = FILES | {"config.json": b"{}"}
    second = hub.add(NAME, changed)
    assert_whole(download(NAME), changed)
    tallow("cache", "delete", NAME, "--revision", first[:8], env=env)
    hub.clear()
    assert_whole(download(NAME), changed)
    assert not hub.asked("resolve")
    assert [r["commit"] for r in cached(tallow, env)[0]["revisions"]] == [second]
    blobs = [f for f in cache_files(env) if "/blobs/" in f]
    assert len(blobs) == 3
    tallow("cache", "delete", f"{NAME}@main", env=env)
    assert cached(tallow, env)[0]["revisions"] == [] and not [
        f for f in cache_files(env) if "/blobs/" in f or "/refs/" in f]


def test_cache_delete_never_leaves_the_cache(hub, tallow, download, env, tmp_path):
    hub.add(NAME, FILES)
    path = download(NAME)["path"]
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("mine")
    os.symlink(outside, os.path.join(path, "linked"))
    os.symlink(outside / "precious", os.path.join(path, "file"))
    os.symlink(outside, tmp_path / "home/hub/models--org--link")
    tallow("cache", "delete", NAME, env=env)
    for bad in ("../name", "..", "org/..", "org/link", "a/b/c", "/etc"):
        result = tallow("cache", "delete", bad, env=env, check=False)
        assert result.returncode == 1, bad
    assert (outside / "precious").read_text() == "mine"


def test_shared_blobs_of_python_are_listed_and_freed(tallow, env, tmp_path):
    """huggingface_hub keeps what came by Xet once for all repositories, with a list of users."""
    cache, xet = tmp_path / "home/hub", "ab" + "0" * 62
    store = cache / "blobs/ab"
    store.mkdir(parents=True)
    (cache / "blobs/.huggingface-shared-blobs").write_text("1\n")
    (store / xet).write_bytes(b"x" * 5000)
    (store / f"{xet}.refs").write_text("".join(
        f"models--org--{n}/blobs/{'1' * 64}\n" for n in ("one", "two")))
    for name in ("one", "two"):
        root, commit = cache / f"models--org--{name}", "c" * 40
        (root / "blobs").mkdir(parents=True)
        (root / f"blobs/{'1' * 64}").symlink_to(f"../../blobs/ab/{xet}")
        (root / f"snapshots/{commit}").mkdir(parents=True)
        (root / f"snapshots/{commit}/model.safetensors").symlink_to(f"../../blobs/{'1' * 64}")
    assert [r["bytes"] for r in cached(tallow, env)] == [5000, 5000]
    tallow("cache", "delete", "org/one", env=env)
    assert (store / xet).exists()
    assert (store / f"{xet}.refs").read_text() == f"models--org--two/blobs/{'1' * 64}\n"
    assert b"freed 5.00 kB" in tallow("cache", "delete", "org/two", env=env).stdout
    assert not (store / xet).exists()


# tallow.hub.

def test_functions_are_those_of_huggingface_hub(hub, python, env):
    hub.add(NAME, FILES, private=True)
    out = python(f"""
import tallow
ask = dict(repo_id='{NAME}', token='{hub.token}')
a = tallow.hub.snapshot_download(**ask, allow_patterns=['*.json', 'onnx/'])
assert a == h.snapshot_download(**ask, allow_patterns=['*.json', 'onnx/*'])
b = tallow.hub.hf_hub_download(**ask, filename='README.md', revision='main')
assert b == h.hf_hub_download(**ask, filename='README.md')
c = tallow.hub.hf_hub_download('{NAME}', 'model.onnx', subfolder='onnx', local_files_only=True)
assert c == h.hf_hub_download('{NAME}', 'model.onnx', subfolder='onnx', local_files_only=True)
print(sum(r['bytes'] for r in tallow.hub.list_cache()) == h.scan_cache_dir().size_on_disk)
print(tallow.hub.delete_cached('{NAME}') > 0, tallow.hub.list_cache())
""")
    assert out == "True\nTrue []"


def test_errors_have_types(hub, python):
    hub.add(NAME, FILES, gated=True)
    out = python(f"""
import tallow
def kind(call, *args, **kw):
    try: call(*args, **kw)
    except tallow.Error as error: return type(error).__name__, isinstance(error, tallow.hub.HubError)
t = tallow.hub
print(kind(t.snapshot_download, 'org/none'), kind(t.snapshot_download, '{NAME}'),
      kind(t.snapshot_download, '{NAME}', revision='v9'), kind(t.hf_hub_download, '{NAME}', 'no'),
      kind(t.snapshot_download, '{NAME}', local_files_only=True), kind(tallow.load, 'org/none'))
""")
    assert out == ("('RepositoryNotFoundError', True) ('GatedRepoError', True) "
                   "('RevisionNotFoundError', True) ('EntryNotFoundError', True) "
                   "('OfflineModeIsEnabled', True) ('RepositoryNotFoundError', True)")


def test_ctrl_c_stops_a_download(hub, env):
    hub.add(NAME, FILES)
    hub.fault("GET /[0-9a-f]{64}", silent=True, times=9)
    code = (f"import tallow\ntry: tallow.hub.download('{NAME}')\n"
            "except KeyboardInterrupt: print('stopped')")
    process = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, **env},
                               stdout=subprocess.PIPE)
    while not hub.asked("GET /[0-9a-f]{64}"):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=30)[0] == b"stopped\n"


# Models by name.

def test_commands_and_python_take_names_on_the_hub(hub, tallow, python, env, smollm2):
    data = smollm2.read_bytes()
    hub.add(NAME, {"small-Q4_1.gguf": data, "small-Q8_0.gguf": b"another"})
    out = tallow("tokenize", NAME, stdin=b"Hello", env=env)
    expected = tallow("tokenize", smollm2, stdin=b"Hello").stdout
    assert out.stdout == expected and out.stderr == b""
    assert not hub.asked("Q8_0")
    hub.clear()
    prompt = ["-p", "Hello", "-n", "4", "--temp", "0"]
    by_name = tallow("run", f"{NAME}:Q4_1", *prompt, env=env).stdout
    assert by_name == tallow("run", smollm2, *prompt).stdout
    assert hub.log == ["GET /api/models/org/name/revision/main"]
    out = python(f"import tallow; m = tallow.load('{NAME}:small-Q4_1.gguf'); print(m.vocab_size)",
                 HF_HUB_OFFLINE="1")
    assert out == "49152"


def test_a_tokenizer_comes_without_the_weights(hub, tallow, env):
    from tokenizers import Tokenizer, models
    tokenizer = Tokenizer(models.BPE({"a": 0, "b": 1, "ab": 2}, [("a", "b")])).to_str().encode()
    hub.add(NAME, {"tokenizer.json": tokenizer, "config.json": b"{}",
                   "model.safetensors": noise(9000)})
    assert tallow("tokenize", NAME, stdin=b"abba", env=env).stdout == b"[2, 1, 0]\n"
    assert not hub.asked("safetensors")


def test_a_path_that_is_there_is_no_name(hub, tallow, env, tmp_path):
    os.makedirs(tmp_path / "org/name")
    shutil.copy(__file__, tmp_path / "org/name/x")
    old = os.getcwd()
    os.chdir(tmp_path)
    try:
        result = tallow("tokenize", "org/name", env=env, check=False)
    finally:
        os.chdir(old)
    assert result.returncode == 1 and hub.log == []
