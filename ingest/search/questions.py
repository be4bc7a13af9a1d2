"""The embedder as a search needs it: one question becomes the bytes of one vector."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from app.core.errors import NotReady

if TYPE_CHECKING:
    from models.embedder import Embedder


class QuestionEmbedder(Protocol):
    """What the server's embed client offers, without numpy."""

    async def vectors_bytes(self, texts: Sequence[str], kind: str, *, fingerprint: str = "") -> tuple[bytes, int]:
        """The float32 matrix of the texts as bytes, and its columns; `kind` is "query" or "passage".

        With a `fingerprint`, vectors that can be compared with those of a store that was filled so. NotReady: no such model is here.
        """
        ...


class LocalQuestions:
    """The same over an embedder in this process, for the command line without a server."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder

    async def vectors_bytes(self, texts: Sequence[str], kind: str, *, fingerprint: str = "") -> tuple[bytes, int]:
        """The float32 matrix of the texts as bytes, and its columns."""
        info = self._embedder.info
        if fingerprint not in ("", info.fingerprint):
            raise NotReady(
                f"The store was filled with the embedder {fingerprint.partition(':')[0]}, and {info.model} is in use.",
                hint="`ondol ingest sync` embeds the store anew.",
            )
        embed = self._embedder.queries if kind == "query" else self._embedder.passages
        matrix = await asyncio.to_thread(embed, list(texts))
        return matrix.astype("<f4").tobytes(), int(matrix.shape[1])
