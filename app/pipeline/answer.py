"""question -> passages -> prompt -> tokens: how an assistant answers.

    search all sources at once -> is it in the data at all? -> quote the best sentences, or write from the passages
    -> cite what supports each sentence -> say which of it has changed since it was read -> record

Two styles. `quote` shows sentences of the passages word for word; `written` lets the model write and checks each sentence
against the passages. Below the threshold of relevance the answer is an honest "not in your data", in either style.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Protocol

import msgspec

from app.core.errors import BadRequest, OndolError
from app.core.records import AnswerRecord, Context, Generation, Passage, SearchQuery, SearchResult, Usage, Waiting
from app.pipeline import cite, quote
from app.pipeline.assistant import WRITES_FROM, Assistant
from app.pipeline.fit import fit, trim
from app.pipeline.freshness import Checker, Watch, watched
from app.pipeline.gather import gather
from app.pipeline.phrases import phrase
from app.pipeline.prompt import build
from app.pipeline.question import last_asked, question, search_text
from app.pipeline.sentences import complete
from app.pipeline.similarity import Vector
from app.pipeline.steps import Citation, Done, Source, Status, Step, Text, Thought
from app.pipeline.waiting import Waits

# Tokens of a written answer where nobody set a limit: a small model that has begun to repeat itself must come to an end.
LONGEST_ANSWER = 1024


class SentenceVectors(Protocol):
    """Sentences to vectors of length 1, through the embedder that the stores were filled with."""

    async def passages(self, texts: Sequence[str]) -> list[Vector]:
        """Vectors of sentences to be found."""
        ...

    async def queries(self, texts: Sequence[str]) -> list[Vector]:
        """Vectors of questions."""
        ...


class Ledger(Protocol):
    """Where answers are recorded; returns at once."""

    def record(self, answer: AnswerRecord) -> None:
        """Keep this answer."""
        ...


class Answerer:
    """Answers for every assistant. Errors are `OndolError`s; closing the iterator stops the model."""

    def __init__(
        self, vectors: SentenceVectors | None, ledger: Ledger, checker: Checker | None = None, *, freshness_seconds: float = 0.0
    ) -> None:
        self._vectors, self._ledger, self._checker, self._freshness_seconds = vectors, ledger, checker, freshness_seconds

    async def answer(self, assistant: Assistant, request: Generation, context: Context) -> AsyncGenerator[Step, None]:
        """The steps of one answer; the last is `Done`. An answer that breaks off is not recorded."""
        began, asked, text = time.time(), question(request.messages), ""
        yield Status(phrase("searching", asked, names=", ".join(assistant.sources)))
        result = await gather(assistant.sources, SearchQuery(search_text(request.messages), assistant.top_k), context)
        for name, reason in result.failed.items():
            yield Status(phrase("failed", asked, source=name, reason=reason), done=True)

        known = bool(result.passages) and result.relevance >= assistant.threshold
        yield Status(phrase("found" if known else "found_nothing", asked, count=len(result.passages)), done=True)
        style = await self._style(assistant, shown=bool(last_asked(request.messages).pictures)) if known else "none"
        match style:
            case "none":
                steps = _nothing(asked)
            case "quote":
                steps = self._quote(assistant, result, asked)
            case _:
                steps = self._write(assistant, request, result, asked, context)
        cited = result.passages if known and assistant.include_sources else ()
        watch = Watch(self._checker, cited, self._freshness_seconds)
        async with aclosing(watched(steps, watch, asked)) as running:
            async for step in running:
                if isinstance(step, Done):
                    done = replace(step, style=style, relevance=result.relevance, answer_id=uuid.uuid4().hex, failed=result.failed)
                    self._ledger.record(_record(done, assistant, context, asked, text, began, result.passages))
                    yield done
                    return
                if isinstance(step, Text):
                    text += step.text
                yield step

    async def _style(self, assistant: Assistant, *, shown: bool) -> str:
        if shown and assistant.style == "quote":
            hint = "Ask without the picture, or an assistant whose model writes."
            raise BadRequest(f"'{assistant.id}' quotes its documents: it looks at no pictures.", hint=hint, param="messages")
        if shown:
            return "written"
        if assistant.style != "auto":
            return assistant.style
        models = [model for model in await assistant.backend.models() if model.kind == "chat"]
        chosen = next((model for model in models if model.id == assistant.model), None) if assistant.model else next(iter(models), None)
        small = chosen is None or (chosen.local and (chosen.parameters or 0) < WRITES_FROM)
        return "quote" if small else "written"

    async def _quote(self, assistant: Assistant, result: SearchResult, asked: str) -> AsyncGenerator[Step, None]:
        found = quote.candidates(result.passages)
        vectors = await self._embed([asked], [candidate.embedded for candidate in found])
        chosen = quote.choose(asked, vectors[0][0] if vectors else None, found, vectors[1] if vectors else (), trust=result.trust)
        marks = _Marks(result.passages, shown=assistant.include_sources)
        for place, item in enumerate(chosen):
            for step in marks.show(("\n\n" if place else "") + ("- " if assistant.structured else "") + f"“{item.text}”", [item.passage]):
                yield step
        yield Done(citations=tuple(marks.citations))

    async def _write(
        self, assistant: Assistant, request: Generation, result: SearchResult, asked: str, context: Context
    ) -> AsyncGenerator[Step, None]:
        passages = trim(fit(result.passages, assistant.budget), assistant.overlap)
        messages = build(assistant.system, passages, request.messages, asked, structured=assistant.structured)
        longest = min(filter(None, (request.max_tokens, assistant.max_tokens)), default=LONGEST_ANSWER)
        prompt = msgspec.structs.replace(request, messages=messages, max_tokens=longest)
        evidence = asyncio.create_task(self._evidence(passages, result.trust, asked))
        marks, held, doubtful, last = _Marks(passages, shown=assistant.include_sources), "", False, Done()
        waits = Waits(asked)
        try:
            async with aclosing(assistant.backend.generate(assistant.model, prompt, context)) as pieces:
                async for piece in pieces:
                    for line in waits.news(piece):
                        yield line
                    if isinstance(piece, Waiting):
                        continue
                    if piece.reasoning:
                        yield Thought(piece.reasoning)
                    sentences, held = complete(held + piece.text)
                    if piece.finish_reason:
                        sentences, held = [*sentences, held], ""
                        last = Done(piece.finish_reason, piece.usage or Usage(), model=assistant.model)
                    for sentence in filter(None, sentences):
                        shown, places, unsupported = await self._judge(sentence, await evidence)
                        doubtful = doubtful or unsupported
                        for step in marks.show(shown, places):
                            yield step
        finally:
            evidence.cancel()
        if doubtful:
            yield Text("\n\n" + phrase("unsupported", asked))
        yield Done(last.finish_reason, last.usage, model=last.model, citations=tuple(marks.citations))

    async def _judge(self, sentence: str, evidence: cite.Evidence) -> tuple[str, list[int], bool]:
        """(the text to show, the places that support it, whether it claims something that none supports)."""
        shown, claims = cite.claimed(sentence)
        said = cite.plain(shown)
        if not cite.makes_claim(said):
            return shown, [], False
        vectors = await self._embed([], [said]) if evidence.vectors else None
        places = cite.attribute(claims, cite.support(said, vectors[1][0] if vectors else None, evidence))
        return (shown, places, False) if places else (_behind(shown, " (?)"), [], True)

    async def _evidence(self, passages: Sequence[Passage], trust: float, asked: str) -> cite.Evidence:
        found = quote.candidates(passages)
        vectors = await self._embed([], [candidate.embedded for candidate in found])
        return cite.Evidence(tuple(passages), tuple(found), tuple(vectors[1]) if vectors else (), trust, asked)

    async def _embed(self, asked: Sequence[str], sentences: Sequence[str]) -> tuple[list[Vector], list[Vector]] | None:
        """Vectors of questions and sentences; None where no embedder answers: shared terms then decide alone."""
        if self._vectors is None:
            return None
        try:
            return (await self._vectors.queries(asked) if asked else []), (await self._vectors.passages(sentences) if sentences else [])
        except OndolError:
            return None


async def _nothing(asked: str) -> AsyncGenerator[Step, None]:
    yield Text(phrase("not_found", asked))
    yield Done()


class _Marks:
    """The text as shown so far: numbers passages in order of first use and remembers where each is cited."""

    def __init__(self, passages: Sequence[Passage], *, shown: bool) -> None:
        self._passages, self._shown = passages, shown
        self._numbers: dict[int, int] = {}
        self.length = 0
        self.citations: list[Citation] = []

    def show(self, text: str, places: Sequence[int]) -> list[Step]:
        """The steps that show this text with marks for the passages at these places behind it."""
        steps: list[Step] = []
        for place in places if self._shown else ():
            if place not in self._numbers:
                self._numbers[place] = len(self._numbers) + 1
                steps.append(Source(self._numbers[place], self._passages[place]))
        begin = self.length + len(text) - len(text.lstrip())
        numbered = [(self._numbers[place], self._passages[place]) for place in places if place in self._numbers]
        shown = _behind(text, "".join(f" [{number}]" for number, _ in numbered))
        self.citations += [Citation(number, begin, self.length + len(shown.rstrip()), passage) for number, passage in numbered]
        self.length += len(shown)
        return [*steps, Text(shown)]


def _behind(text: str, mark: str) -> str:
    """The mark behind the text, before its trailing blanks."""
    body = text.rstrip()
    return body + mark + text[len(body) :]


def _record(
    done: Done, assistant: Assistant, context: Context, asked: str, text: str, began: float, passages: Sequence[Passage]
) -> AnswerRecord:
    return AnswerRecord(
        id=done.answer_id,
        request_id=context.request_id,
        tenant=context.principal.tenant,
        key=context.principal.key,
        at=began,
        assistant=assistant.id,
        model=done.model,
        style=done.style,
        question=asked,
        text=text,
        finish_reason=done.finish_reason,
        relevance=done.relevance or 0.0,
        passages=tuple((passage.store, passage.id, passage.score) for passage in passages),
        prompt_tokens=done.usage.prompt_tokens,
        completion_tokens=done.usage.completion_tokens,
        milliseconds=(time.time() - began) * 1000,
    )
