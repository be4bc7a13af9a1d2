"""Timers by name, and how long somebody has been silent: plain values over a clock that is handed in."""

from __future__ import annotations

from tray.keeping.events import Limits, Moment

WORKS = 0.05  # of one processor: so much is work, less is a deadlock's idle threads


class Timers:
    """Names and when they are due, in seconds on the `mono` clock. `now` is the last moment that was told."""

    def __init__(self, gap: float) -> None:
        self.now = Moment(0.0, 0.0)
        self._gap = gap
        self._at: dict[str, float] = {}

    @property
    def due(self) -> float | None:
        """When the first one is."""
        return min(self._at.values(), default=None)

    def __contains__(self, name: str) -> bool:
        return name in self._at

    def set(self, name: str, seconds: float) -> None:
        """Due in `seconds` from now, whatever it was before."""
        self._at[name] = self.now.mono + seconds

    def drop(self, *names: str) -> None:
        """Forget these; without names all."""
        for name in names or tuple(self._at):
            self._at.pop(name, None)

    def take(self) -> str | None:
        """One that is due, the oldest first; it is no longer set."""
        name = min(self._at, key=self._at.__getitem__, default=None)
        if name is None or self._at[name] > self.now.mono:
            return None
        del self._at[name]
        return name

    def pass_to(self, now: Moment) -> bool:
        """Time has passed. True where far more of it has than was waited for, or the clocks disagree: the machine slept."""
        before, due, self.now = self.now, self.due, now
        late = due is not None and now.mono - max(due, before.mono) > self._gap
        jumped = abs((now.wall - before.wall) - (now.mono - before.mono)) > self._gap
        return before.wall > 0 and (late or jumped)


class Silence:
    """Probes without an answer in a row, and whether the server works meanwhile."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._probes: list[tuple[float, float | None]] = []
        self._last: tuple[float, float] | None = None

    def worked(self, now: float, cpu: float | None) -> bool:
        """Whether `cpu`, seconds of processor time, has grown noticeably since the last call."""
        before, self._last = self._last, None if cpu is None else (now, cpu)
        return before is not None and cpu is not None and cpu - before[1] > WORKS * (now - before[0])

    def broken(self) -> None:
        """It has answered, or what was silent doesn't count."""
        self._probes.clear()

    def add(self, now: float, cpu: float | None) -> None:
        """One more probe without an answer."""
        self._probes.append((now, cpu))

    @property
    def doubtful(self) -> bool:
        """One lost answer may be chance."""
        return len(self._probes) >= 2

    @property
    def seconds(self) -> float:
        """How long it has been silent, with the wait of the first probe."""
        return self._probes[-1][0] - self._probes[0][0] + self._limits.answer

    @property
    def too_long(self) -> bool:
        """Longer than one may wait: for a server that works much longer than for one that only hangs."""
        (since, first), (now, last) = self._probes[0], self._probes[-1]
        works = first is not None and last is not None and last - first > WORKS * (now - since)
        return len(self._probes) >= 4 and self.seconds >= (self._limits.busy_patience if works else self._limits.patience)
