"""The embedder contract over a running server of ours, so that one process on the machine holds the weights. Blocking."""

from __future__ import annotations

import base64
import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Any

import numpy as np

from app.core.errors import (
    BadRequest,
    Busy,
    Conflict,
    ContextLengthExceeded,
    ModelNotFound,
    OndolError,
    RetriableError,
    Unauthorized,
)
from models.embed_queue import Kind
from models.embedder import EmbedderInfo, Vectors

# Small requests: each has its answer within seconds, and other clients' questions get in between.
_TEXTS = 64


class RemoteEmbedder:
    """`POST /v1/embeddings` of the server at `base_url` (loopback; no proxy is asked). `timeout` in seconds, per request of 64 texts.

    `info` is of the model that is installed here: an answer of another one is refused. A server that is gone, or goes away in
    mid-run, is a `RetriableError`.
    """

    def __init__(self, base_url: str, key: str, info: EmbedderInfo, *, timeout: float = 600.0) -> None:
        self.info = info
        self._url, self._key, self._timeout = f"{base_url.rstrip('/')}/v1/embeddings", key, timeout
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    @classmethod
    def connect(cls, base_url: str, key: str, possible: Sequence[EmbedderInfo], *, timeout: float = 600.0) -> RemoteEmbedder:
        """Over the server as it embeds now: one of the `possible` ways (the precisions of the model that is installed here). Conflict."""
        asked = cls(base_url, key, possible[0], timeout=timeout)
        said = asked.fingerprint()
        info = next((info for info in possible if info.fingerprint == said), None)
        if info is None:
            raise asked.another()
        return cls(base_url, key, info, timeout=timeout)

    def fingerprint(self) -> str:
        """As the server tells it with the vector of one word."""
        body = self._ask(json.dumps({"model": self.info.model, "input": ["ready"], "encoding_format": "base64"}).encode())
        return str(body.get("fingerprint", self.info.fingerprint))

    def another(self) -> Conflict:
        """The server does not embed as the models that are installed here do."""
        return Conflict(
            f"The running server embeds with another {self.info.model} than the one installed here.",
            hint="Restart the server, then try again.",
        )

    def passages(self, texts: Sequence[str]) -> Vectors:
        """Vectors of texts to be found."""
        return self._all(texts, Kind.PASSAGE)

    def queries(self, texts: Sequence[str]) -> Vectors:
        """Vectors of questions."""
        return self._all(texts, Kind.QUERY)

    def _all(self, texts: Sequence[str], kind: Kind) -> Vectors:
        parts = [self._some(texts[start : start + _TEXTS], kind) for start in range(0, len(texts), _TEXTS)]
        return np.concatenate(parts) if parts else np.zeros((0, self.info.dimensions), dtype=np.float32)

    def _some(self, texts: Sequence[str], kind: Kind) -> Vectors:
        asked = {"model": self.info.model, "input": list(texts), "encoding_format": "base64", "input_type": kind.value}
        body = self._ask(json.dumps(asked).encode())
        if body.get("fingerprint", self.info.fingerprint) != self.info.fingerprint:
            raise self.another()
        rows = [row["embedding"] for row in sorted(body["data"], key=lambda row: row["index"])]
        vectors = np.frombuffer(b"".join(base64.b64decode(row) for row in rows), dtype="<f4").astype(np.float32, copy=False)
        if len(rows) != len(texts) or vectors.size != len(texts) * self.info.dimensions:
            raise Conflict(
                f"The running server gave {len(rows)} vectors with {vectors.size} numbers in all for {len(texts)} texts.",
                hint="Restart the server, then try again.",
            )
        return vectors.reshape(len(texts), self.info.dimensions)

    def _ask(self, payload: bytes) -> dict[str, Any]:
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self._key}"}
        request = urllib.request.Request(self._url, data=payload, headers=headers)  # noqa: S310 - the server's own address
        try:
            with self._opener.open(request, timeout=self._timeout) as response:
                body: dict[str, Any] = json.load(response)
                return body
        except urllib.error.HTTPError as error:
            raise _translated(error) from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise RetriableError(
                f"The server at {self._url} went away: {getattr(error, 'reason', error)}.", hint="Start it, or try again without it."
            ) from None


def _translated(error: urllib.error.HTTPError) -> OndolError:
    """Our error behind an answer of OpenAI's shape."""
    try:
        said = json.loads(error.read())["error"]
        message, code = str(said["message"]), str(said.get("code") or "")
    except (OSError, ValueError, KeyError, TypeError):
        message, code = f"The server answered {error.code}.", ""
    if code == ContextLengthExceeded.code:
        return ContextLengthExceeded(message, hint=" ")
    known: dict[int, type[OndolError]] = {401: Unauthorized, 404: ModelNotFound, 429: Busy}
    if error.code in known:
        return known[error.code](message)
    return BadRequest(message) if 400 <= error.code < 500 else RetriableError(message)
