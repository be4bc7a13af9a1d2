"""Rows that write in a crowd move to lanes, and no text, no kept beginning and no request is lost on the way, whatever happens to it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import tiny_ggufs
from engine_bench import GREEDY, Bench, run

from app.core.errors import BadSetting, OndolError
from app.core.records import Generation, Piece
from models.engine.decoding import DONE, Decoder
from models.engine.engine import Engine
from models.engine.lanes import Lanes
from models.engine.llama import decoder as llama

WORDS = range(tiny_ggufs.FIRST_WORD, tiny_ggufs.FIRST_WORD + tiny_ggufs.WORDS)
ALWAYS = 1e9  # seconds for passing over a cell: a crowd always pays
COUNT, LENGTH = 8, 256


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    bench = Bench(tiny_ggufs.llama(tmp_path_factory.mktemp("tiny") / "llama.gguf"))
    yield bench
    bench.close()


def parted(bench: Bench) -> llama.Decoder:
    return bench.model.decoder(cells=COUNT * LENGTH, sequences=COUNT, batch=COUNT, threads=1, flash=bench.flash, unified=False)


class Clock:
    """A clock by which each token of a batch takes a second."""

    def __init__(self) -> None:
        self._now = 0.0

    def __call__(self) -> float:
        return self._now

    def over(self, decoder: Any) -> Any:
        decode = decoder.decode

        def counted(parts: Sequence[tuple[int, int, Sequence[int]]], looks: Sequence[int] = ()) -> Any:
            self._now += sum(len(tokens) for _, _, tokens in parts)
            return decode(parts, looks)

        decoder.decode = counted
        return decoder


class Crowd:
    """An engine over lanes, what its requests said, and how many lay in lanes at most."""

    def __init__(
        self,
        bench: Bench,
        *,
        cells: int = 4096,
        sequences: int = 16,
        make: Callable[[], Decoder] | None = None,
        passing: float = ALWAYS,
    ) -> None:
        clock = Clock()
        make = make or (lambda: clock.over(parted(bench)))
        self.lanes = Lanes(clock.over(bench.decoder(cells, sequences)), make, count=COUNT, length=LENGTH, passing=passing, clock=clock)
        self.engine = Engine(bench.model, self.lanes, context=min(2048, cells), parallel=COUNT, clock=lambda: 0.0)
        self.most = 0
        self._asked: dict[int, tuple[list[int], list[int]]] = {}
        self._ends: dict[int, Piece | OndolError] = {}

    def ask(self, id: int, tokens: list[int], answer: int) -> None:
        self.engine.submit(id, list(tokens), greedy(answer), chat=str(id))
        self._asked[id] = tokens, self.engine._roster.waiting[id].tokens

    def step(self) -> None:
        for id, news in self.engine.step():
            if isinstance(news, OndolError) or (isinstance(news, Piece) and news.finish_reason):
                self._ends[id] = news
        self.most = max(self.most, self.lanes.inside)

    def finish(self) -> None:
        for _ in range(5000):
            if self.engine.idle:
                return
            self.step()
        raise AssertionError("it came to no end")

    def said(self, id: int) -> list[int]:
        assert isinstance(self._ends[id], Piece), self._ends[id]
        tokens, all_tokens = self._asked[id]
        return all_tokens[len(tokens) :]


def greedy(tokens: int) -> Generation:
    return Generation(prompt="", sampling=GREEDY, max_tokens=tokens, ignore_eos=True)


def noise(seed: int, length: int) -> list[int]:
    return [1, *random.Random(seed).choices(WORDS, k=length - 1)]


def alone(bench: Bench, tokens: list[int], answer: int) -> list[int]:
    return chosen(Engine(bench.model, bench.decoder(2048, 1), context=2048, keep=0, clock=lambda: 0.0), tokens, answer)


def chosen(engine: Engine, tokens: list[int], answer: int) -> list[int]:
    engine.submit(1, list(tokens), greedy(answer))
    request = engine._roster.waiting[1]
    run(engine)
    return request.tokens[len(tokens) :]


def test_a_crowd_writes_in_lanes_what_each_of_it_writes_alone(tiny: Bench) -> None:
    crowd = Crowd(tiny)
    asked = {id: (noise(id, 10 + 7 * id), 20 + 5 * (id % 5)) for id in range(20)}
    for id, (tokens, answer) in asked.items():
        crowd.ask(id, tokens, answer)
    crowd.finish()
    assert crowd.most == COUNT
    assert all(crowd.said(id) == alone(tiny, *one) for id, one in asked.items())


@pytest.mark.parametrize("shared", [0, 180])
def test_what_rows_share_takes_nobody_to_a_lane(tiny: Bench, shared: int) -> None:
    crowd = Crowd(tiny, passing=0.00006)
    beginning = noise(1, shared) if shared else []
    crowd.ask(0, [*beginning, *noise(2, 20)], 1)
    crowd.finish()
    asked = {id: [*beginning, *noise(id + 2, 200 - shared)] for id in range(1, 7)}
    for id, tokens in asked.items():
        crowd.ask(id, tokens, 50)
    crowd.finish()
    assert crowd.most == (0 if shared else len(asked))
    assert all(crowd.said(id) == alone(tiny, tokens, 50) for id, tokens in asked.items())


def test_a_prompt_of_which_each_step_takes_one_token_is_read_in_the_wide_context(tiny: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    crowd = Crowd(tiny)
    monkeypatch.setattr(crowd.engine._pace, "prompts", lambda *_: (64, 1))
    asked = {id: noise(id, 10) for id in range(1, 6)}
    for id, tokens in asked.items():
        crowd.ask(id, tokens, 150)
    while crowd.lanes.inside < len(asked):
        crowd.step()
    crowd.ask(9, noise(9, 60), 5)
    reading = 0
    while 9 in crowd.engine._roster.waiting or crowd.engine._roster.running[9].pending > 1:
        crowd.step()
        reading += 1
        assert crowd.lanes.inside == len(asked)
    assert reading >= 50
    crowd.finish()
    assert crowd.said(9) == alone(tiny, noise(9, 60), 5)
    assert all(crowd.said(id) == alone(tiny, tokens, 150) for id, tokens in asked.items())


def test_a_row_that_outgrows_its_lane_goes_on_in_the_wide_context(tiny: Bench) -> None:
    crowd = Crowd(tiny)
    asked = {id: (noise(id, 40), 30) for id in range(1, 6)} | {9: (noise(9, LENGTH - 10), 40)}
    for id, (tokens, answer) in asked.items():
        crowd.ask(id, tokens, answer)
    inside = []
    while not crowd.engine.idle:
        crowd.step()
        inside.append(crowd.lanes.inside)
    assert crowd.most == len(asked)
    assert len(crowd.said(9)) == 40
    assert all(crowd.said(id) == alone(tiny, *one) for id, one in asked.items())


def test_the_next_turn_of_a_chat_goes_on_from_what_lies_in_a_lane(tiny: Bench) -> None:
    crowd = Crowd(tiny)
    first = {id: noise(id, 60 + id) for id in range(COUNT)}
    for id, tokens in first.items():
        crowd.ask(id, tokens, 16)
    crowd.finish()
    assert crowd.lanes.inside
    again = {id + 100: [*tokens, *crowd.said(id), *noise(id + 50, 12)] for id, tokens in first.items()}
    before = crowd.engine.stats().cached_tokens
    for id, tokens in again.items():
        crowd.ask(id, tokens, 16)
    crowd.finish()
    assert crowd.engine.stats().cached_tokens - before >= sum(len(tokens) - 14 for tokens in again.values())
    assert all(crowd.said(id) == alone(tiny, tokens, 16) for id, tokens in again.items())


def test_a_request_that_begins_as_a_row_in_a_lane_gets_a_copy_of_its_beginning(tiny: Bench) -> None:
    crowd = Crowd(tiny)
    shared = noise(1, 70)
    for id in range(6):
        crowd.ask(id, [*shared, *noise(100 + id, 20)] if id == 0 else noise(id, 50), 60)
    while crowd.lanes.inside < 6:
        crowd.step()
    late = [*shared, *noise(200, 15)]
    crowd.ask(7, late, 20)
    crowd.finish()
    assert crowd.engine.stats().cached_tokens >= len(shared)
    assert crowd.said(7) == alone(tiny, late, 20)
    assert crowd.said(0) == alone(tiny, [*shared, *noise(100, 20)], 60)


def test_rows_that_leave_in_the_middle_cost_the_others_nothing(tiny: Bench) -> None:
    crowd, chance = Crowd(tiny.plain), random.Random(5)
    asked = {id: (noise(id, 30), chance.randrange(8, 60)) for id in range(40)}
    gone = set()
    for id, (tokens, answer) in asked.items():
        crowd.ask(id, tokens, answer)
        for _ in range(chance.randrange(5)):
            crowd.step()
        if chance.random() < 0.3 and id - 3 in crowd.engine._roster.running:
            crowd.engine.cancel(id - 3)
            gone.add(id - 3)
    crowd.finish()
    assert gone
    assert crowd.most == COUNT
    staying = asked.keys() - gone
    assert not [id for id in staying if crowd.said(id) != alone(tiny.plain, *asked[id])]


def test_a_crowd_stays_together_where_lanes_cannot_be_had(tiny: Bench) -> None:
    tried = []

    def none() -> Decoder:
        tried.append(True)
        raise BadSetting("out of memory", hint="")

    crowd = Crowd(tiny, make=none)
    asked = {id: (noise(id, 30), 20) for id in range(COUNT)}
    for id, (tokens, answer) in asked.items():
        crowd.ask(id, tokens, answer)
    crowd.finish()
    assert tried == [True]
    assert crowd.most == 0
    assert all(crowd.said(id) == alone(tiny, *one) for id, one in asked.items())


def test_who_finds_no_room_on_the_way_back_makes_room_or_waits_and_loses_nothing(tiny: Bench) -> None:
    crowd = Crowd(tiny, cells=1024, sequences=16)
    shared = noise(1, 100)
    asked = {id: ([*shared, *noise(100 + id, 10)], 70) for id in range(6)}
    asked |= {id: ([*noise(id, 90)], 180) for id in range(6, 12)}
    for id, (tokens, answer) in asked.items():
        crowd.ask(id, tokens, answer)
    crowd.finish()
    assert crowd.most >= 4
    assert all(len(crowd.said(id)) == answer for id, (_, answer) in asked.items())


@pytest.mark.parametrize("flash", [True, False])
def test_a_state_is_the_same_in_a_parted_context_and_back(tiny: Bench, flash: bool) -> None:
    wide = tiny.model.decoder(cells=1024, sequences=4, batch=64, threads=1, flash=flash)
    lanes = tiny.model.decoder(cells=4 * 256, sequences=4, batch=4, threads=1, flash=flash, unified=False)
    tokens = noise(3, 50)
    assert wide.decode([(2, 0, tokens)])[0] == DONE
    state = wide.save(2)
    assert lanes.restore(2, state)
    assert lanes.restore(3, state)
    assert lanes.save(2) == state
    scores = []
    for decoder, sequence in ((wide, 2), (lanes, 2), (lanes, 3)):
        status, (end,) = decoder.decode([(sequence, len(tokens), [tokens[5]])])
        assert status == DONE
        scores.append(np.array(decoder.scores(end)))
    assert np.array_equal(scores[0], scores[1])
    assert np.array_equal(scores[0], scores[2])
    assert wide.restore(0, lanes.save(3))
    assert not lanes.restore(1, b"nonsense" * 9)
    assert lanes.decode([(1, 0, [1])])[0] == DONE
    wide.close()
    lanes.close()


def test_an_empty_sequence_has_no_state(tiny: Bench) -> None:
    lanes = parted(tiny)
    assert lanes.save(2) == b""
    lanes.close()
