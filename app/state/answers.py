"""The record of answers: written by a thread of its own, so that neither a slow disk nor a full one is felt by a request."""

from __future__ import annotations

import logging
import queue
import threading
from pathlib import Path
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.dialects.sqlite import insert

from app.core.errors import foreign
from app.core.records import AnswerRecord
from app.state.database import open_state
from app.state.schema import answers

log = logging.getLogger(__name__)
BATCH = 100


class AnswerLog:
    """Keeps answers in `state.db`. The file is opened with the first of them.

    What can't be kept (a full disk, a queue of more than `capacity`) is dropped: told once in the log, and counted.
    """

    def __init__(self, path: Path, *, capacity: int = 1000) -> None:
        self._path = path
        self._queue: queue.Queue[AnswerRecord | None] = queue.Queue(capacity)
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._told = False
        self._closed = False
        self.kept = 0
        self.dropped = 0

    def record(self, answer: AnswerRecord) -> None:
        """Keep this answer soon. Returns at once; any thread; never raises."""
        with self._lock:
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._run, name="answers", daemon=True)
                self._thread.start()
        try:
            if self._closed:
                raise queue.Full
            self._queue.put_nowait(answer)
        except queue.Full:
            self._drop(1, "too many are waiting")

    def close(self, timeout: float = 5.0) -> None:
        """Write what waits, for at most `timeout` seconds; later records are dropped."""
        with self._lock:
            self._closed = True
            thread, self._thread = self._thread, None
        if thread is not None:
            try:
                self._queue.put(None, timeout=timeout)
            except queue.Full:
                return
            thread.join(timeout)

    def _run(self) -> None:
        engine: Engine | None = None
        ended = False
        while not ended:
            batch, ended = self._waiting()
            if not batch:
                continue
            try:
                engine = engine or open_state(self._path)
                with engine.begin() as connection:
                    connection.execute(insert(answers).on_conflict_do_nothing(), [_row(answer) for answer in batch])
            except Exception as error:  # noqa: BLE001  # whatever it is, answers go on; it is told and counted
                self._drop(len(batch), str(foreign(error)))
            else:
                self.kept += len(batch)
                self._told = False
        if engine is not None:
            engine.dispose()

    def _waiting(self) -> tuple[list[AnswerRecord], bool]:
        """At least one that waits, and whether the end has come."""
        batch: list[AnswerRecord] = []
        found = self._queue.get()
        while found is not None:
            batch.append(found)
            if len(batch) == BATCH or self._queue.empty():
                return batch, False
            found = self._queue.get()
        return batch, True

    def _drop(self, count: int, reason: str) -> None:
        with self._lock:
            self.dropped += count
            told, self._told = self._told, True
        if not told:
            log.error("answers are not being recorded in %s: %s", self._path, reason)


def _row(answer: AnswerRecord) -> dict[str, Any]:
    return {column.name: getattr(answer, column.name) for column in answers.columns}
