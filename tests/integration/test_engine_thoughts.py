"""Reasoning comes out of the engine, and out of an upstream's stream, apart from the answer."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import tiny_ggufs
from aiohttp import web

from app.backends.openai import OpenAIBackend
from app.core.records import Context, Generation, Message, Piece, Priority, Sampling
from models.engine.chat_template import ChatTemplate, Prompter
from models.engine.client import EngineSettings
from models.engine.engine import Engine
from models.engine.llama.model import Model
from models.engine.reasoning import Thoughts
from models.engine.request import Output
from models.engine.speech import Speech
from models.engine.worker import LoadedEngine

ASKED = (Message("user", "Hello!"),)
PLAIN = "{% for message in messages %}{{ message['content'] }}\n{% endfor %}Answer:"


@pytest.fixture(scope="module")
def loaded(smollm2: Path) -> LoadedEngine:
    return LoadedEngine(smollm2, EngineSettings(context=1024, threads=1))


def chat(loaded: LoadedEngine, template: str, **values: Any) -> tuple[str, str, Piece]:
    """(reasoning, text, last piece) of a chat through this template."""
    model = loaded.engine._model
    loaded.prompter = Prompter(model, ChatTemplate(template))  # type: ignore[arg-type]
    values = {"messages": ASKED, **values}
    loaded.submit(1, Generation(sampling=Sampling(temperature=0), max_tokens=12, ignore_eos=True, **values), Priority.CHAT)
    return gathered(loaded.engine)


def gathered(engine: Engine) -> tuple[str, str, Piece]:
    outputs: list[Output] = []
    while not engine.idle:
        outputs += engine.step()
    pieces = [news for _, news in outputs if isinstance(news, Piece)]
    return "".join(piece.reasoning for piece in pieces), "".join(piece.text for piece in pieces), pieces[-1]


def test_after_a_template_that_opens_the_tag_all_is_reasoning_until_it_is_closed(loaded: LoadedEngine) -> None:
    reasoning, text, last = chat(loaded, PLAIN + "<think>\n")
    assert reasoning
    assert text == ""
    assert last.finish_reason == "length"


def test_a_template_without_the_tag_gives_an_answer(loaded: LoadedEngine) -> None:
    reasoning, text, _ = chat(loaded, PLAIN)
    assert (reasoning, bool(text)) == ("", True)


def test_a_raw_prompt_is_never_taken_apart(loaded: LoadedEngine) -> None:
    reasoning, text, _ = chat(loaded, PLAIN, messages=(), prompt="Answer:<think>\n")
    assert (reasoning, bool(text)) == ("", True)


def test_a_tag_that_is_a_control_token_is_heard_and_other_control_tokens_are_not(tmp_path: Path) -> None:
    model = Model(tiny_ggufs.mamba(tmp_path / "tiny.gguf"))
    assert (model.piece(3), model.piece(1), model.piece(2)) == (b"<think>", b"", b"")
    assert "<think>" in model.control_words, "in a message's text it stays text"
    model.close()


class Scripted:
    """A real model whose tokens are given other words."""

    def __init__(self, loaded: LoadedEngine, words: list[str]) -> None:
        self._model, self._words = loaded.engine._model, iter(words)
        self.end_tokens = frozenset[int]()
        self.chain: Callable[..., Any] = self._model.chain

    def piece(self, token: int) -> bytes:
        return next(self._words).encode()


def write(loaded: LoadedEngine, words: list[str], **values: Any) -> tuple[str, str, Piece]:
    # A decoder of its own: the loaded engine keeps what it has read in its.
    decoder = loaded.model.decoder(cells=512, sequences=1, batch=64, threads=1)
    engine = Engine(Scripted(loaded, words), decoder, context=512)
    request = Generation(messages=ASKED, max_tokens=len(words), **values)
    engine.submit(1, [1, 2, 3], request, speech=Speech(request.stop, Thoughts()))
    said = gathered(engine)
    decoder.close()
    return said


def test_what_a_model_thinks_comes_before_its_answer_and_apart_from_it(loaded: LoadedEngine) -> None:
    reasoning, text, last = write(loaded, ["<th", "ink>", "\nHm", ", so", ".\n", "</", "think>", "\n\n", "It", " is", " 42."])
    assert (reasoning, text) == ("Hm, so.", "It is 42.")
    assert last.usage is not None
    assert last.usage.completion_tokens == 11


def test_a_tag_that_is_cut_off_by_the_end_is_not_lost(loaded: LoadedEngine) -> None:
    assert write(loaded, ["<", "thi"])[:2] == ("", "<thi")
    assert write(loaded, ["<think>", "so", " </th"])[:2] == ("so </th", "")


def test_a_stop_string_ends_thoughts_too(loaded: LoadedEngine) -> None:
    reasoning, text, last = write(loaded, ["<think>", "one ", "STOP", " two"], stop=("STOP",))
    assert (reasoning, text, last.finish_reason) == ("one", "", "stop")


@pytest.fixture
async def upstream(unused_tcp_port_factory: Callable[[], int]) -> AsyncIterator[str]:
    """A program that speaks the protocol, with reasoning under both of its names."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        deltas: list[dict[str, Any]] = [
            {"role": "assistant", "reasoning_content": "Hm, "},
            {"reasoning": "so."},
            {"reasoning": {"effort": 1}},
        ]
        for delta in [*deltas, {"content": "42"}]:
            await response.write(b"data: " + json.dumps({"choices": [{"delta": delta}]}).encode() + b"\n\n")
        await response.write(b"data: [DONE]\n\n")
        return response

    app = web.Application()
    app.router.add_post("/v1/chat/completions", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    port = unused_tcp_port_factory()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    yield f"http://127.0.0.1:{port}/v1"
    await runner.cleanup()


async def test_an_upstreams_reasoning_stays_reasoning(upstream: str) -> None:
    backend = OpenAIBackend("far", {"model": "thinker", "base_url": upstream})
    pieces = [piece async for piece in backend.generate("", Generation(messages=ASKED), Context())]
    await backend.close()
    assert [(piece.reasoning, piece.text) for piece in pieces] == [("Hm, ", ""), ("so.", ""), ("", "42"), ("", "")]
