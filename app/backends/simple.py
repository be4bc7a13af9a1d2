"""A plain class with `process_query` and `get_model_info` as a backend: no knowledge of ours needed to write one."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

from app.backends.contract import ModelInfo, SimpleBackend
from app.core.errors import UpstreamError
from app.core.records import Context, Generation, Message, Piece, Usage
from app.core.tokens import estimate_tokens


class SimpleAdapter:
    """Wraps the simple form into the full one. The whole answer comes as one piece."""

    def __init__(self, name: str, wrapped: SimpleBackend) -> None:
        self._name, self._wrapped = name, wrapped

    async def models(self) -> Sequence[ModelInfo]:
        """The one model that it names, else the backend's own name."""
        info: Mapping[str, Any] = self._wrapped.get_model_info() or {}
        return [ModelInfo(id=str(info.get("name") or self._name), context=info.get("context_length"), local=bool(info.get("local", False)))]

    async def count_tokens(self, model: str, messages: Sequence[Message]) -> int:
        """An estimate."""
        return sum(estimate_tokens(message.text) for message in messages)

    async def generate(self, model: str, request: Generation, context: Context) -> AsyncGenerator[Piece, None]:
        """The last message is the query; what was said before, system text included, is the context."""
        *before, last = request.messages or (Message("user", request.prompt or ""),)
        try:
            answer = await self._wrapped.process_query(last.text, "\n\n".join(message.text for message in before))
        except Exception as error:
            raise UpstreamError(f"The backend '{self._name}' failed: {type(error).__name__}: {error}") from error
        text = answer.get("answer", answer.get("text", "")) if isinstance(answer, Mapping) else answer
        used = Usage(sum(estimate_tokens(message.text) for message in request.messages), estimate_tokens(str(text)))
        yield Piece(f"{request.prompt}{text}" if request.echo else str(text))
        yield Piece(finish_reason="stop", usage=used)

    async def close(self) -> None:
        """Closed too where the class knows how."""
        close = getattr(self._wrapped, "close", None)
        if close is not None and hasattr(made := close(), "__await__"):
            await made
