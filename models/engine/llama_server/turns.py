"""Who of several requests may go on: as many as there are slots, chats before tasks before bulk work, then the older first. Pure."""

from __future__ import annotations

from typing import NamedTuple

from app.core.records import Priority
from models.engine import full

_RANKS = {Priority.CHAT: 0, Priority.TASK: 1, Priority.BULK: 2}


class _Turn(NamedTuple):
    rank: int
    order: int
    id: int


class Turns:
    """A queue of at most `room` requests before `slots` that run."""

    def __init__(self, slots: int, room: int) -> None:
        self._slots, self._room = slots, room
        self._running: set[int] = set()
        self._waiting: list[_Turn] = []
        self._order = 0

    @property
    def crowd(self) -> tuple[int, int]:
        """How many run, and how many wait."""
        return len(self._running), len(self._waiting)

    def join(self, id: int, priority: Priority) -> None:
        """Stand in the queue, or run at once. `Busy` when it is full."""
        self._order += 1
        if len(self._running) < self._slots and not self._waiting:
            self._running.add(id)
            return
        if len(self._waiting) >= self._room:
            raise full.busy(len(self._waiting))
        self._waiting.append(_Turn(_RANKS[priority], self._order, id))
        self._waiting.sort()

    def leave(self, id: int) -> None:
        """It has ended or was given up; the next one comes in. Nothing happens for an id that isn't here."""
        self._running.discard(id)
        self._waiting = [turn for turn in self._waiting if turn.id != id]
        while self._waiting and len(self._running) < self._slots:
            self._running.add(self._waiting.pop(0).id)

    def runs(self, id: int) -> bool:
        """Whether it is its turn."""
        return id in self._running

    def place(self, id: int) -> int:
        """Its place in the queue; 1 is next, 0 where it doesn't wait."""
        return next((place for place, turn in enumerate(self._waiting, start=1) if turn.id == id), 0)
