"""The short way to the likeliest token is llama.cpp's own choice."""

from __future__ import annotations

from engine_bench import Bench

from models.engine.sampling import Link

GREEDY, NO_CHANGE = Link("greedy"), Link("temp", (1.0,))


def test_the_likeliest_token_is_llamas_choice_with_and_without_tokens_that_are_never_chosen(bench: Bench) -> None:
    tokens = bench.prompt("The capital of France is a city of many bridges, and its name is")
    decoder = bench.decoder(2048, 1)
    status, ends = decoder.decode([(0, 0, tokens)])
    assert status == 0
    first = decoder.sample(bench.model.chain([GREEDY]), ends[0])
    for never in [(), (first,), (first, 0, 2)]:
        short = decoder.sample(bench.model.chain([GREEDY], never=never), ends[0])
        assert short == decoder.sample(bench.model.chain([NO_CHANGE, GREEDY], never=never), ends[0])
        assert short not in never
