"""The command line's way to a running server: plain HTTP on loopback, with nothing but the standard library."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from app.core.errors import NotReady, OndolError, from_openai


class ServerClient:
    """Asks the server at `address` (http://host:port). Proxies of the environment are not used: this is the same machine."""

    def __init__(self, address: str, key: str, *, timeout: float = 600.0) -> None:
        self._address, self._key, self._timeout = address, key, timeout

    def _send(self, method: str, path: str, body: Any = None) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection(urlsplit(self._address).netloc, timeout=self._timeout)
        data = None if body is None else json.dumps(body, ensure_ascii=False).encode("utf-8", "surrogatepass")
        try:
            connection.request(method, path, data, {"authorization": f"Bearer {self._key}", "content-type": "application/json"})
            answer = connection.getresponse()
        except OSError as error:
            raise NotReady(f"The server at {self._address} does not answer: {error}.", hint="Start it with `ondol serve`.") from None
        if answer.status >= 400:
            raise _error(answer.status, answer.read())
        return answer

    def get(self, path: str) -> Any:
        """The body of a GET."""
        return json.loads(self._send("GET", path).read())

    def post(self, path: str, body: Any) -> Any:
        """The body of a POST."""
        return json.loads(self._send("POST", path, body).read())

    def stream(self, path: str, body: Any) -> Iterator[dict[str, Any]]:
        """The events of a streamed POST. An error in mid-stream is raised."""
        with self._send("POST", path, {**body, "stream": True}) as answer:
            for raw in answer:
                line = raw.strip()
                if line.startswith(b"data: {"):
                    event: dict[str, Any] = json.loads(line[6:])
                    if "error" in event:
                        raise from_openai(event, 500)
                    yield event


def _error(status: int, data: bytes) -> OndolError:
    try:
        return from_openai(json.loads(data), status)
    except ValueError:
        return OndolError(f"The server answered {status}: {data[:300].decode(errors='replace')}")
