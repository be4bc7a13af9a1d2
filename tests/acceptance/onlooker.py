"""Those who search while others write and kill: each answer is held against the book as it was before the question and after it."""

from __future__ import annotations

import http.client
import json
import random
import sqlite3
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from notes import Mark, Notes, editions, faults, korean, looking, mark
from product import Served

PAUSE = 0.12
LIMIT = 20
"""Hits of an answer: more than a note has parts."""


def searched(served: Served, question: str, limit: int) -> list[tuple[str, str]]:
    """(chunk id, text) of one search over HTTP."""
    body = json.dumps({"query": question, "max_num_results": limit}).encode()
    head = {"Authorization": f"Bearer {served.key}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{served.url}/v1/vector_stores/notes/search", body, head)
    with urllib.request.urlopen(request, timeout=120) as answer:
        hits: list[dict[str, Any]] = json.load(answer)["data"]
    return [(hit["file_id"], hit["content"][0]["text"]) for hit in hits]


class Onlooker:
    """One thread that asks for one note after the other, until it is stopped. `in_korean`: by names that need no embedder.

    It may find the server gone only between `leaves` and `comes`.
    """

    def __init__(self, book: Path, notes: Notes, *, in_korean: bool, seed: int) -> None:
        self._path, self._notes, self._in_korean, self._chance = book, notes, in_korean, random.Random(seed)
        self._served: Served | None = None
        self._newest: dict[int, int] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="onlooker", daemon=True)
        self.faults: list[str] = []
        self.answers = self.overtaken = 0

    def comes(self, served: Served) -> None:
        """A server is there."""
        self._served = served
        if not self._thread.is_alive():
            self._thread.start()

    def leaves(self) -> None:
        """The server will be killed."""
        self._served = None

    def stop(self) -> None:
        """Ask no more."""
        self._over.set()
        self._thread.join(150)

    def _run(self) -> None:
        book = looking(self._path)
        while not self._over.wait(PAUSE):
            served = self._served
            if served is None:
                continue
            try:
                self._ask(book, served)
            except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
                if self._served is served:
                    self.faults.append(f"the server did not answer: {error!r}")
            except Exception as error:  # noqa: BLE001 - a thread's own error would go unseen
                self.faults.append(f"{type(error).__name__}: {error}")
        book.close()

    def _ask(self, book: sqlite3.Connection, served: Served) -> None:
        before = editions(book)
        gone = {note: edition for note, edition in self._newest.items() if note not in before}
        self._newest |= before
        # What is being written now is the most worth a question.
        note = self._chance.choice(self._notes.touched if self._chance.random() < 0.8 else sorted(before))
        found = searched(served, korean(note) if self._in_korean else f"note{note}", LIMIT)
        after = editions(book)
        self._newest |= after
        answer: list[Mark] = [mark(text) for _, text in found]
        self.answers += 1
        self.overtaken += before.get(note) != after.get(note)
        self.faults += [f"{time.strftime('%X')} {fault}" for fault in faults(note, answer, before, after, gone)]
