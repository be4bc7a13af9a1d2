"""Greedy text beside others, over shared beginnings and after having made room is the text of a request alone."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from engine_bench import FACTS, GREEDY, Bench, run

from app.core.records import Generation, Piece, Priority
from models.engine.engine import Engine

QUESTIONS = 200
ANSWER = 16


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


@pytest.fixture(scope="module")
def expected(bench: Bench, prompts: list[list[int]]) -> list[str]:
    found = []
    for prompt in prompts:
        engine = bench.engine(1024, 1)
        engine.submit(1, prompt, answer())
        found.append(run(engine)[1][0])
    return found


def answer() -> Generation:
    return Generation(prompt="", sampling=GREEDY, max_tokens=ANSWER, ignore_eos=True)


def written(engine: Engine, prompts: Sequence[list[int]], priorities: Sequence[Priority]) -> list[str]:
    """All of them, some at a time."""
    chance, texts = random.Random(2), dict[int, str]()
    for id, prompt in enumerate(prompts):
        engine.submit(id, prompt, answer(), priorities[id])
        for _ in range(chance.randrange(6)):
            for output in engine.step():
                texts[output.id] = texts.get(output.id, "") + (output.news.text if isinstance(output.news, Piece) else "")
        while engine.crowd[1] > 20:
            for output in engine.step():
                texts[output.id] = texts.get(output.id, "") + (output.news.text if isinstance(output.news, Piece) else "")
    for id, (text, _) in run(engine, steps=20_000).items():
        texts[id] = texts.get(id, "") + text
    return [texts[id] for id in range(len(prompts))]


@pytest.mark.slow
def test_two_hundred_texts_in_shared_batches_over_shared_beginnings_are_those_of_each_alone(
    bench: Bench, prompts: list[list[int]], expected: list[str]
) -> None:
    engine = Engine(bench.model, bench.decoder(16_384, 24), context=1024, parallel=8, clock=lambda: 0.0)
    found = written(engine, prompts, [Priority.CHAT] * QUESTIONS)
    assert [at for at, pair in enumerate(zip(found, expected, strict=True)) if pair[0] != pair[1]] == []
    assert engine.stats().cached_tokens > QUESTIONS * 40


@pytest.mark.slow
def test_two_hundred_texts_that_push_each_other_out_are_those_of_each_alone(
    bench: Bench, prompts: list[list[int]], expected: list[str]
) -> None:
    engine = Engine(bench.model, bench.decoder(640, 8), context=640, parallel=6, clock=lambda: 0.0)
    priorities = [list(Priority)[at % 3] for at in range(QUESTIONS)]
    found = written(engine, prompts, priorities)
    different = [at for at, pair in enumerate(zip(found, expected, strict=True)) if pair[0] != pair[1]]
    assert engine.stats().evictions > 10
    assert different == []
