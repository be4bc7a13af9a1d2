"""The engine in this process over a real model."""

from __future__ import annotations

import copy
from functools import cached_property
from pathlib import Path
from typing import Any

from app.core.errors import OndolError
from app.core.records import Generation, Piece, Priority, Sampling, Waiting
from models.engine.chat_template import ChatTemplate, Prompter
from models.engine.engine import Engine
from models.engine.llama.decoder import Decoder
from models.engine.llama.model import Model
from models.gguf import read_header

GREEDY = Sampling(temperature=0)
FACTS = " ".join(f"Fact {n}: item {n * 37 % 1009} is kept on shelf {n * 53 % 211}." for n in range(400))


class Bench:
    """A model with one engine after another over it."""

    def __init__(self, path: Path) -> None:
        header = read_header(path)
        self.model = Model(path)
        self.prompter = Prompter(self.model, ChatTemplate(header.chat_template, bos=self.model.bos_text, eos=self.model.eos_text))
        self.flash = True
        self._decoders: dict[tuple[int, int, bool], Decoder] = {}

    @cached_property
    def plain(self) -> Bench:
        """The same model without flash attention, in whose texts it makes no difference where in the cache a row's tokens lie.

        llama.cpp's flash attention on the CPU adds up in numbers of half precision, cell after cell. A row whose new cells lie before its
        old ones, where another has left, gets other roundings: 0.4 of a score in SmolLM2, no farther from exact numbers than before.
        Without it rows in a batch and a row alone round differently: that shows where a model's numbers are rounded to eight bits, and not
        in tiny models, whose numbers are whole.
        """
        twin = copy.copy(self)
        twin.flash = False
        return twin

    def decoder(self, cells: int = 8192, sequences: int = 8) -> Decoder:
        key = cells, sequences, self.flash
        if key not in self._decoders:
            self._decoders[key] = self.model.decoder(cells=cells, sequences=sequences, batch=512, threads=1, flash=self.flash)
        for sequence in range(sequences):
            self._decoders[key].forget(sequence)
        return self._decoders[key]

    def engine(self, cells: int = 8192, sequences: int = 8, *, context: int = 8192, max_queue: int = 32) -> Engine:
        # A clock that stands still: prompts are cut into the same small chunks in every run. llama.cpp computes the rows of
        # a batch bit for bit alike up to 63 rows; from 64 on it takes another attention kernel, with other roundings.
        decoder = self.decoder(cells, sequences)
        return Engine(self.model, decoder, context=min(context, cells), max_queue=max_queue, clock=lambda: 0.0)

    def prompt(self, text: str) -> list[int]:
        return self.prompter.tokens(Generation(prompt=text))

    def close(self) -> None:
        for decoder in self._decoders.values():
            decoder.close()
        self.model.close()


def story(topic: str, tokens: int = 24, **values: Any) -> Generation:
    values = {"sampling": GREEDY, "ignore_eos": True, **values}
    return Generation(prompt=f"Write a story about {topic}. Once upon a time", max_tokens=tokens, **values)


def submit(bench: Bench, engine: Engine, id: int, request: Generation, priority: Priority = Priority.CHAT) -> None:
    engine.submit(id, bench.prompter.tokens(request), request, priority)


def run(engine: Engine, *, steps: int = 2000) -> dict[int, tuple[str, Piece | OndolError]]:
    """Step until idle: each request's text and its last news."""
    texts: dict[int, str] = {}
    ends: dict[int, Piece | OndolError] = {}
    for _ in range(steps):
        if engine.idle:
            break
        for id, news in engine.step():
            assert id not in ends, "nothing comes after the end"
            if isinstance(news, Waiting):
                continue
            if isinstance(news, OndolError) or news.finish_reason:
                ends[id] = news
            texts[id] = texts.get(id, "") + (news.text if isinstance(news, Piece) else "")
    assert engine.idle, "it came to an end"
    return {id: (texts[id], end) for id, end in ends.items()}


def alone(bench: Bench, request: Generation) -> str:
    engine = bench.engine()
    submit(bench, engine, 1, request)
    return run(engine)[1][0]
