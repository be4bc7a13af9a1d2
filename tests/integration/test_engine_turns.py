"""A chat beside the page's own tasks: its next turn reads its new tokens alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.core.records import Context, Generation, Message, Piece, Priority, Sampling, Usage
from models.engine.client import EngineClient, EngineSettings

CHAT, TASK = Context(chat_id="a"), Context(chat_id="a", priority=Priority.TASK)
GUIDELINES = "".join(f"- Rule {number}: keep to the words of the chat, and to its language.\n" for number in range(20))


@pytest.fixture
async def engine(smollm2: Path, tmp_path: Path) -> AsyncIterator[EngineClient]:
    engine = EngineClient(smollm2, EngineSettings(context=2048, threads=1), name="engine-test", logs=tmp_path / "logs")
    yield engine
    await engine.stop()


async def ask(engine: EngineClient, context: Context, *messages: Message, tokens: int = 16) -> tuple[str, Usage]:
    request = Generation(messages=messages, sampling=Sampling(temperature=0), max_tokens=tokens)
    pieces = [piece async for piece in engine.generate(request, context) if isinstance(piece, Piece)]
    assert pieces[-1].usage is not None
    return "".join(piece.text for piece in pieces), pieces[-1].usage


def task(kind: str, history: str) -> Message:
    return Message("user", f"Write {kind} for this chat, as JSON.\n{GUIDELINES}\nThe chat:\n{history}")


async def test_the_second_turn_after_title_follow_ups_and_tags_reads_its_new_tokens_alone(engine: EngineClient) -> None:
    question = Message("user", "How many days of annual leave does a permanent employee get?")
    await engine.start()
    title = asyncio.create_task(ask(engine, TASK, task("a title", f"USER: {question.text}")))
    said, first = await ask(engine, CHAT, question)
    await title
    history = f"USER: {question.text}\nASSISTANT: {said}"
    await asyncio.gather(*(ask(engine, TASK, task(kind, history)) for kind in ("three follow-up questions", "three tags")))
    _, second = await ask(engine, CHAT, question, Message("assistant", said), Message("user", "And in the first year?"))
    assert second.cached_tokens >= first.prompt_tokens + first.completion_tokens - 1, "the last chosen token was never read"
    assert second.cached_tokens < second.prompt_tokens


async def test_a_task_that_is_like_the_one_before_reads_what_is_new_in_it(engine: EngineClient) -> None:
    _, first = await ask(engine, TASK, task("a title", "USER: Hello"), tokens=2)
    _, second = await ask(engine, TASK, task("a title", "USER: Where is the library?"), tokens=2)
    assert first.cached_tokens == 0
    assert second.prompt_tokens - second.cached_tokens < 30
