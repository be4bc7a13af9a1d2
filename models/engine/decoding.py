"""What the engine asks of llama.cpp: a loaded model, its samplers, and one context. the room `models.engine.llama` holds the real one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from models.engine.adapters import Scales
from models.engine.grammar.rule import Rule
from models.engine.interrupt import Switch
from models.engine.sampling import Link
from models.engine.sight import Span

# What `Decoder.decode` returns: done; no room in the cache, nothing has changed; interrupted. Below 0 is an error.
DONE, NO_ROOM, INTERRUPTED = 0, 1, 2


class Chain(Protocol):
    """A row's sampler."""

    def close(self) -> None:
        """Free it."""
        ...


class Model(Protocol):
    """What the engine asks of a loaded model (`models.engine.llama.model.Model`)."""

    end_tokens: frozenset[int]
    vocabulary_size: int

    def piece(self, token: int) -> bytes:
        """The bytes that a token adds to the text."""
        ...

    def written(self, token: int) -> bytes:
        """The bytes of a token as it is written, control tokens too."""
        ...

    def chain(self, links: Sequence[Link], *, never: Sequence[int] = (), rule: Rule | None = None) -> Chain:
        """A new sampler."""
        ...


class Decoder(Protocol):
    """What the engine asks of a context (`models.engine.llama.decoder.Decoder`)."""

    sequences: int
    batch: int
    truncates: bool
    window: int

    @property
    def interrupt(self) -> Switch:
        """Ends the batch that is computed."""
        ...

    @property
    def cells(self) -> int:
        """Tokens that the cache holds."""
        ...

    def decode(self, parts: Sequence[tuple[int, int, Sequence[int]]], looks: Sequence[int] = ()) -> tuple[int, list[int]]:
        """Compute (sequence, position, tokens) parts; returns a status, and for `sample` the index of each part's last token.

        `looks`: how many of a part's last tokens, or none, can be sampled after, at indexes that follow each other; else one.
        """
        ...

    def see(self, sequence: int, span: Span, offset: int, rows: Any) -> int:
        """Compute rows of a picture's span, from its `offset`-th on; returns a status."""
        ...

    def spare(self, threads: int) -> None:
        """Leave so many threads to others from the next batch on; 0: none."""
        ...

    def sample(self, chain: Any, index: int) -> int:
        """The next token after that part."""
        ...

    def scores(self, index: int) -> Any:
        """The model's own scores of all tokens after that part, as an array that is good until the next batch."""
        ...

    def adapt(self, scales: Scales) -> None:
        """The strength of each adapter from the next batch on."""
        ...

    def forget(self, sequence: int) -> None:
        """Free a sequence's cells."""
        ...

    def truncate(self, sequence: int, length: int) -> bool:
        """Keep the first tokens of a sequence; False where that can't be, and it has to be forgotten."""
        ...

    def copy(self, sequence: int, other: int, length: int) -> bool:
        """Give an empty sequence the first tokens of another one too; False, and it is empty, where there is no room for that."""
        ...

    def first(self, sequence: int) -> int:
        """The position of the first token that is still there in every layer; -1 for none."""
        ...

    def save(self, sequence: int) -> bytes:
        """A sequence's state; empty where that failed."""
        ...

    def restore(self, sequence: int, state: bytes) -> bool:
        """Fill an empty sequence from a state; False, and it is empty, where it doesn't fit."""
        ...
