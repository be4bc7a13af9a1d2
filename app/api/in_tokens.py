"""What of a request may be told in texts or in the model's own tokens: prompts, and biases."""

from __future__ import annotations

import math
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple

from app.core.errors import BadRequest

MOST_CHOICES = 128


class Prompt(NamedTuple):
    """A prompt's text, and its tokens where these were given."""

    text: str
    tokens: tuple[int, ...] = ()


async def prompts(
    given: str | Sequence[str | int | list[int]], choices: int, detokenize: Callable[[Sequence[int]], Awaitable[str]]
) -> list[Prompt]:
    """The prompts of a request, each wanted so many times: texts, or the model's own tokens, whose text is asked for."""
    several: Sequence[str | list[int]]
    if isinstance(given, str):
        several = [given]
    elif numbers := [one for one in given if isinstance(one, int)]:
        several = [numbers] if len(numbers) == len(given) else []
        if not several:
            hint = "Put each prompt's tokens into a list of their own."
            raise BadRequest("The prompt mixes tokens with prompts.", hint=hint, param="prompt")
    else:
        several = [one for one in given if not isinstance(one, int)]
    if not several:
        raise BadRequest("The list of prompts is empty.", hint="Send at least one.", param="prompt")
    if len(several) * choices > MOST_CHOICES:
        raise BadRequest(
            f"{len(several)} prompts with {choices} choices each are more than the {MOST_CHOICES} texts of one request.",
            hint="Send them in parts.",
            param="prompt",
        )
    return [Prompt(one) if isinstance(one, str) else Prompt(await detokenize(one), tuple(one)) for one in several]


async def biases(
    asked: Mapping[str, float] | Sequence[tuple[int | str, float | bool]], tokenize: Callable[[str], Awaitable[Sequence[int]]]
) -> dict[int, float]:
    """What the request adds to the scores of tokens, by id. Texts become their tokens; llama.cpp's `false` is: never."""
    found: dict[int, float] = {}
    for token, value in asked.items() if isinstance(asked, Mapping) else asked:
        if value is True:
            raise BadRequest("A token's bias is true.", hint="Give a number from -100 to 100, or false for never.", param="logit_bias")
        added = -math.inf if value is False else value
        ids = [int(token)] if isinstance(token, int) or re.fullmatch(r"-?[0-9]{1,18}", token) else await tokenize(token)
        found.update((id, found.get(id, 0.0) + added) for id in ids)
    return found
