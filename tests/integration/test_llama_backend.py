"""The local backend over real engine processes: what a load tells, and which models stay in memory beside each other."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from pathlib import Path

import pytest
from tiny_models import gguf_bytes

from app.backends.llama import LlamaBackend
from app.core.errors import BadRequest, Conflict, ModelNotFound
from app.core.records import Context, Generation, Piece, Priority, Sampling, Waiting
from models.engine.client import EngineSettings
from models.library import Library

SMALL = EngineSettings(context=1024, threads=1)
CHAT, TASK = Context(), Context(priority=Priority.TASK)
MakeBackend = Callable[..., LlamaBackend]


@pytest.fixture(scope="module")
def library(smollm2: Path, tmp_path_factory: pytest.TempPathFactory) -> Library:
    """The same model under three names, and one that llama.cpp refuses."""
    root = tmp_path_factory.mktemp("library")
    library = Library(root / "models")
    for name in ("Big-One.Q4_1", "Other-One.Q4_1", "Small-One.Q4_1"):
        path = root / f"{name}.gguf"
        path.write_bytes(smollm2.read_bytes())
        library.pull(f"file:{path}")
    (root / "hollow.gguf").write_bytes(gguf_bytes())
    library.pull(f"file:{root / 'hollow.gguf'}")
    return library


@pytest.fixture
async def make_backend(library: Library, tmp_path: Path) -> AsyncIterator[MakeBackend]:
    made: list[LlamaBackend] = []

    def make(**values: str) -> LlamaBackend:
        made.append(LlamaBackend(library, SMALL, logs=tmp_path / "logs", idle_seconds=0, **values))
        return made[-1]

    yield make
    await asyncio.gather(*(backend.close() for backend in made))


def story(tokens: int = 2) -> Generation:
    return Generation(prompt="Once upon a time", sampling=Sampling(temperature=0), max_tokens=tokens, ignore_eos=True)


async def write(backend: LlamaBackend, model: str, context: Context = CHAT) -> list[Piece | Waiting]:
    return [news async for news in backend.generate(model, story(), context)]


async def states(backend: LlamaBackend) -> dict[str, str]:
    return {model.id: model.state for model in await backend.models() if model.state != "unloaded"}


async def until(backend: LlamaBackend, expected: dict[str, str]) -> None:
    async with asyncio.timeout(60):
        while await states(backend) != expected:
            await asyncio.sleep(0.02)


async def test_an_idle_model_leaves_the_memory_and_comes_back_with_the_next_request(library: Library, tmp_path: Path) -> None:
    backend = LlamaBackend(library, SMALL, logs=tmp_path / "logs", idle_seconds=0.3)
    try:
        assert await write(backend, "big-one")
        await until(backend, {})
        assert isinstance((await write(backend, "big-one"))[-1], Piece)
    finally:
        await backend.close()


async def test_a_cold_model_tells_its_load_with_name_and_size_before_its_text_and_a_warm_one_does_not(make_backend: MakeBackend) -> None:
    backend = make_backend()
    news = await write(backend, "big-one")
    loads = [one for one in news if isinstance(one, Waiting)]
    assert news[: len(loads)] == loads
    assert loads[0].kind == "loading"
    assert (loads[0].model, loads[0].progress) == ("Big-One (Q4_1)", 0.0)
    assert loads[0].size_bytes > 90_000_000
    assert [one.progress for one in loads] == sorted({one.progress for one in loads})
    assert "".join(one.text for one in news if isinstance(one, Piece))
    assert all(isinstance(one, Piece) for one in await write(backend, "big-one"))


async def test_a_load_goes_on_when_the_one_who_waited_for_it_has_left(make_backend: MakeBackend) -> None:
    backend = make_backend()
    async with contextlib.aclosing(backend.generate("big-one", story(), CHAT)) as news:
        assert isinstance(await anext(news), Waiting)
        await asyncio.sleep(0.05)
    assert await states(backend) == {"big-one": "loading"}
    await until(backend, {"big-one": "loaded"})
    await backend.unload("big-one")
    assert await states(backend) == {}


async def test_a_load_that_nobody_waits_for_is_given_up_when_another_model_is_wanted(make_backend: MakeBackend) -> None:
    backend = make_backend()
    async with contextlib.aclosing(backend.generate("big-one", story(), CHAT)) as news:
        assert isinstance(await anext(news), Waiting)
        await asyncio.sleep(0.05)
    await write(backend, "other-one")
    assert await states(backend) == {"other-one": "loaded"}


async def test_a_model_that_can_not_be_loaded_tells_everybody_why(make_backend: MakeBackend) -> None:
    backend = make_backend()
    answers = await asyncio.gather(*(write(backend, "hollow") for _ in range(3)), backend.load("hollow"), return_exceptions=True)
    assert [type(answer) for answer in answers] == [BadRequest] * 4
    assert all("hollow" in str(answer) for answer in answers)
    assert await states(backend) == {"hollow": "failed"}


async def test_one_chats_model_makes_room_for_another_chats(make_backend: MakeBackend) -> None:
    backend = make_backend()
    await write(backend, "big-one")
    await write(backend, "other-one")
    assert await states(backend) == {"other-one": "loaded"}


async def test_a_task_never_pushes_a_chats_model_out_nor_a_chat_the_model_of_tasks(make_backend: MakeBackend) -> None:
    backend = make_backend(tasks="small-one")
    await write(backend, "small-one", TASK)
    await write(backend, "big-one")
    assert await states(backend) == {"big-one": "loaded", "small-one": "loaded"}
    await write(backend, "other-one", TASK)
    assert await states(backend) == {"big-one": "loaded", "other-one": "loaded", "small-one": "loaded"}
    await write(backend, "other-one")
    assert await states(backend) == {"big-one": "loaded", "other-one": "loaded", "small-one": "loaded"}, "no load, no need of room"
    await write(backend, "small-one", TASK)
    await write(backend, "big-one")
    await backend.unload("big-one")
    await backend.load("big-one")
    assert await states(backend) == {"big-one": "loaded", "small-one": "loaded"}


async def test_a_model_that_answered_while_another_was_asked_for_leaves_when_it_has_answered(make_backend: MakeBackend) -> None:
    backend = make_backend()
    async with contextlib.aclosing(backend.generate("big-one", story(900), CHAT)) as news:
        async for one in news:
            if isinstance(one, Piece):
                break
        await write(backend, "other-one")
        assert await states(backend) == {"big-one": "loaded", "other-one": "loaded"}
    await until(backend, {"other-one": "loaded"})


async def test_a_model_that_answers_is_not_unloaded_and_one_that_is_not_there_is_named(make_backend: MakeBackend) -> None:
    backend = make_backend()
    async with contextlib.aclosing(backend.generate("big-one", story(900), CHAT)) as news:
        await anext(news)
        with pytest.raises(Conflict, match="in use"):
            await backend.unload("big-one")
    await backend.unload("big-one")
    await backend.unload("big-one")
    assert await states(backend) == {}
    with pytest.raises(ModelNotFound, match="no-such"):
        await backend.unload("no-such")
    with pytest.raises(ModelNotFound, match="no-such"):
        await backend.load("no-such")


async def test_the_crowd_counts_who_is_worked_on_and_who_waits(make_backend: MakeBackend) -> None:
    backend = make_backend()

    async def becomes(running: int, waiting: int) -> None:
        async with asyncio.timeout(30):
            while backend.crowd != (running, waiting):
                await asyncio.sleep(0.01)

    await becomes(0, 0)
    async with contextlib.aclosing(backend.generate("big-one", story(900), CHAT)) as news:
        await anext(news)
        asking = asyncio.ensure_future(_to_the_end(news))
        await becomes(1, 0)
        asking.cancel()
        await asyncio.wait([asking])
    await becomes(0, 0)


async def _to_the_end(news: AsyncGenerator[Piece | Waiting, None]) -> None:
    async for _ in news:
        pass
