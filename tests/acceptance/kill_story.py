"""A store that is written and searched while its processes are killed, moment after moment; and what must hold after each.

A moment: the table changes, a sync begins, somebody is killed, the sync ends or is run again. All the while two onlookers search.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import numpy as np
import psutil
import psycopg
from notes import Notes, Parts, held, looking, mark
from onlooker import Onlooker, searched
from persist_window import persist_window
from product import Product
from quick_embedder import quick_embedder

from ingest.index.book_view import newest_seq
from ingest.index.chroma import ChromaIndex
from ingest.index.files import taken_in
from ingest.index.probe import sound
from models.installed import InstalledModel

WORKERS = {"index worker": "ingest.index.worker", "embed worker": "models.embed_worker"}
WHILE_CHROMA_WRITES = ("index worker", "ingest", "index worker", "server")
"""Who is killed then, each in turn."""
ASKED_AT_ALL = ("tundra", "a glacier in winter", "how do whales sleep?")
"""Questions without a word of any note: vectors alone answer them."""


class Story:
    """One store and its server. Made by `told`; a moment's errors are failed assertions that name who was killed."""

    def __init__(self, product: Product, notes: Notes, chance: random.Random, stack: ExitStack) -> None:
        self._product, self._notes, self._chance, self._stack = product, notes, chance, stack
        self._book, self._index = product.home / "book.db", product.home / "index"
        self._onlookers = [Onlooker(self._book, notes, in_korean=korean, seed=chance.randrange(10**6)) for korean in (False, True)]
        self._turn, self._next_window = chance.randrange(4), chance.randrange(4)
        self._run_seconds = 2.0
        self.killed: Counter[str] = Counter()
        self.moments = self.windows = self.while_chroma_writes = 0
        self._serve()

    def _serve(self) -> None:
        self.served = self._stack.enter_context(self._product.serving())

    def begin(self, dsn: str) -> None:
        """Fill the store, and let the onlookers look."""
        self._notes.change(200, 0)
        first = self._product.run("ingest", "postgres", dsn, "--table", "notes", "--text", "body", "--into", "notes")
        assert first.returncode == 0, first.stderr
        self._change(40)
        began = time.monotonic()
        assert self._sync().wait(120) == 0, "the second sync ended in an error"
        self._run_seconds = time.monotonic() - began
        self.nearest_are_right()
        for onlooker in self._onlookers:
            onlooker.comes(self.served)
            self._stack.callback(onlooker.stop)

    @property
    def kills(self) -> int:
        """How many processes that lived were killed."""
        return self.killed.total()

    def tells(self, kills: int, each: int) -> None:
        """Moment after moment, until so many were killed: everybody once, and every so manieth (`each`) while Chroma wrote its files."""
        everybody = {"ingest", "server", *WORKERS}
        while self.kills < kills or self.while_chroma_writes < kills // each or not everybody <= self.killed.keys():
            assert self.moments < 3 * kills, f"too many moments in which nobody could be killed: {self}"
            self.moments += 1
            # One that was missed is still due.
            if (self.while_chroma_writes + 1) * each <= self.kills + 1:
                self.moment_while_chroma_writes()
            else:
                self.moment_at_random()
            print(f"{self.moments}: {self}", flush=True)

    def moment_at_random(self) -> None:
        """Somebody is killed at any moment of a run; nobody where that was ingest and it had ended already."""
        before = self._change(40)
        ingest = self._sync()
        time.sleep(self._chance.uniform(0.1, 0.8) * self._run_seconds)
        alive = self._alive(ingest)
        # Each in turn: a rare one must not be left out by chance.
        name = [*alive][self._turn % len(alive)]
        self._turn += self._kill(name, alive, ingest)
        self._goes_on(name, before, ingest)

    def moment_while_chroma_writes(self) -> None:
        """Somebody is killed while some files of Chroma's graph are new and others old; at any other moment where that never comes."""
        before = self._change(120)
        ingest = self._sync()
        name = WHILE_CHROMA_WRITES[self._next_window % len(WHILE_CHROMA_WRITES)]
        self._next_window += 1
        alive = self._alive(ingest)
        with closing(looking(self._book)) as book:

            def ahead() -> int:
                return newest_seq(book) - taken_in(self._index, 1)

            window = persist_window(self._index, alive["index worker"], self._chance, ahead, lambda: ingest.poll() is not None)
            with window as inside:
                if name == "ingest" and ingest.poll() is not None:
                    name = "index worker"
                killed = self._kill(name, alive, ingest)
        self.windows += inside
        self.while_chroma_writes += inside and killed
        self._goes_on(name, before, ingest)

    def _change(self, put: int) -> dict[int, Parts]:
        before = self._notes.rows
        self._notes.change(put, 10)
        return before

    def _sync(self) -> subprocess.Popen[str]:
        return self._product.start("ingest", "sync", "--json", "--until-stdin-closes")

    def _alive(self, ingest: subprocess.Popen[str]) -> dict[str, int]:
        """Who can be killed, by name."""
        children = psutil.Process(self.served.process.pid).children()
        workers = {name: child.pid for name, module in WORKERS.items() for child in children if module in child.cmdline()}
        return {"ingest": ingest.pid, "server": self.served.process.pid, **workers}

    def _kill(self, name: str, alive: dict[str, int], ingest: subprocess.Popen[str]) -> bool:
        """Whether it lived until then."""
        if name == "server":
            for onlooker in self._onlookers:
                onlooker.leaves()
        if name == "ingest":
            ingest.kill()  # nothing where it has ended
            killed = ingest.wait(10) == -signal.SIGKILL
            if not killed:
                self._run_seconds *= 0.7  # it was quicker
        elif name == "server":
            self.served.process.kill()
            killed = self.served.process.wait(10) == -signal.SIGKILL
            assert killed, "the server ended by itself"
        else:
            killed = psutil.Process(alive[name]).status() != psutil.STATUS_ZOMBIE
            os.kill(alive[name], signal.SIGKILL)
        self.killed[name] += killed
        return killed

    def _goes_on(self, name: str, before: dict[int, Parts], ingest: subprocess.Popen[str]) -> None:
        wanted = self._notes.rows
        output, _ = ingest.communicate(timeout=120)
        if name == "server":
            self._serve()
            for onlooker in self._onlookers:
                onlooker.comes(self.served)
        told = f"after the kill of {name}"
        book = held(self._book)
        assert all(parts in (before.get(note), wanted.get(note)) for note, parts in book.items()), told
        assert before.keys() & wanted.keys() <= book.keys(), told
        assert sum(book.get(note) == parts for note, parts in wanted.items()) >= acknowledged(output), told
        if ingest.returncode != 0:
            again = self._product.run("ingest", "sync")
            assert again.returncode == 0, f"{told}: {again.stderr}"
        assert held(self._book) == wanted, told
        self.nearest_are_right()
        assert self.faults() == [], f"{told}: {self.faults()}"

    def nearest_are_right(self) -> None:
        """Vectors alone find what an exact look at the book finds."""
        # One by one, as the search does it: in company a text's vector may differ in its last digits.
        asked = [self.served.client.embeddings.create(model="default", input=[text]).data[0].embedding for text in ASKED_AT_ALL]
        rows = self._vectors("c.text")
        scores = np.stack([np.frombuffer(vector, "<f4") for _, vector in rows]) @ np.array(asked).T
        for question, of_question in zip(ASKED_AT_ALL, scores.T, strict=True):
            told = {mark(text): score for (text, _), score in zip(rows, of_question, strict=True)}
            found = [mark(text) for _, text in searched(self.served, question, 10)]
            assert len(found) == len(set(found)) == 10, f"{question}: {found}"
            # As good as equal ones may stand for each other.
            assert np.allclose(sorted(told[one] for one in found), sorted(of_question)[-10:], atol=1e-4), question

    def _vectors(self, column: str) -> list[tuple[str, bytes]]:
        with closing(looking(self._book)) as book:
            return book.execute(f"SELECT {column}, v.vector FROM chunks c JOIN vectors v ON v.text_hash = c.text_hash").fetchall()

    def ends(self) -> None:
        """What Chroma holds at the end is what the book holds, and an index that is made anew from the book finds the same."""
        assert self.served.drained(), "the index follows the book"
        until = time.monotonic() + 20
        while len(directories := [*self._index.glob("s*-g*-*")]) > 1 and time.monotonic() < until:
            time.sleep(0.1)  # one that was given up goes half a second after the new one is there
        assert self.served.drained(), "the index follows the book in the one that is left"
        worker = psutil.Process(self._alive(self.served.process)["index worker"])
        worker.kill()
        worker.wait(10)
        (directory,) = directories
        left = directory.rename(self._product.home / directory.name)
        rows = [(int(pk), vector) for pk, vector in self._vectors("c.pk")]
        assert sound(left, rows, timeout=100), "each chunk is found by itself"
        chroma = ChromaIndex(left)
        assert sorted(chroma.pks()) == sorted(pk for pk, _ in rows), "Chroma holds the book's chunks"
        chroma.close()
        # Beside the new index, while it is made, and out of it. Two that are as good as equal may change places: a question's
        # vector differs in its last digits with what else is embedded.
        self.nearest_are_right()
        assert self.served.drained(), "the new index follows the book"
        self.nearest_are_right()
        assert self.faults() == [], self.faults()

    def faults(self) -> list[str]:
        """What the onlookers have seen that must not be."""
        return [fault for onlooker in self._onlookers for fault in onlooker.faults]

    def __str__(self) -> str:
        answers, overtaken = (sum(getattr(one, name) for one in self._onlookers) for name in ("answers", "overtaken"))
        kills = ", ".join(f"{name} {count}" for name, count in sorted(self.killed.items()))
        return (
            f"{self.kills} kills in {self.moments} moments: {kills}; {self.while_chroma_writes} of them in {self.windows} windows"
            f" in which Chroma wrote; {answers} answers, {overtaken} of them about a note that changed meanwhile"
        )


def acknowledged(output: str) -> int:
    """How many documents a run had confirmed when it ended."""
    events = [json.loads(line) for line in output.splitlines() if line.endswith("}")]
    return max((event["documents"] for event in events if event.get("event") == "committed"), default=0)


@contextmanager
def told(folder: Path, table: psycopg.Connection, minilm: InstalledModel, seed: int) -> Iterator[Story]:
    """A store filled from the table, its server, and the onlookers."""
    chance, product = random.Random(seed), Product(folder / "home", folder / "models")
    (folder / "models").mkdir()
    quick_embedder(minilm, folder / "models")
    (product.home / "config.yaml").write_text("ingest: {chunk_tokens: 40, chunk_overlap: 0}\n")
    with ExitStack() as stack:
        story = Story(product, Notes(table, chance), chance, stack)
        story.begin(table.info.dsn)
        yield story
