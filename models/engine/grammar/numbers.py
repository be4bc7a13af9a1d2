"""Numbers between bounds, as the digits that write them. Pure.

Every number has one sign, no leading zeros, and up to 16 digits before and after the point where no bound says otherwise; bounded
numbers have no exponent.
"""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from models.engine.grammar.rules import either

_LONGEST = 16
_MORE = 3  # digits behind those of a bound


class Bound(NamedTuple):
    """A bound, and whether it is itself left out."""

    value: Decimal
    out: bool = False


def integer(low: int | None, high: int | None) -> str | None:
    """Whole numbers from `low` to `high`, both included; None where there are none."""
    parts = []
    if high is None or high >= 0:
        parts += _digits(max(low or 0, 0), high)
    if low is None or low < 0:
        below = _digits(max(1, -high) if high is not None else 1, None if low is None else -low)
        parts += [f'"-" {part}' for part in below]
    return either(parts) if parts else None


def number(low: Bound | None, high: Bound | None) -> str | None:
    """Numbers between the bounds; None where there are none."""
    zero = Bound(Decimal(0))
    parts = []
    if high is None or high.value > 0 or (high.value == 0 and not high.out):
        parts += _magnitude(low if low and low.value >= 0 else zero, high)
    if low is None or low.value < 0:
        least = Bound(-high.value, high.out) if high and high.value < 0 else Bound(Decimal(0), True)
        parts += [f'"-" ({part})' for part in _magnitude(least, Bound(-low.value, low.out) if low else None)]
    return either([f"({part})" for part in parts]) if parts else None


def _digits(low: int, high: int | None) -> list[str]:
    """Numbers of 0 and above, from `low` to `high`, as alternatives by their length."""
    if high is not None and high < low:
        return []
    first, last = len(str(low)), len(str(high)) if high is not None else len(str(low))
    parts = []
    for length in range(first, last + 1):
        begin = str(low) if length == first else "1" + "0" * (length - 1)
        end = str(high) if high is not None and length == last else "9" * length
        parts.append(_same(begin, end))
    if high is None:
        parts.append(f"[1-9] [0-9]{{{first},{max(first, _LONGEST - 1)}}}")
    return parts


def _same(low: str, high: str) -> str:
    """Digit strings of one length, from `low` to `high`."""
    if not low:
        return '""'
    if low == high:
        return f'"{low}"'
    if set(low) == {"0"} and set(high) == {"9"}:
        return f"[0-9]{{{len(low)}}}"
    if len(low) == 1:
        return f"[{low}-{high}]"
    if low[0] == high[0]:
        return f'"{low[0]}" {_same(low[1:], high[1:])}'
    rest = len(low) - 1
    parts = [f'"{low[0]}" {_same(low[1:], "9" * rest)}', f'"{high[0]}" {_same("0" * rest, high[1:])}']
    if int(high[0]) - int(low[0]) > 1:
        parts.append(f"[{int(low[0]) + 1}-{int(high[0]) - 1}] [0-9]{{{rest}}}")
    return either(parts)


def _magnitude(low: Bound, high: Bound | None) -> list[str]:
    """Numbers of 0 and above between bounds, as alternatives."""
    begin, above = _parts(low.value)
    if high is None:
        return [f'"{begin}" {part}' for part in _at_least(above, low.out)] + [f"{part} {_ANY}" for part in _digits(begin + 1, None)]
    end, below = _parts(high.value)
    if low.value > high.value or (low.value == high.value and (low.out or high.out)):
        return []
    if begin == end:
        return [f'"{begin}" {part}' for part in _between(above, below, low.out, high.out)]
    parts = [f'"{begin}" {part}' for part in _at_least(above, low.out)]
    parts += [f"{part} {_ANY}" for part in _digits(begin + 1, end - 1)]
    return parts + [f'"{end}" {part}' for part in _at_most(below, high.out)]


_ANY = f'("." [0-9]{{1,{_LONGEST}}})?'


def _parts(value: Decimal) -> tuple[int, str]:
    """A number's whole part, and the digits behind its point without zeros at their end."""
    whole, _, behind = f"{value:f}".partition(".")
    return int(whole), behind.rstrip("0")


def _at_least(digits: str, out: bool) -> list[str]:
    """What may stand behind a whole part so that the fraction is not below these digits."""
    if not digits:
        return ['"." [0-9]{0,15} [1-9]' if out else _ANY]
    more = [
        f'"." "{digits[:place]}" [{int(digit) + 1}-9] [0-9]{{0,12}}' if digit != "8" else f'"." "{digits[:place]}" "9" [0-9]{{0,12}}'
        for place, digit in enumerate(digits)
        if digit != "9"
    ]
    return [*more, f'"." "{digits}" [0-9]{{0,12}}' + (" [1-9]" if out else "")]


def _at_most(digits: str, out: bool) -> list[str]:
    """The same for fractions not above these digits."""
    if not digits:
        return [] if out else ['("." "0"{1,3})?']
    less = [f'"." "{digits[:place]}" [0-{int(digit) - 1}] [0-9]{{0,12}}' for place, digit in enumerate(digits) if digit != "0"]
    shorter = ['""', *(f'"." "{digits[:place]}"' for place in range(1, len(digits)))]
    return [*less, *shorter, *([] if out else [f'"." "{digits}" "0"{{0,3}}'])]


def _between(low: str, high: str, low_out: bool, high_out: bool) -> list[str]:
    """The same between two: by the count of digits."""
    parts = ['""'] if not low and not low_out else []
    for length in range(1, max(len(low), len(high)) + _MORE):
        scale = Decimal(10) ** length
        begin, end = Decimal(f"0.{low or 0}") * scale, Decimal(f"0.{high or 0}") * scale
        first = int(begin) + (begin != int(begin) or low_out)
        last = int(end) - (end == int(end) and high_out)
        if first <= last:
            parts.append(f'"." {_same(f"{first:0{length}d}", f"{last:0{length}d}")}')
    return parts
