"""One request's failure stays its own: a batch that llama.cpp can't compute, a sampler that breaks. Over a real model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine_bench import FACTS, Bench, alone, run, story, submit

from app.core.errors import OndolError
from app.core.records import Generation, Piece
from models.engine.decoding import NO_ROOM
from models.engine.engine import Engine
from models.engine.llama.decoder import Decoder

TOPICS = ("a river", "a king", "a lamp")


class Poisoned:
    """The real decoder, but that a batch with this token in it fails; after an error llama.cpp has written some of it."""

    def __init__(self, decoder: Decoder, token: int, status: int) -> None:
        self._decoder, self._token, self._status = decoder, token, status
        self.failures = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._decoder, name)

    def decode(self, parts: Sequence[tuple[int, int, Sequence[int]]], *rest: Any) -> tuple[int, list[int]]:
        if any(self._token in tokens for _, _, tokens in parts):
            self.failures += 1
            if self._status < 0:
                self._decoder.decode(parts, *rest)
            return self._status, []
        return self._decoder.decode(parts, *rest)


def poisoned(bench: Bench, word: str, status: int) -> tuple[Engine, Poisoned]:
    (token,) = bench.model.tokenize(word, special=False)
    decoder = Poisoned(bench.decoder(), token, status)
    return Engine(bench.model, decoder, context=8192, clock=lambda: 0.0), decoder


def status(news: object) -> int | None:
    """Of the HTTP answer that an error becomes; None for what is no error."""
    return news.status if isinstance(news, OndolError) else None


def test_a_row_that_llama_cpp_can_not_compute_ends_alone_and_the_others_write_what_they_write_alone(bench: Bench) -> None:
    requests = [story(topic, 16) for topic in TOPICS]
    expected = [alone(bench, request) for request in requests]
    engine, decoder = poisoned(bench, " zebra", -3)
    for id, request in enumerate(requests):
        submit(bench, engine, id, request)
    submit(bench, engine, 99, story("a zebra", 16))
    found = run(engine)
    assert status(found[99][1]) == 500
    assert decoder.failures >= 2
    assert [found[id][0] for id in range(len(requests))] == expected
    assert all(isinstance(found[id][1], Piece) for id in range(len(requests)))


def test_a_row_that_there_is_never_room_for_ends_and_the_others_get_on(bench: Bench) -> None:
    engine, _ = poisoned(bench, " zebra", NO_ROOM)
    for id, topic in enumerate(TOPICS):
        submit(bench, engine, id, story(topic, 8))
    submit(bench, engine, 99, story("a zebra", 8))
    found = run(engine)
    assert status(found[99][1]) == 500
    assert all(isinstance(found[id][1], Piece) for id in range(len(TOPICS)))


def test_a_failure_deep_in_a_long_prompt_ends_that_request_and_its_cells_come_back(bench: Bench) -> None:
    engine, _ = poisoned(bench, " zebra", -2)
    submit(bench, engine, 1, Generation(prompt=f"{FACTS[:1000]} a zebra", max_tokens=4))
    found = run(engine)
    assert status(found[1][1]) == 500
    assert "status -2" in str(found[1][1])
    assert engine.stats().cells_used == 0
    submit(bench, engine, 2, story("a river", 8))
    assert run(engine)[2][0] == alone(bench, story("a river", 8))


class Breaking:
    """A speech that raises at its third token."""

    stopped = called = False

    def __init__(self) -> None:
        self.fed = 0

    def feed(self, data: bytes) -> Any:
        self.fed += 1
        if self.fed == 3:
            raise ValueError("a fault of ours")
        from models.engine.speech import Said

        return Said("x")


def test_an_exception_in_one_rows_speech_ends_that_row_alone(bench: Bench) -> None:
    expected = alone(bench, story("a river", 12))
    engine = bench.engine()
    submit(bench, engine, 1, story("a river", 12))
    request = story("a king", 12)
    engine.submit(2, bench.prompter.tokens(request), request, speech=Breaking())  # type: ignore[arg-type]
    found = run(engine)
    assert found[2][0] == "xx"
    assert status(found[2][1]) == 500
    assert "a fault of ours" in str(found[2][1])
    assert found[1][0] == expected
