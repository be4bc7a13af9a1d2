"""What an answer hands out while it grows: frozen steps, which the API turns into its wire shapes."""

from __future__ import annotations

from dataclasses import dataclass, field

from app.core.records import CallPart, Chance, Freshness, Passage, Usage


@dataclass(frozen=True)
class Status:
    """Progress for a person: "Searching handbook". `done` closes the line."""

    description: str
    done: bool = False


@dataclass(frozen=True)
class Source:
    """A passage that the text is about to cite as `[number]`; numbers grow from 1 in order of first use.

    `freshness`: what is known by now; the answer's last step knows more.
    """

    number: int
    passage: Passage
    freshness: Freshness = "unknown"


@dataclass(frozen=True)
class Text:
    """More of the answer. `chances` of its tokens, where a bare model was asked for them."""

    text: str
    chances: tuple[Chance, ...] = ()


@dataclass(frozen=True)
class Thought:
    """More of what the model thinks before it answers: shown folded, never cited."""

    text: str


@dataclass(frozen=True)
class Call:
    """A part of a tool call that a bare model makes: the caller runs the function and sends its result."""

    part: CallPart


@dataclass(frozen=True)
class Citation:
    """Characters `start`..`end` of the answer rest on passage `number`."""

    number: int
    start: int
    end: int
    passage: Passage
    freshness: Freshness = "unknown"


@dataclass(frozen=True)
class Done:
    """The end. `relevance` is None where nothing was searched; `style` is "raw" for a bare model."""

    finish_reason: str = "stop"
    usage: Usage = field(default_factory=Usage)
    style: str = "raw"
    model: str = ""
    relevance: float | None = None
    answer_id: str = ""
    citations: tuple[Citation, ...] = ()
    failed: dict[str, str] = field(default_factory=dict)


Step = Status | Source | Text | Thought | Call | Done
