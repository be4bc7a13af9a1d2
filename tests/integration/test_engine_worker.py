"""The engine in its own process, as the server uses it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from app.core.errors import BadRequest, Busy, ContextLengthExceeded, WorkerDied
from app.core.records import Context, Generation, Message, Piece, Sampling
from app.core.workers.parent import State
from models.engine.client import EngineClient, EngineSettings

GREEDY = Sampling(temperature=0)
SMALL = EngineSettings(context=2048, threads=1)
MakeEngine = Callable[..., EngineClient]


@pytest.fixture
async def make_engine(tmp_path: Path) -> AsyncIterator[MakeEngine]:
    made: list[EngineClient] = []

    def make(model: Path, settings: EngineSettings = SMALL) -> EngineClient:
        made.append(EngineClient(model, settings, name="engine-test", logs=tmp_path / "logs"))
        return made[-1]

    yield make
    await asyncio.gather(*(engine.stop() for engine in made))


def story(tokens: int, text: str = "Once upon a time") -> Generation:
    return Generation(prompt=text, sampling=GREEDY, max_tokens=tokens, ignore_eos=True)


async def write(engine: EngineClient, request: Generation) -> tuple[str, Piece]:
    pieces = [piece async for piece in engine.generate(request, Context()) if isinstance(piece, Piece)]
    assert all(piece.finish_reason is None for piece in pieces[:-1])
    return "".join(piece.text for piece in pieces), pieces[-1]


async def until_free(engine: EngineClient) -> dict[str, int]:
    async with asyncio.timeout(60):
        while (stats := await engine.stats())["running"]:
            await asyncio.sleep(0.02)
    return stats


async def test_a_model_loads_tells_of_itself_and_writes(make_engine: MakeEngine, smollm2: Path) -> None:
    engine = make_engine(smollm2)
    assert engine.info is None
    info = await engine.start()
    assert (info.architecture, info.context, info.cells, info.parallel, info.threads) == ("llama", 2048, 2048, 8, 1)
    assert info.parameters == 134_515_008
    assert (info.chat_template, info.gpu_layers) == (True, 0)
    assert engine.progress == 1.0
    assert engine.state is State.READY
    text, last = await write(engine, story(12))
    assert text
    assert last.usage is not None
    assert last.usage.completion_tokens == 12


async def test_the_count_of_a_prompt_is_what_the_answer_is_charged(make_engine: MakeEngine, smollm2: Path) -> None:
    engine = make_engine(smollm2)
    messages = (Message("system", "간단히 대답하세요."), Message("user", "안녕하세요 😀"))
    _, last = await write(engine, Generation(messages=messages, sampling=GREEDY, max_tokens=2))
    assert last.usage is not None
    assert await engine.count_tokens(messages) == last.usage.prompt_tokens
    assert await engine.count_text("Once upon a time") == 4


async def test_a_prompt_that_is_too_long_comes_back_with_both_counts(make_engine: MakeEngine, smollm2: Path) -> None:
    engine = make_engine(smollm2)
    with pytest.raises(ContextLengthExceeded) as refused:
        await write(engine, story(1, "word " * 3000))
    assert refused.value.context == 2048
    assert refused.value.prompt_tokens > 3000


async def test_closing_a_stream_early_frees_its_place_and_its_cells(make_engine: MakeEngine, smollm2: Path) -> None:
    engine = make_engine(smollm2)
    async with contextlib.aclosing(engine.generate(story(2000), Context())) as pieces:
        async for _ in pieces:
            break
    stats = await until_free(engine)
    assert stats["cells_used"] == 0
    assert stats["completion_tokens"] < 1000


async def test_a_queue_that_is_full_answers_busy(make_engine: MakeEngine, smollm2: Path) -> None:
    engine = make_engine(smollm2, EngineSettings(context=2048, threads=1, parallel=1, max_queue=2))
    await engine.start()
    tasks = [asyncio.create_task(write(engine, story(60))) for _ in range(6)]
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    busy = [answer for answer in answers if isinstance(answer, Busy)]
    assert busy
    assert all(error.retry_after > 0 for error in busy)
    assert sum(isinstance(answer, tuple) for answer in answers) == 6 - len(busy) >= 2


@pytest.mark.skipif(sys.platform == "win32", reason="speaks of signals")
async def test_eight_streams_get_a_clear_error_when_the_worker_is_killed_and_the_next_chat_works(
    make_engine: MakeEngine, smollm2: Path
) -> None:
    engine = make_engine(smollm2)
    await engine.start()
    began = [asyncio.Event() for _ in range(8)]

    async def follow(n: int) -> None:
        async for _ in engine.generate(story(240, f"Story number {n}:"), Context()):
            began[n].set()

    tasks = [asyncio.create_task(follow(n)) for n in range(8)]
    await asyncio.gather(*(event.wait() for event in began))
    first = engine.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(answer) for answer in answers] == [WorkerDied] * 8
    text, _ = await write(engine, story(4))
    assert text
    assert engine.pid != first


async def test_a_damaged_file_is_refused_with_its_reason_before_llama_sees_it(
    make_engine: MakeEngine, smollm2: Path, tmp_path: Path
) -> None:
    short = tmp_path / "짧은 모델.gguf"
    short.write_bytes(smollm2.read_bytes()[:50_000_000])
    engine = make_engine(short)
    with pytest.raises(BadRequest, match="cut off") as refused:
        await engine.start()
    assert refused.value.code == "bad_model_file"
    assert engine.state is State.FAILED
    assert "cut off" in engine.reason


async def test_a_missing_file_is_refused_by_name(make_engine: MakeEngine, tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match=r"gone\.gguf"):
        await make_engine(tmp_path / "gone.gguf").start()


async def test_a_model_at_a_path_with_korean_letters_and_spaces_loads(make_engine: MakeEngine, smollm2: Path, tmp_path: Path) -> None:
    folder = tmp_path / "내 모델들"
    folder.mkdir()
    model = folder / "스몰 모델.gguf"
    try:
        model.hardlink_to(smollm2)
    except OSError:
        model.write_bytes(smollm2.read_bytes())
    text, _ = await write(make_engine(model), story(3))
    assert text


async def test_a_request_that_makes_no_sense_does_not_end_the_others(make_engine: MakeEngine, smollm2: Path) -> None:
    engine = make_engine(smollm2)
    await engine.start()
    other = asyncio.create_task(write(engine, story(30)))
    with pytest.raises(BadRequest, match="temperature"):
        await write(engine, Generation(prompt="x", sampling=Sampling(temperature=-1)))
    with pytest.raises(BadRequest, match="max_tokens"):
        await write(engine, Generation(prompt="x", max_tokens=-1))
    with pytest.raises(BadRequest, match="image_url"):
        await write(engine, Generation(messages=(Message("user", [{"type": "image_url"}]),)))
    assert (await other)[1].finish_reason == "length"


async def test_stopping_ends_the_process_and_the_next_request_starts_it_again(make_engine: MakeEngine, smollm2: Path) -> None:
    engine = make_engine(smollm2)
    await engine.start()
    await engine.stop()
    assert (engine.pid, engine.state, engine.progress) == (None, State.STOPPED, 0.0)
    assert (await write(engine, story(2)))[0]


def test_the_client_imports_nothing_heavy() -> None:
    code = "import sys, models.engine.client; print([m for m in ('numpy', 'llama_cpp', 'jinja2', 'torch') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
