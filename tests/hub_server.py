"""A small hub of our own: Hugging Face's API over loopback, with the faults that networks have."""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

COMMIT = "c0ffee" + "0" * 34


@dataclass
class Asked:
    """One request as it came."""

    method: str
    path: str
    range: str
    authorization: str
    host: str


@dataclass
class Hub:
    """Files by repository, and what goes wrong. `files` are also served plainly under /web/NAME."""

    repos: dict[str, dict[str, bytes]] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    private: set[str] = field(default_factory=set)
    lists_hashes: bool = True
    flips_a_byte: bool = False
    drop_once_after: int = 0
    stall_after: int = 0
    stalled: threading.Event = field(default_factory=threading.Event)
    asked: list[Asked] = field(default_factory=list)
    url: str = ""

    def ranges(self, ending: str) -> list[str]:
        """The Range of each GET whose path ends so."""
        return [asked.range for asked in self.asked if asked.method == "GET" and asked.path.endswith(ending)]


def etag(content: bytes, *, large: bool) -> str:
    return hashlib.sha256(content).hexdigest() if large else hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def is_large(name: str) -> bool:
    return name.endswith((".gguf", ".safetensors", ".bin"))


@contextlib.contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    """The hub on a free port of 127.0.0.1, in a thread, until the block ends."""
    handler = type("BoundHandler", (_Handler,), {"hub": hub})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        hub.url = f"http://127.0.0.1:{server.server_address[1]}"
        # Asked often whether it shall end: at the usual half a second the ends of a hundred tests take the better part of a minute.
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        try:
            yield hub
        finally:
            server.shutdown()


@contextlib.contextmanager
def only_hub(hub: Hub, monkeypatch: pytest.MonkeyPatch, folder: Path) -> Iterator[Hub]:
    """Serve it, and have this process know no other hub and no token, with its cache in `folder`."""
    with serving(hub):
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setenv("HF_HOME", str(folder / "hf"))
        monkeypatch.delenv("HF_TOKEN", raising=False)
        yield hub


class _Handler(BaseHTTPRequestHandler):
    hub: ClassVar[Hub]
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        said = self.headers
        asked = Asked(self.command, path, said.get("Range", ""), said.get("Authorization", ""), said.get("Host", ""))
        self.hub.asked.append(asked)
        parts = path.strip("/").split("/")
        if parts[0] == "web" and parts[-1] in self.hub.files:
            content = self.hub.files[parts[-1]]
            self._send(content, {"ETag": f'"{etag(content, large=True)}"', "Content-Type": "application/octet-stream"})
        elif parts[:2] == ["api", "models"] and "/".join(parts[2:4]) in self.hub.repos:
            self._list("/".join(parts[2:4]))
        elif parts[2:3] == ["resolve"] and (content_of := self.hub.repos.get("/".join(parts[:2]), {}).get("/".join(parts[4:]))) is not None:
            self._resolve("/".join(parts[:2]), "/".join(parts[4:]), content_of)
        elif parts[0] == "cdn":
            self._cdn(parts[1])
        else:
            self._plain(404, b"{}", {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"})

    def _list(self, repo: str) -> None:
        if repo in self.hub.private and self.headers.get("Authorization") != "Bearer hf_secret":
            self._plain(401, b"{}", {"X-Error-Code": "GatedRepo", "X-Error-Message": "gated"})
            return
        siblings = []
        for name, content in self.hub.repos[repo].items():
            sibling: dict[str, object] = {"rfilename": name}
            if self.hub.lists_hashes:
                sibling |= {"size": len(content), "blobId": etag(content, large=False)}
                if is_large(name):
                    sibling["lfs"] = {"sha256": etag(content, large=True), "size": len(content), "pointerSize": 130}
            siblings.append(sibling)
        body = {"_id": "1", "id": repo, "modelId": repo, "sha": COMMIT, "private": False, "tags": [], "downloads": 0, "likes": 0}
        body |= {"siblings": siblings, "cardData": {"license": "apache-2.0"}}
        self._plain(200, json.dumps(body).encode(), {"Content-Type": "application/json"})

    def _resolve(self, repo: str, name: str, content: bytes) -> None:
        tag = etag(content, large=is_large(name))
        headers = {"X-Repo-Commit": COMMIT, "X-Linked-Size": str(len(content)), "X-Linked-Etag": f'"{tag}"'}
        if is_large(name):
            # As the real one: large files lie on another host.
            other = self.hub.url.replace("127.0.0.1", "localhost")
            self._plain(302, b"", {**headers, "ETag": '"pointer"', "Location": f"{other}/cdn/{tag}"})
        else:
            self._send(content, {**headers, "ETag": f'"{tag}"'})

    def _cdn(self, digest: str) -> None:
        every = [content for files in self.hub.repos.values() for content in files.values()]
        content = next(content for content in every if etag(content, large=True) == digest)
        if self.hub.flips_a_byte:
            content = content[:-1] + bytes([content[-1] ^ 1])
        self._send(content, {"ETag": '"the-cdn-has-its-own"'})

    def _send(self, content: bytes, headers: dict[str, str]) -> None:
        wanted, start = self.headers.get("Range", ""), 0
        if wanted and self.headers.get("If-Range", headers["ETag"]) == headers["ETag"]:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            if start >= len(content):
                self._plain(416, b"", {"Content-Range": f"bytes */{len(content)}"})
                return
            headers = {**headers, "Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"}
        self.send_response(206 if "Content-Range" in headers else 200)
        for key, value in {**headers, "Content-Length": str(len(content) - start), "Accept-Ranges": "bytes"}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        body = content[start:]
        if self.hub.stall_after and start == 0 and len(body) > self.hub.stall_after:
            self.wfile.write(body[: self.hub.stall_after])
            self.wfile.flush()
            self.hub.stalled.set()
            self.close_connection = True
            threading.Event().wait(60)
            return
        if self.hub.drop_once_after and len(body) > self.hub.drop_once_after:
            self.wfile.write(body[: self.hub.drop_once_after])
            self.hub.drop_once_after = 0
            self.close_connection = True
            return
        self.wfile.write(body)

    def _plain(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
