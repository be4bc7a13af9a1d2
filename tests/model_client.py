"""A client of model management over plain HTTP, and one that listens to its events."""

from __future__ import annotations

import http.client
import json
import queue
import socket
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlsplit

DEADLINE = 60.0


def wait_until(happened: Callable[[], bool], what: str) -> None:
    """Until something outside is so; AssertionError where it never is."""
    end = time.monotonic() + DEADLINE
    while not happened():
        assert time.monotonic() < end, f"never: {what}"
        time.sleep(0.05)


class Manager:
    """Calls by one key."""

    def __init__(self, url: str, key: str) -> None:
        self._place, self._key = urlsplit(url).netloc, key

    def call(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        connection = http.client.HTTPConnection(self._place, timeout=DEADLINE)
        headers = {"content-type": "application/json", **({"authorization": f"Bearer {self._key}"} if self._key else {})}
        connection.request(method, path, None if body is None else json.dumps(body).encode(), headers)
        answer = connection.getresponse()
        said = json.loads(answer.read())
        connection.close()
        return answer.status, said

    def ask(self, path: str, model: str) -> tuple[int, Any]:
        return self.call("POST", path, {"model": model})

    def remove(self, model: str) -> tuple[int, Any]:
        return self.call("DELETE", f"/models?model={quote(model, safe='')}")

    def all(self) -> dict[str, dict[str, Any]]:
        status, said = self.call("GET", "/models")
        assert status == 200, said
        return {entry["id"]: entry for entry in said["data"]}

    def until(self, model: str, value: str) -> dict[str, Any]:
        """The model's entry as soon as its status is this."""
        wait_until(lambda: self.all().get(model, {}).get("status", {}).get("value") == value, f"{model} is {value}")
        return self.all()[model]

    def has_come(self, model: str) -> None:
        """As soon as it is here alone: the file lies in its place a moment before its download has ended."""
        wait_until(lambda: [(id, its["status"]["value"]) for id, its in self.all().items()] == [(model, "unloaded")], f"{model} is here")

    def listen(self) -> Listener:
        host, port = self._place.split(":")
        connection = socket.create_connection((host, int(port)), timeout=DEADLINE)
        connection.sendall(f"GET /models/sse HTTP/1.1\r\nHost: {self._place}\r\nAuthorization: Bearer {self._key}\r\n\r\n".encode())
        return Listener(connection)


class Listener:
    """The events as they come. `ended`: None while the stream is open, "cleanly" after its last chunk, "cut off" without one."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lines = connection.makefile("rb")
        self.head = b"".join(iter(self._lines.readline, b"\r\n")).decode()
        # The first chunk says that whatever happens from now on is told.
        self.first = (self._lines.readline(), self._lines.readline())[1]
        self.ended: str | None = None
        self._events: queue.Queue[dict[str, Any]] = queue.Queue()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        ended = "cut off"
        try:
            while line := self._lines.readline():
                if line.startswith(b"data: "):
                    self._events.put(json.loads(line[6:]))
                elif line == b"0\r\n":
                    ended = "cleanly"
                    break
        except OSError:
            pass
        self.ended = ended

    def until(self, event: str, model: str) -> list[dict[str, Any]]:
        """All events up to this one."""
        return self.until_all((event, model))

    def until_all(self, *awaited: tuple[str, str]) -> list[dict[str, Any]]:
        """All events up to the last of these, in whichever order they come."""
        seen: list[dict[str, Any]] = []
        while not {(event["event"], event["model"]) for event in seen} >= set(awaited):
            seen.append(self._events.get(timeout=DEADLINE))
        return seen

    def wait(self) -> str | None:
        self._thread.join(DEADLINE)
        return self.ended

    def leave(self) -> None:
        self._connection.shutdown(socket.SHUT_RDWR)
        self._connection.close()
