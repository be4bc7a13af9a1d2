"""Requests go on from each other's tokens, over models that remember in different ways: what is saved, and that no text changes."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import tiny_ggufs
from engine_bench import GREEDY, Bench, run

from app.core.records import Generation, Piece, Priority, Usage
from models.engine.engine import Engine
from models.engine.shelf import Shelf

WORDS = range(tiny_ggufs.FIRST_WORD, tiny_ggufs.FIRST_WORD + tiny_ggufs.WORDS)


@pytest.fixture(scope="module", params=list(tiny_ggufs.ALL))
def tiny(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    bench = Bench(tiny_ggufs.ALL[request.param](tmp_path_factory.mktemp("tiny") / f"{request.param}.gguf"))
    yield bench
    bench.close()


def greedy(tokens: int) -> Generation:
    return Generation(prompt="", sampling=GREEDY, max_tokens=tokens, ignore_eos=True)


def noise(seed: int, length: int) -> list[int]:
    return [1, *random.Random(seed).choices(WORDS, k=length - 1)]


def usage(end: object) -> Usage:
    assert isinstance(end, Piece)
    assert end.usage is not None
    return end.usage


class Turn:
    """One request at a time over an engine: the tokens that it answers, its text, and its usage."""

    def __init__(self, engine: Engine) -> None:
        self._engine, self._id = engine, 0

    def __call__(
        self, tokens: Sequence[int], answer: int = 8, *, chat: str = "", priority: Priority = Priority.CHAT
    ) -> tuple[str, list[int], Usage]:
        self._id += 1
        self._engine.submit(self._id, list(tokens), greedy(answer), priority, chat=chat)
        request = self._engine._roster.waiting[self._id]
        text, end = run(self._engine)[self._id]
        return text, request.tokens[len(tokens) :], usage(end)


def alone(bench: Bench, tokens: Sequence[int], answer: int = 8) -> str:
    return Turn(bench.engine(2048, 8, context=2048))(tokens, answer)[0]


def chosen(bench: Bench, tokens: Sequence[int], answer: int) -> list[int]:
    return Turn(bench.engine(2048, 8, context=2048))(tokens, answer)[1]


def test_a_chats_next_turn_computes_its_new_tokens_alone(tiny: Bench) -> None:
    turn = Turn(tiny.engine(2048, 8, context=2048))
    first = noise(1, 90)
    _, said, used = turn(first, chat="a")
    assert used.cached_tokens == 0
    second = [*first, *said, *noise(2, 20)[1:]]
    text, _, used = turn(second, chat="a")
    assert used.cached_tokens == len(first) + len(said) - 1, "the last chosen token was never computed"
    assert text == alone(tiny, second)


def test_the_same_question_again_computes_its_last_token_alone(tiny: Bench) -> None:
    turn = Turn(tiny.engine(2048, 8, context=2048))
    tokens = noise(1, 90)
    text, said, _ = turn(tokens)
    again, repeated, used = turn(tokens)
    assert (again, repeated) == (text, said)
    assert used.cached_tokens == len(tokens) - 1


def test_what_follows_a_dropped_thought_goes_on_from_the_question_before_it(tiny: Bench) -> None:
    turn = Turn(tiny.engine(2048, 8, context=2048))
    first = noise(1, 90)
    turn(first, 30, chat="a")
    second = [*first, *noise(3, 25)[1:]]
    text, _, used = turn(second, chat="a")
    assert used.cached_tokens in (len(first), len(first) - 1)
    assert text == alone(tiny, second)


def test_eight_requests_over_one_cold_beginning_compute_it_once_and_write_what_each_writes_alone(tiny: Bench) -> None:
    shared = noise(5, 150)
    prompts = [[*shared, *noise(10 + index, 12)[1:]] for index in range(8)]
    expected = [alone(tiny, prompt) for prompt in prompts]
    engine = tiny.engine(2048, 12, context=2048)
    for id, prompt in enumerate(prompts):
        engine.submit(id, prompt, greedy(8))
    found = run(engine)
    assert [found[id][0] for id in range(8)] == expected
    assert sum(usage(found[id][1]).cached_tokens for id in range(8)) >= 7 * len(shared)
    assert engine.stats().prompt_tokens <= len(shared) + 8 * 12


def test_a_request_cut_short_is_gone_on_from(tiny: Bench) -> None:
    engine = tiny.engine(2048, 8, context=2048)
    tokens = noise(1, 120)
    engine.submit(1, tokens, greedy(50))
    for _ in range(12):
        engine.step()
    engine.cancel(1)
    text, _, used = Turn(engine)(tokens)
    assert used.cached_tokens >= 100
    assert text == alone(tiny, tokens)


def test_who_made_room_goes_on_from_what_was_left_to_it(tiny: Bench) -> None:
    tokens = noise(1, 100)
    expected = alone(tiny, tokens, 30)
    engine = Engine(tiny.model, tiny.decoder(2048, 5), context=2048, parallel=1, clock=lambda: 0.0)
    engine.submit(1, tokens, greedy(30), Priority.BULK)
    early = "".join(output.news.text for _ in range(12) for output in engine.step() if isinstance(output.news, Piece))
    computed = engine.stats().prompt_tokens
    engine.submit(2, noise(2, 60), greedy(4))
    found = run(engine)
    assert list(found) == [2, 1]
    assert engine.stats().evictions == 1
    assert early + found[1][0] == expected
    assert engine.stats().prompt_tokens - computed <= 60


@pytest.mark.parametrize("seed", range(3))
def test_texts_stay_the_same_whatever_is_shared_kept_pushed_out_and_asked_again(tiny: Bench, seed: int) -> None:
    chance = random.Random(seed)
    shared = [noise(index, 120) for index in range(3)]
    prompts = [
        [*chance.choice(shared)[: chance.choice([30, 70, 120])], *noise(100 + index, chance.randrange(2, 60))[1:]] for index in range(24)
    ]
    plain = tiny.plain
    engine = Engine(plain.model, plain.decoder(512, 8), context=512, parallel=4, clock=lambda: 0.0)
    requests = []
    for id, prompt in enumerate(prompts):
        engine.submit(id, prompt, greedy(10), chance.choice(list(Priority)), chat=f"chat{id % 5}")
        requests.append(engine._roster.waiting[id])
        if chance.random() < 0.3:
            run(engine)
    run(engine)
    assert engine.stats().cached_tokens > 0
    for request, prompt in zip(requests, prompts, strict=True):
        assert request.tokens[len(prompt) :] == chosen(plain, prompt, 10)


def test_a_state_comes_back_from_the_shelf_and_the_text_is_the_same(tiny: Bench, tmp_path: Path) -> None:
    tokens = noise(1, 200)
    expected, said, _ = Turn(tiny.engine(2048, 8, context=2048))(tokens)

    def engine() -> Engine:
        shelf = Shelf("model", memory=1 << 26, folder=tmp_path, disk=1 << 26)
        return Engine(tiny.model, tiny.decoder(2048, 8), context=2048, shelf=shelf, clock=lambda: 0.0)

    first = engine()
    assert Turn(first)(tokens, chat="a")[0] == expected
    while first.save():
        pass
    text, _, used = Turn(engine())([*tokens, *said, *noise(2, 10)[1:]], chat="a")
    assert used.cached_tokens >= len(tokens) - 1
    assert text == alone(tiny, [*tokens, *said, *noise(2, 10)[1:]])


def test_what_is_left_of_a_crowd_is_moved_together_and_gone_on_from(tiny: Bench) -> None:
    plain = tiny.plain
    decoder = plain.decoder(2048, 16)
    engine = Engine(plain.model, decoder, context=2048, parallel=8, beside=100, clock=lambda: 0.0)
    crowd = [noise(30 + index, 24) for index in range(6)]
    requests = []
    for id, prompt in enumerate(crowd):
        engine.submit(id, prompt, greedy(20), chat=f"chat {id}")
        requests.append(engine._roster.waiting[id])
    run(engine)
    engine.submit(9, noise(50, 24), greedy(2))
    run(engine)
    kept = [one for one in engine._keeping._kept.values() if one.chat]
    assert 0 < sum(len(one.tokens) for one in kept) <= 100
    assert all(one.gathered == (decoder.truncates and not decoder.window) for one in kept)
    last = requests[int(kept[-1].chat.split()[1])]
    further = [*last.tokens, *noise(60, 12)[1:]]
    _, said, used = Turn(engine)(further, chat=kept[-1].chat)
    assert used.cached_tokens == len(last.tokens) - 1
    assert said == chosen(plain, further, len(said))


def test_a_task_never_pushes_a_chats_tokens_out(tiny: Bench) -> None:
    turn = Turn(tiny.engine(1024, 4, context=1024))
    chat = noise(1, 300)
    turn(chat, chat="a")
    for index in range(6):
        turn(noise(2 + index, 400), chat="a", priority=Priority.TASK)
    assert turn(chat, chat="a")[2].cached_tokens == len(chat) - 1


def test_kept_tokens_make_room_for_a_request_that_needs_them(tiny: Bench) -> None:
    engine = tiny.engine(512, 4, context=512)
    turn = Turn(engine)
    for index in range(5):
        _, _, used = turn(noise(index, 400))
        assert used.cached_tokens == 0
    assert engine.stats().cells_kept <= 512


def test_nothing_is_kept_where_that_is_turned_off(tiny: Bench) -> None:
    engine = Engine(tiny.model, tiny.decoder(1024, 4), context=1024, keep=0, clock=lambda: 0.0)
    turn = Turn(engine)
    turn(noise(1, 100))
    assert engine.stats().cells_kept == 0
    assert turn(noise(1, 100))[2].cached_tokens == 0
