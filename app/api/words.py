"""POST /tokenize, /detokenize and /apply-template, GET /lora-adapters: what a local model's own files say, in llama.cpp's shapes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from litestar import Request, get, post
from litestar.datastructures import State
from litestar.params import FromQuery, JSONBody

from app.api import in_tokens, requests
from app.api.in_tokens import Prompt
from app.api.measure import counted
from app.api.parts import Parts
from app.api.requests import ChatRequest, CompletionRequest, DetokenizeRequest, SamplingFields, TokenizeRequest
from app.api.streaming import unless_gone
from app.core.errors import BadRequest
from app.pipeline.service import DEFAULT, Service
from models.engine.words import Token


@post("/tokenize", status_code=200, tags=["Vocabulary"])
async def tokenize(request: Request[Any, Any, State], state: State, data: JSONBody[TokenizeRequest]) -> dict[str, Any]:
    """A text's tokens."""
    parts: Parts = state.parts
    with counted(parts.metrics, "tokenize") as cost:
        backend, cost.model = await parts.service.native(data.model)
        asked = backend.tokenize(cost.model, data.content, special=data.parse_special, first=data.add_special)
        found = await unless_gone(request, asked)
    return {"tokens": [_with_piece(one) if data.with_pieces else one.id for one in found]}


def _with_piece(token: Token) -> dict[str, Any]:
    """A part of a character is told as its bytes."""
    try:
        return {"id": token.id, "piece": token.data.decode()}
    except UnicodeDecodeError:
        return {"id": token.id, "piece": list(token.data)}


@post("/detokenize", status_code=200, tags=["Vocabulary"])
async def detokenize(request: Request[Any, Any, State], state: State, data: JSONBody[DetokenizeRequest]) -> dict[str, Any]:
    """The text of tokens."""
    parts: Parts = state.parts
    with counted(parts.metrics, "detokenize") as cost:
        backend, cost.model = await parts.service.native(data.model)
        return {"content": await unless_gone(request, backend.detokenize(cost.model, data.tokens))}


@post("/apply-template", status_code=200, tags=["Vocabulary"])
async def apply_template(request: Request[Any, Any, State], state: State, data: JSONBody[ChatRequest]) -> dict[str, Any]:
    """The prompt that a chat becomes; nothing is generated."""
    parts: Parts = state.parts
    generation = requests.chat_generations(data, {})[0]
    with counted(parts.metrics, "apply-template") as cost:
        backend, cost.model = await parts.service.native(data.model)
        return {"prompt": await unless_gone(request, backend.rendered(cost.model, generation))}


@get("/lora-adapters", tags=["Vocabulary"])
async def list_adapters(state: State, model: FromQuery[str] = DEFAULT) -> list[dict[str, Any]]:
    """The adapters over a model, with their numbers and their strength where a request doesn't say."""
    parts: Parts = state.parts
    backend, found = await parts.service.native(model)
    named = enumerate(backend.adapters(found))
    return [{"id": id, "name": one.name, "path": one.path, "scale": one.scale} for id, one in named]


async def prompts(service: Service, request: CompletionRequest) -> list[Prompt]:
    """The request's prompts; what of them comes in tokens is put to the model's own vocabulary."""

    async def text(tokens: Sequence[int]) -> str:
        backend, model = await service.native(request.model)
        try:
            return await backend.detokenize(model, tokens)
        except BadRequest as error:
            raise BadRequest(error.message, hint=error.hint, param="prompt") from None

    return await in_tokens.prompts(request.prompt, request.choices, text)


async def biases(service: Service, request: SamplingFields) -> dict[int, float]:
    """The request's biases by token; texts among them are put to the model's own vocabulary."""

    async def ids(text: str) -> list[int]:
        backend, model = await service.native(request.model)
        return [token.id for token in await backend.tokenize(model, text)]

    return await in_tokens.biases(request.logit_bias, ids) if request.logit_bias else {}
