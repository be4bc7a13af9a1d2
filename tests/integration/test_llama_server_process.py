"""llama-server as a child: a small program plays it, which can crash, hang and pass over what it is told."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psutil
import pytest
from tiny_models import gguf_bytes

from app.core.errors import BadRequest, BadSetting, Busy, OndolError, WorkerDied
from app.core.records import Context, Generation, Piece, Priority, Waiting
from models.engine.client import EngineClient, EngineSettings

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a script is no program there")
MakeEngine = Callable[..., EngineClient]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("프로그램") / "llama-server"
    source = Path(__file__).with_name("llama_server_program.py").read_text(encoding="utf-8")
    path.write_text(f"#!{sys.executable} -I\n{source}", encoding="utf-8")
    path.chmod(0o755)
    return path


@pytest.fixture
async def make_engine(program: Path, tmp_path: Path) -> AsyncIterator[MakeEngine]:
    made: list[EngineClient] = []

    def make(name: str = "모델", *, named: str = str(program), **values: int) -> EngineClient:
        model = tmp_path / f"{name}.gguf"
        model.write_bytes(gguf_bytes())
        settings = EngineSettings(context=512, threads=1, engine="llama-server", llama_server=named, **values)
        made.append(EngineClient(model, settings, name="engine-test", logs=tmp_path / "logs"))
        return made[-1]

    yield make
    await asyncio.gather(*(engine.stop() for engine in made))


async def ticks(engine: EngineClient, count: int, priority: Priority = Priority.CHAT) -> list[Piece | Waiting]:
    request = Generation(prompt="Say tick.", max_tokens=count)
    return [news async for news in engine.generate(request, Context(priority=priority))]


def child(tmp_path: Path) -> psutil.Process:
    return psutil.Process(int((tmp_path / "pid").read_text()))


async def gone(process: psutil.Process, seconds: float = 5) -> bool:
    end = time.monotonic() + seconds
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() > end:
            return False
        await asyncio.sleep(0.02)
    return True


async def test_a_request_goes_through_and_its_count_is_the_servers(make_engine: MakeEngine) -> None:
    engine = make_engine()
    news = await ticks(engine, 2)
    assert "".join(piece.text for piece in news if isinstance(piece, Piece)) == "tick tick "
    assert news[-1].finish_reason == "length"
    assert news[-1].usage is not None
    assert news[-1].usage.completion_tokens == 2
    assert await engine.count_text("three words here") == 3
    assert engine.info is not None
    assert engine.info.context == 512


async def test_its_key_stands_in_no_command_line(make_engine: MakeEngine, tmp_path: Path) -> None:
    await make_engine().start()
    with child(tmp_path).oneshot():
        key = child(tmp_path).environ()["LLAMA_API_KEY"]
        assert len(key) >= 32
        assert not any(key in word for word in child(tmp_path).cmdline())


async def test_unload_ends_it_also_where_it_passes_over_the_wish(make_engine: MakeEngine, tmp_path: Path) -> None:
    engine = make_engine("deaf")
    await engine.start()
    server = child(tmp_path)
    await engine.stop()
    assert await gone(server)


async def test_it_ends_when_the_process_between_is_killed(make_engine: MakeEngine, tmp_path: Path) -> None:
    engine = make_engine("deaf")
    await engine.start()
    server = child(tmp_path)
    assert engine.pid is not None
    os.kill(engine.pid, signal.SIGKILL)
    assert await gone(server)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the system itself does this on Linux alone")
async def test_it_ends_when_its_guard_is_killed_and_the_engine_tells_of_it(make_engine: MakeEngine, tmp_path: Path) -> None:
    engine = make_engine("deaf")
    await engine.start()
    server = child(tmp_path)
    guard = server.parent()
    assert guard is not None
    answer = asyncio.create_task(ticks(engine, 100))
    await asyncio.sleep(0.3)
    guard.kill()
    with pytest.raises(WorkerDied):
        await answer
    assert await gone(server)


async def test_who_leaves_is_cancelled_in_the_server(make_engine: MakeEngine, tmp_path: Path) -> None:
    engine = make_engine()
    async with contextlib.aclosing(engine.generate(Generation(prompt="Say tick.", max_tokens=1000), Context())) as pieces:
        async for _ in pieces:
            break
    async with asyncio.timeout(5):
        while not (tmp_path / "left").exists():
            await asyncio.sleep(0.02)
    assert engine.running == 0


async def test_its_death_in_mid_answer_fails_those_who_wait_with_the_reason_and_the_next_request_starts_it_again(
    make_engine: MakeEngine, tmp_path: Path
) -> None:
    engine = make_engine("die", parallel=1)
    await engine.start()
    first = (tmp_path / "pid").read_text()
    found = await asyncio.gather(ticks(engine, 50), ticks(engine, 50), return_exceptions=True)
    assert all(isinstance(error, WorkerDied) for error in found)
    assert any(f"signal {signal.SIGSEGV.value}" in str(error) for error in found)
    with pytest.raises(WorkerDied):
        await ticks(engine, 50)
    assert (tmp_path / "pid").read_text() != first


@pytest.mark.parametrize(("name", "said"), [("crash", "ended by signal 11"), ("refuse", "failed to load model")])
async def test_a_model_that_it_can_not_load_is_told_with_its_last_words_and_not_tried_again_at_once(
    make_engine: MakeEngine, tmp_path: Path, name: str, said: str
) -> None:
    engine = make_engine(name)
    with pytest.raises(BadRequest, match=said) as told:
        await engine.start()
    assert told.value.code == "bad_model_file"
    began = (tmp_path / "logs" / "engine-test.log").read_text(encoding="utf-8").count("starting")
    with pytest.raises(BadRequest, match=said):
        await engine.start()
    assert (tmp_path / "logs" / "engine-test.log").read_text(encoding="utf-8").count("starting") == began


async def test_a_chat_goes_before_a_task_and_who_waits_is_told_its_place(make_engine: MakeEngine) -> None:
    engine = make_engine(parallel=1, max_queue=2)
    await engine.start()
    ended: list[str] = []

    async def one(name: str, priority: Priority) -> list[int]:
        news = await ticks(engine, 3, priority)
        ended.append(name)
        return [told.place for told in news if isinstance(told, Waiting)]

    first = asyncio.create_task(one("first", Priority.CHAT))
    await asyncio.sleep(0.1)
    task = asyncio.create_task(one("task", Priority.TASK))
    await asyncio.sleep(0.05)
    chat = asyncio.create_task(one("chat", Priority.CHAT))
    await asyncio.sleep(0.05)
    assert (engine.running, engine.waiting) == (1, 2)
    with pytest.raises(Busy):
        await ticks(engine, 1)
    assert await first == []
    assert await chat == [1]
    assert await task == [1, 2, 1]
    assert ended == ["first", "chat", "task"]


async def test_without_the_program_the_error_says_where_to_get_it(make_engine: MakeEngine, tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match=r"nowhere/llama-server.*releases"):
        await make_engine(named="nowhere/llama-server").start()
    other = tmp_path / "other"
    other.write_text("#!/bin/sh\necho usage: --help --port\n")
    other.chmod(0o755)
    with pytest.raises(BadSetting, match="too old, or no llama-server"):
        await make_engine(named=str(other)).start()


async def test_what_it_is_not_asked_for_is_refused(make_engine: MakeEngine) -> None:
    engine = make_engine()
    with pytest.raises(OndolError, match="built-in"):
        await engine._worker.call("no such thing")
