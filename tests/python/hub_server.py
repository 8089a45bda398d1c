"""A hub on this machine: the part of its protocol that clients use to download, with faults.

`Hub` answers as huggingface.co does: /api/models/ORG/NAME/revision/REV, its tree in pages, and
/ORG/NAME/resolve/REV/FILE, which redirects large files to a second server on another port, as the
hub does to its content network, and small ones to another path. What was asked for is in `log`.
"""

import base64
import hashlib
import json
import re
import socket
import threading
import time
import urllib.parse
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PAGE = 50


def git_blob(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class File:
    def __init__(self, data):
        self.data = data
        self.lfs = len(data) > 4096
        self.sha256 = hashlib.sha256(data).hexdigest()
        self.oid = git_blob(data)
        self.etag = self.sha256 if self.lfs else self.oid


class Repo:
    def __init__(self, private=False, gated=False):
        self.private, self.gated = private, gated
        self.commits = {}  # commit: {path: File}
        self.refs = {}

    def commit(self, files, ref="main"):
        files = {path: File(data) for path, data in files.items()}
        text = "".join(f"{path} {file.oid}\n" for path, file in sorted(files.items()))
        sha = hashlib.sha1(text.encode()).hexdigest()
        self.commits[sha] = files
        self.refs[ref] = sha
        return sha


class Fault:
    """Answers `times` requests that `where` (a regular expression of "METHOD /path") finds in
    another way: status=(code, headers), drop=bytes of the body before the connection is cut,
    short=bytes that are announced and sent, headers={...} to send instead, slow=seconds between
    pieces, raw=bytes to send instead of an answer, body=bytes instead of the file's, silent=True for
    no answer until the client leaves."""

    def __init__(self, where, times=1, **how):
        self.where, self.times, self.how = re.compile(where), times, how


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request, client_address):
        pass  # clients that hang up are part of the tests


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *args):
        pass

    def do_GET(self):
        self.answer()

    def do_HEAD(self):
        self.answer()

    def answer(self):
        hub = self.server.hub
        hub.note(self)
        fault = hub.take_fault(f"{self.command} {self.path}")
        self.how = fault.how if fault else {}
        if "raw" in self.how:
            self.wfile.write(self.how["raw"])
            self.close_connection = True
        elif "silent" in self.how:
            self.connection.recv(1)
            self.close_connection = True
        elif "status" in self.how:
            self.send(*self.how["status"])
        else:
            self.server.route(hub, self)

    def send(self, status, headers=(), body=b""):
        how, sent = self.how, body
        if status < 300 and "body" in how:
            body = sent = how["body"]
        if "short" in how and len(body) > how["short"]:
            body = sent = body[:how["short"]]
        if "drop" in how and self.command != "HEAD":
            sent = body[:how["drop"]]
        headers = {**dict(headers), **how.get("headers", {})}
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if "Content-Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        self.server.hub.sent += len(sent)
        if "slow" in how:
            for at in range(0, len(sent), max(1, len(sent) // 20)):
                self.wfile.write(sent[at:at + max(1, len(sent) // 20)])
                self.wfile.flush()
                time.sleep(how["slow"])
        else:
            self.wfile.write(sent)
        if len(sent) < len(body):
            self.close_connection = True
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)

    def send_file(self, data, headers):
        """All, or what the Range header asks for."""
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if not asked or self.server.hub.ignore_ranges:
            return self.send(200, {**headers, "Accept-Ranges": "bytes"}, data)
        begin = int(asked[1])
        end = min(int(asked[2]) if asked[2] else len(data) - 1, len(data) - 1)
        if begin > end:
            return self.send(416, {"Content-Range": f"bytes */{len(data)}"})
        headers = {**headers, "Content-Range": f"bytes {begin}-{end}/{len(data)}"}
        return self.send(206, headers, data[begin:end + 1])


def _route_hub(hub, h):
    path = urllib.parse.urlsplit(h.path)
    parts = [urllib.parse.unquote(p) for p in path.path.strip("/").split("/")]
    if hub.required_token and h.headers.get("Authorization") != f"Bearer {hub.required_token}":
        if h.headers.get("Authorization"):
            message = "Invalid credentials in Authorization header"
            return h.send(401, {"X-Error-Message": message})
    if parts[0] == "api" and parts[1] == "resolve-cache":
        return _send_small(hub, h, *parts[2:5], "/".join(parts[5:]))
    api = parts[0] == "api"
    if api:
        parts = parts[1:]
    kind = "models"
    if parts[0] in ("models", "datasets", "spaces"):
        kind, parts = parts[0], parts[1:]
    name, action, revision, rest = "/".join(parts[:2]), parts[2], parts[3], "/".join(parts[4:])
    repo = hub.repos.get((kind, name))
    logged_in = h.headers.get("Authorization") == f"Bearer {hub.token}"
    if repo is None or (repo.private and not logged_in):
        return h.send(404 if logged_in else 401, {"X-Error-Code": "RepoNotFound"})
    commit = revision if revision in repo.commits else repo.refs.get(revision)
    if commit is None:
        return h.send(404, {"X-Error-Code": "RevisionNotFound",
                            "X-Error-Message": f"Invalid rev id: {revision}"})
    files = repo.commits[commit]
    if api and action == "revision":
        body = {"id": name, "sha": commit, "siblings": [{"rfilename": f} for f in files]}
        return h.send(200, {"Content-Type": "application/json"}, json.dumps(body).encode())
    if api and action == "tree":
        return _send_tree(hub, h, files, urllib.parse.parse_qs(path.query))
    if rest not in files:
        return h.send(404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit})
    if repo.gated and not logged_in:
        return h.send(403, {"X-Error-Code": "GatedRepo", "X-Repo-Commit": commit})
    file = files[rest]
    headers = {"X-Repo-Commit": commit, "ETag": f'"{file.oid}"'}
    if file.lfs:
        headers |= {"X-Linked-Etag": f'"{file.etag}"', "X-Linked-Size": str(len(file.data)),
                    "Location": f"{hub.cdn_url}/{file.sha256}?name={urllib.parse.quote(rest)}"}
        return h.send(302, headers)
    quoted = urllib.parse.quote(rest)
    headers["Location"] = f"/api/resolve-cache/{kind}/{name}/{commit}/{quoted}"
    return h.send(307, headers)


def _send_tree(hub, h, files, query):
    rows = [{"type": "directory", "oid": "0" * 40, "size": 0, "path": "a-folder"}]
    for path, file in sorted(files.items()):
        row = {"type": "file", "oid": file.oid, "size": len(file.data), "path": path}
        if file.lfs:
            row["lfs"] = {"oid": file.sha256, "size": len(file.data), "pointerSize": 134}
        rows.append(row)
    begin = int(query.get("cursor", ["0"])[0])
    headers = {"Content-Type": "application/json"}
    if begin + PAGE < len(rows):
        base = h.path.split("?")[0]
        headers["Link"] = f'<{hub.url}{base}?recursive=true&cursor={begin + PAGE}>; rel="next"'
    return h.send(200, headers, json.dumps(rows[begin:begin + PAGE]).encode())


def _send_small(hub, h, kind, org, name, rest):
    commit, _, path = rest.partition("/")
    file = hub.repos[kind, f"{org}/{name}"].commits[commit][path]
    headers = {"ETag": f'W/"{file.oid}"' if hub.weak_etags else f'"{file.oid}"',
               "X-Repo-Commit": commit}
    return h.send_file(file.data, headers)


def _route_cdn(hub, h):
    hub.cdn_authorizations.append(h.headers.get("Authorization"))
    sha256 = h.path[1:].partition("?")[0]
    for repo in hub.repos.values():
        for files in repo.commits.values():
            for file in files.values():
                if file.sha256 == sha256:
                    return h.send_file(file.data, {"ETag": f'"cdn-{sha256[:8]}"'})
    return h.send(403)


class Hub:
    def __init__(self, tls=None):
        """`tls` is an ssl.SSLContext for the hub's own server."""
        self.repos, self.log, self.faults = {}, [], []
        self.token, self.required_token = "hf_right", None
        self.sent = 0
        self.ignore_ranges = self.weak_etags = False
        self.cdn_authorizations = []
        self._lock = threading.Lock()
        self._hub, self._cdn = self._serve(_route_hub, tls), self._serve(_route_cdn, None)
        scheme = "https" if tls else "http"
        self.url = f"{scheme}://{'localhost' if tls else '127.0.0.1'}:{self._hub.server_port}"
        self.cdn_url = f"http://127.0.0.1:{self._cdn.server_port}"
        if tls:  # the content network too, since nobody may be led from https to http
            self._cdn.socket = tls.wrap_socket(self._cdn.socket, server_side=True)
            self.cdn_url = f"https://localhost:{self._cdn.server_port}"

    def _serve(self, route, tls):
        server = _Server(("127.0.0.1", 0), _Handler)
        server.hub, server.route = self, route
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return server

    def close(self):
        for server in (self._hub, self._cdn):
            server.shutdown()
            server.server_close()

    def add(self, name, files, ref="main", kind="models", **how):
        repo = self.repos.setdefault((kind, name), Repo(**how))
        return repo.commit(files, ref)

    def fault(self, where, times=1, **how):
        self.faults.append(Fault(where, times, **how))

    def take_fault(self, request):
        with self._lock:
            for fault in self.faults:
                if fault.times > 0 and fault.where.search(request):
                    fault.times -= 1
                    return fault
        return None

    def note(self, handler):
        with self._lock:
            self.log.append(f"{handler.command} {handler.path}")

    def clear(self):
        """Forgets what was asked for, and which faults there were."""
        self.log, self.faults, self.sent, self.cdn_authorizations = [], [], 0, []

    def asked(self, pattern):
        return [line for line in self.log if re.search(pattern, line)]


@contextmanager
def running(tls=None):
    hub = Hub(tls)
    try:
        yield hub
    finally:
        hub.close()


class _ProxyHandler(BaseHTTPRequestHandler):
    """Forwards: CONNECT as a tunnel, other requests by their absolute addresses."""
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def allowed(self):
        self.server.log.append(f"{self.command} {self.path}")
        if not self.server.password:
            return True
        expected = "Basic " + base64.b64encode(self.server.password.encode()).decode()
        if self.headers.get("Proxy-Authorization") == expected:
            return True
        self.send_response(407)
        self.send_header("Content-Length", "0")
        self.end_headers()
        return False

    def do_CONNECT(self):
        if not self.allowed():
            return
        host, _, port = self.path.rpartition(":")
        there = socket.create_connection((host, int(port)))
        self.send_response(200)
        self.end_headers()
        back = threading.Thread(target=self.pump, args=(there, self.connection), daemon=True)
        back.start()
        self.pump(self.connection, there)
        back.join()
        self.close_connection = True

    @staticmethod
    def pump(source, sink):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def forward(self):
        if not self.allowed():
            return
        url = urllib.parse.urlsplit(self.path)
        there = socket.create_connection((url.hostname, url.port or 80))
        target = url.path + ("?" + url.query if url.query else "")
        head = f"{self.command} {target} HTTP/1.1\r\nConnection: close\r\n"
        for name, value in self.headers.items():
            if name.lower() not in ("connection", "proxy-authorization"):
                head += f"{name}: {value}\r\n"
        there.sendall(head.encode() + b"\r\n")
        self.pump(there, self.connection)
        self.close_connection = True

    do_GET = do_HEAD = forward


@contextmanager
def proxy(password=None):
    """A proxy; its `log` has what went through, its `address` is host:port."""
    server = _Server(("127.0.0.1", 0), _ProxyHandler)
    server.log, server.password = [], password
    server.address = f"127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
