"""The real llama-server behind our client, beside our own engine over the same model. `-m slow`: it may have to be installed."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import llama_server_install
import msgspec
import psutil
import pytest
import tiny_adapters
import tiny_ggufs

from app.core.errors import BadRequest, ContextLengthExceeded, WorkerDied
from app.core.records import Adapter, Context, Format, Generation, Message, Piece, Sampling
from models.engine.adapters import AdapterFile
from models.engine.client import EngineClient, EngineSettings

pytestmark = pytest.mark.slow
GREEDY = Sampling(temperature=0)
ASK = (Message("system", "간단히 대답하세요."), Message("user", "Name a colour. 😀"))
SCHEMA = {"type": "object", "properties": {"city": {"enum": ["Seoul", "Busan"]}}, "required": ["city"], "additionalProperties": False}


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return llama_server_install.program(tmp_path_factory.mktemp("program"))


@pytest.fixture
async def engine(program: Path, smollm2: Path, tmp_path: Path) -> AsyncIterator[EngineClient]:
    settings = EngineSettings(context=1024, parallel=2, threads=1, engine="llama-server", llama_server=str(program))
    engine = EngineClient(smollm2, settings, name="engine-other", logs=tmp_path / "logs")
    yield engine
    await engine.stop()


async def write(engine: EngineClient, request: Generation) -> tuple[str, list[Piece]]:
    pieces = [piece async for piece in engine.generate(request, Context()) if isinstance(piece, Piece)]
    return "".join(piece.text for piece in pieces), pieces


async def test_it_writes_counts_and_refuses_as_our_own_engine_does(engine: EngineClient, smollm2: Path, tmp_path: Path) -> None:
    own = EngineClient(smollm2, EngineSettings(context=1024, parallel=2, threads=1), name="engine-own", logs=tmp_path / "logs")
    try:
        for request in (Generation(messages=ASK, sampling=GREEDY, max_tokens=6), Generation(prompt="Once upon a time", max_tokens=6)):
            found = [(await write(one, request))[1][-1] for one in (engine, own)]
            assert [last.finish_reason for last in found] == ["length"] * 2 or found[0].finish_reason == found[1].finish_reason
            assert found[0].usage is not None
            assert found[1].usage is not None
            assert found[0].usage.prompt_tokens == found[1].usage.prompt_tokens
        assert await engine.count_tokens(ASK) == await own.count_tokens(ASK)
        assert await engine.count_text("Once upon a time") == await own.count_text("Once upon a time")
        for one in (engine, own):
            with pytest.raises(ContextLengthExceeded) as told:
                await write(one, Generation(prompt="word " * 2000))
            assert (told.value.prompt_tokens, told.value.context) == (2001, 1024)
    finally:
        await own.stop()


async def test_what_was_read_before_counts_as_cached(engine: EngineClient) -> None:
    request = Generation(prompt="Once upon a time there was a lighthouse keeper who", sampling=GREEDY, max_tokens=2)
    await write(engine, request)
    usage = (await write(engine, request))[1][-1].usage
    assert usage is not None
    assert usage.cached_tokens > 4


async def test_chances_schemas_and_grammars_pass_through(engine: EngineClient) -> None:
    text, pieces = await write(engine, Generation(messages=ASK, sampling=GREEDY, max_tokens=4, logprobs=2))
    assert b"".join(chance.data for piece in pieces for chance in piece.chances).decode() == text
    assert all(len(chance.top) == 2 for piece in pieces for chance in piece.chances)
    text, _ = await write(engine, Generation(messages=ASK, max_tokens=40, format=Format("json_schema", schema=SCHEMA)))
    assert json.loads(text)["city"] in ("Seoul", "Busan")
    assert (await write(engine, Generation(prompt="x", max_tokens=9, format=Format("gbnf", grammar='root ::= "aaa"'))))[0] == "aaa"
    with pytest.raises(BadRequest):
        await write(engine, Generation(prompt="x", format=Format("gbnf", grammar="root ::= this is (not valid")))


async def test_an_adapter_is_as_strong_as_each_request_says(program: Path, tmp_path: Path) -> None:
    model = tiny_ggufs.llama(tmp_path / "model.gguf")
    adapter = AdapterFile("strong", str(tiny_adapters.lora(tmp_path / "adapter.gguf", seed=1)), 0.0)
    settings = EngineSettings(context=512, threads=1, engine="llama-server", llama_server=str(program), adapters=(adapter,))
    engine = EngineClient(model, settings, name="engine-adapted", logs=tmp_path / "logs")
    try:
        request = Generation(prompt="w1 w2 w3", sampling=GREEDY, max_tokens=24, ignore_eos=True)
        plain, _ = await write(engine, request)
        adapted, _ = await write(engine, msgspec.structs.replace(request, adapters=(Adapter(0, 1.0),)))
        assert plain != adapted
        assert (await write(engine, request))[0] == plain
    finally:
        await engine.stop()


async def test_who_leaves_makes_room_at_once(engine: EngineClient) -> None:
    long = Generation(prompt="Once upon a time", max_tokens=1000, ignore_eos=True)
    for _ in range(5):
        async with contextlib.aclosing(engine.generate(long, Context())) as pieces:
            async for _piece in pieces:
                break
    await asyncio.sleep(0.2)
    assert (await engine.stats())["running"] == 0
    async with asyncio.timeout(20):
        await write(engine, Generation(prompt="Hi", max_tokens=2))


async def test_when_it_is_killed_its_requests_hear_so_and_the_next_one_starts_it_again(engine: EngineClient) -> None:
    await engine.start()
    assert engine.pid is not None
    family = psutil.Process(engine.pid).children(recursive=True)
    long = Generation(prompt="Once upon a time", max_tokens=1000, ignore_eos=True)
    tasks = [asyncio.create_task(write(engine, long)) for _ in range(3)]
    await asyncio.sleep(1)
    family[-1].kill()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(error, WorkerDied) for error in found)
    assert (await write(engine, Generation(prompt="Hi", max_tokens=2)))[1][-1].finish_reason == "length"
    assert psutil.wait_procs(family, timeout=5)[1] == []
