"""The doorway to Chroma: one directory, one collection of ids and vectors.

chromadb 1.5.9 as measured: a write holds the GIL (50 rows: 30-65 ms), so callers write in small batches; one process alone may
open a directory; a directory that was damaged can end the process, so it is probed in another one first (`probe`).
Scores are cosines: vectors have length 1, and Chroma's inner-product distance is 1 minus it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Read when the library is imported: nothing leaves this machine.
os.environ.setdefault("ANONYMIZED_TELEMETRY", "False")

import chromadb
from chromadb.config import Settings

from ingest.index.contract import MOST_HITS, IndexDamaged

_COLLECTION = "vectors"


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (KeyboardInterrupt, SystemExit, IndexDamaged):
        raise
    except BaseException as error:
        # A panic of its native part is no Exception.
        raise IndexDamaged(f"{type(error).__name__}: {error}") from error


class ChromaIndex:
    """An open directory. IndexDamaged from any method means that it can't be trusted any more."""

    def __init__(self, directory: Path) -> None:
        with _translated():
            self._client: Any = chromadb.PersistentClient(str(directory), settings=Settings(anonymized_telemetry=False))
            hnsw: Any = {"space": "ip", "ef_search": MOST_HITS, "num_threads": 1}
            self._rows = self._client.get_or_create_collection(_COLLECTION, embedding_function=None, configuration={"hnsw": hnsw})

    def put(self, rows: Sequence[tuple[int, bytes]]) -> None:
        """Add or replace vectors (float32 bytes) by chunk pk; durable when it returns. At most 5,461 rows."""
        with _translated():
            matrix = np.stack([np.frombuffer(vector, dtype="<f4") for _, vector in rows]).astype(np.float32)
            self._rows.upsert(ids=[str(pk) for pk, _ in rows], embeddings=matrix)

    def drop(self, pks: Sequence[int]) -> None:
        """Remove chunks; those that aren't there don't matter."""
        with _translated():
            self._rows.delete(ids=[str(pk) for pk in pks])

    def query(self, vector: NDArray[np.float32], limit: int) -> list[tuple[int, float]]:
        """(chunk pk, cosine) best first, at most MOST_HITS."""
        with _translated():
            found = self._rows.query(query_embeddings=vector.reshape(1, -1), n_results=min(limit, MOST_HITS), include=["distances"])
            assert found["distances"] is not None, "asked for"
            return [(int(id), 1.0 - float(distance)) for id, distance in zip(found["ids"][0], found["distances"][0], strict=True)]

    def entries(self) -> int:
        """How many vectors it holds."""
        with _translated():
            return int(self._rows.count())

    def pks(self) -> list[int]:
        """All ids."""
        with _translated():
            return [int(id) for id in self._rows.get(include=[])["ids"]]

    def close(self) -> None:
        """Let go of the files."""
        with _translated():
            self._client.close()
