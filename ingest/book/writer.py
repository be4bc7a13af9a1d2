"""The one writer of a store: each method is one transaction, and what it returned from is on the disk.

A killed process leaves the book at the last transaction: no half document, nothing twice. The lock file of the store
keeps a second writer waiting; SQLite's own lock orders the writers of different stores.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, delete, insert, select, update

from app.core.errors import BadRequest, Conflict
from app.core.locks import FileLock
from app.core.names import composed
from app.core.paths import Home
from ingest.book import content, held, source_rows
from ingest.book.content import Batch, Place, Ready, slices
from ingest.book.engine import translated, writing
from ingest.book.held import Held
from ingest.book.queries import no_such_store
from ingest.book.schema import chunks, generations, outbox, sources, stores, vectors
from ingest.book.source_rows import FailedBefore
from ingest.documents import Failed
from ingest.keeping.schedule import Schedule

__all__ = ["Batch", "Generation", "Ready", "SourceRow", "Writer", "open_writer", "prune_outbox"]

_NAME = re.compile(r"\w(?:[\w.\- ]{0,62}\w)?")


@dataclass(frozen=True)
class Generation:
    """The store's current way to embed."""

    id: int
    model: str
    fingerprint: str
    dimensions: int


@dataclass(frozen=True)
class SourceRow:
    """A source as the book remembers it."""

    id: int
    kind: str
    name: str
    spec: dict[str, Any]
    state: dict[str, Any]


@contextlib.contextmanager
def open_writer(
    home: Home, store: str, *, create: bool = True, on_wait: Callable[[str], None] | None = None, wait: bool = True
) -> Iterator[Writer]:
    """The writer of one store; waits (and says so through `on_wait`) while another process writes it, or raises Conflict at once.

    BadRequest for a name that can't be one; StoreNotFound where `create` is off and there is no such store.
    """
    store = composed(store)
    if not _NAME.fullmatch(store):
        raise BadRequest(f"\"{store}\" can't be a store's name.", hint="Use letters, digits, dots and dashes, at most 64.", param="store")
    lock = FileLock(home.locks / f"store-{store}.lock", who=f"a run of ingest into {store}", on_wait=on_wait, wait=None if wait else 0)
    with lock, writing(home) as engine:
        yield Writer(engine, store, create=create)


class Writer:
    """Writes one store of the book. Made by `open_writer`, which holds the store's lock for its whole life."""

    def __init__(self, engine: Engine, store: str, *, create: bool, clock: Callable[[], float] = time.time) -> None:
        self._engine, self._clock, self.store = engine, clock, store
        with self._change() as connection:
            found = connection.execute(select(stores.c.id).where(stores.c.name == store)).scalar()
            if found is None and not create:
                raise no_such_store(connection, store)
            if found is None:
                found = connection.execute(insert(stores).values(name=store, created_at=clock()).returning(stores.c.id)).scalar_one()
            self.store_id = int(found)
        self.generation: Generation | None = None
        self.look_again()

    @contextlib.contextmanager
    def _change(self) -> Iterator[Connection]:
        with translated(), self._engine.begin() as connection:
            yield connection

    @contextlib.contextmanager
    def _look(self) -> Iterator[Connection]:
        with translated(), self._engine.connect() as connection:
            yield connection

    @property
    def engine(self) -> Engine:
        """The book, open for writing as long as this writer."""
        return self._engine

    def look_again(self) -> None:
        """The current generation, after it was swapped under this writer's lock."""
        with self._look() as connection:
            row = connection.execute(
                select(generations).where(generations.c.store_id == self.store_id, generations.c.state == "current")
            ).first()
        self.generation = Generation(row.id, row.model, row.fingerprint, row.dimensions) if row else None

    def use_generation(self, model: str, fingerprint: str, dimensions: int) -> Generation:
        """The current generation, begun where the store has none or is empty. Conflict: it was filled by another embedder."""
        if self.generation and self.generation.fingerprint == fingerprint:
            return self.generation
        with self._change() as connection:
            filled = connection.execute(select(chunks.c.pk).where(chunks.c.store_id == self.store_id).limit(1)).first()
            if self.generation and filled:
                raise Conflict(
                    f'The store "{self.store}" was filled with the embedder {self.generation.model}, and the one in use now is {model} '
                    f"(or the same in another precision): their vectors can't be compared.",
                    hint="`ondol ingest sync` embeds the store anew; or choose the old embedder again.",
                )
            if self.generation:
                connection.execute(delete(outbox).where(outbox.c.generation_id == self.generation.id))
                connection.execute(delete(generations).where(generations.c.id == self.generation.id))
            values = {"model": model, "fingerprint": fingerprint, "dimensions": dimensions, "state": "current", "created_at": self._clock()}
            id = connection.execute(insert(generations).values(store_id=self.store_id, **values).returning(generations.c.id)).scalar_one()
        self.generation = Generation(id, model, fingerprint, dimensions)
        return self.generation

    def prune_outbox(self, up_to_seq: int) -> int:
        """Remove what the index has passed of the current generation; how many rows there were."""
        return prune_outbox(self._engine, self.generation.id, up_to_seq) if self.generation and up_to_seq else 0

    def sources(self) -> list[SourceRow]:
        """The store's sources, oldest first."""
        with self._look() as connection:
            rows = connection.execute(select(sources).where(sources.c.store_id == self.store_id).order_by(sources.c.id))
            return [SourceRow(row.id, row.kind, row.name, row.spec, row.state) for row in rows]

    def specs_everywhere(self, kind: str) -> list[dict[str, Any]]:
        """The specs of all stores' sources of a kind: what they share must outlive one of them."""
        with self._look() as connection:
            return list(connection.execute(select(sources.c.spec).where(sources.c.kind == kind)).scalars())

    def source(self, kind: str, name: str, spec: Mapping[str, Any]) -> SourceRow:
        """The source of this kind and name, made or given the new spec, and marked as being run by this process."""
        with self._change() as connection:
            row = source_rows.begin(connection, self.store_id, kind, name, spec, self._clock())
        return SourceRow(row.id, row.kind, row.name, row.spec, row.state)

    def finish(self, source_id: int, summary: Mapping[str, Any], state: Mapping[str, Any]) -> None:
        """Remember how a run ended and what its rule must know next time."""
        with self._change() as connection:
            source_rows.finish(connection, source_id, summary, state, self._clock())

    def schedule(self, source_id: int, chosen: Schedule | None) -> None:
        """When the source is read again by itself; None: never."""
        with self._change() as connection:
            source_rows.schedule(connection, source_id, chosen)

    def remember(self, source_id: int, state: Mapping[str, Any]) -> None:
        """Change what a source's rule must know next time."""
        with self._change() as connection:
            connection.execute(update(sources).where(sources.c.id == source_id).values(state=dict(state)))

    def respec(self, source_id: int, spec: Mapping[str, Any]) -> None:
        """Change what is needed to run a source again."""
        with self._change() as connection:
            connection.execute(update(sources).where(sources.c.id == source_id).values(spec=dict(spec)))

    def find(self, ids: Sequence[str]) -> dict[str, Held]:
        """Those of the ids that the store holds."""
        with self._look() as connection:
            return held.find(connection, self.store_id, ids)

    def documents_of(self, source_id: int) -> int:
        """How many documents a source has brought."""
        with self._look() as connection:
            return held.count(connection, source_id)

    def page_of(self, source_id: int, after: int) -> list[tuple[int, str]]:
        """(pk, id) of a source's next documents behind the pk `after`; empty at the end."""
        with self._look() as connection:
            return held.page(connection, source_id, after)

    def ids(self) -> Iterator[str]:
        """The ids of all documents, in their order."""
        some = [""]
        while some:
            with self._look() as connection:
                some = held.ids_page(connection, self.store_id, some[-1])
            yield from some

    def without_vector(self, hashes: Collection[str]) -> set[str]:
        """Those of the hashes whose text must still be embedded in the current generation."""
        assert self.generation is not None
        missing = set(hashes)
        with self._look() as connection:
            for some in slices(sorted(missing)):
                query = select(vectors.c.text_hash).where(vectors.c.generation_id == self.generation.id, vectors.c.text_hash.in_(some))
                missing -= set(connection.execute(query).scalars())
        return missing

    def commit(self, batch: Batch) -> int:
        """Put documents, each with all its chunks in place of its old ones, and take out what they replace; how many that were."""
        with self._change() as connection:
            content.put(connection, self._place(), batch)
            return content.remove(connection, self._place(), batch.gone) if batch.gone else 0

    def delete(self, ids: Collection[str]) -> int:
        """Take documents out with all that belongs to them; how many there were."""
        with self._change() as connection:
            return content.remove(connection, self._place(), ids)

    def keep_vectors(self, made: Mapping[str, bytes]) -> None:
        """Vectors of a document so long that its chunks come later: an interrupted run finds them and goes on from there."""
        with self._change() as connection:
            content.put_vectors(connection, self._place(), made)

    def drop_unused_vectors(self) -> None:
        """Remove vectors kept for documents that never came."""
        if self.generation is not None:
            with self._change() as connection:
                content.drop_unused_vectors(connection, self._place())

    def _place(self) -> Place:
        assert self.generation is not None, "documents come after use_generation"
        return Place(self.store_id, self.generation.id, self._clock())

    def failed_before(self, source_id: int) -> dict[str, FailedBefore]:
        """The source's items that could not be read, by their names."""
        with self._look() as connection:
            return source_rows.failed_before(connection, source_id)

    def record_failures(
        self,
        source_id: int,
        failed: Sequence[Failed],
        *,
        complete: bool,
        versions: Mapping[str, str] | None = None,
        untried: Collection[str] = (),
    ) -> None:
        """Count the attempts of items that failed; a `complete` run forgets those that did not come back, but for the `untried`."""
        with self._change() as connection:
            source_rows.record_failures(
                connection, source_id, failed, self._clock(), complete=complete, versions=versions or {}, untried=untried
            )

    def forget_source(self, source_id: int) -> None:
        """Take a source itself out; its documents must be gone already."""
        with self._change() as connection:
            connection.execute(delete(sources).where(sources.c.id == source_id))

    def forget_store(self) -> None:
        """Take the empty store out, with its generation. The index worker drops what it no longer finds here."""
        with self._change() as connection:
            mine = select(generations.c.id).where(generations.c.store_id == self.store_id)
            connection.execute(delete(outbox).where(outbox.c.generation_id.in_(mine)))
            connection.execute(delete(stores).where(stores.c.id == self.store_id))


def prune_outbox(engine: Engine, generation_id: int, up_to_seq: int) -> int:
    """Remove the rows that the index has passed; how many there were. `seq` goes on growing from where it was."""
    with translated(), engine.begin() as connection:
        passed = delete(outbox).where(outbox.c.generation_id == generation_id, outbox.c.seq <= up_to_seq)
        return int(connection.execute(passed).rowcount)
