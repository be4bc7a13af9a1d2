"""A search while ingest writes: what a leg found may be replaced before its text is read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from shelf import EMBEDDER, Shelf, home_in, prune, shelf, some_texts
from shelf import generation as shelf_generation

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
    """A vector leg during whose work the document `leave` of these books is replaced, so many times in all."""

    def __init__(self, home: Home, books: Shelf, times: int, text: str = QUESTION) -> None:
        self._exact, self._books, self._times, self._text = ExactVectors(home), books, times, text
        self.asked = 0

    async def query(
        self, store: str, vector: bytes, limit: int, allowed: Restriction | None = None, *, generation: str = ""
    ) -> list[tuple[int, float]]:
        found = await self._exact.query(store, vector, limit, allowed, generation=generation)
        self.asked += 1
        if self.asked <= self._times:
            self._books.put({"leave": f"{self._text} {self.asked}판"})
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


async def test_a_search_that_is_overtaken_each_time_ends_with_what_stands_in_words_at_its_end(home: Home) -> None:
    with shelf(home) as books:
        books.put({**some_texts(60), "leave": "퇴직연금 0판"})
        leg = Overtaken(home, books, 99, "퇴직연금")
        found = await Searcher(home.book, LocalQuestions(EMBEDDER), leg, WordCounter()).search("things", SearchQuery("퇴직연금", 5), OWNER)
    assert found.passages[0].text == "퇴직연금 3판"
    assert leg.asked == 3


async def test_a_search_is_not_tried_again_for_what_happens_to_another_store(home: Home) -> None:
    with shelf(home) as books:
        books.put({**some_texts(60), "leave": f"{QUESTION} 0판"})
    with shelf(home, "busy") as others:
        others.put(some_texts(3))
        leg = Overtaken(home, others, 99)
        found = await Searcher(home.book, LocalQuestions(EMBEDDER), leg, WordCounter()).search("things", SearchQuery(QUESTION, 5), OWNER)
    assert [passage.text for passage in found.passages if passage.document_id == "leave"] == [f"{QUESTION} 0판"]
    assert leg.asked == 1


class Pruned(Overtaken):
    """The same, and the index has taken the change in: its row of the outbox is gone before the search looks for it."""

    def __init__(self, home: Home, books: Shelf, times: int) -> None:
        super().__init__(home, books, times)
        self._home = home

    async def query(
        self, store: str, vector: bytes, limit: int, allowed: Restriction | None = None, *, generation: str = ""
    ) -> list[tuple[int, float]]:
        found = await super().query(store, vector, limit, allowed, generation=generation)
        prune(self._home, shelf_generation(self._home).id, 10**9)
        return found


async def test_a_change_that_the_index_has_taken_in_already_is_noticed_too(home: Home) -> None:
    with shelf(home) as books:
        books.put({**some_texts(60), "leave": f"{QUESTION} 0판"})
        leg = Pruned(home, books, 1)
        found = await Searcher(home.book, LocalQuestions(EMBEDDER), leg, WordCounter()).search("things", SearchQuery(QUESTION, 5), OWNER)
    assert [passage.text for passage in found.passages if passage.document_id == "leave"] == [f"{QUESTION} 1판"]
    assert leg.asked == 2


async def test_questions_that_are_asked_together_are_answered_from_one_moment(home: Home) -> None:
    with shelf(home) as books:
        books.put({**some_texts(60), "leave": f"{QUESTION} 0판"})
        leg = Overtaken(home, books, 2)
        searcher = Searcher(home.book, LocalQuestions(EMBEDDER), leg, WordCounter())
        asked = [SearchQuery(QUESTION, 5), SearchQuery("규정", 7), SearchQuery(f"{QUESTION} 0판", 5)]
        found = await searcher.search_all("things", asked, OWNER)
    editions = [[passage.text for passage in one.passages if passage.document_id == "leave"] for one in found]
    assert editions == [[f"{QUESTION} 2판"]] * 3
    assert leg.asked == 6


async def test_each_of_several_questions_is_answered_as_if_it_were_asked_alone(home: Home) -> None:
    with shelf(home) as books:
        books.put(some_texts(200))
    searcher = Searcher(home.book, LocalQuestions(EMBEDDER), ExactVectors(home), WordCounter())
    asked = [SearchQuery("휴가 규정", 5), SearchQuery("scale price", 3), SearchQuery("휴가 규정", 9)]
    assert await searcher.search_all("things", asked, OWNER) == [await searcher.search("things", one, OWNER) for one in asked]


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


async def test_a_question_that_is_asked_twice_at_once_is_embedded_once(home: Home) -> None:
    with shelf(home) as books:
        books.put(some_texts(60))
    questions = Counted(EMBEDDER)
    asked = [SearchQuery("휴가 규정", 5), SearchQuery("scale price", 3), SearchQuery("휴가 규정", 2)]
    await Searcher(home.book, questions, ExactVectors(home), WordCounter()).search_all("things", asked, OWNER)
    assert questions.count == 2
