"""Greedy text beside others, over shared beginnings and after having made room is the text of a request alone.

But for ties: where a row's new cells lie before its old ones, attention adds the same numbers up in another order, and two tokens that
were as good as each other can change places.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
from engine_bench import FACTS, GREEDY, Bench, Scored, run

from app.core.records import Generation, Priority
from models.engine.engine import Engine

QUESTIONS = 200
ANSWER = 16
NEARLY = 0.15  # of a score: what another order of adding up can come to


@pytest.fixture(scope="module")
def bench(smollm2: Path) -> Iterator[Bench]:
    bench = Bench(smollm2)
    yield bench
    bench.close()


@pytest.fixture(scope="module")
def prompts(bench: Bench) -> list[list[int]]:
    chance = random.Random(1)
    facts = bench.prompt(FACTS)
    beginnings = [facts[at * 40 : at * 40 + 120] for at in range(6)]
    asked = [bench.prompt(f"\nQuestion {number}: where is item {number * 37 % 1009} kept?\nAnswer:") for number in range(QUESTIONS)]
    return [[*chance.choice(beginnings)[: chance.choice([40, 90, 120])], *question] for question in asked]


class Alone(NamedTuple):
    """What a request chooses alone, and how far each of these tokens was before the second best."""

    tokens: list[int]
    leads: list[float]


@pytest.fixture(scope="module")
def expected(bench: Bench, prompts: list[list[int]]) -> list[Alone]:
    found = []
    for prompt in prompts:
        decoder = Scored(bench.decoder(1024, 1))
        engine = Engine(bench.model, decoder, context=1024, keep=0, clock=lambda: 0.0)
        found.append(Alone(chosen(engine, [prompt], [Priority.CHAT])[0], decoder.leads))
    return found


def chosen(engine: Engine, prompts: Sequence[list[int]], priorities: Sequence[Priority]) -> list[list[int]]:
    """The tokens of all answers; some requests come while others run."""
    chance, requests = random.Random(2), []
    for id, prompt in enumerate(prompts):
        engine.submit(id, prompt, Generation(prompt="", sampling=GREEDY, max_tokens=ANSWER, ignore_eos=True), priorities[id])
        requests.append(engine._waiting[id])
        steps = chance.randrange(6)
        while steps > 0 or engine.crowd[1] > 20:
            engine.step()
            steps -= 1
    run(engine, steps=20_000)
    return [request.tokens[len(prompt) :] for request, prompt in zip(requests, prompts, strict=True)]


def turned_round(found: Sequence[list[int]], expected: Sequence[Alone]) -> list[float]:
    """Of each text that is another than alone: how far the token before the others was that it left."""
    leads = []
    for tokens, alone in zip(found, expected, strict=True):
        assert len(tokens) == len(alone.tokens) == ANSWER
        at = next((at for at, pair in enumerate(zip(tokens, alone.tokens, strict=True)) if pair[0] != pair[1]), None)
        leads += [] if at is None else [alone.leads[at]]
    return leads


@pytest.mark.slow
def test_two_hundred_texts_in_shared_batches_over_shared_beginnings_are_those_of_each_alone_but_for_ties(
    bench: Bench, prompts: list[list[int]], expected: list[Alone]
) -> None:
    engine = Engine(bench.model, bench.decoder(16_384, 24), context=1024, parallel=8, clock=lambda: 0.0)
    leads = turned_round(chosen(engine, prompts, [Priority.CHAT] * QUESTIONS), expected)
    print("ties that fell the other way:", leads)
    assert engine.stats().cached_tokens > QUESTIONS * 30
    assert max(leads, default=0.0) < NEARLY
    assert len(leads) < QUESTIONS / 20


@pytest.mark.slow
def test_two_hundred_texts_that_push_each_other_out_are_those_of_each_alone_but_for_ties(
    bench: Bench, prompts: list[list[int]], expected: list[Alone]
) -> None:
    engine = Engine(bench.model, bench.decoder(640, 8), context=640, parallel=6, clock=lambda: 0.0)
    leads = turned_round(chosen(engine, prompts, [list(Priority)[at % 3] for at in range(QUESTIONS)]), expected)
    print("ties that fell the other way:", leads)
    assert engine.stats().evictions > 10
    assert max(leads, default=0.0) < NEARLY
    assert len(leads) < QUESTIONS / 20
