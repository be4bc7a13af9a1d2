"""The server's HTTP API as the tray needs it: models, downloads, their events. The one file that knows its shapes.

Plain `http.client` on loopback: proxies of the environment are never used, and nothing outside is asked.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote, urlsplit

from app.core.errors import NotReady, OndolError, UpstreamError, from_openai
from tray.reach import server_at
from tray.records import Download, Model

QUICK_SECONDS = 10.0
LOAD_SECONDS = 90.0  # the server answers after a minute, while a load goes on
SILENCE_SECONDS = 20.0  # the events' stream says something every 5 s
LONGEST_LINE = 1_000_000
_LOADS = ("loaded", "loading", "failed")
_DOWNLOADS: dict[str, Literal["downloading", "paused", "failed"]] = {
    "downloading": "downloading",
    "stopped": "paused",
    "failed": "failed",
}


@dataclass(frozen=True)
class Listing:
    """Chat models, the default one first, and downloads that are not done."""

    models: tuple[Model, ...] = ()
    downloads: tuple[Download, ...] = ()


@dataclass(frozen=True)
class News:
    """Something has changed. `finished`: this download became a model."""

    finished: str = ""


class Client:
    """The server at `address` (http://host:port). `key` is asked for at each call: its file may have been replaced since.

    Methods block, `load` for up to 90 s, the others for up to 10. NotReady where nothing answers, else the server's own error.
    """

    def __init__(self, address: str, key: Callable[[], str]) -> None:
        self.address, self._key = address, key
        self._place = urlsplit(address).netloc

    def listing(self) -> Listing:
        """What is here and what is on its way, at once."""
        return read_listing(self._ask("GET", "/models"))

    def load(self, model: str) -> None:
        """Bring a model into memory; a load that takes long goes on by itself."""
        self._ask("POST", "/models/load", {"model": model}, seconds=LOAD_SECONDS)

    def unload(self, model: str) -> None:
        """Free a model's memory. Conflict while it answers."""
        self._ask("POST", "/models/unload", {"model": model})

    def pause(self, download: str) -> None:
        """Stop a download; what came stays."""
        self._ask("POST", "/models/unload", {"model": download})

    def resume(self, download: str) -> None:
        """Go on with a stopped or failed download."""
        self._ask("POST", "/models/load", {"model": download}, seconds=LOAD_SECONDS)

    def cancel(self, download: str) -> None:
        """End a download and delete what came of it."""
        self._ask("DELETE", f"/models?model={quote(download, safe='')}")

    def events(self) -> Events:
        """The stream of changes, from now on."""
        connection = self._connection(SILENCE_SECONDS)
        answer = self._begin(connection, "GET", "/models/sse")
        return Events(connection, answer)

    def _ask(self, method: str, path: str, body: Any = None, *, seconds: float = QUICK_SECONDS) -> Any:
        connection = self._connection(seconds)
        with contextlib.closing(connection):
            answer = self._begin(connection, method, path, body)
            try:
                return json.loads(answer.read())
            except (OSError, ValueError, http.client.HTTPException) as error:
                raise NotReady(f"The server at {self.address} broke off its answer: {error}.") from None

    def _connection(self, seconds: float) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self._place, timeout=seconds)

    def _begin(self, connection: http.client.HTTPConnection, method: str, path: str, body: Any = None) -> http.client.HTTPResponse:
        data = None if body is None else json.dumps(body).encode()
        try:
            with server_at(self.address):
                connection.connect()
            connection.request(method, path, data, {"authorization": f"Bearer {self._key()}", "content-type": "application/json"})
            answer = connection.getresponse()
            if answer.status < 400:
                return answer
            said = answer.read(LONGEST_LINE)
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise NotReady(f"The server at {self.address} does not answer: {error}.") from None
        connection.close()
        raise _refused(answer.status, said)


class Events:
    """News as they come. `close` may be called from another thread: the iteration ends."""

    def __init__(self, connection: http.client.HTTPConnection, answer: http.client.HTTPResponse) -> None:
        self._connection, self._answer = connection, answer
        self._socket = connection.sock

    def __iter__(self) -> Iterator[News | None]:
        """One for each line that means something; None for a sign of life. Ends with the stream, or when it is silent for too long."""
        with contextlib.suppress(OSError, ValueError, AttributeError, http.client.HTTPException):
            while line := self._answer.readline(LONGEST_LINE):
                if line.startswith(b"data: "):
                    yield read_event(json.loads(line[6:]))
                elif line.startswith(b":"):
                    yield None

    def close(self) -> None:
        """End the stream."""
        with contextlib.suppress(OSError, AttributeError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._connection.close()


def read_event(event: Any) -> News:
    """An event of `/models/sse`."""
    finished = isinstance(event, dict) and event.get("event") == "download_finished"
    return News(str(event.get("model", "")) if finished else "")


def read_listing(body: Any) -> Listing:
    """GET /models. UpstreamError where something else than our server answered."""
    try:
        entries = [(entry, entry["status"], str(entry["status"]["value"])) for entry in body["data"]]
        downloads = tuple(_download(entry, status, value) for entry, status, value in entries if value in _DOWNLOADS)
        chats = [one for one in entries if one[2] not in _DOWNLOADS and "chat" in one[0].get("tags", ())]
        models = tuple(_model(entry, status, value, default=place == 0) for place, (entry, status, value) in enumerate(chats))
    except (KeyError, TypeError, ValueError) as error:
        raise UpstreamError(f"The server's list of models can't be read: {error!r}.", hint="Restart the server.") from None
    return Listing(models, downloads)


def _model(entry: dict[str, Any], status: dict[str, Any], value: str, *, default: bool) -> Model:
    state = "failed" if status.get("failed") else value
    known: Any = state if state in _LOADS else "unloaded"
    return Model(entry["id"], str(entry.get("display_name") or entry["id"]), known, default)


def _download(entry: dict[str, Any], status: dict[str, Any], value: str) -> Download:
    progress = list(status.get("progress", {}).values())
    error = status.get("error") or {}
    return Download(
        id=entry["id"],
        name=short_name(entry["id"]),
        done=sum(int(one["done"]) for one in progress),
        total=sum(int(one["total"]) for one in progress),
        state=_DOWNLOADS[value],
        error=str(error.get("message", "")),
    )


def short_name(source: str) -> str:
    """What a person knows a source by: the last part of OWNER/NAME:QUANT, of `pypi:PACKAGE` or of an address."""
    if source.startswith(("http://", "https://")):
        return urlsplit(source).path.rstrip("/").rpartition("/")[2] or source
    return source.rpartition("/")[2].removeprefix("pypi:") or source


def _refused(status: int, said: bytes) -> OndolError:
    try:
        return from_openai(json.loads(said), status)
    except (ValueError, TypeError, AttributeError):
        return UpstreamError(f"The server answered {status}: {said[:200].decode(errors='replace')}.")
