"""How the next token is chosen, as a list of links that llama.cpp chains together. Pure: values in, values out."""

from __future__ import annotations

import math
import secrets
from collections.abc import Mapping

import msgspec

from app.core.errors import BadRequest
from app.core.records import Sampling

# What llama.cpp calls "the last n" for its repeat penalty: a window, since a long text must repeat small words.
REPEAT_WINDOW = 64


class Link(msgspec.Struct, frozen=True):
    """One sampler of the chain, by llama.cpp's name for it, with its arguments in order."""

    name: str
    arguments: tuple[float, ...] = ()


def chain(sampling: Sampling, *, answer_limit: int, seed: int, bias: Mapping[int, float] | None = None) -> tuple[Link, ...]:
    """The links in the order in which they see the candidates.

    Penalties look at the generated tokens alone, not at the prompt: words of the passages stay free to be quoted. Presence and
    frequency look at the whole answer (`answer_limit` tokens). top-k comes before top-p, which sorts what is left.
    """
    links: list[Link] = []
    if bias:
        links.append(Link("bias", tuple(value for token, added in bias.items() for value in (token, added))))
    if sampling.repeat_penalty != 1.0:
        links.append(Link("penalties", (REPEAT_WINDOW, sampling.repeat_penalty, 0.0, 0.0)))
    if sampling.frequency_penalty or sampling.presence_penalty:
        links.append(Link("penalties", (answer_limit, 1.0, sampling.frequency_penalty, sampling.presence_penalty)))
    if sampling.temperature <= 0:
        return (*links, Link("greedy"))
    if sampling.top_k > 0:
        links.append(Link("top_k", (sampling.top_k,)))
    if sampling.top_p < 1:
        links.append(Link("top_p", (sampling.top_p, 1)))
    if sampling.min_p > 0:
        links.append(Link("min_p", (sampling.min_p, 1)))
    return (*links, Link("temp", (sampling.temperature,)), Link("dist", (seed,)))


def seed(sampling: Sampling) -> int:
    """The seed as llama.cpp takes it (32 bits; its largest value would mean "any"); a random one where none is given."""
    return (secrets.randbits(32) if sampling.seed is None else sampling.seed) % 0xFFFFFFFF


def check(sampling: Sampling) -> None:
    """BadRequest where a value lies outside of what it means."""
    _between("temperature", sampling.temperature, 0, 100)
    _between("top_p", sampling.top_p, 0, 1)
    _between("min_p", sampling.min_p, 0, 1)
    _between("presence_penalty", sampling.presence_penalty, -2, 2)
    _between("frequency_penalty", sampling.frequency_penalty, -2, 2)
    _between("repeat_penalty", sampling.repeat_penalty, 0.01, 10)


def check_bias(bias: Mapping[int, float], vocabulary: int) -> None:
    """BadRequest for a token that there is not, or a bias that is no number."""
    for token, added in bias.items():
        if not 0 <= token < vocabulary:
            raise BadRequest(f"There is no token {token}.", hint=f"This model has {vocabulary}, from 0 on.", param="logit_bias")
        if math.isnan(added) or added == math.inf:
            raise BadRequest(f"The bias of token {token} is {added}.", hint="Give a number.", param="logit_bias")


def _between(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise BadRequest(f"{name} is {value}.", hint=f"Give a number from {low} to {high}.", param=name)
