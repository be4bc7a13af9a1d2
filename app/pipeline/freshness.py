"""Whether what an answer cites is still as it was read: looked up beside the answer, never before its first word.

The look-up begins when the passages are found. What it has found by the time a citation is shown stands in the citation; at the
answer's end the rest is waited for until a small deadline, counted from the beginning.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Protocol

from app.core.records import Freshness, Passage
from app.pipeline.phrases import phrase
from app.pipeline.steps import Citation, Done, Source, Step, Text

log = logging.getLogger(__name__)
Cited = tuple[str, str]
"""A document that is cited: its store and its id."""


class Checker(Protocol):
    """Looks at the rows and files themselves. Closing the iterator gives the look-up up."""

    def look(self, documents: Sequence[Cited]) -> AsyncIterator[Mapping[Cited, Freshness]]:
        """What was found, in parts as they come; what can't be told is left out."""
        ...


class Watch:
    """The look-up of one answer. `seconds` from now is all that is waited for it."""

    def __init__(self, checker: Checker | None, passages: Sequence[Passage], seconds: float) -> None:
        self._known: dict[Cited, Freshness] = {}
        self._until = asyncio.get_running_loop().time() + seconds
        self._task: asyncio.Task[None] | None = None
        if checker is not None and seconds > 0 and passages:
            documents = list(dict.fromkeys((passage.store, passage.document_id) for passage in passages))
            self._task = asyncio.create_task(self._look(checker, documents), name="look whether what is cited is still so")

    async def _look(self, checker: Checker, documents: Sequence[Cited]) -> None:
        try:
            async for part in checker.look(documents):
                self._known.update(part)
        except Exception as error:  # noqa: BLE001 - an answer is not worth less because nobody could look again
            log.warning("what is cited could not be looked at again: %s", error)

    def of(self, passage: Passage) -> Freshness:
        """What is known by now."""
        return self._known.get((passage.store, passage.document_id), "unknown")

    async def settled(self) -> None:
        """Wait for the rest, no longer than the deadline."""
        if self._task is not None:
            await asyncio.wait([self._task], timeout=max(0.0, self._until - asyncio.get_running_loop().time()))

    def close(self) -> None:
        """Nobody waits any more."""
        if self._task is not None:
            self._task.cancel()


async def watched(steps: AsyncGenerator[Step, None], watch: Watch, asked: str) -> AsyncGenerator[Step, None]:
    """An answer's steps, with what is known of each source, and at the end in words what is no longer so. Closes the watch."""
    try:
        async with aclosing(steps) as running:
            async for step in running:
                if isinstance(step, Source):
                    yield replace(step, freshness=watch.of(step.passage))
                elif isinstance(step, Done):
                    await watch.settled()
                    citations = tuple(replace(citation, freshness=watch.of(citation.passage)) for citation in step.citations)
                    if stale := told(citations, asked):
                        yield Text(f"\n\n{stale}")
                    yield replace(step, citations=citations)
                else:
                    yield step
    finally:
        watch.close()


def told(citations: Sequence[Citation], asked: str) -> str:
    """What a person is told of citations that are no longer so, in the question's language; empty where all are."""
    lines = []
    for name in ("changed", "deleted"):
        numbers = sorted({citation.number for citation in citations if citation.freshness == name})
        if numbers:
            lines.append(phrase(f"since_{name}", asked, marks=", ".join(f"[{number}]" for number in numbers)))
    return "\n".join(lines)
