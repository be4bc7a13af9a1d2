"""A small server that speaks as much of S3 as listing and reading need, and can be told to refuse, to break off and to be slow."""

from __future__ import annotations

import hashlib
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from xml.sax.saxutils import escape

PAGE = 50


class S3:
    """One bucket of objects.

    `refuse`: the status and code of every answer; `refuse_keys`: of these objects'. `break_after`: so many pages of a listing go well.
    """

    def __init__(self, bucket: str) -> None:
        self.bucket = bucket
        self.objects: dict[str, bytes] = {}
        self.times: dict[str, float] = {}
        self.refuse: tuple[int, str] | None = None
        self.refuse_keys: dict[str, tuple[int, str]] = {}
        self.break_after: int | None = None
        self.asked: list[str] = []
        self.signed: list[str] = []

    def put(self, key: str, data: bytes | str, at: float = 1_700_000_000.0) -> None:
        self.objects[key] = data.encode() if isinstance(data, str) else data
        self.times[key] = at

    @contextmanager
    def serving(self) -> Iterator[str]:
        server = _Server(self)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


class _Server(ThreadingHTTPServer):
    def __init__(self, s3: S3) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.s3 = s3


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    @property
    def s3(self) -> S3:
        return self.server.s3

    def do_GET(self) -> None:
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
        _, bucket, key = [*urllib.parse.unquote(url.path).split("/", 2), ""][:3]
        self.s3.asked.append(key or f"list {query.get('prefix', '')}")
        self.s3.signed.append(self.headers.get("Authorization", ""))
        if self.s3.refuse:
            self.error(*self.s3.refuse)
        elif bucket != self.s3.bucket:
            self.error(404, "NoSuchBucket")
        elif "list-type" in query:
            self.list(query)
        elif key in self.s3.refuse_keys:
            self.error(*self.s3.refuse_keys[key])
        elif key not in self.s3.objects:
            self.error(404, "NoSuchKey")
        else:
            self.object(key)

    def do_HEAD(self) -> None:
        self.do_GET()

    def list(self, query: dict[str, str]) -> None:
        keys = sorted(key for key in self.s3.objects if key.startswith(query.get("prefix", "")))
        page = int(query.get("continuation-token", "0"))
        if self.s3.break_after is not None and page >= self.s3.break_after:
            self.error(500, "InternalError")
            return
        found = "".join(
            f"<Contents><Key>{escape(key)}</Key><LastModified>{_iso(self.s3.times[key])}</LastModified><ETag>{_etag(self.s3.objects[key])}</ETag>"
            f"<Size>{len(self.s3.objects[key])}</Size><StorageClass>STANDARD</StorageClass></Contents>"
            for key in keys[page * PAGE : (page + 1) * PAGE]
        )
        more = len(keys) > (page + 1) * PAGE
        token = f"<NextContinuationToken>{page + 1}</NextContinuationToken>" if more else ""
        self.answer(
            200,
            f'<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>{self.s3.bucket}</Name>'
            f"<IsTruncated>{str(more).lower()}</IsTruncated>{token}{found}</ListBucketResult>".encode(),
            {"Content-Type": "application/xml"},
        )

    def object(self, key: str) -> None:
        data, status = self.s3.objects[key], 200
        headers = {"ETag": _etag(data), "Last-Modified": formatdate(self.s3.times[key], usegmt=True)}
        if (asked := self.headers.get("Range")) is not None:
            first, _, last = asked.removeprefix("bytes=").partition("-")
            end = min(int(last or len(data)), len(data) - 1)
            if int(first) >= len(data):
                self.error(416, "InvalidRange")
                return
            headers["Content-Range"] = f"bytes {first}-{end}/{len(data)}"
            data, status = data[int(first) : end + 1], 206
        self.answer(status, data, headers)

    def error(self, status: int, code: str) -> None:
        self.answer(status, f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>told to</Message></Error>'.encode(), {})

    def answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


def _etag(data: bytes) -> str:
    return f'"{hashlib.md5(data).hexdigest()}"'


def _iso(at: float) -> str:
    import datetime

    return datetime.datetime.fromtimestamp(at, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
