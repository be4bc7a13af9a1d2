"""The search of one store: words and vectors at once, fused, with the passages and how far they speak about the question.

The order of things: the question's words and vector -> each leg's best chunks, already limited to what the asker may see
-> one ranking -> passages from the book -> relevance. A leg that fails is named in the result and the other one answers.
"""

from __future__ import annotations

import asyncio
import logging
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from app.core.errors import BadRequest, CallerError, NotReady, StoreNotFound, foreign
from app.core.fusion import fuse
from app.core.records import Context, SearchQuery, SearchResult, StoreInfo
from ingest.index.book_view import Generation
from ingest.index.contract import GenerationChanged, VectorSearch
from ingest.search.judge import Judge
from ingest.search.questions import QuestionEmbedder
from ingest.search.reader import Reader, Readers
from ingest.search.relevance import Term, legibility
from ingest.search.visible import Restriction, restriction

if TYPE_CHECKING:
    from models.embedder import TokenCounter

log = logging.getLogger(__name__)

DEPTH = 50
"""Chunks that each leg brings to the fusion."""
MOST = 200
"""Passages that one search can return."""
_TRIES = 3
"""Of a search that the book overtakes: its store gets another generation, or documents come, change or go meanwhile."""
DENSE_WEIGHT = 0.5
"""The vector leg's say beside the full-text leg's 1, where the embedder can read the question. See the README for how it was chosen."""


class _Ask(msgspec.Struct, frozen=True):
    """A question with what both legs need."""

    store: str
    store_id: int
    generation: Generation | None
    moment: int
    text: str
    terms: list[Term]
    depth: int
    limit: int
    allowed: Restriction | None
    counter: Any
    trust: float


class _Near(msgspec.Struct, frozen=True):
    """What the vector leg brings: the question's vector, and the nearest chunks."""

    vector: bytes = b""
    pks: tuple[int, ...] = ()


class Searcher:
    """Searches the stores of one book, for any number of callers at once.

    `counter` is the embedder's tokenizer, or gives it for the fingerprint of what a store was filled with: with it, the vector leg is
    trusted only as far as the embedder can read the question's script; without it, always.
    """

    def __init__(
        self,
        book: Path,
        embedder: QuestionEmbedder | None,
        vectors: VectorSearch,
        counter: TokenCounter | Callable[[str], TokenCounter | None] | None = None,
    ) -> None:
        self._readers, self._embedder, self._vectors, self._counter = Readers(book), embedder, vectors, counter
        self._backgrounds: dict[str, tuple[int, array[float]]] = {}

    async def search(self, store: str, query: SearchQuery, context: Context) -> SearchResult:
        """Passages that the principal may read, best first. BadRequest for an empty question, StoreNotFound names the nearest."""
        if not query.text.strip():
            raise BadRequest("The question is empty.", hint="Write what you want to know.", param="query")
        if not 1 <= query.limit <= MOST:
            raise BadRequest(f"The number of results must be between 1 and {MOST}.", param="limit")
        allowed = restriction(query.filters, context.principal)
        made: dict[str, bytes] = {}
        tries = _TRIES
        while True:
            tries -= 1
            ask = await asyncio.to_thread(self._prepare, store, query, allowed)
            words, near = await asyncio.gather(asyncio.to_thread(self._full_text, ask), self._dense(ask, made), return_exceptions=True)
            # The store was embedded anew while the question was: it is asked again in the new way.
            if tries and isinstance(near, GenerationChanged):
                continue
            result, changed = await self._merged(ask, words, near)
            # Each leg has looked at its own moment. Of a document that was replaced meanwhile they have found chunks that are no more,
            # and of a new one perhaps some: it must be neither missing nor half there.
            if not (tries and changed):
                return result

    async def _merged(self, ask: _Ask, words: list[int] | BaseException, near: _Near | BaseException) -> tuple[SearchResult, bool]:
        """The answer of both legs, and whether the book has changed since the question. NotReady where both failed."""
        failed: dict[str, str] = {}
        if isinstance(words, BaseException):
            failed["full text"] = _reason(words)
            words = []
        if isinstance(near, BaseException):
            failed["vectors"] = _reason(near)
            near = _Near()
        if len(failed) == 2:
            raise NotReady(f"The search failed: {failed['full text']} {failed['vectors']}")
        ranked = fuse([(1.0, words), (DENSE_WEIGHT * ask.trust, near.pks)])[: ask.limit]
        return await asyncio.to_thread(self._result, ask, near.vector, ranked, failed)

    async def stores(self) -> list[StoreInfo]:
        """Every store; none where nothing was ever ingested."""
        return await asyncio.to_thread(self._stores)

    def close(self) -> None:
        """Let go of the book."""
        self._readers.close()

    def _stores(self) -> list[StoreInfo]:
        try:
            with self._readers.reader() as reader:
                return reader.stores()
        except StoreNotFound:
            return []

    def _prepare(self, store: str, query: SearchQuery, allowed: Restriction | None) -> _Ask:
        depth = max(DEPTH, query.limit)
        with self._readers.reader() as reader, reader.snapshot():
            id, generation, terms = reader.store_id(store), reader.generation(store), reader.full_text.terms(query.text)
            moment = reader.moment()
        counter = self._counter
        if callable(counter):
            counter = counter(generation.fingerprint) if generation is not None else None
        trust = 1.0 if counter is None else legibility(query.text, counter.offsets(query.text))
        return _Ask(store, id, generation, moment, query.text, terms, depth, query.limit, allowed, counter, trust)

    def _full_text(self, ask: _Ask) -> list[int]:
        with self._readers.reader() as reader, reader.snapshot():
            return [pk for pk, _ in reader.full_text.search(ask.terms, ask.store_id, ask.depth, ask.allowed)]

    async def _dense(self, ask: _Ask, made: dict[str, bytes]) -> _Near:
        """Nothing where the embedder can't read the question: noise must not speak.

        `made`: the question's vectors by the fingerprints of their embedders; a search that is tried again embeds nothing again.
        """
        if ask.trust == 0.0 or ask.generation is None:
            return _Near()
        if self._embedder is None:
            raise NotReady("No embedder is installed.", hint="`ondol models pull` gets one.")
        embedder = ask.generation.fingerprint
        if embedder not in made:
            made[embedder], _ = await self._embedder.vectors_bytes([ask.text], "query", fingerprint=embedder)
        vector = made[embedder]
        hits = await self._vectors.query(ask.store, vector, ask.depth, ask.allowed, generation=ask.generation.identity)
        return _Near(vector, tuple(pk for pk, _ in hits))

    def _result(self, ask: _Ask, vector: bytes, ranked: list[tuple[int, float]], failed: dict[str, str]) -> tuple[SearchResult, bool]:
        with self._readers.reader() as reader, reader.snapshot():
            by_pk = reader.found(ask.store, ask.generation, [pk for pk, _ in ranked])
            found = [(by_pk[pk], score) for pk, score in ranked if pk in by_pk]
            judge = Judge(ask.text, ask.terms, reader.chunks(), vector, self._background(reader, ask, vector), ask.trust, ask.counter)
            spoken = judge.passages([one for one, _ in found], reader.words)
            changed = reader.moment() != ask.moment
        passages = tuple(
            msgspec.structs.replace(one.passage, score=score, relevance=value) for (one, score), value in zip(found, spoken, strict=True)
        )
        return SearchResult(passages, trust=ask.trust, relevance=max(spoken, default=0.0), failed=failed), changed

    def _background(self, reader: Reader, ask: _Ask, vector: bytes) -> array[float]:
        """The store's mean vector, taken again when the store has doubled or halved."""
        if not vector or ask.generation is None:
            return array("f")
        chunks = reader.chunks()
        then, mean = self._backgrounds.get(ask.generation.identity, (0, array("f")))
        if not then or not then / 2 <= chunks <= then * 2:
            mean = reader.background(ask.generation)
            self._backgrounds[ask.generation.identity] = (chunks, mean)
        return mean


def _reason(error: BaseException) -> str:
    """The leg's failure in words; an error of the caller (and a cancelled task) is no failure of the leg."""
    if isinstance(error, CallerError) or not isinstance(error, Exception):
        raise error
    known = foreign(error)
    # The result names it to whoever asked; the log needs more only where it was not foreseen.
    log.log(
        logging.INFO if known is error else logging.WARNING,
        "a leg of the search failed: %s",
        known,
        exc_info=error if known is not error else None,
    )
    return str(known)
