"""Processes to be killed, again and again: forked from one that has imported what they need, wherever there is fork.

A start then takes milliseconds and not the better part of a second, and as many kills as before fall into the work itself.
"""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import Any

from models.embedder import Vectors
from models.hash_embedder import HashEmbedder

Say = Callable[[str], None]

_FORKS = "forkserver" in multiprocessing.get_all_start_methods()
_IMPORTED = ["alembic.command", "ingest.file_source", "ingest.postgres.follow", "ingest.sync", "models.hash_embedder"]
_processes: Any = multiprocessing.get_context("forkserver" if _FORKS else "spawn")
if _FORKS:
    _processes.set_forkserver_preload(_IMPORTED)


class SlowEmbedder(HashEmbedder):
    """Takes its time, so that a kill may fall into it."""

    def __init__(self, dimensions: int = 384, *, name: str = "hash", seconds: float = 0.005) -> None:
        super().__init__(dimensions, name=name)
        self._seconds = seconds

    def passages(self, texts: Sequence[str]) -> Vectors:
        time.sleep(self._seconds)
        return super().passages(texts)


class Doomed:
    """`work(say, *given)` in a process of its own. `said`: its lines so far, each whole or not there."""

    def __init__(self, work: Callable[..., None], *given: object) -> None:
        heard, say = _processes.Pipe(duplex=False)
        self.said: list[str] = []
        self._process = _processes.Process(target=_do, args=(work, say, given), daemon=True)
        self._process.start()
        say.close()
        self._listener = threading.Thread(target=self._listen, args=(heard,), daemon=True)
        self._listener.start()

    def _listen(self, heard: Connection) -> None:
        with heard:
            try:
                while True:
                    self.said.append(heard.recv_bytes().decode())
            except (EOFError, OSError):
                return

    def until_it_speaks(self) -> None:
        """Or has ended without a word."""
        while not self.said and self._process.is_alive():
            time.sleep(0.001)

    def kill(self) -> None:
        """End it at this very moment."""
        self._process.kill()
        self.ended()

    def ended(self) -> int:
        """Wait for its end, and for its last words: its exit status."""
        self._process.join()
        self._listener.join()
        return int(self._process.exitcode)


def _do(work: Callable[..., None], say: Connection, given: tuple[object, ...]) -> None:
    work(lambda line: say.send_bytes(line.encode()), *given)
