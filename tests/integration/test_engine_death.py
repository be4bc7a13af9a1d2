"""An engine's process that dies: in mid-answer with others waiting, and in the load, over a real file that llama.cpp aborts on."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import tiny_ggufs

from app.core.errors import BadSetting, WorkerDied
from app.core.records import Context, Generation, Piece, Sampling, Waiting
from models.engine.client import EngineClient, EngineSettings

MakeEngine = Callable[..., EngineClient]
SMALL = EngineSettings(context=1024, parallel=2, threads=1)


@pytest.fixture
async def make_engine(tmp_path: Path) -> AsyncIterator[MakeEngine]:
    made: list[EngineClient] = []

    def make(model: Path, settings: EngineSettings = SMALL) -> EngineClient:
        made.append(EngineClient(model, settings, name=f"engine-{len(made)}", logs=tmp_path / "logs"))
        return made[-1]

    yield make
    await asyncio.gather(*(engine.stop() for engine in made))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_ggufs.llama(tmp_path_factory.mktemp("plain") / "plain.gguf")


@pytest.fixture(scope="module")
def fatal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole file with a header that no check finds wrong: nine of four experts are to be asked."""
    path = tmp_path_factory.mktemp("fatal") / "fatal.gguf"
    return tiny_ggufs._write(path, "llama", 2, tiny_ggufs._attention, {"expert_count": 4, "expert_used_count": 9}, 7)


async def write(engine: EngineClient, tokens: int, told: list[str] | None = None) -> list[Piece | Waiting]:
    request = Generation(prompt="w1 w2 w3", sampling=Sampling(temperature=0), max_tokens=tokens, ignore_eos=True)
    news = []
    async for one in engine.generate(request, Context()):
        news.append(one)
        if told is not None:
            told.append("queued" if isinstance(one, Waiting) else "text")
    return news


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL there")
async def test_who_writes_and_who_waits_are_both_told_when_the_process_is_killed(make_engine: MakeEngine, smollm2: Path) -> None:
    engine = make_engine(smollm2)
    told: list[list[str]] = [[] for _ in range(4)]
    tasks = [asyncio.create_task(write(engine, 900, one)) for one in told]
    async with asyncio.timeout(60):
        while sum("text" in one for one in told) < 2 or sum("queued" in one for one in told) < 2:
            await asyncio.sleep(0.02)
    assert engine.pid is not None
    os.kill(engine.pid, signal.SIGKILL)
    async with asyncio.timeout(5):
        found = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(error, WorkerDied) for error in found)
    assert isinstance((await write(engine, 2))[-1], Piece)


async def test_a_model_that_crashes_llama_cpp_in_the_load_ends_its_own_worker_alone_and_is_not_loaded_in_a_loop(
    make_engine: MakeEngine, plain: Path, fatal: Path, tmp_path: Path
) -> None:
    other, broken = make_engine(plain), make_engine(fatal)
    beside = asyncio.create_task(write(other, 400))
    for _ in range(3):
        with pytest.raises(WorkerDied, match="while it started"):
            await write(broken, 2)
    starts = (tmp_path / "logs" / "engine-1.native.log").read_text(errors="replace").count("GGML_ASSERT")
    assert starts >= 1
    for _ in range(20):
        with pytest.raises(WorkerDied):
            await write(broken, 2)
    assert (tmp_path / "logs" / "engine-1.native.log").read_text(errors="replace").count("GGML_ASSERT") <= starts + 1
    assert isinstance((await beside)[-1], Piece)


async def test_a_context_that_no_memory_holds_is_refused_with_both_sizes(make_engine: MakeEngine, smollm2: Path) -> None:
    with pytest.raises(BadSetting, match=r"1000000000 tokens takes \d+\.\d GB with this model, but \d+\.\d GB") as told:
        await make_engine(smollm2, EngineSettings(context=1_000_000_000, threads=1)).start()
    assert told.value.code == "out_of_memory"


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL there")
async def test_a_load_that_the_system_kills_is_told_as_out_of_memory_with_the_models_size(make_engine: MakeEngine, smollm2: Path) -> None:
    engine = make_engine(smollm2)
    load = asyncio.create_task(engine.start())
    async with asyncio.timeout(30):
        while engine.pid is None:
            await asyncio.sleep(0)
    os.kill(engine.pid, signal.SIGKILL)
    with pytest.raises(WorkerDied, match=r"out of memory\. The model has 98 MB; .* are free"):
        await load
