"""llama-server's HTTP in our records: a request becomes a path and a body, an event a piece, a refusal one of our errors. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from app.core.errors import BadRequest, Busy, ContextLengthExceeded, NotReady, OndolError, WorkerDied
from app.core.records import CallPart, Chance, Generation, Piece, Usage
from models.engine.adapters import Scales, scales

_SAMPLERS = ["penalties", "top_k", "top_p", "min_p", "temperature"]  # the order of our own engine
_REASONS = {"eos": "stop", "word": "stop", "limit": "length"}


def asked(request: Generation, usual: Scales = ()) -> tuple[str, dict[str, Any]]:
    """The path and the body of a streamed request; `usual`: how strong the adapters are where it names none. BadRequest for no sense."""
    if request.max_tokens is not None and request.max_tokens < 0:
        raise BadRequest(f"max_tokens is {request.max_tokens}.", hint="Give a number of at least 0.", param="max_tokens")
    if request.echo:
        hint = "Leave out echo or logprobs, or set `models.engine: built-in`."
        raise BadRequest("llama-server tells no chances of a prompt's tokens.", hint=hint, param="echo")
    body = {**_common(request, usual), "stream": True}
    if request.suffix is not None:
        return "/infill", {**body, **_plain(request), "input_prefix": request.prompt or "", "input_suffix": request.suffix}
    if request.prompt is not None:
        if not request.prompt:
            raise BadRequest("The prompt is empty.", hint="Send some text.", param="prompt")
        return "/completion", {**body, **_plain(request), "prompt": list(request.tokens) or request.prompt}
    return "/v1/chat/completions", {**body, **_chat(request), "stream_options": {"include_usage": True}}


def template(request: Generation) -> dict[str, Any]:
    """The body of `/apply-template`."""
    return {name: value for name, value in _chat(request).items() if name in ("messages", "tools", "chat_template_kwargs")}


def _common(request: Generation, usual: Scales) -> dict[str, Any]:
    sampling = request.sampling
    body: dict[str, Any] = {
        "temperature": sampling.temperature,
        "top_k": sampling.top_k,
        "top_p": sampling.top_p,
        "min_p": sampling.min_p,
        "repeat_penalty": sampling.repeat_penalty,
        "presence_penalty": sampling.presence_penalty,
        "frequency_penalty": sampling.frequency_penalty,
        "seed": -1 if sampling.seed is None else sampling.seed,
        "samplers": _SAMPLERS,
        "stop": list(request.stop),
        "ignore_eos": request.ignore_eos,
        "cache_prompt": True,
        "return_progress": True,  # a sign of life while a long prompt is read
    }
    if request.logit_bias:
        body["logit_bias"] = [[token, bias] for token, bias in request.logit_bias.items()]
    if usual:
        body["lora"] = [{"id": id, "scale": scale} for id, scale in enumerate(scales(request.adapters, usual))]
    if request.format is not None and request.format.kind == "gbnf":
        body["grammar"] = request.format.grammar
    return body


def _plain(request: Generation) -> dict[str, Any]:
    body: dict[str, Any] = {"n_predict": -1 if request.max_tokens is None else request.max_tokens}
    if request.logprobs is not None:
        body["n_probs"] = max(1, request.logprobs)
    if request.format is not None and request.format.kind != "gbnf":
        body["json_schema"] = _schema(request)
    return body


def _chat(request: Generation) -> dict[str, Any]:
    if not request.messages:
        raise BadRequest("There are no messages.", hint="Send at least one message, or a prompt.", param="messages")
    body: dict[str, Any] = {"messages": [{"role": one.role, **msgspec.to_builtins(one)} for one in request.messages]}
    body["reasoning_format"] = "auto"
    if request.max_tokens is not None:
        body["max_tokens"] = request.max_tokens
    if request.template_values:
        body["chat_template_kwargs"] = dict(request.template_values)
    if request.tools:
        choice = request.tool_choice
        body["tools"] = list(request.tools)
        # It knows no choice by name: the one tool alone, which must be called, is the same.
        if choice not in ("auto", "none", "required"):
            body["tools"] = [tool for tool in request.tools if tool.get("function", {}).get("name") == choice]
            choice = "required"
            if not body["tools"]:
                raise BadRequest(f"There is no tool {request.tool_choice!r}.", hint="Name one of `tools`.", param="tool_choice")
        body["tool_choice"] = choice
        body["parallel_tool_calls"] = request.parallel_tool_calls
    if request.format is not None and request.format.kind == "json_object":
        body["response_format"] = {"type": "json_object"}
    if request.format is not None and request.format.kind == "json_schema":
        body["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": request.format.name or "answer", "schema": _schema(request)},
        }
    if request.logprobs is not None:
        body |= {"logprobs": True, "top_logprobs": max(1, request.logprobs)}
    return body


def _schema(request: Generation) -> Any:
    assert request.format is not None, "looked at before"
    return {"type": "object"} if request.format.kind == "json_object" else request.format.schema


class Answer:
    """The events of one answer, in order: `take` each, then `end`."""

    def __init__(self, logprobs: int | None = None) -> None:
        self._logprobs = logprobs
        self._reason, self._usage = "", Usage()

    def take(self, event: Mapping[str, Any]) -> Piece | None:
        """What it adds to the text; None for nothing. An event that tells of an error raises it."""
        if "error" in event:
            raise error(500, event)
        return self._chat(event) if "choices" in event else self._plain(event)

    def end(self) -> Piece:
        """The last piece. WorkerDied where the answer broke off."""
        if not self._reason:
            raise WorkerDied("llama-server broke off in mid-answer.", hint="Try again.")
        return Piece(finish_reason=self._reason, usage=self._usage)

    def _chat(self, event: Mapping[str, Any]) -> Piece | None:
        if event.get("usage"):
            usage = event["usage"]
            cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
            self._usage = Usage(usage["prompt_tokens"], usage["completion_tokens"], cached)
        choice = next(iter(event["choices"]), None)
        if choice is None:
            return None
        self._reason = choice.get("finish_reason") or self._reason
        delta = choice.get("delta") or {}
        piece = Piece(
            delta.get("content") or "",
            reasoning=delta.get("reasoning_content") or "",
            calls=tuple(_call(call) for call in delta.get("tool_calls") or ()),
            chances=self._chances((choice.get("logprobs") or {}).get("content")),
        )
        return piece if piece != Piece() else None

    def _plain(self, event: Mapping[str, Any]) -> Piece | None:
        if event.get("stop"):
            self._reason = _REASONS.get(event.get("stop_type", ""), "stop")
            cached = (event.get("timings") or {}).get("cache_n") or 0
            self._usage = Usage(event.get("tokens_evaluated", 0), event.get("tokens_predicted", 0), cached)
        piece = Piece(event.get("content") or "", chances=self._chances(event.get("completion_probabilities")))
        return piece if piece != Piece() else None

    def _chances(self, told: list[Mapping[str, Any]] | None) -> tuple[Chance, ...]:
        if self._logprobs is None or not told:
            return ()
        return tuple(_chance(one, self._logprobs) for one in told)


def _chance(told: Mapping[str, Any], top: int) -> Chance:
    others = tuple(_chance(other, 0) for other in (told.get("top_logprobs") or [])[:top])
    return Chance(int(told.get("id", -1)), bytes(told.get("bytes") or ()), float(told.get("logprob", 0.0)), others)


def _call(told: Mapping[str, Any]) -> CallPart:
    function = told.get("function") or {}
    return CallPart(int(told.get("index", 0)), told.get("id") or "", function.get("name") or "", function.get("arguments") or "")


def error(status: int, body: Any) -> OndolError:
    """What it answered instead of a text, as an error of ours."""
    told = body.get("error", body) if isinstance(body, Mapping) else {}
    told = told if isinstance(told, Mapping) else {"message": str(told)}
    message, kind = str(told.get("message") or f"it answered {status}"), told.get("type")
    status = int(told["code"]) if isinstance(told.get("code"), int) else status
    if kind == "exceed_context_size_error":
        return ContextLengthExceeded(prompt_tokens=int(told.get("n_prompt_tokens", 0)), context=int(told.get("n_ctx", 0)))
    if status == 429:
        return Busy(f"llama-server: {message}")
    if status == 503:
        return NotReady(f"llama-server: {message}", hint="Try again.")
    if 400 <= status < 500 or status == 501:
        return BadRequest(f"llama-server does not take this request: {message}")
    return OndolError(f"llama-server: {message}", hint="Try again.")
