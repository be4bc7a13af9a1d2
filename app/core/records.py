"""The records that cross rooms and processes: frozen values, no behaviour beyond what derives from them.

Scores are floats where more is better. Times are seconds since 1970 unless the name says otherwise.
Token counts are of the tokenizer that the field's owner uses (the chat model's, or the embedder's for chunks).
"""

from __future__ import annotations

import uuid
from enum import StrEnum
from typing import Any, Literal

import msgspec

Freshness = Literal["current", "changed", "deleted", "unknown"]
"""Whether the row or file behind a citation is still as it was read; unknown: nobody could look in time."""


class Priority(StrEnum):
    """What goes first in a queue: a person's chat, then the chat page's own tasks (titles, tags), then bulk work."""

    CHAT = "chat"
    TASK = "task"
    BULK = "bulk"


class Principal(msgspec.Struct, frozen=True):
    """On whose behalf a request runs. `groups` are matched against a document's `access` labels."""

    tenant: str = "local"
    key: str = "owner"
    groups: tuple[str, ...] = ()
    owner: bool = True

    def may_read(self, access: tuple[str, ...]) -> bool:
        """A document without labels is everyone's; the owner reads all; else one label must be shared."""
        return self.owner or not access or bool(set(access) & set(self.groups))


class Context(msgspec.Struct, frozen=True):
    """What travels with a request from the API through search, engine and ledger."""

    request_id: str = msgspec.field(default_factory=lambda: uuid.uuid4().hex[:16])
    principal: Principal = Principal()
    priority: Priority = Priority.CHAT
    chat_id: str = ""


class Passage(msgspec.Struct, frozen=True):
    """One found chunk with all that a citation and an access check need.

    `score` orders the passages of one search; `relevance` (0..1) says how likely the passage speaks about the
    question at all and is comparable between searches of one store. `page` and `line` count from 1; None where unknown.
    """

    id: str
    document_id: str
    text: str
    title: str = ""
    heading: str = ""
    url: str = ""
    page: int | None = None
    line: int | None = None
    store: str = ""
    source: str = ""
    score: float = 0.0
    relevance: float = 0.0
    access: tuple[str, ...] = ()
    may_leave: bool = False
    attributes: dict[str, Any] = msgspec.field(default_factory=dict)


class Message(msgspec.Struct, frozen=True, omit_defaults=True):
    """One chat message; `content` is text or OpenAI's list of content parts."""

    role: str
    content: str | list[dict[str, Any]] | None = None
    name: str | None = None
    tool_calls: list[dict[str, Any]] | None = None
    tool_call_id: str | None = None
    reasoning_content: str | None = None

    @property
    def text(self) -> str:
        """What it says: of content parts, the text parts joined."""
        if isinstance(self.content, str):
            return self.content
        return "\n".join(str(part.get("text", "")) for part in self.content or () if part.get("type") == "text")

    @property
    def pictures(self) -> list[dict[str, Any]]:
        """The content parts that are pictures."""
        return [part for part in self.content if part.get("type") == "image_url"] if isinstance(self.content, list) else []


class Sampling(msgspec.Struct, frozen=True):
    """How the next token is chosen. Temperature 0 is greedy. `seed` None: a random one."""

    temperature: float = 0.7
    top_k: int = 40
    top_p: float = 0.95
    min_p: float = 0.0
    repeat_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    seed: int | None = None


class Adapter(msgspec.Struct, frozen=True):
    """A LoRA adapter of the model, by its place in the model's list, and how strongly it counts (1: as trained)."""

    id: int
    scale: float = 1.0


class Chance(msgspec.Struct, frozen=True, omit_defaults=True):
    """How likely the model held a token, before any sampling: the natural logarithm of its probability.

    None for the first of a text: nothing stands before it. `data` is the token's bytes, which may be a part of a character; `top` are the
    likeliest tokens in its place, best first.
    """

    token: int
    data: bytes
    logprob: float | None = None
    top: tuple[Chance, ...] = ()

    @property
    def text(self) -> str:
        """Its bytes as text."""
        return self.data.decode("utf-8", "replace")


class Format(msgspec.Struct, frozen=True):
    """What the answer's text must be: any JSON object, JSON that fits `schema`, or a text of the GBNF `grammar`.

    `strict`: a schema that can't be kept in all of its words is refused; else what a grammar can't say is left out. `name` is the caller's.
    """

    kind: Literal["json_object", "json_schema", "gbnf"]
    schema: Any = None
    grammar: str = ""
    strict: bool = True
    name: str = ""


class CallPart(msgspec.Struct, frozen=True, omit_defaults=True):
    """A part of a tool call on its way out: the first of each `index` has `id` and `name`, `arguments` is JSON text in pieces."""

    index: int
    id: str = ""
    name: str = ""
    arguments: str = ""


class Generation(msgspec.Struct, frozen=True):
    """A request for text: either `messages` (the model's chat template is applied) or a raw `prompt`.

    `tools` are OpenAI's (`{"type": "function", "function": {...}}`); `tool_choice` is "auto", "none", "required" or a function's name.
    `thinking_tokens`: what a model may think at most before it answers; None: as long as it likes.
    `max_tokens` None: until the model ends or the context is full; 0: the prompt is read, and nothing written. `stop` strings are never
    handed out. `logprobs`: how many alternatives stand beside each token's own chance; None: no chances. `echo`: the prompt comes
    before the text, with the chances of its tokens. `tokens`: a raw prompt as the model's own tokens, where its text alone is not exact
    enough. `logit_bias` is added to the scores of tokens, by id.
    `suffix`: the text between `prompt` and it is wanted; `files` are (name, text) of others that help with it. `adapters` None:
    as strong as the settings say; else those that are not named are off.
    """

    messages: tuple[Message, ...] = ()
    prompt: str | None = None
    sampling: Sampling = Sampling()
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    ignore_eos: bool = False
    template_values: dict[str, Any] = msgspec.field(default_factory=dict)
    logprobs: int | None = None
    logit_bias: dict[int, float] = msgspec.field(default_factory=dict)
    suffix: str | None = None
    adapters: tuple[Adapter, ...] | None = None
    files: tuple[tuple[str, str], ...] = ()
    format: Format | None = None
    tools: tuple[dict[str, Any], ...] = ()
    tool_choice: str = "auto"
    parallel_tool_calls: bool = True
    thinking_tokens: int | None = None
    tokens: tuple[int, ...] = ()
    echo: bool = False


class Usage(msgspec.Struct, frozen=True):
    """Tokens of one request; `cached_tokens` of the prompt were not computed again."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0


class Piece(msgspec.Struct, frozen=True, omit_defaults=True):
    """One step of a streamed text. The last piece alone has `finish_reason` ("stop", "length", "tool_calls") and `usage`.

    `reasoning` is what the model thinks before it answers: shown folded, never part of the answer. `chances` are those of the
    tokens that `text` is made of, where they were asked for.
    """

    text: str = ""
    finish_reason: str | None = None
    usage: Usage | None = None
    reasoning: str = ""
    calls: tuple[CallPart, ...] = ()
    chances: tuple[Chance, ...] = ()


class Waiting(msgspec.Struct, frozen=True):
    """Why there is no text yet. "loading": `model` of `size_bytes` comes into memory, `progress` 0..1. "queued": `place` 1 is next."""

    kind: Literal["loading", "queued"]
    model: str = ""
    size_bytes: int = 0
    progress: float = 0.0
    place: int = 0


class SearchQuery(msgspec.Struct, frozen=True):
    """A question to a source. `filters` maps attribute names to wanted values."""

    text: str
    limit: int = 10
    filters: dict[str, Any] = msgspec.field(default_factory=dict)


class SearchResult(msgspec.Struct, frozen=True):
    """Passages, best first. `relevance` (0..1) is the search's own belief that the answer is among them.

    `trust` (0..1) is how well the embedder reads the question's language. `failed` names legs or sources that did
    not answer, with the reason, for the answer's status.
    """

    passages: tuple[Passage, ...] = ()
    relevance: float = 0.0
    trust: float = 1.0
    failed: dict[str, str] = msgspec.field(default_factory=dict)


class StoreInfo(msgspec.Struct, frozen=True):
    """A store as lists show it. `bytes` of texts and vectors; `titles` of a few of its documents, of each source some."""

    name: str
    documents: int
    chunks: int
    created_at: float
    bytes: int
    titles: tuple[str, ...] = ()


class AnswerRecord(msgspec.Struct, frozen=True):
    """One answer as the ledger keeps it. `passages` are (store, chunk id, score) of what was shown or sent to the model."""

    id: str
    request_id: str
    tenant: str
    key: str
    at: float
    assistant: str
    model: str
    style: str
    question: str
    text: str
    finish_reason: str
    relevance: float
    passages: tuple[tuple[str, str, float], ...]
    prompt_tokens: int
    completion_tokens: int
    milliseconds: float
