"""What a configuration becomes: a served application, with plain classes and with an upstream that speaks OpenAI's API."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import openai
import pytest
import uvicorn
from api_server import KEY, Running, serving

from app.core.credentials import api_key
from app.core.errors import BadSetting
from app.core.paths import Home
from app.core.settings import load_settings
from app.main import build

FULL = """
backends:
  mine: {type: "plain_parts:Echo"}
  far: {type: openai, config: {model: parrot, base_url: "URL/v1", api_key: KEY}}
  broken: {type: openai, config: {model: parrot, base_url: "URL/v1", api_key: wrong}}
sources:
  weather: {type: "plain_parts:Weather", config: {city: Daejeon}}
assistants:
  forecaster: {backend: mine, sources: [weather], style: quote}
"""
PLAIN = """
ai_backend: {type: openai, config: {model: parrot, base_url: "URL/v1", api_key: KEY, temperature: 0.7}}
data_source: {type: "plain_parts:Weather", config: {city: Seoul}}
processing: {max_context_length: 4000, chunk_overlap: 200, search_top_k: 10}
response_format: {structured: true, include_sources: true, max_length: 2000}
"""


@pytest.fixture(scope="module")
def upstream() -> Iterator[Running]:
    """Another server of ours: it speaks the protocol."""
    with serving() as running:
        yield running


@contextlib.asynccontextmanager
async def served(tmp_path: Path, config: str, upstream: Running) -> AsyncIterator[openai.AsyncOpenAI]:
    home = Home(tmp_path)
    home.config.write_text(config.replace("URL", upstream.url).replace("KEY", KEY), encoding="utf-8")
    made = build(home, load_settings(home, environ={}))
    with socket.socket(proto=socket.IPPROTO_TCP) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(64)
        server = uvicorn.Server(uvicorn.Config(made.app, log_config=None, lifespan="on"))
        task = asyncio.create_task(server.serve(sockets=[listening]))
        while not server.started:
            await asyncio.sleep(0.01)
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
        try:
            async with openai.AsyncOpenAI(base_url=url, api_key=api_key(home), max_retries=0) as client:
                yield client
        finally:
            server.should_exit = True
            await task


async def said(client: openai.AsyncOpenAI, model: str, content: str) -> str:
    made = await client.chat.completions.create(model=model, messages=[{"role": "user", "content": content}])
    return made.choices[0].message.content or ""


async def test_plain_classes_and_an_upstream_serve_side_by_side(tmp_path: Path, upstream: Running) -> None:
    async with served(tmp_path, FULL, upstream) as client:
        assert {"forecaster", "echo-1", "parrot"} <= {model.id async for model in client.models.list()}
        assert await said(client, "echo-1", "hello") == "You said: hello"
        assert await said(client, "parrot", "from afar") == "from afar "
        assert "13 degrees to Daejeon" in await said(client, "forecaster", "How warm will it be tomorrow?")
        with pytest.raises(openai.InternalServerError, match="the weather station is closed"):
            await said(client, "forecaster", "please fail")


async def test_a_streamed_upstream_is_passed_on_as_it_comes_and_stops_when_the_client_leaves(tmp_path: Path, upstream: Running) -> None:
    async with served(tmp_path, FULL.replace("model: parrot", "model: endless"), upstream) as client:
        before = upstream.backend.stopped
        stream = await client.chat.completions.create(model="endless", messages=[{"role": "user", "content": "go"}], stream=True)
        pieces = [chunk.choices[0].delta.content async for _, chunk in _first(stream, 5)]
        assert "".join(piece or "" for piece in pieces).startswith("go on on")
        await stream.close()
        for _ in range(500):
            if upstream.backend.stopped > before:
                break
            await asyncio.sleep(0.02)
        assert upstream.backend.stopped == before + 1


async def _first(stream: openai.AsyncStream, count: int) -> AsyncIterator[tuple[int, object]]:  # type: ignore[type-arg]
    for place in range(count):
        yield place, await anext(stream.__aiter__())


async def test_the_upstreams_refusals_are_told_as_what_they_mean_here(tmp_path: Path, upstream: Running) -> None:
    async with served(tmp_path, FULL.replace("far: {", "other: {").replace("model: parrot", "model: full"), upstream) as client:
        with pytest.raises(openai.BadRequestError) as long:
            await said(client, "full", "x")
        assert long.value.code == "context_length_exceeded"
    broken = FULL.replace('  far: {type: openai, config: {model: parrot, base_url: "URL/v1", api_key: KEY}}\n', "")
    async with served(tmp_path, broken, upstream) as client:
        # An upstream that refuses our key is the owner's matter: the client's own key was right.
        with pytest.raises(openai.InternalServerError, match="refused our key") as refused:
            await said(client, "parrot", "x")
        assert refused.value.status_code == 502


async def test_the_plain_form_becomes_one_assistant_over_one_backend_and_one_source(tmp_path: Path, upstream: Running) -> None:
    async with served(tmp_path, PLAIN, upstream) as client:
        assert "assistant" in {model.id async for model in client.models.list()}
        assert await said(client, "default", "hi") == "hi "
        answer = await said(client, "assistant", "How warm will it be in Seoul tomorrow?")
        assert "13 degrees to Seoul" in answer


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ('backends: {b: {type: "plain_parts:Nothing"}}', "neither process_query"),
        ('sources: {s: {type: "plain_parts:Nothing"}}', "neither `async search"),
        ('sources: {s: {type: "plain_parts:Weather", config: {town: X}}}', "town"),
        ("backends: {b: {type: openai, config: {modle: x}}}", "modle"),
        ("backends: {b: {type: openia}}", "openai"),
        ('network: offline\nbackends: {b: {type: openai, config: {model: x, base_url: "http://far.example/v1"}}}', "offline"),
    ],
)
def test_a_part_that_can_not_be_made_is_a_setting_to_mend(tmp_path: Path, config: str, message: str) -> None:
    home = Home(tmp_path)
    home.config.write_text(config, encoding="utf-8")
    with pytest.raises(BadSetting, match=message):
        build(home, load_settings(home, environ={}))


def test_a_server_that_only_proxies_imports_no_native_library() -> None:
    heavy = "torch", "chromadb", "llama_cpp", "numpy", "sentence_transformers", "tokenizers", "psycopg"
    code = f"import sys, app.main, app.cli.runner; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
