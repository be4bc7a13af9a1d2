"""What stands between the braces of an object and the brackets of an array, as a grammar. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from models.engine.grammar.rules import Rules, letter, literal

MOST = 2000  # repetitions that llama.cpp counts


def entries(given: list[tuple[str, bool]], rules: Rules) -> str:
    """Entries in their order, with commas between those that are there."""
    needed = next((at for at, (_, is_needed) in enumerate(given) if is_needed), None)
    if not given:
        return ""
    if needed is not None:
        before = [f'({body} "," ws)?' for body, _ in given[:needed]]
        after = [f'"," ws {body}' if is_needed else f'("," ws {body})?' for body, is_needed in given[needed + 1 :]]
        return " ".join([*before, given[needed][0], *after, "ws"])
    rest, choices = "", []
    for body, _ in reversed(given):
        choices.append(f"{body} {rest}".strip())
        rest = rules.add("rest", f'("," ws {body})? {rest}'.strip())
    return f"(({' | '.join(reversed(choices))}) ws)?"


def times(low: int, high: int | None) -> str:
    """A repetition."""
    if high is None:
        return "*" if low == 0 else f"{{{low},}}"
    return f"{{{low},{high}}}"


def length(schema: Any) -> str | None:
    """The repetition that a text's `minLength` and `maxLength` ask for, as far as a grammar counts; None where they ask for none."""
    low, high = (schema.get(key) if isinstance(schema.get(key), int) else None for key in ("minLength", "maxLength"))
    high = high if high is not None and high <= MOST else None
    return None if low is None and high is None else times(min(max(low or 0, 0), MOST if high is None else high), high)


def other_than(names: Sequence[Any]) -> str:
    """What may stand between the quotes of a name that is none of these; without escapes."""
    plain = sorted({str(name) for name in names if '"' not in str(name) and "\\" not in str(name)})
    return _unlike(plain, 0)


def _unlike(names: list[str], depth: int) -> str:
    any_letter = '[^"\\\\\\x00-\\x1F]'
    here = any(len(name) == depth for name in names)
    longer = [name for name in names if len(name) > depth]
    if not longer:
        return f"{any_letter}{'+' if here else '*'}" if names else f"{any_letter}*"
    heads = sorted({name[depth] for name in longer})
    parts = [f"{literal(head)} ({_unlike([name for name in longer if name[depth] == head], depth + 1)})" for head in heads]
    parts.append(f'[^"\\\\\\x00-\\x1F{"".join(map(letter, heads))}] {any_letter}*')
    return f"({' | '.join(parts)}){'' if here else '?'}"
