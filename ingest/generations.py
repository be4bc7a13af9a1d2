"""A store is embedded anew: beside the old vectors, which answer until the new ones are complete, and then in one step.

Nothing is read from files or databases for it: the book has every text. Vectors are kept as they are made, so a kill costs one
portion, and the next run goes on from there. Other runs write the store meanwhile, in its current way; what they changed is
embedded at the end, when the builder holds the store's lock and swaps.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import msgspec
from sqlalchemy import Connection, Engine

from app.core.errors import Conflict, NotFound, NotReady, OndolError, StoreNotFound
from app.core.locks import FileLock
from app.core.paths import Home
from ingest.book import generations, queries
from ingest.book.engine import open_book, translated, writing
from ingest.book.generations import BUILDING, CURRENT, LEFT, PREVIOUS, Stage
from ingest.book.schema import stores
from ingest.book.writer import Writer, open_writer
from ingest.chunking import embedded_text
from ingest.embedders import Tools
from ingest.embedding import embedded
from ingest.report import Event, OnEvent, Waiting
from models.embedder import Embedder

PORTION = 256
"""Texts that are embedded before they are kept."""
_WINDOW = 4 * PORTION


class Renewing(Event, frozen=True):
    """A store is being embedded anew: `done` of its `total` texts have their vectors. Its search is as it was until all have."""

    store: str
    model: str
    done: int
    total: int


class Renewed(Event, frozen=True):
    """The store is searched in the new way from now on; the way before is kept for one step back."""

    store: str
    model: str


class GenerationStatus(msgspec.Struct, frozen=True):
    """One generation of a store: `texts` of the store's `total` have their vectors in it."""

    store: str
    id: int
    model: str
    fingerprint: str
    state: str
    texts: int
    total: int


def statuses(home: Home, store: str | None = None) -> list[GenerationStatus]:
    """The generations of all stores, or of one. StoreNotFound names the nearest."""
    try:
        book = open_book(home.book)
    except StoreNotFound:
        if store is None:
            return []
        raise
    with book, book.read() as connection:
        known = connection.execute(stores.select().order_by(stores.c.name)).all()
        if store is not None:
            id = queries.store_id(connection, store)
            known = [row for row in known if row.id == id]
        return [
            GenerationStatus(
                row.name, stage.id, stage.model, stage.fingerprint, stage.state, *generations.count(connection, row.id, stage.id)
            )
            for row in known
            for stage in sorted(generations.stages(connection, row.id).values(), key=lambda stage: stage.id)
        ]


def prepare(writer: Writer, tools: Tools, on_event: OnEvent) -> None:
    """Before a run: a store that can't be written in its current way (its model is gone) is embedded anew at once, under its lock.

    An empty one begins with the embedder in use.
    """
    wanted = tools.fingerprints()
    if wanted is None or writer.generation is None or writer.generation.fingerprint in wanted:
        return
    with translated(), writer.engine.begin() as connection:
        empty = generations.empty(connection, writer.store_id)
        if empty:
            generations.drop(connection, writer.store_id, CURRENT)
    if empty:
        writer.look_again()
    elif tools.older(writer.generation.fingerprint) is None:
        _finish(_Build(writer.engine, writer.store_id, writer.store, tools.embedder(), on_event))
        writer.look_again()


def renew(home: Home, store: str, tools: Tools, on_event: OnEvent) -> bool:
    """After a run: embed the store anew where it was filled by another embedder than the one in use. Whether it was swapped.

    `store`: its name as it stands in the book. One process does it at a time; a second leaves it to the first. What the owner
    stepped back from is not begun again.
    """
    wanted = tools.fingerprints()
    if wanted is None or not home.book.exists():
        return False
    with writing(home) as engine:
        with translated(), engine.begin() as connection:
            id = connection.execute(stores.select().where(stores.c.name == store)).scalar()
            found = generations.stages(connection, id) if id is not None else {}
            if not _to_build(found, wanted):
                if BUILDING in found:
                    generations.drop(connection, id or 0, BUILDING)
                return False
        with ExitStack() as held:
            try:
                held.enter_context(FileLock(home.locks / f"renew-{store}.lock", wait=0, who=f"embedding {store} anew"))
            except Conflict:
                return False
            try:
                build = _Build(engine, id or 0, store, tools.embedder(), on_event)
                build.fill()
                with open_writer(home, store, create=False, on_wait=lambda holder: on_event(Waiting(store, holder))):
                    return _finish(build)
            except StoreNotFound:  # forgotten meanwhile, or built by a run that could not wait
                return False


def step_back(home: Home, store: str, tools: Tools, on_event: OnEvent) -> Stage:
    """Search the store as before the last change of its embedder. What came since is embedded in that way first.

    NotFound: there is no step back. NotReady: the model of that time is not installed. A second step back undoes the first.
    """
    with open_writer(home, store, create=False, on_wait=lambda holder: on_event(Waiting(store, holder))) as writer:
        engine = writer.engine
        with translated(), engine.begin() as connection:
            found = generations.stages(connection, writer.store_id)
        target = found.get(PREVIOUS) or found.get(LEFT)
        if target is None:
            raise NotFound(f'The store "{store}" has no earlier generation.', hint="One is kept when the embedding model changes.")
        in_use = target.fingerprint in (tools.fingerprints() or ())
        embedder = tools.embedder() if in_use else tools.older(target.fingerprint)
        if embedder is None:
            raise NotReady(
                f"{target.model}, which the earlier generation was made with, is not installed.", hint=f"Pull {target.model} again first."
            )
        build = _Build(engine, writer.store_id, store, embedder, on_event, target)
        build.fill()
        with translated(), engine.begin() as connection:
            generations.swap(connection, writer.store_id, target.id, time.time(), back=True)
        on_event(Renewed(store, target.model))
        return target


def _to_build(found: dict[str, Stage], wanted: frozenset[str]) -> bool:
    current, left = found.get(CURRENT), found.get(LEFT)
    return current is not None and current.fingerprint not in wanted and not (left is not None and left.fingerprint in wanted)


def _finish(build: _Build) -> bool:
    """Under the store's lock: what came meanwhile, then the swap."""
    build.fill()
    if build.swapped():
        build.tell(Renewed(build.store, build.stage.model))
        return True
    raise OndolError(f'The store "{build.store}" could not be embedded anew: some of its texts have no vector.', hint="Run it again.")


class _Build:
    """The filling of one generation, begun or gone on with."""

    def __init__(
        self, engine: Engine, store_id: int, store: str, embedder: Embedder, on_event: Callable[[Event], None], stage: Stage | None = None
    ) -> None:
        self._engine, self._store_id, self.store, self._embedder, self.tell = engine, store_id, store, embedder, on_event
        info = embedder.info
        with self._change() as connection:
            self.stage = stage or generations.begin(connection, store_id, info.model, info.fingerprint, info.dimensions, time.time())

    @contextmanager
    def _change(self) -> Iterator[Connection]:
        with translated(), self._engine.begin() as connection:
            yield connection

    def fill(self) -> None:
        """Embed every text that has no vector in it yet, until a look over the whole store finds none."""
        with self._change() as connection:
            done, total = generations.count(connection, self._store_id, self.stage.id)
        after, found = 0, False
        while True:
            with translated(), self._engine.connect() as connection:
                some = generations.missing(connection, self._store_id, self.stage.id, after, _WINDOW)
            if not some and not found:
                return
            if not some:
                after, found = 0, False
                continue
            after, found = some[-1].pk, True
            texts = {one.text_hash: embedded_text(one.title, one.heading, one.text) for one in some}
            for made in embedded(self._embedder, texts, PORTION):
                with self._change() as connection:
                    if not generations.add(connection, self._store_id, self.stage.id, made, time.time()):
                        raise StoreNotFound(f'The store "{self.store}" was forgotten or embedded anew by another process meanwhile.')
                done += len(made)
                self.tell(Renewing(self.store, self.stage.model, min(done, total), total))

    def swapped(self) -> bool:
        """Whether it is the current generation from now on."""
        with self._change() as connection:
            current = generations.stages(connection, self._store_id).get(CURRENT)
            if current is not None and current.id == self.stage.id:
                return True  # another process has finished it
            return generations.swap(connection, self._store_id, self.stage.id, time.time())
