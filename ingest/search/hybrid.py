"""The search of one store: words and vectors at once, fused, with the passages and how far they speak about the question.

The order of things: the question's words and vector -> each leg's best chunks, already limited to what the asker may see
-> one ranking -> passages from the book -> relevance. A leg that fails is named in the result and the other one answers.
"""

from __future__ import annotations

import asyncio
import logging
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from app.core.errors import BadRequest, CallerError, NotReady, StoreNotFound, foreign
from app.core.fusion import fuse
from app.core.names import composed
from app.core.records import Context, SearchQuery, SearchResult, StoreInfo
from ingest.index.book_view import Generation
from ingest.index.contract import GenerationChanged, VectorSearch
from ingest.search.judge import Judge
from ingest.search.questions import QuestionEmbedder
from ingest.search.reader import Moment, Reader, Readers
from ingest.search.relevance import Term, legibility
from ingest.search.visible import Restriction, restriction

if TYPE_CHECKING:
    from models.embedder import TokenCounter

log = logging.getLogger(__name__)

DEPTH = 50
"""Chunks that each leg brings to the fusion."""
MOST = 200
"""Passages that one search can return."""
LONGEST = 10_000
"""Characters of a question that are looked at; what follows in a pasted page is not asked."""
_TRIES = 3
"""Of a search that its store overtakes: it gets another generation, or documents come, change or go meanwhile."""
DENSE_WEIGHT = 0.5
"""The vector leg's say beside the full-text leg's 1, where the embedder can read the question. See the README for how it was chosen."""


class _Ask(msgspec.Struct, frozen=True):
    """A question with what both legs need."""

    store: str
    store_id: int
    moment: Moment
    text: str
    terms: list[Term]
    depth: int
    limit: int
    allowed: Restriction | None
    counter: Any
    trust: float

    @property
    def generation(self) -> Generation | None:
        """How the store was embedded when the question came; None: not at all."""
        return self.moment.generation

    @property
    def embedder(self) -> str:
        """The fingerprint of what embeds the question; "" where vectors have no say: it can't be read by it, or the store has none."""
        return self.generation.fingerprint if self.generation is not None and self.trust else ""


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
        return (await self.search_all(store, [query], context))[0]

    async def search_all(self, store: str, queries: Sequence[SearchQuery], context: Context) -> list[SearchResult]:
        """The same for several questions, all answered from one moment of the store."""
        store, allowed = composed(store), [_checked(query, context) for query in queries]
        queries = [msgspec.structs.replace(query, text=_asked(query.text)) for query in queries]
        made: dict[tuple[str, str], bytes] = {}
        tries = _TRIES
        while True:
            tries -= 1
            asks = await asyncio.to_thread(self._prepare, store, queries, allowed)
            # Each leg looks at a moment of its own; the last time words are looked up with the passages, so that at least those are of one.
            by_words = asyncio.to_thread(self._full_text, asks) if tries else asyncio.sleep(0)
            words, near = await asyncio.gather(by_words, self._dense(asks, made), return_exceptions=True)
            # The store was embedded anew while the questions were: they are asked again in the new way.
            if tries and isinstance(near, GenerationChanged):
                continue
            results, changed = await self._merged(asks, words, near)
            # Of a document that was replaced meanwhile the legs have found chunks that are no more, and of a new one perhaps some:
            # it must be neither missing nor half there, nor differ from one answer to the next.
            if not (tries and changed):
                return results

    async def _merged(
        self, asks: list[_Ask], words: list[list[int]] | BaseException | None, near: list[_Near] | BaseException
    ) -> tuple[list[SearchResult], bool]:
        """The answers of both legs, and whether the store has changed since the questions. NotReady where both failed."""
        failed: dict[str, str] = {}
        if isinstance(words, BaseException):
            failed["full text"] = _reason(words)
            words = [[] for _ in asks]
        if isinstance(near, BaseException):
            failed["vectors"] = _reason(near)
            near = [_Near() for _ in asks]
        if len(failed) == 2:
            raise NotReady(f"The search failed: {failed['full text']} {failed['vectors']}")
        return await asyncio.to_thread(self._results, asks, words, near, failed)

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

    def _prepare(self, store: str, queries: Sequence[SearchQuery], allowed: list[Restriction | None]) -> list[_Ask]:
        with self._readers.reader() as reader, reader.snapshot():
            id, moment = reader.store_id(store), reader.moment(store)
            terms = [reader.full_text.terms(query.text) for query in queries]
        counter = self._counter
        if callable(counter):
            counter = counter(moment.generation.fingerprint) if moment.generation is not None else None
        return [
            _Ask(
                *(store, id, moment, query.text, its),
                depth=max(DEPTH, query.limit),
                limit=query.limit,
                allowed=may,
                counter=counter,
                trust=1.0 if counter is None else legibility(query.text, counter.offsets(query.text)),
            )
            for query, its, may in zip(queries, terms, allowed, strict=True)
        ]

    def _full_text(self, asks: list[_Ask]) -> list[list[int]]:
        with self._readers.reader() as reader, reader.snapshot():
            return _by_words(reader, asks)

    async def _dense(self, asks: list[_Ask], made: dict[tuple[str, str], bytes]) -> list[_Near]:
        """Nothing for a question that the embedder can't read: noise must not speak.

        `made`: vectors by the fingerprint of their embedder and the question; a search that is tried again embeds nothing again.
        """
        await self._embed([ask for ask in asks if ask.embedder], made)
        return [await self._nearest(ask, made[ask.embedder, ask.text]) if ask.embedder else _Near() for ask in asks]

    async def _embed(self, asks: list[_Ask], made: dict[tuple[str, str], bytes]) -> None:
        missing = list(dict.fromkeys(ask.text for ask in asks if (ask.embedder, ask.text) not in made))
        if not missing:
            return
        if self._embedder is None:
            raise NotReady("No embedder is installed.", hint="`ondol models pull` gets one.")
        embedder = asks[0].embedder  # they are of one store, at one moment
        rows, dimensions = await self._embedder.vectors_bytes(missing, "query", fingerprint=embedder)
        made.update({(embedder, text): rows[at * dimensions * 4 :][: dimensions * 4] for at, text in enumerate(missing)})

    async def _nearest(self, ask: _Ask, vector: bytes) -> _Near:
        assert ask.generation is not None, "its question was embedded"
        hits = await self._vectors.query(ask.store, vector, ask.depth, ask.allowed, generation=ask.generation.identity)
        return _Near(vector, tuple(pk for pk, _ in hits))

    def _results(
        self, asks: list[_Ask], words: list[list[int]] | None, near: list[_Near], failed: dict[str, str]
    ) -> tuple[list[SearchResult], bool]:
        with self._readers.reader() as reader, reader.snapshot():
            words = _by_words(reader, asks) if words is None else words
            found = [self._result(reader, ask, its, close, failed) for ask, its, close in zip(asks, words, near, strict=True)]
            return found, reader.changed_since(asks[0].store, asks[0].moment)

    def _result(self, reader: Reader, ask: _Ask, words: list[int], near: _Near, failed: dict[str, str]) -> SearchResult:
        ranked = fuse([(1.0, words), (DENSE_WEIGHT * ask.trust, near.pks)])[: ask.limit]
        by_pk = reader.found(ask.store, ask.generation, [pk for pk, _ in ranked])
        found = [(by_pk[pk], score) for pk, score in ranked if pk in by_pk]
        judge = Judge(ask.text, ask.terms, reader.chunks(), near.vector, self._background(reader, ask, near.vector), ask.trust, ask.counter)
        spoken = judge.passages([one for one, _ in found], reader.words)
        passages = tuple(
            msgspec.structs.replace(one.passage, score=score, relevance=value) for (one, score), value in zip(found, spoken, strict=True)
        )
        return SearchResult(passages, trust=ask.trust, relevance=max(spoken, default=0.0), failed=failed)

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


def _by_words(reader: Reader, asks: list[_Ask]) -> list[list[int]]:
    return [[pk for pk, _ in reader.full_text.search(ask.terms, ask.store_id, ask.depth, ask.allowed)] for ask in asks]


def _checked(query: SearchQuery, context: Context) -> Restriction | None:
    """What the asker may see. BadRequest for a question that can't be one."""
    if not query.text.strip():
        raise BadRequest("The question is empty.", hint="Write what you want to know.", param="query")
    if not 1 <= query.limit <= MOST:
        raise BadRequest(f"The number of results must be between 1 and {MOST}.", param="limit")
    return restriction(query.filters, context.principal)


def _asked(text: str) -> str:
    """What is looked up of a question: not halves of letters, which neither leg could take, and no whole book."""
    return text.strip()[:LONGEST].encode("utf-8", "replace").decode()


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
