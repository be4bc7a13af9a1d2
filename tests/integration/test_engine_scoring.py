"""The engine over real models: a prompt that is handed out with the chances of its own tokens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_ggufs
from engine_bench import FACTS, GREEDY, Bench, run, story, submit

from app.core.records import Chance, Generation, Piece, Priority, Usage
from models.engine.engine import Engine
from models.engine.request import Output
from models.engine.scoring import ROWS

# Without blanks, which models of random weights know as the bytes of another character.
PROMPT = "Thequickbrownfoxjumpsoverthelazydog.서울에서만나요,내일아침에!<|im_end|>" + FACTS[:300].replace(" ", "")


@pytest.fixture(scope="module")
def bench(smollm2: Path) -> Iterator[Bench]:
    bench = Bench(smollm2)
    yield bench
    bench.close()


@pytest.fixture(scope="module", params=list(tiny_ggufs.ALL))
def tiny(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    bench = Bench(tiny_ggufs.ALL[request.param](tmp_path_factory.mktemp("tiny") / "tiny.gguf"))
    yield bench
    bench.close()


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    bench = Bench(tiny_ggufs.llama(tmp_path_factory.mktemp("tiny") / "tiny.gguf"))
    yield bench
    bench.close()


class Looked:
    """A real context that remembers how many rows of each batch had scores, and what was computed of which sequence."""

    def __init__(self, decoder: Any) -> None:
        self._decoder = decoder
        self.looks: list[Sequence[int]] = []
        self.parts: list[list[tuple[int, int, int]]] = []

    def decode(self, parts: Any, looks: Any = ()) -> Any:
        self.looks.append(looks)
        self.parts.append([(sequence, at, len(tokens)) for sequence, at, tokens in parts])
        return self._decoder.decode(parts, looks)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._decoder, name)


def scored(prompt: str, answer: int = 0, **values: Any) -> Generation:
    values = {"sampling": GREEDY, "ignore_eos": True, "logprobs": 2, **values}
    return Generation(prompt=prompt, max_tokens=answer, echo=True, **values)


def plainly(bench: Bench, tokens: Sequence[int], at_once: int) -> list[float]:
    """The chance of each token but the first, out of llama.cpp's own scores of so many tokens at once."""
    decoder, found = bench.decoder(), []
    for at in range(0, len(tokens) - 1, at_once):
        part = tokens[at : at + at_once]
        status, (end,) = decoder.decode([(0, at, part)], [len(part)])
        assert status == 0
        for row, following in enumerate(tokens[at + 1 : at + 1 + len(part)], start=end + 1 - len(part)):
            scores = np.array(decoder.scores(row), np.float64)
            found.append(float(scores[following] - np.logaddexp.reduce(scores)))
    decoder.forget(0)
    return found


def news(engine: Engine) -> list[Output]:
    found: list[Output] = []
    while not engine.idle:
        found += engine.step()
    return found


def pieces(outputs: Sequence[Output], id: int = 1) -> list[Piece]:
    found = [news for one, news in outputs if one == id]
    assert all(isinstance(one, Piece) for one in found if not hasattr(one, "place")), found
    return [one for one in found if isinstance(one, Piece)]


def chances(found: Sequence[Piece]) -> list[Chance]:
    return [one for piece in found for one in piece.chances]


def of(bench: Bench, request: Generation, engine: Engine | None = None) -> list[Piece]:
    engine = engine or bench.engine()
    submit(bench, engine, 1, request)
    return pieces(news(engine))


def check_equal(bench: Bench) -> None:
    tokens = bench.prompt(PROMPT)
    assert len(tokens) > 3 * ROWS
    told = chances(of(bench, scored(PROMPT)))
    assert [one.token for one in told] == tokens
    assert told[0].logprob is None
    assert [one.logprob for one in told[1:]] == pytest.approx(plainly(bench, tokens, ROWS), abs=1e-5)
    # One token is computed by other means than many.
    assert [one.logprob for one in told[1:]] == pytest.approx(plainly(bench, tokens, 1), abs=0.05)
    for one in told[1:]:
        assert one.logprob is not None
        assert one.top[0].logprob is not None
        assert one.logprob <= one.top[0].logprob
        assert one.token != one.top[0].token or one.logprob == one.top[0].logprob


def test_the_chances_of_a_prompt_are_those_of_llama_cpps_own_scores(bench: Bench) -> None:
    check_equal(bench)


def test_so_they_are_for_every_way_in_which_models_remember(tiny: Bench) -> None:
    check_equal(tiny)


def test_the_text_of_a_scored_prompt_is_what_was_written_and_every_piece_is_made_of_its_chances(bench: Bench, llama: Bench) -> None:
    for one in (bench, llama):  # the latter's prompts begin with a token and a blank of the model's own
        found = of(one, scored(PROMPT))
        assert "".join(piece.text for piece in found) == PROMPT
        assert all(b"".join(chance.data for chance in piece.chances).decode() == piece.text for piece in found)


def test_nothing_is_written_after_the_prompt_where_nothing_is_wanted(bench: Bench) -> None:
    tokens = len(bench.prompt(PROMPT))
    last = of(bench, scored(PROMPT))[-1]
    assert (last.text, last.finish_reason, last.usage) == ("", "length", Usage(tokens, 0, 0))
    engine = bench.engine()
    submit(bench, engine, 1, story("a fox", tokens=0))
    assert run(engine)[1][0] == ""


def test_what_is_written_after_a_scored_prompt_is_what_is_written_without_it(bench: Bench) -> None:
    asked = story("a fox", tokens=12, logprobs=1)
    plain = of(bench, asked)
    found = of(bench, scored(asked.prompt or "", 12, logprobs=1))
    assert "".join(one.text for one in found) == f"{asked.prompt}{''.join(one.text for one in plain)}"
    assert [one.token for one in chances(found)[-12:]] == [one.token for one in chances(plain)]
    assert found[-1].usage == plain[-1].usage


@pytest.mark.parametrize("prompt", ["a", "한", ""])
def test_the_shortest_prompts_are_scored_too(llama: Bench, prompt: str) -> None:
    tokens = llama.prompt(prompt)
    found = of(llama, scored(prompt, 2))
    assert "".join(one.text for one in found).startswith(prompt)
    assert [one.token for one in chances(found)][: len(tokens)] == tokens
    assert [one.logprob is None for one in chances(found)] == [True, *[False] * (len(tokens) + 1)]


def test_a_scored_prompt_takes_nothing_from_the_cache_and_leaves_it_to_others(tiny: Bench) -> None:
    engine = tiny.engine()
    first = chances(of(tiny, scored(PROMPT), engine))
    again = of(tiny, scored(PROMPT), engine)
    assert again[-1].usage is not None
    assert again[-1].usage.cached_tokens == 0
    assert [one.logprob for one in chances(again)[1:]] == pytest.approx([one.logprob for one in first[1:]], abs=1e-3)
    submit(tiny, engine, 2, Generation(prompt=PROMPT, sampling=GREEDY, max_tokens=2, ignore_eos=True))
    _, end = run(engine)[2]
    assert isinstance(end, Piece)
    assert end.usage is not None
    assert end.usage.cached_tokens == len(tiny.prompt(PROMPT)) - 1


def test_no_step_has_more_scores_than_its_bound_however_many_are_scored(llama: Bench) -> None:
    alone = {n: [one.logprob for one in chances(of(llama, scored(f"{n} {PROMPT}")))][1:] for n in range(5)}
    engine = llama.engine()
    looked = engine._decoder = Looked(engine._decoder)
    for n in range(5):
        submit(llama, engine, n, scored(f"{n} {PROMPT}"))
    outputs = news(engine)
    assert max(sum(one for one in looks if one > 1) for looks in looked.looks) == ROWS
    for n in range(5):
        assert [one.logprob for one in chances(pieces(outputs, n))][1:] == pytest.approx(alone[n], abs=1e-3)


def test_who_writes_gets_a_token_in_every_step_beside_a_prompt_that_is_scored(llama: Bench) -> None:
    engine = llama.engine()
    looked = engine._decoder = Looked(engine._decoder)
    submit(llama, engine, 1, story("a fox", tokens=200))
    while engine.stats().completion_tokens < 2:
        engine.step()
    looked.parts.clear()
    submit(llama, engine, 2, scored(FACTS[:1500]))
    outputs = []
    while not any(id == 2 and isinstance(one, Piece) and one.finish_reason for id, one in outputs):
        outputs += engine.step()
    assert all(any(count == 1 for _, _, count in parts) for parts in looked.parts)
    assert len(pieces([one for one in outputs if one.id == 2], 2)) > 10


def test_who_has_to_make_room_in_mid_prompt_goes_on_from_the_last_chance_that_was_told(tiny: Bench) -> None:
    alone = chances(of(tiny, scored(PROMPT)))
    engine = Engine(tiny.model, tiny.decoder(sequences=3), context=4096, parallel=1, clock=lambda: 0.0)
    submit(tiny, engine, 1, scored(PROMPT), Priority.TASK)
    outputs = [*engine.step(), *engine.step()]
    submit(tiny, engine, 2, story("a fox", tokens=4))
    outputs += news(engine)
    stats = engine.stats()
    assert stats.evictions == 1
    again = stats.prompt_tokens - len(alone) - len(tiny.prompter.tokens(story("a fox")))
    assert again <= 1 or not engine._decoder.truncates or engine._decoder.window, "it was kept"
    found = chances(pieces(outputs))
    assert [one.token for one in found] == [one.token for one in alone]
    assert [one.logprob for one in found[1:]] == pytest.approx([one.logprob for one in alone[1:]], abs=2e-2)


def test_a_scored_prompt_that_is_cancelled_leaves_its_place(llama: Bench) -> None:
    engine = llama.engine()
    submit(llama, engine, 1, scored(PROMPT))
    engine.step()
    engine.cancel(1)
    assert engine.idle
    assert engine.stats().running == 0
    assert "".join(one.text for one in of(llama, scored(PROMPT), engine)) == PROMPT


def test_tokens_are_taken_as_they_are(llama: Bench) -> None:
    first = tiny_ggufs.FIRST_WORD
    asked = Generation(prompt="", tokens=(first, first + 1, 5), sampling=GREEDY, max_tokens=1, logprobs=1, echo=True, ignore_eos=True)
    assert [one.token for one in chances(of(llama, asked))][:3] == [first, first + 1, 5]
