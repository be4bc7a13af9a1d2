"""The embedder over HTTP, against a small server that answers as ours does."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest

from app.core.errors import BadRequest, Conflict, RetriableError, Unauthorized
from models.embedder import EmbedderInfo
from models.hash_embedder import HashEmbedder
from models.remote_embedder import RemoteEmbedder

HASH = HashEmbedder(16)


@dataclass
class Served:
    """A server of the embeddings route; `extra` goes into each answer, `leaves_after` ends it in mid-run."""

    asked: list[dict[str, Any]] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)
    leaves_after: int = 1_000
    url: str = ""


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    served = Served()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            served.asked.append(body)
            if len(served.asked) > served.leaves_after:
                self.connection.close()
                return
            if self.headers["Authorization"] != "Bearer right":
                self._send(401, {"error": {"message": "Wrong key.", "code": "invalid_api_key"}})
            elif "refuse" in body["input"]:
                self._send(400, {"error": {"message": "Not this one.", "code": "invalid_request"}})
            else:
                rows = [base64.b64encode(row.tobytes()).decode() for row in HASH.passages(body["input"])]
                data = [{"index": index, "embedding": row} for index, row in enumerate(rows)]
                self._send(200, {"data": data[::-1], **served.extra})

        def _send(self, status: int, body: dict[str, Any]) -> None:
            payload = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

    # A proxy that would swallow everything, were it asked.
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    served.url = f"http://127.0.0.1:{server.server_address[1]}"
    yield served
    server.shutdown()
    server.server_close()


def test_vectors_come_in_the_order_of_the_texts_and_in_small_requests(served: Served) -> None:
    texts = [f"text number {number}" for number in range(150)]
    assert np.array_equal(RemoteEmbedder(served.url, "right", HASH.info).passages(texts), HASH.passages(texts))
    assert [len(asked["input"]) for asked in served.asked] == [64, 64, 22]
    assert {asked["input_type"] for asked in served.asked} == {"passage"}
    RemoteEmbedder(served.url + "/", "right", HASH.info).queries(["what?"])
    assert served.asked[-1]["input_type"] == "query"


def test_no_texts_ask_nothing(served: Served) -> None:
    assert RemoteEmbedder(served.url, "right", HASH.info).passages([]).shape == (0, 16)
    assert served.asked == []


def test_a_server_that_goes_away_in_mid_run_can_be_tried_again(served: Served) -> None:
    served.leaves_after = 1
    with pytest.raises(RetriableError, match="went away"):
        RemoteEmbedder(served.url, "right", HASH.info).passages(["a"] * 100)


def test_no_server_at_all_can_be_tried_again() -> None:
    with pytest.raises(RetriableError, match="went away"):
        RemoteEmbedder("http://127.0.0.1:9", "right", HASH.info).queries(["a"])


def test_the_servers_own_errors_keep_their_kind_and_message(served: Served) -> None:
    with pytest.raises(Unauthorized, match="Wrong key"):
        RemoteEmbedder(served.url, "wrong", HASH.info).queries(["a"])
    with pytest.raises(BadRequest, match="Not this one"):
        RemoteEmbedder(served.url, "right", HASH.info).queries(["refuse"])


def test_vectors_of_another_model_are_refused(served: Served) -> None:
    with pytest.raises(Conflict, match="vectors"):
        RemoteEmbedder(served.url, "right", EmbedderInfo("hash", "x", 32, 256)).queries(["a"])
    served.extra["fingerprint"] = "of-another"
    with pytest.raises(Conflict, match="another hash"):
        RemoteEmbedder(served.url, "right", HASH.info).queries(["a"])
