"""Any server that speaks OpenAI's API as a backend: the one file that asks such an upstream.

What comes back is read into `Piece`s, so nothing else of it (such as an `event` key, which Open WebUI would run) passes on.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import msgspec

from app.backends import openai_tools
from app.backends.contract import ModelInfo
from app.core.errors import BadRequest, BadSetting, Busy, ContextLengthExceeded, Deadline, OndolError, UpstreamError
from app.core.hosts import is_this_machine
from app.core.machine import Machine
from app.core.records import Chance, Context, Generation, Message, Piece, Usage
from app.core.tokens import estimate_tokens


class Config(msgspec.Struct, forbid_unknown_fields=True):
    """`config` of a backend of type `openai`. `timeout` in seconds, between two parts of an answer."""

    model: str
    api_key: str = ""
    base_url: str = "https://api.openai.com/v1"
    temperature: float | None = None
    timeout: float = 120.0
    headers: dict[str, str] = {}


class OpenAIBackend:
    """One model of one upstream. Tried against our own server and a small program that speaks the protocol."""

    def __init__(self, name: str, config: Mapping[str, Any]) -> None:
        try:
            self._config = msgspec.convert(dict(config), Config)
        except msgspec.ValidationError as error:
            raise BadSetting(f"The backend '{name}': {error}.") from None
        self._name = name
        self._session: aiohttp.ClientSession | None = None

    @property
    def address(self) -> str:
        """Where requests go: what the egress guard has to let through."""
        return self._config.base_url

    async def models(self) -> Sequence[ModelInfo]:
        """The configured model; the far host isn't asked."""
        return [ModelInfo(id=self._config.model, local=False)]

    async def count_tokens(self, model: str, messages: Sequence[Message]) -> int:
        """An estimate: the far tokenizer isn't here."""
        return sum(estimate_tokens(message.text) + 4 for message in messages)

    async def generate(self, model: str, request: Generation, context: Context) -> AsyncGenerator[Piece, None]:
        """Streamed from the upstream; its errors are told as what they mean for the caller."""
        config = self._config
        path, body = _body(config, model or config.model, request)
        headers = {**config.headers, "x-request-id": context.request_id}
        if config.api_key:
            headers["authorization"] = f"Bearer {config.api_key}"
        finish, used = "stop", None
        try:
            async with self._client().post(f"{config.base_url.rstrip('/')}{path}", json=body, headers=headers) as answer:
                if answer.status != 200:
                    raise _refusal(self._name, answer.status, await answer.text(), answer.headers)
                async for chunk in _events(answer.content):
                    if error := chunk.get("error"):
                        raise UpstreamError(f"The backend '{self._name}' broke off: {_message(error)}")
                    used = _usage(chunk.get("usage")) or used
                    for choice in chunk.get("choices") or ():
                        finish = choice.get("finish_reason") or finish
                        for piece in _pieces(choice):
                            yield piece
        except TimeoutError:
            raise Deadline(f"The backend '{self._name}' said nothing for {config.timeout:g} s.") from None
        except aiohttp.ClientError as error:
            hint = f"Is {config.base_url} right, and is the server there running?"
            raise UpstreamError(f"The backend '{self._name}' can't be reached: {error}.", hint=hint) from None
        yield Piece(finish_reason=finish, usage=used or Usage())

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None or self._session.closed:
            limits = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=self._config.timeout)
            self._session = aiohttp.ClientSession(timeout=limits, connector=aiohttp.TCPConnector(limit=0), read_bufsize=1 << 20)
        return self._session

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            # aiohttp closes TLS transports one turn of the loop later.
            await asyncio.sleep(0)


def _pieces(choice: Mapping[str, Any]) -> Iterator[Piece]:
    """What one choice of an event brings: thoughts, text, calls."""
    delta = choice.get("delta") or {}
    if thought := _thought(delta):
        yield Piece(reasoning=thought)
    text, chances = choice.get("text") or delta.get("content") or "", _chances(choice.get("logprobs"))
    if text or chances:
        yield Piece(text, chances=chances)
    if calls := openai_tools.calls(delta.get("tool_calls")):
        yield Piece(calls=calls)


def _body(config: Config, model: str, request: Generation) -> tuple[str, dict[str, Any]]:
    chosen = request.sampling
    body: dict[str, Any] = {
        "model": model,
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": chosen.temperature if config.temperature is None else config.temperature,
        "top_p": chosen.top_p,
    }
    # Only what was asked for: many servers refuse fields that they don't know.
    optional = {
        "max_tokens": request.max_tokens,
        "stop": list(request.stop) or None,
        "seed": chosen.seed,
        "presence_penalty": chosen.presence_penalty or None,
        "frequency_penalty": chosen.frequency_penalty or None,
        "logit_bias": {str(token): max(-100.0, added) for token, added in request.logit_bias.items()} or None,
    }
    body.update({name: value for name, value in optional.items() if value is not None})
    if request.prompt is not None:
        beside = {"suffix": request.suffix, "logprobs": request.logprobs, "echo": request.echo or None}
        return "/completions", {**body, **{name: value for name, value in beside.items() if value is not None}, "prompt": request.prompt}
    if request.logprobs is not None:
        body |= {"logprobs": True, "top_logprobs": request.logprobs}
    body |= openai_tools.asked(request)
    return "/chat/completions", {**body, "messages": [msgspec.to_builtins(message) for message in request.messages]}


async def _events(stream: aiohttp.StreamReader) -> AsyncGenerator[dict[str, Any], None]:
    async for raw in stream:
        line = raw.strip()
        if line.startswith(b"data:") and (data := line[5:].strip()) != b"[DONE]":
            with suppress(ValueError):
                event = json.loads(data)
                if isinstance(event, dict):
                    yield event


def _chances(given: Any) -> tuple[Chance, ...]:
    """The chances of a chunk's tokens, in a chat's shape or a completion's; the far vocabulary's numbers aren't told."""
    if not isinstance(given, dict):
        return ()
    if content := given.get("content"):
        return tuple(_chance(one["token"], one["logprob"], one.get("bytes"), _top(one.get("top_logprobs"))) for one in content)
    tokens, chances = given.get("tokens") or (), given.get("token_logprobs") or ()
    tops = given.get("top_logprobs") or [None] * len(tokens)
    return tuple(_chance(token, chance, top=_named(top)) for token, chance, top in zip(tokens, chances, tops, strict=False))


def _chance(text: str, logprob: float | None, data: list[int] | None = None, top: tuple[Chance, ...] = ()) -> Chance:
    return Chance(-1, text.encode() if data is None else bytes(data), logprob, top)


def _top(given: Any) -> tuple[Chance, ...]:
    return tuple(_chance(one["token"], one["logprob"], one.get("bytes")) for one in given or ())


def _named(given: Any) -> tuple[Chance, ...]:
    best = sorted((given or {}).items(), key=lambda one: -one[1])
    return tuple(_chance(token, logprob) for token, logprob in best)


def _usage(given: Any) -> Usage | None:
    if not isinstance(given, dict):
        return None
    cached = (given.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
    return Usage(int(given.get("prompt_tokens") or 0), int(given.get("completion_tokens") or 0), int(cached))


def _thought(delta: Mapping[str, Any]) -> str:
    """What the model thinks: vLLM, llama.cpp and DeepSeek call it `reasoning_content`, OpenRouter and Ollama `reasoning`."""
    found = delta.get("reasoning_content") or delta.get("reasoning")
    return found if isinstance(found, str) else ""


def _message(error: Any) -> str:
    return str(error.get("message") or error) if isinstance(error, dict) else str(error)


def _refusal(name: str, status: int, text: str, headers: Mapping[str, str]) -> OndolError:
    """An upstream's status as what our caller can do about it. Its wrong key is our owner's matter: never our 401."""
    try:
        body = json.loads(text)
        error = body.get("error", body) if isinstance(body, dict) else body
    except ValueError:
        error = text[:300]
    said, code = _message(error), error.get("code") if isinstance(error, dict) else None
    if status == 429:
        wait = headers.get("retry-after", "1")
        return Busy(f"The backend '{name}' is busy: {said}", retry_after=float(wait) if wait.isdigit() else 1.0)
    if code == "context_length_exceeded":
        return ContextLengthExceeded(said)
    if status in (401, 403):
        return UpstreamError(f"The backend '{name}' refused our key: {said}", hint="Check api_key in the configuration.")
    if status in (400, 422):
        return BadRequest(f"The backend '{name}' refused the request: {said}")
    return UpstreamError(f"The backend '{name}' answered {status}: {said}")


def make(name: str, config: Mapping[str, Any], machine: Machine) -> OpenAIBackend:
    """The entry point `ondol.backends: openai`. BadSetting for another machine's address where the network is set to offline."""
    backend = OpenAIBackend(name, config)
    host = urlsplit(backend.address).hostname or ""
    if machine.settings.network == "offline" and not is_this_machine(host):
        where = machine.settings.where(f"backends.{name}")
        raise BadSetting(
            f"{where}: the backend '{name}' asks {host}, but the network is set to offline.",
            hint="Remove it, or set `network: configured`.",
        )
    return backend
