"""A model that was unloaded and comes again goes on with chats where they were: its worker wrote what it had read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.core.records import Context, Generation, Message, Piece, Priority, Sampling, Usage
from models.engine.client import EngineClient, EngineSettings

FACTS = " ".join(f"Fact {n}: item {n * 37 % 1009} is kept on shelf {n * 53 % 211}." for n in range(10))
ASKED = (Message("system", FACTS), Message("user", "Where is item 37 kept?"))
CHAT = Context(chat_id="a")


@pytest.fixture
async def engine(smollm2: Path, tmp_path: Path) -> AsyncIterator[EngineClient]:
    settings = EngineSettings(context=4096, threads=1, cache_disk=1 << 28, cache_folder=str(tmp_path / "내 cache" / "chats"))
    engine = EngineClient(smollm2, settings, name="engine-test", logs=tmp_path / "logs")
    yield engine
    await engine.stop()


async def ask(engine: EngineClient, messages: tuple[Message, ...], context: Context = CHAT) -> tuple[str, Usage]:
    request = Generation(messages=messages, sampling=Sampling(temperature=0), max_tokens=12)
    pieces = [piece async for piece in engine.generate(request, context) if isinstance(piece, Piece)]
    assert pieces[-1].usage is not None
    return "".join(piece.text for piece in pieces), pieces[-1].usage


async def written(folder: Path, count: int = 1) -> list[Path]:
    async with asyncio.timeout(60):
        while len(files := list(folder.glob("*.kv"))) < count:
            await asyncio.sleep(0.1)
    return files


async def test_after_a_restart_a_chats_next_turn_computes_its_new_tokens_alone(engine: EngineClient) -> None:
    said, used = await ask(engine, ASKED)
    assert used.cached_tokens == 0
    turn = (*ASKED, Message("assistant", said), Message("user", "And item 74?"))
    await written(Path(engine.settings.cache_folder))
    await engine.stop()
    warm, again = await ask(engine, turn)
    assert again.cached_tokens >= used.prompt_tokens + used.completion_tokens - 2
    await engine.stop()
    for path in Path(engine.settings.cache_folder).iterdir():
        path.unlink()
    cold, anew = await ask(engine, turn)
    assert anew.cached_tokens == 0
    assert warm == cold


async def test_a_damaged_file_is_as_if_it_were_not_there(engine: EngineClient) -> None:
    said, _ = await ask(engine, ASKED)
    (path,) = await written(Path(engine.settings.cache_folder))
    await engine.stop()
    content = path.read_bytes()
    path.write_bytes(content[:-1000] + bytes(1000))
    again, used = await ask(engine, ASKED)
    assert used.cached_tokens == 0
    assert again == said


async def test_what_tasks_read_is_not_written(engine: EngineClient) -> None:
    await ask(engine, (Message("user", f"Title this: {FACTS}"),), Context(chat_id="a", priority=Priority.TASK))
    await ask(engine, ASKED)
    folder = Path(engine.settings.cache_folder)
    await written(folder)
    stats = await engine.stats()
    assert stats["cells_kept"] > stats["prompt_tokens"] * 0.9, "both are kept in the cache"
    await asyncio.sleep(1.5)
    assert len(await written(folder)) == 1
