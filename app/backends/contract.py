"""What the pipeline asks of an AI backend: narrow, and the same for a local model and a cloud."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Any, Protocol, runtime_checkable

import msgspec

from app.core.records import Context, Generation, Message, Piece, Waiting
from models.engine.adapters import AdapterFile
from models.engine.words import Token


class ModelInfo(msgspec.Struct, frozen=True):
    """A model as `/v1/models` shows it. `name` is for people, "" where it is the id. None where unknown. `vision`: it sees pictures.

    `context` in tokens, `parameters` as a count.
    """

    id: str
    name: str = ""
    kind: str = "chat"  # chat | embedding | rerank
    context: int | None = None
    parameters: int | None = None
    size_bytes: int | None = None
    state: str = "ready"  # ready | unloaded | loading | failed
    local: bool = True
    vision: bool = False


@runtime_checkable
class Backend(Protocol):
    """A place where text is generated. Cancelled by closing the generator; errors are `OndolError`s."""

    async def models(self) -> Sequence[ModelInfo]:
        """The models here, the default one first. Answers at once: never waits for a load or a far host."""
        ...

    def generate(self, model: str, request: Generation, context: Context) -> AsyncGenerator[Piece | Waiting, None]:
        """The text, piece by piece; the last piece has the reason of its end and the usage. `Waiting` says why there is none yet."""
        ...

    async def count_tokens(self, model: str, messages: Sequence[Message]) -> int:
        """The prompt's length in the model's tokens, or the nearest estimate that a far backend allows."""
        ...

    async def close(self) -> None:
        """Let go of connections and processes."""
        ...


@runtime_checkable
class Native(Protocol):
    """What only a backend knows that has the model's own vocabulary: the one of this machine. Each loads a cold model first."""

    def adapters(self, model: str) -> Sequence[AdapterFile]:
        """The model's LoRA adapters; their places are their numbers."""
        ...

    async def tokenize(self, model: str, text: str, *, special: bool = True, first: bool = False) -> list[Token]:
        """The text's tokens. `special`: control words become control tokens; `first`: with the one that the model begins with."""
        ...

    async def detokenize(self, model: str, tokens: Sequence[int]) -> str:
        """The tokens' text. BadRequest for tokens that there are not."""
        ...

    async def rendered(self, model: str, request: Generation) -> str:
        """The prompt that the messages become by the model's template."""
        ...


@runtime_checkable
class SimpleBackend(Protocol):
    """The simple form that a plain class may take instead."""

    async def process_query(self, query: str, context: str) -> Any:
        """The answer's text (or a mapping with "answer") to a question over a context."""
        ...

    def get_model_info(self) -> dict[str, Any]:
        """At least "name"."""
        ...
