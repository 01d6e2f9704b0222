"""A small server that speaks the routes of the Hub: search, a model's files, and a new repository with a commit."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse

from tests.serving import serving

COMMIT = "a" * 40
PUSHED = "me/small"


class LocalHub(ThreadingHTTPServer):
    """`models` are folders by id; `asked` are the requests, in order; `made` is what was asked of new repositories,
    and `pushed` what was committed, by id and path. `halfway` is called in the middle of every file.
    """

    def __init__(self, models: dict[str, Path]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.models = models
        self.asked: list[str] = []
        self.made: list[dict[str, Any]] = []
        self.pushed: dict[str, dict[str, bytes]] = {}
        self.halfway: Callable[[str], None] = lambda name: None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@contextmanager
def local_hub(models: dict[str, Path]) -> Iterator[LocalHub]:
    hub = LocalHub(models)
    with serving(hub):
        yield hub


class _Handler(BaseHTTPRequestHandler):
    server: LocalHub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Tests need no log."""

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_POST(self) -> None:
        self.server.asked.append(f"{self.command} {self.path}")
        sent = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/api/repos/create":
            self.server.made.append(json.loads(sent))
            return self._json({"url": f"{self.server.url}/{PUSHED}"})
        if self.path.endswith("/preupload/main"):
            files = [{"path": file["path"], "uploadMode": "regular"} for file in json.loads(sent)["files"]]
            return self._json({"files": [file | {"shouldIgnore": False} for file in files]})
        if self.path.endswith("/commit/main"):
            name = self.path.removeprefix("/api/models/").removesuffix("/commit/main")
            self.server.pushed[name] = dict(_committed(sent))
            return self._json({"commitUrl": f"{self.server.url}/{name}/commit/{COMMIT}", "commitOid": COMMIT})
        return self._json({"errors": [], "warnings": []})  # of a card's front matter

    def _answer(self, *, body: bool) -> None:
        url = urlparse(self.path)
        self.server.asked.append(f"{self.command} {self.path}")
        if url.path == "/api/models":
            return self._json(self._search(parse_qs(url.query).get("search", [""])[0]))
        for name, folder in self.server.models.items():
            if url.path.startswith(f"/api/models/{name}/tree/"):
                return self._json([_entry(file) for file in sorted(folder.iterdir())])
            if url.path in (f"/api/models/{name}", f"/api/models/{name}/revision/main"):
                return self._json(_about(name, folder))
            if url.path.startswith(f"/{name}/resolve/"):
                return self._file(folder / url.path.rsplit("/", 1)[1], body=body)
        self._json({"error": "Repository not found"}, status=404, code="RepoNotFound")
        return None

    def _search(self, text: str) -> list[dict[str, Any]]:
        return [_about(name, folder) for name, folder in self.server.models.items() if text.lower() in name.lower()]

    def _json(self, content: Any, status: int = 200, code: str = "") -> None:
        plain = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(plain)))
        if code:
            self.send_header("X-Error-Code", code)
        self.end_headers()
        self.wfile.write(plain)

    def _file(self, file: Path, *, body: bool) -> None:
        if not file.is_file():
            return self._json({"error": "Entry not found"}, status=404, code="EntryNotFound")
        whole = file.read_bytes()
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")  # a reader that waited too long goes on
        start = int(asked[1]) if asked else 0
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(len(whole) - start))
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{len(whole) - 1}/{len(whole)}")
        self.send_header("ETag", f'"{hashlib.sha256(whole).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if body:
            half = max(start, len(whole) // 2)
            with suppress(OSError):  # who asked has gone away
                self.wfile.write(whole[start:half])
                self.server.halfway(file.name)
                self.wfile.write(whole[half:])
        return None


def _committed(sent: bytes) -> Iterator[tuple[str, bytes]]:
    """Of a commit's lines: every file that it adds."""
    for line in map(json.loads, sent.splitlines()):
        if line["key"] == "file":
            yield line["value"]["path"], base64.b64decode(line["value"]["content"])


def _about(name: str, folder: Path) -> dict[str, Any]:
    config = json.loads((folder / "config.json").read_text())
    return {
        "id": name,
        "modelId": name,
        "sha": COMMIT,
        "private": False,
        "gated": False,
        "downloads": 1200,
        "tags": ["safetensors"],
        "config": {"model_type": config["model_type"]},
        "safetensors": {"parameters": {"F32": 5000}, "total": 5000},
        "siblings": [{"rfilename": file.name, "size": file.stat().st_size} for file in sorted(folder.iterdir())],
    }


def _entry(file: Path) -> dict[str, Any]:
    plain = file.read_bytes()
    return {"type": "file", "path": file.name, "size": len(plain), "oid": hashlib.sha1(plain).hexdigest()}
