"""A small hub for tests: what Hugging Face's and ModelScope's clients ask for when they download.

The large files lie on a "CDN" under another host's name, as with both hubs.
"""

import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

COMMIT = "c0ffee" + "0" * 34
LARGE = ".safetensors"


@dataclass
class Asked:
    """One request: its method, path, host, and the headers that matter."""

    method: str
    path: str
    host: str
    range: str | None
    secrets: str


@dataclass
class Hub:
    """A repository at one commit, and what is wrong with the hub today.

    ``break_after`` is after how many bytes of a large file the connection ends, ``stall`` whether
    it then stays open and silent; ``damaged`` are files that are served with a wrong byte.
    """

    files: dict[str, bytes]
    commit: str = COMMIT
    prefix: str = ""
    break_after: int | None = None
    stall: bool = False
    damaged: frozenset[str] = frozenset()
    status: int | None = None
    text: str | None = None
    without_hashes: bool = False
    asked: list[Asked] = field(default_factory=list)
    port: int = 0

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}{self.prefix}"

    def ranges(self, name: str) -> list[str | None]:
        """Return the ranges with which a large file's content was asked for, in order."""
        return [a.range for a in self.asked if a.method == "GET" and a.path == f"/cdn/{name}"]

    def siblings(self) -> list[dict[str, object]]:
        """Return the files as Hugging Face lists them."""
        listed: list[dict[str, object]] = []
        for name, content in self.files.items():
            git = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
            entry: dict[str, object] = {"rfilename": name, "size": len(content), "blobId": git}
            if name.endswith(LARGE):
                sha256 = hashlib.sha256(content).hexdigest()
                entry["lfs"] = {"sha256": sha256, "size": len(content), "pointerSize": 134}
            listed.append(entry)
        return listed

    def entries(self) -> list[dict[str, object]]:
        """Return the files as ModelScope lists them: the first one is the newest."""
        listed: list[dict[str, object]] = [{"Path": "folder", "Type": "tree", "Size": 0}]
        for age, (name, content) in enumerate(self.files.items()):
            listed.append(
                {
                    **{"Name": name, "Path": name, "Type": "blob", "Size": len(content)},
                    "Sha256": "" if self.without_hashes else hashlib.sha256(content).hexdigest(),
                    "CommittedDate": 1_700_000_000 - age,
                    "Revision": self.commit if age == 0 else "0" * 40,
                }
            )
        return listed


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        hub, url = self.hub, urlsplit(self.path)
        secrets = f"{self.headers.get('Authorization', '')}{self.headers.get('Cookie', '')}"
        host, span = self.headers.get("Host", ""), self.headers.get("Range")
        hub.asked.append(Asked(self.command, unquote(url.path), host, span, secrets))
        if hub.status is not None:
            return self._send(hub.status, b"{}", {})
        if hub.text is not None:
            return self._send(200, hub.text.encode(), {"Content-Type": "text/html"})
        if url.path.startswith("/cdn/"):
            return self._content(unquote(url.path.removeprefix("/cdn/")))
        path = unquote(url.path)
        if not path.startswith(hub.prefix):
            return self._json({"error": "not here"}, 404)
        path, asked = path.removeprefix(hub.prefix), parse_qs(url.query)
        if path.startswith("/api/v1/models/Org/Base/repo"):
            return self._modelscope(path, {key: values[0] for key, values in asked.items()})
        return self._huggingface(path)

    def _huggingface(self, path: str) -> None:
        hub = self.hub
        start = f"/Org/Base/resolve/{hub.commit}/"
        if path in {"/api/models/Org/Base", f"/api/models/Org/Base/revision/{hub.commit}"}:
            return self._json({"id": "Org/Base", "sha": hub.commit, "siblings": hub.siblings()})
        if path.startswith("/api/models/Org/Base/revision/"):
            return self._json({"error": "Invalid rev"}, 404, {"X-Error-Code": "RevisionNotFound"})
        if path.startswith(start) and (name := path.removeprefix(start)) in hub.files:
            return self._file(name, {"X-Repo-Commit": hub.commit})
        return self._json({"error": "no"}, 404, {"X-Error-Code": "RepoNotFound"})

    def _modelscope(self, path: str, asked: dict[str, str]) -> None:
        if asked.get("Revision") not in {"master", self.hub.commit}:
            return self._json({"Code": 404, "Success": False, "Message": "no such revision"}, 404)
        if path.endswith("/repo/files"):
            data = {"Files": self.hub.entries(), "LatestCommitter": {"Id": ""}}
            return self._json({"Code": 200, "Success": True, "Data": data})
        return self._file(asked["FilePath"], {})

    def _file(self, name: str, headers: dict[str, str]) -> None:
        if not name.endswith(LARGE):
            # What is not stored as a large file comes at once, whatever range is asked for.
            return self._send(200, self._bytes(name), headers)
        digest, size = hashlib.sha256(self.hub.files[name]).hexdigest(), len(self.hub.files[name])
        port = self.server.server_address[1]
        host = "localhost" if self.headers.get("Host", "").startswith("127.") else "cdn.example"
        headers |= {"X-Linked-Etag": f'"{digest}"', "X-Linked-Size": str(size)}
        return self._send(302, b"", {**headers, "Location": f"http://{host}:{port}/cdn/{name}"})

    def _content(self, name: str) -> None:
        content, span = self._bytes(name), self.headers.get("Range")
        start = int(span.removeprefix("bytes=").partition("-")[0]) if span else 0
        if start >= len(content):
            return self._send(416, b"", {"Content-Range": f"bytes */{len(content)}"})
        given = f"bytes {start}-{len(content) - 1}/{len(content)}"
        headers = {"Content-Range": given} if span else {}
        return self._send(206 if span else 200, content[start:], headers, self.hub.break_after)

    def _bytes(self, name: str) -> bytes:
        content = self.hub.files[name]
        return content[:-1] + b"\x01" if name in self.hub.damaged else content

    def _json(
        self, value: object, status: int = 200, headers: dict[str, str] | None = None
    ) -> None:
        kind = {"Content-Type": "application/json"}
        self._send(status, json.dumps(value).encode(), kind | (headers or {}))

    def _send(
        self, status: int, body: bytes, headers: dict[str, str], cut: int | None = None
    ) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("ETag", '"0"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        self.wfile.write(body if cut is None else body[:cut])
        self.wfile.flush()
        if cut is not None and cut < len(body):
            while self.hub.stall and self.hub.break_after is not None:
                time.sleep(0.05)
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    """Serve a hub on loopback."""
    handler = type("_Own", (_Handler,), {"hub": hub})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        hub.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield hub
        finally:
            hub.break_after = None
            server.shutdown()
