"""A search while ingest writes: what a leg found may be replaced before its text is read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from shelf import EMBEDDER, Shelf, home_in, shelf, some_texts

from app.core.paths import Home
from app.core.records import Context, SearchQuery
from ingest.index.exact import ExactVectors
from ingest.search.hybrid import Searcher
from ingest.search.questions import LocalQuestions
from ingest.search.visible import Restriction
from models.hash_embedder import WordCounter

OWNER = Context()
QUESTION = "연차휴가 규정"


class Overtaken:
    """A vector leg during whose work the document is replaced, so many times in all."""

    def __init__(self, home: Home, books: Shelf, times: int) -> None:
        self._exact, self._books, self._times = ExactVectors(home), books, times
        self.asked = 0

    async def query(
        self, store: str, vector: bytes, limit: int, allowed: Restriction | None = None, *, generation: str = ""
    ) -> list[tuple[int, float]]:
        found = await self._exact.query(store, vector, limit, allowed, generation=generation)
        self.asked += 1
        if self.asked <= self._times:
            self._books.put({"leave": f"{QUESTION} {self.asked}판"})
        return found


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return home_in(tmp_path)


async def test_a_document_that_is_replaced_while_it_is_searched_is_found_as_it_is_now(home: Home) -> None:
    with shelf(home) as books:
        books.put({**some_texts(60), "leave": f"{QUESTION} 0판"})
        leg = Overtaken(home, books, 1)
        found = await Searcher(home.book, LocalQuestions(EMBEDDER), leg, WordCounter()).search("things", SearchQuery(QUESTION, 5), OWNER)
    assert [passage.text for passage in found.passages if passage.document_id == "leave"] == [f"{QUESTION} 1판"]
    assert leg.asked == 2


async def test_a_search_that_is_overtaken_each_time_ends_all_the_same_with_what_stands(home: Home) -> None:
    with shelf(home) as books:
        books.put({**some_texts(60), "leave": f"{QUESTION} 0판"})
        leg = Overtaken(home, books, 99)
        found = await Searcher(home.book, LocalQuestions(EMBEDDER), leg, WordCounter()).search("things", SearchQuery(QUESTION, 5), OWNER)
    assert len(found.passages) == 4
    assert "leave" not in [passage.document_id for passage in found.passages]
    assert leg.asked == 3


class Counted(LocalQuestions):
    """Counts the texts that it embeds."""

    count = 0

    async def vectors_bytes(self, texts: Sequence[str], kind: str, *, fingerprint: str = "") -> tuple[bytes, int]:
        self.count += len(texts)
        return await super().vectors_bytes(texts, kind, fingerprint=fingerprint)


async def test_a_search_that_is_tried_again_embeds_its_question_once(home: Home) -> None:
    with shelf(home) as books:
        books.put({**some_texts(60), "leave": f"{QUESTION} 0판"})
        leg, questions = Overtaken(home, books, 99), Counted(EMBEDDER)
        await Searcher(home.book, questions, leg, WordCounter()).search("things", SearchQuery(QUESTION, 5), OWNER)
    assert (leg.asked, questions.count) == (3, 1)
