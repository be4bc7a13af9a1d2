"""An engine that hangs: a real one that stands still."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from app.core.errors import WorkerDied
from app.core.records import Context, Generation, Piece, Sampling
from models.engine.client import EngineClient, EngineSettings
from models.engine.watchdog import Patience

SHORT = Patience(first=20, least=1.0, times=3, look_every=0.1)


@pytest.fixture
async def engine(smollm2: Path, tmp_path: Path) -> AsyncIterator[EngineClient]:
    engine = EngineClient(
        smollm2, EngineSettings(context=1024, parallel=1, threads=1), name="engine-test", logs=tmp_path / "logs", patience=SHORT
    )
    yield engine
    await engine.stop()


async def write(engine: EngineClient, tokens: int, begun: asyncio.Event | None = None) -> int:
    request = Generation(prompt="Once upon a time", sampling=Sampling(temperature=0), max_tokens=tokens, ignore_eos=True)
    count = 0
    async for news in engine.generate(request, Context()):
        count += isinstance(news, Piece)
        if begun is not None and count > 3:
            begun.set()
    return count


@pytest.mark.skipif(sys.platform == "win32", reason="a process can't be made to stand still there")
async def test_a_process_that_hangs_is_ended_its_requests_hear_why_and_the_next_one_starts_it_again(engine: EngineClient) -> None:
    begun = asyncio.Event()
    running = asyncio.create_task(write(engine, 800, begun))
    await begun.wait()
    queued = asyncio.create_task(write(engine, 3))
    await asyncio.sleep(0.3)
    pid = engine.pid
    assert pid is not None
    psutil.Process(pid).send_signal(signal.SIGSTOP)
    for task in (running, queued):
        with pytest.raises(WorkerDied, match="It has hung"):
            await task
    assert await write(engine, 3)
    assert engine.pid != pid


async def test_one_that_is_idle_for_long_is_left_alone(engine: EngineClient) -> None:
    await write(engine, 3)
    pid = engine.pid
    await asyncio.sleep(2.5)
    assert engine.pid == pid
    await write(engine, 60)
    assert engine.pid == pid


def test_the_limit_follows_the_longest_silence_that_was_lived_through() -> None:
    patience = Patience(first=600, least=120, times=30)
    assert patience.limit(None) == 600
    assert patience.limit(0.5) == 120
    assert patience.limit(20) == 600
