from __future__ import annotations

import asyncio
from array import array
from collections.abc import Sequence

import pytest

from app.core.errors import WorkerDied
from app.local.sentences import LocalSentences


class Counting:
    """An embedder whose vector is the text's length; remembers what it was asked, waits until it is let go."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.model = "one"
        self.go = asyncio.Event()
        self.go.set()
        self.broken = False

    async def vectors_bytes(self, texts: Sequence[str], kind: str = "query") -> tuple[bytes, int]:
        self.asked += texts
        await self.go.wait()
        if self.broken:
            raise WorkerDied()
        return b"".join(array("f", [len(text), 0.0]).tobytes() for text in texts), 2

    async def fingerprint(self) -> str:
        return self.model


def lengths(found: Sequence[Sequence[float]]) -> list[float]:
    return [vector[0] for vector in found]


async def test_a_sentence_is_embedded_once_and_answers_in_order_also_twice() -> None:
    client = Counting()
    sentences = LocalSentences(client, client.fingerprint)
    assert lengths(await sentences.passages(["a", "bbb", "a"])) == [1, 3, 1]
    assert lengths(await sentences.passages(["bbb", "cc"])) == [3, 2]
    assert client.asked == ["a", "bbb", "cc"]


async def test_what_is_being_embedded_for_somebody_is_waited_for() -> None:
    client = Counting()
    client.go.clear()
    sentences = LocalSentences(client, client.fingerprint)
    both = [asyncio.create_task(sentences.passages(["a", text])) for text in ("bb", "ccc")]
    await asyncio.sleep(0.01)
    client.go.set()
    assert [lengths(found) for found in await asyncio.gather(*both)] == [[1, 2], [1, 3]]
    assert sorted(client.asked) == ["a", "bb", "ccc"]


async def test_one_who_leaves_takes_nothing_from_those_who_wait_with_him() -> None:
    client = Counting()
    client.go.clear()
    sentences = LocalSentences(client, client.fingerprint)
    leaver, stayer = (asyncio.create_task(sentences.passages(["a"])) for _ in range(2))
    await asyncio.sleep(0.01)
    leaver.cancel()
    client.go.set()
    assert lengths(await stayer) == [1]
    with pytest.raises(asyncio.CancelledError):
        await leaver


async def test_a_failure_reaches_all_who_wait_and_the_next_request_tries_again() -> None:
    client = Counting()
    client.broken = True
    sentences = LocalSentences(client, client.fingerprint)
    failed = await asyncio.gather(*(sentences.passages(["a"]) for _ in range(3)), return_exceptions=True)
    assert [type(error) for error in failed] == [WorkerDied] * 3
    client.broken = False
    assert lengths(await sentences.passages(["a"])) == [1]


async def test_another_model_forgets_all() -> None:
    client = Counting()
    sentences = LocalSentences(client, client.fingerprint)
    await sentences.passages(["a"])
    client.model = "two"
    await sentences.passages(["a"])
    assert client.asked == ["a", "a"]


async def test_the_least_recently_used_leave_first() -> None:
    client = Counting()
    sentences = LocalSentences(client, client.fingerprint, keep_bytes=20)  # two of one letter: 10 bytes each
    for text in ("a", "b", "a", "c", "a", "b"):
        await sentences.passages([text])
    assert client.asked == ["a", "b", "c", "b"]


async def test_questions_are_not_kept() -> None:
    client = Counting()
    sentences = LocalSentences(client, client.fingerprint)
    assert lengths(await sentences.queries(["q"])) == lengths(await sentences.queries(["q"])) == [1]
    assert client.asked == ["q", "q"]
