"""How a computation that nobody waits for any more is ended: a flag that native code looks at, and when it may be set.

llama.cpp asks a function some hundred times a step whether to stop. A Python function there would need the interpreter each
time; so it is the C library's `strlen` over a string of ours, which is empty (0: go on) or one character long (1: stop).
An exact 0 or 1 is a `bool` in every calling convention: whoever looks at the lowest bit, the low byte (x86-64 on Unix and
Windows) or a widened register (arm64) finds the same.
"""

from __future__ import annotations

import ctypes
import sys
import threading
from collections.abc import Set
from typing import Protocol

_STOP, _GO_ON = b"\x01", b"\x00"


class Interrupt:
    """The flag. `function` and `data` are what native code calls, and with what; they are good while this object lives."""

    def __init__(self) -> None:
        self._text = ctypes.create_string_buffer(2)
        library = ctypes.CDLL("ucrtbase" if sys.platform == "win32" else None)
        self.function = ctypes.cast(library.strlen, ctypes.c_void_p)
        self.data = ctypes.c_void_p(ctypes.addressof(self._text))

    def set(self) -> None:
        """What is computed now stops, and whatever begins before `clear`."""
        self._text[0] = _STOP

    def clear(self) -> None:
        """The next computation goes through."""
        self._text[0] = _GO_ON

    @property
    def is_set(self) -> bool:
        """Whether native code is told to stop."""
        return self._text[0] == _STOP


class Switch(Protocol):
    """What ends a computation: an `Interrupt`."""

    def set(self) -> None:
        """What is computed now stops."""
        ...

    def clear(self) -> None:
        """The next computation goes through."""
        ...


class Abandoned:
    """Requests that were given up while one thread computes: `add` is for any thread, the rest for the one that computes.

    A request counts as abandoned until `discard`. The switch is set only while a batch is computed that an abandoned request
    is in, and is always clear when the batch has ended: no batch is ended for the sake of another.
    """

    def __init__(self, switch: Switch) -> None:
        self._switch = switch
        self._ids: set[int] = set()
        self._computed: Set[int] = frozenset()
        self._lock = threading.Lock()

    def add(self, id: int) -> None:
        """Nobody waits for this request any more: the batch that computes it now is ended."""
        with self._lock:
            self._ids.add(id)
            if id in self._computed:
                self._switch.set()

    def discard(self, id: int) -> None:
        """The request has left the engine."""
        with self._lock:
            self._ids.discard(id)

    def begin(self, ids: Set[int], *, may_end: bool) -> bool:
        """A batch of these requests is about to be computed; False where one of them is abandoned already: then it must not be.

        `may_end` False: this batch goes through to its end, whoever leaves.
        """
        with self._lock:
            if not self._ids.isdisjoint(ids):
                return False
            self._computed = ids if may_end else frozenset()
            return True

    def end(self) -> None:
        """The batch has been computed, or ended."""
        with self._lock:
            self._computed = frozenset()
            self._switch.clear()
