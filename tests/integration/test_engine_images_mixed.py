"""Many chats with pictures at once, over little room: they share beginnings, make room for each other, and some give up.

Each text is that of its chat alone, or parts from it where two words are as good as equal.
"""

from __future__ import annotations

import random
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from near_ties import heard, tells_the_same
from test_engine_images import PAIRS, ask, close, loaded, run
from tiny_pictures import asked, picture

from app.core.records import Message, Priority
from models.engine.request import Request
from models.engine.worker import LoadedEngine

CHATS, TOKENS = 16, 20
WORDS = ["tram", "town", "driver", "north", "lamp", "river", "stone", "paper", "glass", "winter", "summer"]


Asked = dict[int, tuple[int, Request]]  # by id: which chat, and the request


@pytest.mark.slow
@pytest.mark.parametrize("speculate", ["off", "on"])
@pytest.mark.parametrize("pair", list(PAIRS))
def test_chats_with_pictures_over_little_room_write_what_each_writes_alone(tmp_path: Path, pair: str, speculate: str) -> None:
    made = loaded(tmp_path, pair, parallel=4, cache_memory=1 << 20, speculate=speculate)
    assert made.eyes is not None
    made.eyes._memory = 60_000  # rows of two or three pictures
    chance = random.Random(len(pair))
    chats = drawn(chance)
    made.engine._roster.cells = 1400
    kept = mixed(made, chats, chance)
    assert made.engine.stats().evictions > 0
    made.engine._roster.cells, made.engine._guesses._speculation = made.info.cells, None
    alone: dict[int, list[Any]] = {}
    for number, request in kept.values():
        scores = alone.setdefault(number, alone.get(number) or heard(made, partial(write, made, chats[number])))
        assert tells_the_same(request.tokens[request.prompt_tokens :], scores)
    close(made)


def write(made: LoadedEngine, chat: list[Message]) -> None:
    ask(made, 999, *chat, tokens=TOKENS)
    run(made.engine)


def drawn(chance: random.Random) -> list[list[Message]]:
    """Chats of one or two turns, half of which begin as another one."""
    shown = [picture(seed, width=chance.randrange(20, 120), height=chance.randrange(20, 120)) for seed in range(6)]

    def said() -> str:
        return " ".join(chance.choice(WORDS) for _ in range(chance.randrange(1, 40)))

    chats: list[list[Message]] = []
    for _ in range(CHATS):
        beginning = chance.choice(chats)[:1] if chats and chance.random() < 0.5 else [asked(said(), *chance.sample(shown, 2))]
        more = [Message("assistant", said()), asked(said(), *chance.sample(shown, chance.randrange(2)))]
        chats.append([*beginning, *more[: 2 * chance.randrange(2)]])
    return chats


def mixed(made: LoadedEngine, chats: list[list[Message]], chance: random.Random) -> Asked:
    """Each chat twice, in any order, some of which give up; returns those that came to their end."""
    engine, requests = made.engine, Asked()
    coming, until = [*range(CHATS), *range(CHATS)], time.monotonic() + 120
    while coming or not engine.idle:
        assert time.monotonic() < until
        if coming and engine.crowd[1] < 6 and chance.random() < 0.3:
            number, id = coming.pop(), len(coming)
            ask(made, id, *chats[number], tokens=TOKENS, chat=f"c{number % 7}", priority=chance.choice(list(Priority)))
            requests[id] = number, engine._roster.waiting[id]
        under_way = [*engine._roster.running, *engine._roster.waiting]
        if under_way and chance.random() < 0.01:
            id = chance.choice(under_way)
            engine.abandon(id)
            engine.cancel(id)
            del requests[id]
        time.sleep(0.0005 if engine.stalled else 0)
        for id, news in engine.step() if not engine.idle else ():
            assert id in requests
            assert not isinstance(news, Exception)
    return requests
