"""The embedder as a search needs it: one question becomes the bytes of one vector."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from models.embedder import Embedder, EmbedderInfo


class QuestionEmbedder(Protocol):
    """What the server's embed client offers, without numpy."""

    async def info(self) -> EmbedderInfo:
        """Of the model in use; known without loading it."""
        ...

    async def vectors_bytes(self, texts: Sequence[str], kind: str) -> tuple[bytes, int]:
        """The float32 matrix of the texts as bytes, and its columns; `kind` is "query" or "passage"."""
        ...


class LocalQuestions:
    """The same over an embedder in this process, for the command line without a server."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder

    async def info(self) -> EmbedderInfo:
        """Of the model in use."""
        return self._embedder.info

    async def vectors_bytes(self, texts: Sequence[str], kind: str) -> tuple[bytes, int]:
        """The float32 matrix of the texts as bytes, and its columns."""
        embed = self._embedder.queries if kind == "query" else self._embedder.passages
        matrix = await asyncio.to_thread(embed, list(texts))
        return matrix.astype("<f4").tobytes(), int(matrix.shape[1])
