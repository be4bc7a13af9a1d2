"""A cancel in the middle of a batch: it ends at once, and those who were in it with the one that left lose nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import tiny_ggufs
from engine_bench import FACTS, GREEDY, Bench, alone, run, story, submit

from app.core.records import Generation, Piece, Priority, Waiting
from models.engine.decoding import INTERRUPTED
from models.engine.engine import MOST_INTERRUPTED, Engine
from models.engine.llama.decoder import Decoder
from models.engine.request import Output

TOPICS = ["a lighthouse", "a village", "a clock", "two ships"]


@pytest.fixture(scope="module")
def recurrent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    bench = Bench(tiny_ggufs.mamba(tmp_path_factory.mktemp("tiny") / "mamba.gguf"))
    yield bench
    bench.close()


class Watched:
    """A real context. `then` happens when a batch is about to be computed: what another thread does meanwhile, at a known moment."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self.then: Callable[[], None] | None = None
        self.statuses: list[int] = []

    def decode(self, parts: Sequence[tuple[int, int, Sequence[int]]], looks: Sequence[int] = ()) -> tuple[int, list[int]]:
        if self.then is not None:
            self.then()
        status, ends = self._decoder.decode(parts, looks)
        self.statuses.append(status)
        return status, ends

    def __getattr__(self, name: str) -> Any:
        return getattr(self._decoder, name)


def watched(bench: Bench, sequences: int = 8) -> tuple[Watched, Engine]:
    decoder = Watched(bench.decoder(8192, sequences))
    return decoder, Engine(bench.model, decoder, context=8192, clock=lambda: 0.0)


def texts(outputs: Sequence[Output]) -> dict[int, str]:
    found: dict[int, str] = {}
    for id, news in outputs:
        found[id] = found.get(id, "") + (news.text if isinstance(news, Piece) else "")
    return found


def leave_during_step(decoder: Watched, engine: Engine, id: int) -> list[Output]:
    """One step, in which this request is given up; then its cancel."""
    decoder.then = lambda: engine.abandon(id)
    outputs = engine.step()
    decoder.then = None
    engine.cancel(id)
    return outputs


@pytest.mark.parametrize(("at", "leaver"), [(0, 1), (1, 3), (7, 3), (7, 0), (20, 2)])
def test_after_a_batch_was_ended_all_is_as_if_the_one_who_left_had_gone_before_it(bench: Bench, at: int, leaver: int) -> None:
    def early(engine: Engine) -> list[Output]:
        for id, topic in enumerate(TOPICS):
            submit(bench, engine, id, story(topic))
        return [output for _ in range(at) for output in engine.step()]

    engine = bench.engine()
    before = texts(early(engine))
    engine.cancel(leaver)
    expected = run(engine)
    decoder, engine = watched(bench)
    assert texts(early(engine)) == before
    assert leave_during_step(decoder, engine, leaver) == []
    assert decoder.statuses[-1] == INTERRUPTED
    assert run(engine) == expected
    assert set(expected) == {0, 1, 2, 3} - {leaver}


def test_newcomers_who_leave_in_their_prompt_change_nothing_in_a_running_text(bench: Bench) -> None:
    decoder, engine = watched(bench)
    submit(bench, engine, 0, story(TOPICS[0]))
    said = [output for _ in range(3) for output in engine.step()]
    for newcomer in (1, 2, 3):
        engine.submit(newcomer, bench.prompt(FACTS)[:600], Generation(prompt="", max_tokens=4))
        said += leave_during_step(decoder, engine, newcomer)
        said += engine.step()
    assert decoder.statuses.count(INTERRUPTED) == 3
    assert texts(said)[0] + run(engine)[0][0] == alone(bench, story(TOPICS[0]))


def test_a_batch_ended_at_any_moment_leaves_no_trace(bench: Bench) -> None:
    tokens = bench.prompt(FACTS)[:300]
    request = Generation(prompt="", sampling=GREEDY, max_tokens=8, ignore_eos=True)

    def write(engine: Engine) -> str:
        engine.submit(1, tokens, request)
        return run(engine)[1][0]

    expected = write(bench.engine())
    for milliseconds in (0, 5, 20, 40):
        decoder, engine = watched(bench)
        engine.submit(9, tokens[::-1], request)
        decoder.then = lambda engine=engine, wait=milliseconds: threading.Timer(wait / 1000, engine.abandon, (9,)).start()  # type: ignore[misc]
        while INTERRUPTED not in decoder.statuses and len(decoder.statuses) < 5:
            engine.step()
        decoder.then = None
        engine.cancel(9)
        assert engine.idle
        assert engine.stats().cells_used == 0
        assert write(engine) == expected


def test_a_request_given_up_before_its_batch_begins_is_not_computed(bench: Bench) -> None:
    decoder, engine = watched(bench)
    submit(bench, engine, 1, story("a fox"))
    engine.abandon(1)
    assert engine.step() == []
    assert decoder.statuses == []
    engine.cancel(1)
    assert engine.idle


def test_who_leaves_the_queue_does_not_end_the_batch_of_others(bench: Bench) -> None:
    decoder, engine = watched(bench, 1)
    submit(bench, engine, 1, story("a fox", tokens=3))
    submit(bench, engine, 2, story("a fox", tokens=3))
    leave_during_step(decoder, engine, 2)
    assert decoder.statuses == [0]
    assert set(run(engine)) == {1}


def test_a_late_cancel_of_a_request_that_has_just_ended_ends_no_batch_after_it(bench: Bench) -> None:
    decoder, engine = watched(bench)
    submit(bench, engine, 1, story("a fox", tokens=1))
    run(engine)
    engine.abandon(1)
    engine.cancel(1)
    submit(bench, engine, 2, story("a fox", tokens=4))
    assert set(run(engine)) == {2}
    assert INTERRUPTED not in decoder.statuses


def test_clients_who_come_and_go_can_not_keep_the_others_from_getting_on(bench: Bench) -> None:
    decoder, engine = watched(bench)
    submit(bench, engine, 0, story(TOPICS[0]))
    engine.step()
    for id in range(1, 60):
        submit(bench, engine, id, story("a fox"))
        leave_during_step(decoder, engine, id)
    assert decoder.statuses.count(INTERRUPTED) >= 59 * MOST_INTERRUPTED // (MOST_INTERRUPTED + 1)
    assert decoder.statuses.count(0) >= 59 // (MOST_INTERRUPTED + 1)


class Unable(Watched):
    """A context that can't take a sequence's end back."""

    def truncate(self, sequence: int, length: int) -> bool:
        return False


def test_where_a_sequence_can_not_lose_its_end_it_is_computed_anew(bench: Bench) -> None:
    expected = alone(bench, story(TOPICS[0]))
    decoder = Unable(bench.decoder())
    engine = Engine(bench.model, decoder, context=8192, clock=lambda: 0.0)
    for id in (0, 1):
        submit(bench, engine, id, story(TOPICS[id]))
    early = [output for _ in range(9) for output in engine.step()]
    early += leave_during_step(decoder, engine, 1)
    assert engine.stats().cells_used == 0
    assert texts(early)[0] + run(engine)[0][0] == expected


def test_a_recurrent_model_is_ended_only_when_nobody_else_would_have_to_begin_anew(recurrent: Bench) -> None:
    request = Generation(prompt="", sampling=GREEDY, max_tokens=6, ignore_eos=True)
    assert not recurrent.decoder(8192, 2).truncates
    decoder, engine = watched(recurrent, 2)
    for id in (1, 2):
        engine.submit(id, [1, 70 + id, 80, 90], request)
    leave_during_step(decoder, engine, 2)
    assert decoder.statuses == [0]
    leave_during_step(decoder, engine, 1)
    assert decoder.statuses == [0, INTERRUPTED]
    fresh = recurrent.engine(8192, 2)
    fresh.submit(3, [1, 75, 80, 90], request)
    expected = run(fresh)[3]
    decoder, engine = watched(recurrent, 2)
    engine.submit(1, [1, 71, 80, 90], request)
    engine.step()
    leave_during_step(decoder, engine, 1)
    engine.submit(3, [1, 75, 80, 90], request)
    assert run(engine)[3] == expected


def places(outputs: Sequence[Output]) -> list[tuple[int, int]]:
    return [(id, news.place) for id, news in outputs if isinstance(news, Waiting)]


def test_who_waits_is_told_its_place_when_it_changes_and_chats_stand_before_tasks(bench: Bench) -> None:
    engine = bench.engine(2048, 1)
    submit(bench, engine, 1, story("a fox", tokens=40))
    assert places(engine.step()) == [], "let in at once"
    submit(bench, engine, 2, story("a fox", tokens=2), Priority.TASK)
    assert places(engine.step()) == [(2, 1)]
    assert places(engine.step()) == [], "nothing has changed"
    submit(bench, engine, 3, story("a fox", tokens=2))
    submit(bench, engine, 4, story("a fox", tokens=2))
    assert places(engine.step()) == [(3, 1), (4, 2), (2, 3)]
    engine.cancel(3)
    assert places(engine.step()) == [(4, 1), (2, 2)]
    engine.cancel(1)
    assert places(engine.step()) == [(2, 1)]


def test_who_was_sent_out_with_text_already_is_told_nothing_of_its_place(bench: Bench) -> None:
    engine = bench.engine(2048, 1)
    submit(bench, engine, 1, story("a fox", tokens=40), Priority.BULK)
    for _ in range(3):
        engine.step()
    submit(bench, engine, 2, story("a fox", tokens=4))
    submit(bench, engine, 3, story("a fox", tokens=4), Priority.BULK)
    assert places(engine.step()) == [(3, 2)]
