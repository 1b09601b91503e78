"""A stand-in for the Hugging Face Hub: the few endpoints that ``huggingface_hub`` and ``datasets`` call, in memory.

Repositories are made, files are uploaded by the protocol of large files or within a commit, listed, and read. It asks
for a token, keeps what was asked, and can be told to fail the next uploads.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

import yaml

TOKEN = "hf_standinstandinstandinstandinstand"
REPOSITORY = r"(?P<name>[\w.-]+/[\w.-]+)"
API, KIND = "/api/(?:datasets|models)", "(?:/datasets)?"
"""Models and datasets share the names here; the Hub keeps them apart."""


class StandIn:
    """The state of a Hub: repositories with their files, objects that were uploaded, and a log of requests."""

    def __init__(self) -> None:
        self.repositories: dict[str, dict[str, Any]] = {}
        self.objects: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.commits: list[list[str]] = []
        self.failing_uploads = 0
        self.url = ""

    def uploads(self) -> int:
        """The number of objects that were sent since the log was emptied."""
        return sum(line.startswith("PUT /lfs/") for line in self.requests)

    def files(self, name: str) -> dict[str, bytes]:
        return {path: data for path, (data, _) in self.repositories[name]["files"].items()}


@contextmanager
def running() -> Iterator[StandIn]:
    """Serve a new Hub to this machine while the context lasts."""
    hub = StandIn()

    class Handler(_Handler):
        state = hub

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        hub.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield hub
        server.shutdown()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    state: StandIn
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *arguments: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._do("HEAD")

    def do_GET(self) -> None:
        self._do("GET")

    def do_POST(self) -> None:
        self._do("POST")

    def do_PUT(self) -> None:
        self._do("PUT")

    def _do(self, method: str) -> None:
        path = unquote(urlsplit(self.path).path)
        body = self._body()
        self.state.requests.append(f"{method} {path}")
        if method == "PUT" and path.startswith("/lfs/"):
            self._put(path.removeprefix("/lfs/"), body)
            return
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._json({"error": "Invalid credentials"}, 401)
            return
        for asked, pattern, answer in ROUTES:
            match = re.fullmatch(pattern, path)
            if match and asked in (method, "GET" if method == "HEAD" else method):
                answer(self, body, **match.groupdict())
                return
        self._json({"error": "Not found"}, 404)

    def _body(self) -> bytes:
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _json(self, data: object, status: int = 200) -> None:
        self._send(json.dumps(data).encode(), status, {"Content-Type": "application/json"})

    def _send(self, data: bytes, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    # objects ----------------------------------------------------------------------------------------------------------

    def _put(self, oid: str, body: bytes) -> None:
        if self.state.failing_uploads:
            self.state.failing_uploads -= 1
            self._json({"error": "not now"}, 403)  # of the kind that is not tried again
            return
        assert hashlib.sha256(body).hexdigest() == oid
        self.state.objects[oid] = body
        self._send(b"", 200, {})

    def batch(self, body: bytes, name: str) -> None:
        objects = []
        for each in json.loads(body)["objects"]:
            found: dict[str, Any] = {"oid": each["oid"], "size": each["size"]}
            if each["oid"] not in self.state.objects:
                href = f"{self.state.url}/lfs/{each['oid']}?X-Signature=secretsignature"
                found["actions"] = {"upload": {"href": href}}
            objects.append(found)
        self._json({"transfer": "basic", "objects": objects})

    # repositories -----------------------------------------------------------------------------------------------------

    def create(self, body: bytes) -> None:
        asked = json.loads(body)
        name = f"{asked.get('organization') or 'me'}/{asked['name']}"
        exists = name in self.state.repositories
        if not exists:
            self.state.repositories[name] = {
                "private": asked.get("visibility") == "private" or bool(asked.get("private")),
                "files": {},
                "commits": 0,
            }
        answer = {"url": f"{self.state.url}/datasets/{name}", "name": name, "id": name}
        self._json(
            {"error": "You already created this dataset repo", **answer} if exists else answer, 409 if exists else 200
        )

    def info(self, body: bytes, name: str, revision: str = "main") -> None:
        repository = self.state.repositories.get(name)
        if repository is None:
            self._send(b"{}", 404, {"X-Error-Code": "RepoNotFound"})
            return
        siblings = [{"rfilename": path} for path in sorted(repository["files"])]
        self._json(
            {
                "id": name,
                "author": "me",
                "sha": self._sha(name),
                "private": repository["private"],
                "siblings": siblings,
                "tags": [],
                "downloads": 0,
                "likes": 0,
                "disabled": False,
                "gated": False,
            }
        )

    def validate(self, body: bytes) -> None:
        content = json.loads(body)["content"]
        header = yaml.safe_load(content.split("---\n")[1])
        is_model = header.get("library_name") == "transformers"
        is_dataset = bool(header.get("license")) and bool(header.get("configs"))
        errors = [] if is_model or is_dataset else [{"message": "no header"}]
        self._json({"errors": errors, "warnings": []}, 400 if errors else 200)

    def whoami(self, body: bytes) -> None:
        self._json({"type": "user", "name": "me", "orgs": [], "auth": {}})

    def _sha(self, name: str) -> str:
        digest = hashlib.sha1(name.encode())
        for path, (data, _) in sorted(self.state.repositories[name]["files"].items()):
            digest.update(path.encode() + hashlib.sha256(data).digest())
        return digest.hexdigest()

    def _entry(self, name: str, path: str) -> dict[str, Any]:
        data, is_large = self.state.repositories[name]["files"][path]
        oid = hashlib.sha1(data).hexdigest()
        entry: dict[str, Any] = {"type": "file", "path": path, "size": len(data), "oid": oid}
        if is_large:
            entry["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}
        return entry

    def tree(self, body: bytes, name: str, revision: str, folder: str = "") -> None:
        inside = [path for path in sorted(self.state.repositories[name]["files"]) if path.startswith(folder or "")]
        is_recursive = "recursive=true" in self.path.lower()
        prefix = f"{folder}/" if folder else ""
        entries = []
        folders = set()
        for path in inside:
            rest = path.removeprefix(prefix)
            parts = rest.split("/")[:-1]
            folders |= {prefix + "/".join(parts[: number + 1]) for number in range(len(parts))}
            if is_recursive or not parts:
                entries.append(self._entry(name, path))
        if folder and not inside:
            self._send(b"{}", 404, {"X-Error-Code": "EntryNotFound"})
            return
        shown = [each for each in sorted(folders) if is_recursive or "/" not in each.removeprefix(prefix)]
        self._json([{"type": "directory", "path": each, "size": 0, "oid": "0" * 40} for each in shown] + entries)

    def paths_info(self, body: bytes, name: str, revision: str) -> None:
        text = body.decode()
        paths = json.loads(text)["paths"] if text.startswith("{") else re.findall(r"paths=([^&]*)", text)
        files = self.state.repositories[name]["files"]
        found = []
        for path in map(unquote, [paths] if isinstance(paths, str) else paths):
            if path in files:
                found.append(self._entry(name, path))
            elif any(each.startswith(f"{path}/") for each in files):
                found.append({"type": "directory", "path": path, "size": 0, "oid": "0" * 40})
        self._json(found)

    def preupload(self, body: bytes, name: str, revision: str) -> None:
        files = [
            {
                "path": each["path"],
                "uploadMode": "lfs" if each["path"].endswith((".parquet", ".safetensors")) else "regular",
                "shouldIgnore": False,
            }
            for each in json.loads(body)["files"]
        ]
        self._json({"files": files})

    def commit(self, body: bytes, name: str, revision: str) -> None:
        repository = self.state.repositories[name]
        changes = []
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "header":
                continue
            changes.append(f"{line['key']} {value['path']}")
            if line["key"] == "file":
                assert value["encoding"] == "base64"
                repository["files"][value["path"]] = (base64.b64decode(value["content"]), False)
            elif line["key"] == "lfsFile":
                repository["files"][value["path"]] = (self.state.objects[value["oid"]], True)
            elif line["key"] == "deletedFile":
                del repository["files"][value["path"]]
            else:
                raise AssertionError(line)
        self.state.commits.append(changes)
        oid = self._sha(name)
        self._json({"success": True, "commitOid": oid, "commitUrl": f"{self.state.url}/datasets/{name}/commit/{oid}"})

    def resolve(self, body: bytes, name: str, revision: str, path: str) -> None:
        repository = self.state.repositories.get(name)
        if repository is None or path not in repository["files"]:
            self._send(b"", 404, {"X-Error-Code": "EntryNotFound" if repository else "RepoNotFound"})
            return
        data, _ = repository["files"][path]
        headers = {"ETag": f'"{hashlib.sha256(data).hexdigest()}"', "X-Repo-Commit": self._sha(name)}
        headers |= {"Content-Type": "application/octet-stream", "Accept-Ranges": "bytes"}
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if asked and data:
            first, last = int(asked[1]), int(asked[2] or len(data) - 1)
            part = data[first : last + 1]
            headers["Content-Range"] = f"bytes {first}-{first + len(part) - 1}/{len(data)}"
            self._send(part, 206, headers)
            return
        self._send(data, 200, headers)


ROUTES: list[tuple[str, str, Any]] = [
    ("POST", "/api/repos/create", _Handler.create),
    ("GET", "/api/whoami-v2", _Handler.whoami),
    ("POST", "/api/validate-yaml", _Handler.validate),
    ("GET", f"{API}/{REPOSITORY}", _Handler.info),
    ("GET", f"{API}/{REPOSITORY}/revision/(?P<revision>[^/]+)", _Handler.info),
    ("GET", f"{API}/{REPOSITORY}/tree/(?P<revision>[^/]+)/?(?P<folder>.*)", _Handler.tree),
    ("POST", f"{API}/{REPOSITORY}/paths-info/(?P<revision>[^/]+)", _Handler.paths_info),
    ("POST", f"{API}/{REPOSITORY}/preupload/(?P<revision>[^/]+)", _Handler.preupload),
    ("POST", f"{API}/{REPOSITORY}/commit/(?P<revision>[^/]+)", _Handler.commit),
    ("POST", rf"{KIND}/{REPOSITORY}\.git/info/lfs/objects/batch", _Handler.batch),
    ("GET", f"{KIND}/{REPOSITORY}/resolve/(?P<revision>[^/]+)/(?P<path>.+)", _Handler.resolve),
]
