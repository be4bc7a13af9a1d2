from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence

import pytest

from app.api.shapes import annotation, source_event
from app.core.records import Context, Freshness, Generation, Message, Passage, SearchQuery, SearchResult
from app.pipeline.answer import Answerer
from app.pipeline.assistant import Assistant
from app.pipeline.freshness import Cited, Watch, told
from app.pipeline.gather import Wired
from app.pipeline.steps import Citation, Done, Source, Step, Text

LEAVE = Passage("leave#0", "leave", "Annual leave is 15 days.", "Leave", store="hr", relevance=0.9, score=0.9)
PAY = Passage("pay#0", "pay", "Payday is the 25th of each month.", "Pay", store="hr", relevance=0.8, score=0.8)


class Says:
    """Finds these things after so many seconds, one after the other."""

    def __init__(self, *parts: tuple[float, dict[Cited, Freshness]], fails: bool = False) -> None:
        self._parts, self._fails = parts, fails
        self.asked: list[Cited] = []
        self.closed = False

    async def look(self, documents: Sequence[Cited]) -> AsyncIterator[Mapping[Cited, Freshness]]:
        self.asked += documents
        try:
            for seconds, part in self._parts:
                await asyncio.sleep(seconds)
                yield part
            if self._fails:
                raise RuntimeError("broken")
        finally:
            self.closed = True


class Found:
    async def find(self, query: SearchQuery, context: Context) -> SearchResult:
        return SearchResult((LEAVE, PAY), relevance=0.9)

    async def close(self) -> None: ...


class Kept:
    def __init__(self) -> None:
        self.texts: list[str] = []

    def record(self, answer) -> None:
        self.texts.append(answer.text)


async def answered(checker: Says | None, question: str, *, sources: bool = True) -> tuple[list[Step], Kept]:
    ledger = Kept()
    assistant = Assistant("hr", "HR", None, sources={"hr": Wired(Found())}, style="quote", include_sources=sources)  # type: ignore[arg-type]
    request = Generation(messages=(Message("user", question),))
    steps = [step async for step in Answerer(None, ledger, checker, freshness_seconds=0.2).answer(assistant, request, Context())]
    return steps, ledger


async def test_the_answer_says_which_of_its_citations_have_changed_or_gone() -> None:
    checker = Says((0.0, {("hr", "leave"): "changed"}), (0.01, {("hr", "pay"): "deleted"}))
    steps, ledger = await answered(checker, "How long is annual leave, and when is payday?")
    assert checker.asked == [("hr", "leave"), ("hr", "pay")]
    done = steps[-1]
    assert isinstance(done, Done)
    assert {citation.passage.document_id: citation.freshness for citation in done.citations} == {"leave": "changed", "pay": "deleted"}
    numbers = {citation.passage.document_id: citation.number for citation in done.citations}
    text = "".join(step.text for step in steps if isinstance(step, Text))
    said = f"Changed since it was last read: [{numbers['leave']}].\nDeleted since it was last read: [{numbers['pay']}]."
    assert text.endswith(said)
    assert ledger.texts == [text]


async def test_a_korean_question_is_told_in_korean() -> None:
    steps, _ = await answered(Says((0.0, {("hr", "leave"): "changed", ("hr", "pay"): "deleted"})), "Annual leave: 연차 휴가는 며칠입니까?")
    text = "".join(step.text for step in steps if isinstance(step, Text))
    assert "마지막으로 읽은 뒤 내용이 바뀌었습니다: [" in text


async def test_the_text_is_there_before_a_slow_look_up_ends_and_the_end_waits_no_longer_than_the_deadline() -> None:
    checker = Says((30.0, {("hr", "leave"): "changed"}))
    steps, _ = await asyncio.wait_for(answered(checker, "How long is annual leave?"), 10)
    assert [step.freshness for step in steps if isinstance(step, Source)] == ["unknown"] * sum(isinstance(step, Source) for step in steps)
    assert {citation.freshness for citation in steps[-1].citations} == {"unknown"}
    await asyncio.sleep(0)
    assert checker.closed


async def test_a_look_up_that_fails_costs_the_answer_nothing_and_keeps_what_it_found() -> None:
    steps, _ = await answered(Says((0.0, {("hr", "leave"): "current"}), fails=True), "How long is annual leave?")
    assert {citation.freshness for citation in steps[-1].citations if citation.passage is LEAVE} == {"current"}


async def test_nothing_is_looked_up_where_no_source_is_shown() -> None:
    checker = Says((0.0, {("hr", "leave"): "changed"}))
    steps, _ = await answered(checker, "How long is annual leave?", sources=False)
    assert checker.asked == []
    assert "since it was last read" not in "".join(step.text for step in steps if isinstance(step, Text))


async def test_a_look_up_of_no_seconds_is_none() -> None:
    checker = Says((0.0, {("hr", "leave"): "changed"}))
    watch = Watch(checker, [LEAVE], 0.0)
    await watch.settled()
    watch.close()
    assert (watch.of(LEAVE), checker.asked) == ("unknown", [])


@pytest.mark.parametrize("freshness", ["current", "unknown"])
def test_what_is_as_it_was_needs_no_words(freshness: Freshness) -> None:
    assert told([Citation(1, 0, 5, LEAVE, freshness)], "When?") == ""


def test_each_number_is_told_once() -> None:
    cited = [Citation(2, 0, 5, LEAVE, "changed"), Citation(2, 6, 9, LEAVE, "changed"), Citation(1, 10, 12, PAY, "changed")]
    assert told(cited, "When?") == "Changed since it was last read: [1], [2]."


def test_clients_read_it_in_each_citation_and_each_source() -> None:
    assert annotation(Citation(1, 0, 5, LEAVE, "changed"))["url_citation"]["freshness"] == "changed"
    assert source_event(Source(1, LEAVE, "deleted"))["data"]["metadata"][0]["freshness"] == "deleted"
