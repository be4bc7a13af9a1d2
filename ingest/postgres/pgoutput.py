"""What a logical slot with the plug-in pgoutput says, read for one thing: the keys of the rows that changed. Pure.

Protocol version 1: text values, whole transactions in the order of their commits. Values of other columns are skipped
unread: the rows are read again by their keys, so that there is one way from a row to its document.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

Key = tuple[str, ...]


class Unreadable(Exception):
    """A message that is not of the protocol that was asked for."""


@dataclass
class Changes:
    """The keys of `columns` that transactions touched, old and new ones, in the form that the slot's session gives them.

    `table` is (schema, name). `end` is the position behind the last whole transaction, `transactions` are their ids (32 bits).
    `truncated`: all rows went at once. `unclear`: a change told no key (its table lost what tells its rows apart).
    `elsewhere`: another table of the publication changed.
    """

    table: tuple[str, str]
    columns: tuple[str, ...]
    keys: set[Key] = field(default_factory=set)
    transactions: list[int] = field(default_factory=list)
    end: int = 0
    messages: int = 0
    truncated: bool = False
    unclear: bool = False
    elsewhere: bool = False
    _others: set[int] = field(default_factory=set)
    _places: dict[int, tuple[int, ...] | None] = field(default_factory=dict)

    def take(self, message: bytes) -> None:
        """Read the next message. Unreadable where it breaks off or is of another kind."""
        self.messages += 1
        try:
            self._take(message)
        except (struct.error, IndexError, ValueError) as error:
            raise Unreadable(f"a message of kind {message[:1]!r} and {len(message)} bytes: {error}") from None

    def _take(self, message: bytes) -> None:
        match message[:1]:
            case b"I":
                self._changed(_relation(message), None, _row(message, 6))
            case b"U":
                self._updated(message)
            case b"D":
                self._changed(_relation(message), _row(message, 6), None)
            case b"T":
                self.truncated = True
            case b"R":
                self._learn(message)
            case b"B":
                self.transactions.append(struct.unpack_from(">I", message, 17)[0])
            case b"C":
                self.end = struct.unpack_from(">Q", message, 10)[0]
            case b"O" | b"Y" | b"M":
                pass
            case _:
                raise ValueError("unknown")

    def _learn(self, message: bytes) -> None:
        """A table's columns: the places of the key among them; None where one is missing."""
        (oid,) = struct.unpack_from(">I", message, 1)
        schema, at = _text(message, 5)
        table, at = _text(message, at)
        if (schema or "pg_catalog", table) != self.table:
            self._others.add(oid)
            return
        (count,) = struct.unpack_from(">h", message, at + 1)
        at, names = at + 3, []
        for _ in range(count):
            name, at = _text(message, at + 1)
            names.append(name)
            at += 8
        known = set(self.columns) <= set(names)
        self._places[oid] = tuple(names.index(name) for name in self.columns) if known else None

    def _updated(self, message: bytes) -> None:
        # An old row stands before the new one only where the key changed, or where the table tells old rows whole.
        old, at = None, 5
        if message[at : at + 1] in (b"K", b"O"):
            old, at = _row_and_end(message, at + 1)
        self._changed(_relation(message), old, _row(message, at + 1))

    def _changed(self, oid: int, old: Sequence[bytes | None] | None, new: Sequence[bytes | None] | None) -> None:
        if oid in self._others:
            self.elsewhere = True
            return
        places = self._places.get(oid)
        if places is None:
            self.unclear = True
            return
        before = [old[place] for place in places] if old is not None else None
        after = [new[place] for place in places] if new is not None else None
        if after is not None and before is not None:
            # A long value that did not change is left out of the new row.
            after = [value if value is not None else before[at] for at, value in enumerate(after)]
        for key in (before, after):
            if key is not None:
                self._add(key)

    def _add(self, key: Sequence[bytes | None]) -> None:
        told = tuple(value.decode("utf-8") for value in key if value is not None)
        if len(told) < len(key):
            self.unclear = True
        else:
            self.keys.add(told)


def _relation(message: bytes) -> int:
    return int(struct.unpack_from(">I", message, 1)[0])


def _row(message: bytes, at: int) -> list[bytes | None]:
    return _row_and_end(message, at)[0]


def _row_and_end(message: bytes, at: int) -> tuple[list[bytes | None], int]:
    """A row's values, None for NULL and for what was left out; and where the row ends."""
    (count,) = struct.unpack_from(">h", message, at)
    at += 2
    values: list[bytes | None] = []
    for _ in range(count):
        kind = message[at : at + 1]
        at += 1
        if kind in (b"n", b"u"):
            values.append(None)
            continue
        if kind != b"t":
            raise ValueError(f"a value of kind {kind!r}")
        (length,) = struct.unpack_from(">i", message, at)
        at += 4
        if len(message) < at + length:
            raise ValueError("a value that breaks off")
        values.append(message[at : at + length])
        at += length
    return values, at


def _text(message: bytes, at: int) -> tuple[str, int]:
    """A text that ends with a zero byte, and where the next thing begins."""
    end = message.index(b"\0", at)
    return message[at:end].decode("utf-8"), end + 1


def position(text: str) -> int:
    """A position in the WAL ("16/B374D848") as a number."""
    high, _, low = text.partition("/")
    return (int(high, 16) << 32) + int(low, 16)


def position_text(lsn: int) -> str:
    """The same as PostgreSQL writes it."""
    return f"{lsn >> 32:X}/{lsn & 0xFFFFFFFF:X}"


def settled(transactions: Sequence[int], snapshot: str) -> bool:
    """Whether all of these transactions (32 bit ids) are over for whoever looks with this snapshot ("xmin:xmax:xip,...").

    A slot tells a commit as soon as it is in the WAL; others see it a moment later, or much later where the commit waits for
    a standby. A row that is read in between would be the old one.
    """
    _, top, running = snapshot.split(":")
    last = int(top)
    still = {int(id) for id in running.split(",") if id}
    return all((wide := _widened(id, last)) < last and wide not in still for id in transactions)


def _widened(id: int, near: int) -> int:
    """The 64-bit transaction id with these lower 32 bits that is nearest to another."""
    return near + ((id - near + (1 << 31)) % (1 << 32)) - (1 << 31)
