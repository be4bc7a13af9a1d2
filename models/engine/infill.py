"""A prompt for the text between two others, as code models were trained to fill it in. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from app.core.errors import BadRequest


class InfillTokens(NamedTuple):
    """The vocabulary's tokens that stand before, after and at the gap; the last two, which some lack, before other files."""

    prefix: int
    suffix: int
    middle: int
    repository: int | None = None
    file: int | None = None


def infill(
    known: InfillTokens | None,
    before: str,
    after: str,
    files: Sequence[tuple[str, str]],
    tokenize: Callable[[str], list[int]],
) -> list[int]:
    """The tokens of a prompt whose answer stands between `before` and `after`; `files` are (name, text) of others that help.

    BadRequest for a model that was not trained for it.
    """
    if known is None:
        raise BadRequest(
            "This model can't fill in between two texts.",
            hint="Choose a code model that can (Qwen2.5-Coder, for one), or leave out the suffix.",
            param="suffix",
        )
    tokens: list[int] = []
    if files and known.repository is not None:
        tokens += [known.repository, *tokenize("project\n")]
    for name, text in files:
        # Without a token of its own for it, a line of text says where a file begins.
        tokens += [known.file, *tokenize(f"{name}\n")] if known.file is not None else tokenize(f"\n--- {name} ---\n")
        tokens += tokenize(text)
    if files and known.file is not None:
        tokens.append(known.file)
    return [*tokens, known.prefix, *tokenize(before), known.suffix, *tokenize(after), known.middle]
