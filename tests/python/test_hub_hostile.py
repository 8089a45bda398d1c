"""What a hub may answer that is not a hub, or not a friend: nothing is written outside the cache,
and every refusal is one line that says what is wrong."""

import hashlib
import json
import os
import resource
import signal
import subprocess

import pytest

from hub_clients import (FILES, NAME, assert_whole, cache_files, download, env,  # noqa: F401
                         hub, noise)


def tree(*rows):
    return json.dumps(list(rows)).encode()


def row(path, **more):
    return {"type": "file", "path": path, "size": 3, "oid": "0" * 40, **more}


NAMES = ["../out", "a/../../out", "/etc/out", "a/..", "..", ".", "a//b", "a/", "", "a\0b", "a\nb",
         "..\\out", "C:\\out", "\\\\host\\out", "a" * 300, "a/" * 1100 + "b", "\x1b[31mred"]


@pytest.mark.parametrize("name", NAMES)
def test_file_names_that_leave_the_snapshot_are_refused(hub, download, tmp_path, env, name):
    hub.add(NAME, FILES)
    hub.fault("tree", body=tree(row("config.json"), row(name)))
    before = sorted(os.listdir(tmp_path))
    message = download(NAME, "--all", code=1)
    assert "file name" in message and "nothing was written" in message
    assert "\x1b" not in message
    assert cache_files(env) == [] and set(os.listdir(tmp_path)) - set(before) <= {"home"}


@pytest.mark.parametrize("name", [n for n in NAMES if "\0" not in n and n != ""])
def test_the_user_cannot_name_such_files_either(hub, download, env, name):
    hub.add(NAME, FILES)
    assert download("--", NAME, name, code=1)
    assert not [f for f in cache_files(env) if "out" in f]


@pytest.mark.parametrize("body", [
    b"", b"{", b"null", b"[]]", b"[1]", b'"text"', b"[[[[[]]]]]", b"[" * 100_000,
    tree({"type": "file"}), tree(row(5)), tree(row("a", size=-1)), tree(row("a", size=1e300)),
    tree(row("a", size="3")), tree(row("a", oid="../../x")), tree(row("a", oid="")),
    tree(row("a", oid=5)), tree(row("a", lfs={"oid": "short", "size": 3})),
    tree(row("a", lfs={"oid": "0" * 64, "size": -3})), tree(row("a"), row("a")),
    b'[{"type":"file","path":"a","path":"../b","size":1,"oid":"' + b"0" * 40 + b'"}]',
    b"\xff\xfe[]", b"[" + b" " * (17 << 20) + b"]",
])
def test_a_list_of_files_of_any_shape_is_an_error_that_says_so(hub, download, env, body):
    hub.add(NAME, FILES)
    hub.fault("tree", body=body)
    message = download(NAME, code=1)
    assert "list of files" in message or "tree/" in message
    assert cache_files(env) == []


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"sha": 5}', b'{"sha": "main"}',
                                  b'{"sha": "../../../etc"}', b'{"sha": "' + b"g" * 40 + b'"}'])
def test_a_commit_of_any_shape_is_an_error_that_says_so(hub, download, env, body):
    hub.add(NAME, FILES)
    hub.fault("revision", body=body)
    assert "revision/main" in download(NAME, code=1)
    assert cache_files(env) == []


@pytest.mark.parametrize("raw, mention", [
    (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "HTTP"),
    (b"\0" * 1000, "HTTP"),
    (b"HTTP/1.1 200 OK\r\nA: " + b"x" * 500_000 + b"\r\n\r\n", "headers"),
    (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 100_000 + b"\r\n", "headers"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", "HTTP"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n", "HTTP"),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n", "HTTP"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef", "HTTP"),
    (b"HTTP/1.1 999 X\r\nContent-Length: 0\r\n\r\n", "999"),
    (b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n", "302"),
    (b"HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n", "http"),
    (b"HTTP/1.1 302 Found\r\nLocation: http://\r\nContent-Length: 0\r\n\r\n", "host"),
    (b"HTTP/1.1 302 Found\r\nLocation: http://a:99999/\r\nContent-Length: 0\r\n\r\n", "host"),
])
def test_what_is_not_http_is_refused(hub, download, env, raw, mention):
    hub.add(NAME, FILES)
    hub.fault(".", times=100, raw=raw)
    assert mention in download(NAME, code=1)
    assert cache_files(env) == []


def test_redirects_that_never_end_are_left(hub, download):
    hub.add(NAME, FILES)
    hub.fault(".", times=1000, status=(302, {"Location": "/api/models/org/name/revision/main"}))
    assert "redirects" in download(NAME, code=1)
    assert len(hub.log) < 20


@pytest.mark.parametrize("headers", [
    {"X-Repo-Commit": "../../.."}, {"ETag": '"../../x"'}, {"X-Linked-Etag": '"a/b"'},
    {"X-Linked-Size": "-1"}, {"X-Linked-Size": "many"}, {"ETag": '""'},
])
def test_headers_that_cannot_be_are_refused(hub, download, env, headers):
    hub.add(NAME, FILES)
    hub.fault("GET /org/name/resolve/.*config.json", headers=headers)
    download(NAME, code=1)
    assert not [f for f in cache_files(env) if f.endswith("config.json")]


@pytest.mark.parametrize("headers", [
    {"Content-Range": "bytes 5-10/11"}, {"Content-Range": "nonsense"},
    {"Content-Range": "bytes 0-8388607/1"}, {"Content-Encoding": "gzip"},
])
def test_ranges_that_were_not_asked_for_are_refused(hub, download, env, headers):
    hub.add(NAME, {"model.safetensors": noise(40_000_000)})
    hub.fault("GET /[0-9a-f]{64}", headers=headers)
    download(NAME, code=1)
    assert not [f for f in cache_files(env) if "snapshots" in f]


def test_more_bytes_than_announced_are_refused(hub, download, env):
    hub.add(NAME, FILES)
    hub.fault("GET /[0-9a-f]{64}", body=noise(400_000))
    assert "more than the 300000 bytes" in download(NAME, code=1)
    assert_whole(download(NAME), FILES)


def test_a_file_damaged_on_the_server_is_never_put_in_place(hub, download, env):
    hub.add(NAME, FILES)
    hub.fault("GET /[0-9a-f]{64}", body=noise(300_000, 8), times=100)
    message = download(NAME, code=1)
    assert "model.safetensors" in message and "hash" in message
    assert not [f for f in cache_files(env) if f.endswith(("model.safetensors", ".incomplete"))]
    etag = hashlib.sha256(FILES["model.safetensors"]).hexdigest()
    assert f"models--org--name/blobs/{etag}" not in cache_files(env)


def test_pages_of_files_that_lead_elsewhere_are_refused(hub, download, env):
    hub.add(NAME, FILES)
    hub.fault("tree", headers={"Link": '<http://127.0.0.1:1/x>; rel="next"'})
    assert "another server" in download(NAME, code=1)


def test_pages_of_files_without_end_are_refused(hub, download, env):
    hub.add(NAME, FILES)
    commit = hub.repos["models", NAME].refs["main"]
    again = f'<{hub.url}/api/models/org/name/tree/{commit}?cursor=0>; rel="next"'
    hub.fault("tree", times=10**9, headers={"Link": again}, body=b"[]")
    assert "no end" in download(NAME, code=1)
    assert len(hub.asked("tree")) < 5


def test_a_link_in_the_cache_is_not_written_through(hub, download, env, tmp_path):
    hub.add(NAME, FILES)
    victim = tmp_path / "victim"
    victim.write_text("mine")
    etag = hashlib.sha256(FILES["model.safetensors"]).hexdigest()
    blobs = tmp_path / "home/hub/models--org--name/blobs"
    blobs.mkdir(parents=True)
    (blobs / f"{etag}.incomplete").symlink_to(victim)
    download(NAME, code=1)
    assert victim.read_text() == "mine"


def full_disk():
    """Files over 100 kB cannot be written: the next thing to a full disk that needs no disk."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))


def test_a_full_disk_is_said_and_later_gone_on_from(hub, download, tallow, env):
    hub.add(NAME, FILES)
    result = subprocess.run([tallow.path, "download", NAME], env={**os.environ, **env},
                            capture_output=True, preexec_fn=full_disk)
    message = result.stderr.decode()
    assert result.returncode == 1 and "make room" in message and message.count("\n") == 1
    assert_whole(download(NAME), FILES)


def test_a_disk_without_room_is_said_before_anything_comes(hub, download, env):
    commit = hub.add(NAME, {"model.safetensors": b"x" * 5000})
    file = hub.repos["models", NAME].commits[commit]["model.safetensors"]
    huge = row("model.safetensors", oid=file.oid, lfs={"oid": file.sha256, "size": 10**17})
    hub.fault("tree", body=tree(huge))
    assert "MB left" in download(NAME, code=1)
    assert not hub.asked("resolve")


def test_a_cache_that_cannot_be_written_is_named(hub, download, tmp_path):
    hub.add(NAME, FILES)
    (tmp_path / "file").write_text("")
    assert str(tmp_path / "file") in download(NAME, HF_HUB_CACHE=str(tmp_path / "file"), code=1)


@pytest.mark.parametrize("settings, mention", [
    ({"HF_ENDPOINT": "ftp://host"}, "HF_ENDPOINT"), ({"HF_ENDPOINT": "huggingface.co"}, "https://"),
    ({"HF_TOKEN": "two words"}, "HF_TOKEN"), ({"HF_TOKEN": "a\r\nX-Header: b"}, "HF_TOKEN"),
    ({"HF_HUB_DOWNLOAD_TIMEOUT": "soon"}, "HF_HUB_DOWNLOAD_TIMEOUT"),
    ({"HTTP_PROXY": "socks5://127.0.0.1:1"}, "proxy"),
])
def test_settings_that_make_no_sense_are_named(hub, download, settings, mention):
    hub.add(NAME, FILES)
    assert mention in download(NAME, code=1, **settings)
    assert hub.log == []
