"""Greedy text beside others, over shared beginnings and after having made room is the text of a request alone, bit for bit.

That holds while no row takes over cells that lie before its own: then attention adds the same numbers up in another order, which a
quantised model answers with other scores (by up to 1 in 35 on SmolLM2, by 0.000004 on a model of 32-bit weights without flash
attention). `test_engine_prefix` looks at what happens then, on small models.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import pytest
from engine_bench import FACTS, GREEDY, Bench, run

from app.core.records import Generation, Priority
from models.engine.decoding import DONE
from models.engine.engine import Engine
from models.engine.lanes import Lanes

QUESTIONS = 200
ANSWER = 16


@pytest.fixture(scope="module")
def prompts(bench: Bench) -> list[list[int]]:
    chance = random.Random(1)
    facts = bench.prompt(FACTS)
    beginnings = [facts[at * 40 : at * 40 + 120] for at in range(6)]
    asked = [bench.prompt(f"\nQuestion {number}: where is item {number * 37 % 1009} kept?\nAnswer:") for number in range(QUESTIONS)]
    return [[*chance.choice(beginnings)[: chance.choice([40, 90, 120])], *question] for question in asked]


@pytest.fixture(scope="module")
def expected(bench: Bench, prompts: list[list[int]]) -> list[list[int]]:
    found = []
    for prompt in prompts:
        engine = Engine(bench.model, bench.decoder(1024, 1), context=1024, keep=0, clock=lambda: 0.0)
        found += chosen(engine, [prompt], [Priority.CHAT])
    return found


def chosen(engine: Engine, prompts: Sequence[list[int]], priorities: Sequence[Priority]) -> list[list[int]]:
    """The tokens of all answers; some requests come while others run."""
    chance, requests = random.Random(2), []
    for id, prompt in enumerate(prompts):
        engine.submit(id, prompt, Generation(prompt="", sampling=GREEDY, max_tokens=ANSWER, ignore_eos=True), priorities[id])
        requests.append(engine._roster.waiting[id])
        steps = chance.randrange(6)
        while steps > 0 or engine.crowd[1] > 20:
            engine.step()
            steps -= 1
    run(engine, steps=20_000)
    return [request.tokens[len(prompt) :] for request, prompt in zip(requests, prompts, strict=True)]


@pytest.mark.slow
def test_two_hundred_texts_in_shared_batches_over_shared_beginnings_are_those_of_each_alone(
    bench: Bench, prompts: list[list[int]], expected: list[list[int]]
) -> None:
    engine = Engine(bench.model, bench.decoder(32_768, 220), context=1024, parallel=8, clock=lambda: 0.0)
    found = chosen(engine, prompts, [Priority.CHAT] * QUESTIONS)
    assert [at for at, pair in enumerate(zip(found, expected, strict=True)) if pair[0] != pair[1]] == []
    assert engine.stats().cached_tokens > QUESTIONS * 30


@pytest.mark.slow
def test_two_hundred_texts_that_make_room_for_each_other_are_those_of_each_alone(
    bench: Bench, prompts: list[list[int]], expected: list[list[int]]
) -> None:
    engine = Engine(bench.model, bench.decoder(32_768, 220), context=1024, parallel=2, clock=lambda: 0.0)
    found = chosen(engine, prompts, [list(Priority)[at * 7 % 3] for at in range(QUESTIONS)])
    assert [at for at, pair in enumerate(zip(found, expected, strict=True)) if pair[0] != pair[1]] == []
    assert engine.stats().evictions > 10


@pytest.mark.slow
def test_two_hundred_texts_that_are_written_in_lanes_are_those_of_each_alone(
    bench: Bench, prompts: list[list[int]], expected: list[list[int]]
) -> None:
    parted = bench.model.decoder(cells=8 * 256, sequences=8, batch=8, threads=1, unified=False)
    # Passing over a cell takes an age: whenever some write, they move.
    lanes = Lanes(bench.decoder(8192, 8), lambda: parted, count=8, length=256, passing=1e9)
    found: list[list[int]] = []
    for at in range(0, QUESTIONS, 8):
        found += together(bench, lanes, prompts[at : at + 8])
        assert lanes.inside == 8
    parted.close()
    assert [at for at, pair in enumerate(zip(found, expected, strict=True)) if pair[0] != pair[1]] == []


def together(bench: Bench, lanes: Lanes, prompts: Sequence[list[int]]) -> list[list[int]]:
    """The tokens of all answers: each prompt read by itself, so that its cells lie in their order, then all written at once."""
    texts = [list(prompt) for prompt in prompts]
    for sequence in range(len(texts)):
        lanes.forget(sequence)
    for sequence, tokens in enumerate(prompts):
        for at in range(0, len(tokens) - 1, 32):
            assert lanes.decode([(sequence, at, tokens[at : min(at + 32, len(tokens) - 1)])])[0] == DONE
    for _ in range(ANSWER):
        status, ends = lanes.decode([(sequence, len(tokens) - 1, tokens[-1:]) for sequence, tokens in enumerate(texts)])
        assert status == DONE
        for tokens, end in zip(texts, ends, strict=True):
            scores = np.array(lanes.scores(end))
            scores[list(bench.model.end_tokens)] = -np.inf
            tokens.append(int(scores.argmax()))
    return [tokens[len(prompt) :] for tokens, prompt in zip(texts, prompts, strict=True)]
