"""A grammar over one row: the sampled token is checked first, and the whole vocabulary only where it was refused.

llama.cpp ends the process when a grammar is handed a token that it does not take: nothing is accepted here that was not asked
about before.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any, Protocol

from llama_cpp import llama_cpp as native

from app.core.errors import BadRequest
from models.engine.grammar.rule import Rule


class Words(Protocol):
    """What is asked of the model here."""

    end_tokens: frozenset[int]

    def piece(self, token: int) -> bytes:
        """The bytes that a token adds to the text."""
        ...

    def spell(self, data: bytes) -> list[int]:
        """Tokens whose pieces are these bytes."""
        ...


class Grammar:
    """llama.cpp's automaton of a GBNF text. BadRequest with its reason where it doesn't compile."""

    def __init__(self, vocabulary: Any, source: str, reason: Callable[[str], str]) -> None:
        self._handle: Any = native.llama_sampler_init_grammar(vocabulary, source.encode("utf-8", "replace"), b"root")
        if not self._handle:
            raise BadRequest(f"The grammar can't be used: {reason('llama.cpp gives no reason')}.", param="grammar", code="bad_grammar")

    def allows(self, token: int) -> bool:
        """Whether it takes this token next; of an end token: whether the text may end here."""
        return _allows(self._handle, token)

    def accept(self, token: int) -> None:
        """Take a token that it allows."""
        native.llama_sampler_accept(self._handle, token)

    def takes(self, tokens: list[int]) -> bool:
        """Whether it takes these tokens one after the other; nothing changes."""
        copy = native.llama_sampler_clone(self._handle)
        try:
            return _follow(copy, tokens)
        finally:
            native.llama_sampler_free(copy)

    def mask(self, candidates: Any, behind: list[int]) -> None:
        """Give the tokens that it refuses, after those in `behind`, a score of minus infinity."""
        copy = native.llama_sampler_clone(self._handle)
        try:
            if _follow(copy, behind):
                native.llama_sampler_apply(copy, candidates)
        finally:
            native.llama_sampler_free(copy)

    def close(self) -> None:
        """Free it."""
        native.llama_sampler_free(self._handle)


class Guard:
    """A grammar behind its gate: what may come next, and what has come."""

    def __init__(self, grammar: Grammar, rule: Rule, words: Words) -> None:
        self._grammar, self._gate, self._words = grammar, rule.gate, words

    def allows(self, token: int) -> bool:
        """Whether this token may come next."""
        gate, words = self._gate, self._words
        if token in words.end_tokens:
            return self._may_end(token)
        piece = words.piece(token)
        if gate.state == "bound":
            # What the grammar would read of a control token never reaches the text.
            return bool(piece) and self._grammar.allows(token)
        view = gate.look(piece)
        return not view.tail or self._grammar.takes(words.spell(view.tail))

    def _may_end(self, token: int) -> bool:
        if self._gate.state == "bound":
            return self._grammar.allows(token)
        return not self._gate.eager or (self._gate.state != "thinking" and self._grammar.allows(token))

    def accept(self, token: int) -> None:
        """The token was chosen; `allows` was true for it."""
        if token in self._words.end_tokens:
            return
        gate, piece = self._gate, self._words.piece(token)
        if gate.state == "bound":
            self._grammar.accept(token)
            return
        tail = gate.look(piece).tail
        gate.take(piece)
        for part in self._words.spell(tail) if tail else ():
            self._grammar.accept(part)

    @property
    def masks(self) -> bool:
        """Whether the grammar alone decides about the next token."""
        gate = self._gate
        if gate.state == "bound":
            return True
        return gate.eager and gate.state != "thinking" and self._grammar.takes(self._words.spell(gate.pending))

    @property
    def forced(self) -> int | None:
        """The token that has to come, where thoughts have lasted too long: the next of what closes them."""
        return self._closing() if self._gate.overspent else None

    def _closing(self) -> int | None:
        tokens = self._words.spell(self._gate.wanted)
        return tokens[0] if tokens else None

    def mask(self, candidates: Any) -> None:
        """Leave only what the grammar takes."""
        self._grammar.mask(candidates, self._words.spell(self._gate.pending))

    def way_out(self, refused: int) -> int:
        """No choice is good. Thoughts are closed, text goes on without the grammar, and where it holds the answer ends."""
        closing = self._closing() if self._gate.state == "thinking" else None
        if closing is not None:
            return closing
        if self._gate.state == "text":
            self._gate.free()
            return refused
        if self._gate.pending and not self.masks and (opening := self._words.spell(self._gate.opening)):
            return opening[0]
        return min(self._words.end_tokens, default=refused)

    def close(self) -> None:
        """Free the grammar."""
        self._grammar.close()


def _follow(handle: Any, tokens: list[int]) -> bool:
    """Whether it took these tokens one after the other."""
    for token in tokens:
        if not _allows(handle, token):
            return False
        native.llama_sampler_accept(handle, token)
    return True


def _allows(handle: Any, token: int) -> bool:
    one = (native.llama_token_data * 1)(native.llama_token_data(token, 0.0, 0.0))
    candidates = native.llama_token_data_array(one, 1, -1, False)
    native.llama_sampler_apply(handle, ctypes.byref(candidates))
    return bool(one[0].logit > float("-inf"))
