"""Guessed tokens over a real model: the text is the one without guesses, in fewer steps."""

from __future__ import annotations

import pytest
from engine_bench import FACTS, GREEDY, Bench, run, story, submit

from app.core.records import Generation, Piece, Sampling
from models.engine.engine import Engine
from models.engine.speculation import FREE, Speculation

SHELF = FACTS[:240]
COPIES = [f"Repeat this list word for word.\n{SHELF}\n\nThe list again:\n{SHELF[: 20 * part]}" for part in range(1, 5)]
TOPICS = ["a lighthouse", "a village", "a clock", "a garden"]


def guessing(bench: Bench, cells: int = 4096, sequences: int = 4) -> Engine:
    decoder = bench.decoder(cells, sequences)
    return Engine(bench.model, decoder, context=cells, keep=0, speculation=Speculation(FREE), clock=lambda: 0.0)


def plain(bench: Bench, cells: int = 4096, sequences: int = 4) -> Engine:
    return Engine(bench.model, bench.decoder(cells, sequences), context=cells, keep=0, clock=lambda: 0.0)


def copy(part: int, tokens: int = 24, **values: object) -> Generation:
    return Generation(prompt=COPIES[part], max_tokens=tokens, **{"sampling": GREEDY, "ignore_eos": True, **values})  # type: ignore[arg-type]


def one(bench: Bench, engine: Engine, request: Generation) -> tuple[str, Piece, int]:
    before = engine.stats().steps
    submit(bench, engine, 1, request)
    text, end = run(engine)[1]
    assert isinstance(end, Piece)
    return text, end, engine.stats().steps - before


def test_a_text_that_repeats_its_prompt_is_the_same_in_far_fewer_steps(bench: Bench) -> None:
    expected, end, steps = one(bench, plain(bench), copy(2))
    text, guessed_end, fewer = one(bench, guessing(bench), copy(2))
    assert text == expected
    assert guessed_end.usage == end.usage
    assert fewer < steps * 0.7


def test_rows_side_by_side_give_the_text_of_each_alone_and_the_last_one_is_guessed_on(bench: Bench) -> None:
    requests = [story(TOPICS[0], 12), copy(3), story(TOPICS[1], 12)]
    expected = [one(bench, plain(bench), request)[0] for request in requests]
    engine = guessing(bench)
    for id, request in enumerate(requests):
        submit(bench, engine, id, request)
    found = run(engine)
    assert [found[id][0] for id in range(3)] == expected


def test_a_seed_and_penalties_decide_the_text_with_guesses_as_without(bench: Bench) -> None:
    for sampling in (Sampling(temperature=0.8, seed=5), Sampling(temperature=0, repeat_penalty=1.2, presence_penalty=0.4)):
        request = copy(1, sampling=sampling)
        assert one(bench, guessing(bench), request)[0] == one(bench, plain(bench), request)[0]


def test_a_stop_string_inside_of_what_was_guessed_ends_the_text_before_it(bench: Bench) -> None:
    whole = one(bench, plain(bench), copy(2))[0]
    stop = whole[len(whole) // 2 :][:6]
    text, end, _ = one(bench, guessing(bench), copy(2, stop=(stop,)))
    expected, plain_end, _ = one(bench, plain(bench), copy(2, stop=(stop,)))
    assert text == expected == whole[: whole.index(stop)]
    assert (end.finish_reason, end.usage) == (plain_end.finish_reason, plain_end.usage)


@pytest.mark.parametrize("tokens", [1, 2, 7])
def test_a_text_has_no_token_more_than_it_may(bench: Bench, tokens: int) -> None:
    text, end, _ = one(bench, guessing(bench), copy(2, tokens))
    assert end.usage is not None
    assert (end.finish_reason, end.usage.completion_tokens) == ("length", tokens)
    assert text == one(bench, plain(bench), copy(2, tokens))[0]


def test_an_end_of_text_that_was_guessed_ends_it(bench: Bench) -> None:
    request = copy(2, 60, ignore_eos=False)
    assert one(bench, guessing(bench), request)[:2] == one(bench, plain(bench), request)[:2]


def test_chances_of_guessed_tokens_are_those_of_tokens_computed_one_by_one(bench: Bench) -> None:
    def chances(engine: Engine) -> list[object]:
        submit(bench, engine, 1, copy(2, 24, logprobs=2))
        found: list[object] = []
        while not engine.idle:
            for output in engine.step():
                if isinstance(output.news, Piece):
                    found += output.news.chances
        return found

    guessed = chances(guessing(bench))
    assert len(guessed) == 24
    assert guessed == chances(plain(bench))


def test_after_a_cancel_in_the_middle_of_guesses_the_others_go_on_and_the_cells_are_free(bench: Bench) -> None:
    expected = one(bench, plain(bench), story(TOPICS[2]))[0]
    engine = guessing(bench)
    submit(bench, engine, 2, copy(2, 200))
    while not any(request.draft for request in engine._roster.running.values()):
        engine.step()
        engine.arrange()
    submit(bench, engine, 1, story(TOPICS[2]))
    engine.cancel(2)
    assert run(engine)[1][0] == expected
    assert engine.stats().cells_used == 0


def test_what_guesses_left_behind_never_stands_in_the_cache_for_a_later_prompt(bench: Bench) -> None:
    decoder = bench.decoder(4096, 4)
    keeping = Engine(bench.model, decoder, context=4096, speculation=Speculation(FREE), clock=lambda: 0.0)
    first = one(bench, keeping, copy(2, stop=("shelf 1",)))[0]
    follow = Generation(prompt=COPIES[2] + first + " and then", max_tokens=16, sampling=GREEDY, ignore_eos=True)
    text, end, _ = one(bench, keeping, follow)
    assert end.usage is not None
    assert end.usage.cached_tokens > 0
    assert text == one(bench, plain(bench), follow)[0]


def test_in_a_cache_without_room_for_guesses_the_text_is_whole(bench: Bench) -> None:
    cells = (len(bench.prompt(COPIES[2])) + 8) // 256 * 256 + 256
    room = cells - len(bench.prompt(COPIES[2])) - 2
    request = copy(2, min(room, 30))
    assert one(bench, guessing(bench, cells, 1), request)[0] == one(bench, plain(bench, cells, 1), request)[0]


@pytest.mark.slow
def test_two_hundred_greedy_texts_are_the_same_with_guesses(bench: Bench) -> None:
    words = FACTS.split(". ")
    for number in range(200):
        if number % 2:
            request = story(f"{TOPICS[number % 4]} and the number {number}", 32)
        else:
            facts = ". ".join(words[number : number + 8])
            request = Generation(prompt=f"{facts}.\nAgain: {facts[:30]}", max_tokens=32, sampling=GREEDY, ignore_eos=True)
        assert one(bench, guessing(bench), request)[0] == one(bench, plain(bench), request)[0], request.prompt
