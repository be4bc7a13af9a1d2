"""What only a model's own vocabulary and template can say: a text's tokens, tokens' text, and the prompt that messages become."""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

from app.core.errors import BadRequest
from app.core.records import Generation


class Tokenize(msgspec.Struct, frozen=True, tag="tokenize"):
    """A text's tokens. `special`: control words become control tokens; `first`: with the token that the model begins with."""

    text: str
    special: bool = True
    first: bool = False


class Detokenize(msgspec.Struct, frozen=True, tag="detokenize"):
    """The text of tokens; control tokens as they are written."""

    tokens: tuple[int, ...]


class Render(msgspec.Struct, frozen=True, tag="render"):
    """The prompt that a request's messages become."""

    request: Generation


class Token(msgspec.Struct, frozen=True):
    """A token and its bytes, which may be a part of a character."""

    id: int
    data: bytes


Question = Tokenize | Detokenize | Render


class Vocabulary(Protocol):
    """What is asked of the model here."""

    bos: int | None
    vocabulary_size: int

    def tokenize(self, text: str, *, special: bool) -> list[int]:
        """Tokens without any that the model adds of its own accord."""
        ...

    def written(self, token: int) -> bytes:
        """The bytes of a token as it is written."""
        ...


class Prompts(Protocol):
    """What is asked of the template here."""

    def rendered(self, request: Generation) -> str:
        """The prompt as text."""
        ...


def answer(question: Question, vocabulary: Vocabulary, prompts: Prompts) -> Any:
    """Tokens as a list of `Token`, or text. BadRequest for tokens that there are not, and what the template refuses."""
    match question:
        case Tokenize(text, special, first):
            ids = vocabulary.tokenize(text, special=special)
            if first and vocabulary.bos is not None and ids[:1] != [vocabulary.bos]:
                ids.insert(0, vocabulary.bos)
            return msgspec.to_builtins([Token(one, vocabulary.written(one)) for one in ids])
        case Detokenize(tokens):
            if odd := [token for token in tokens if not 0 <= token < vocabulary.vocabulary_size]:
                hint = f"This model has {vocabulary.vocabulary_size}, from 0 on."
                raise BadRequest(f"There is no token {odd[0]}.", hint=hint, param="tokens")
            return b"".join(map(vocabulary.written, tokens)).decode("utf-8", "replace")
        case Render(request):
            return prompts.rendered(request)
