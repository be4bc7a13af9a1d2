"""An assistant: a named set of backend, sources and settings, which `/v1/models` shows beside the raw models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from app.backends.contract import Backend, ModelInfo
from app.pipeline.gather import Wired

Style = Literal["auto", "written", "quote"]
# Below this many parameters a model invents more than it reads; quoting is the honest default.
WRITES_FROM = 1_000_000_000


@dataclass(frozen=True)
class Assistant:
    """What answers under one name.

    `suggestions` are questions to begin with, `follow_ups` those that may come after an answer.
    `model` "" is the backend's default; `budget` is the passages' share of the prompt and `max_tokens` the most that an
    answer takes, in tokens; `overlap` is how many characters neighbouring passages may share before one is cut; `structured`
    asks for lists instead of running text.
    """

    id: str
    name: str
    backend: Backend
    model: str = ""
    sources: Mapping[str, Wired] = field(default_factory=dict)
    style: Style = "auto"
    system: str = ""
    description: str = ""
    suggestions: tuple[str, ...] = ()
    follow_ups: tuple[str, ...] = ()
    threshold: float = 0.0
    top_k: int = 8
    budget: int = 4000
    overlap: int = 200
    include_sources: bool = True
    structured: bool = False
    max_tokens: int | None = None

    def sees(self, models: Sequence[ModelInfo]) -> bool:
        """Whether pictures reach a model that sees them; `models` are its backend's."""
        chat = [model for model in models if model.kind == "chat"]
        named = [model for model in chat if model.id == self.model] if self.model else chat[:1]
        return self.style != "quote" and any(model.vision for model in named)
