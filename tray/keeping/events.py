"""What can happen to a server, and what can be decided about it: the words between `supervisor.py` and `keeper.py`. Frozen values.

`run` numbers one life of a server, or one look for one: what belongs to an earlier run is no news any more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Moment:
    """`mono` in seconds, never set back; `wall` in seconds since 1970, set by people and by time servers."""

    mono: float
    wall: float


@dataclass(frozen=True)
class Limits:
    """How patient the supervisor is. Seconds, but for the counts."""

    probe: float = 5.0  # between two probes of a server that answers
    doubt: float = 2.0  # between two probes of one that doesn't, or not yet
    answer: float = 3.0  # that a probe may take, and once more to see whether it lives at all
    start: float = 60.0  # without progress and without work of the processor
    start_cap: float = 900.0  # without progress, however hard it works
    patience: float = 20.0  # of silence, and at least four probes
    busy_patience: float = 120.0  # of silence while it works
    stop: float = 6.0  # from the closed input to SIGTERM
    kill: float = 3.0  # from SIGTERM to SIGKILL
    bury: float = 5.0  # from SIGKILL to giving up
    backoff: float = 1.0  # after the first crash; doubles
    backoff_cap: float = 60.0
    crashes: int = 5  # in a row; the next one is the last
    good: float = 300.0  # of good work, after which crashes are forgotten
    disk: float = 30.0  # between two tries while the disk is full
    watch: float = 5.0  # between two looks for somebody else's server while none of ours runs
    gap: float = 10.0  # of a clock beyond what was waited for: this machine slept


@dataclass(frozen=True)
class Health:
    """What a probe found.

    ready: it serves, and carries the token of its run. live: it answers, but doesn't say that it serves. other: somebody else
    answers there. silent: nobody does in time. `busy` requests are under way; `cpu` seconds of processor time so far, None
    where unknown; `stopped`: it, or a child of it, stands still (SIGSTOP).
    """

    kind: Literal["ready", "live", "other", "silent"]
    version: str = ""
    busy: int = 0
    cpu: float | None = None
    stopped: bool = False


@dataclass(frozen=True)
class Ending:
    """Why a server's process ended.

    settings: a line of the configuration is wrong. newer: the data are of a newer Ondol. port: another program has `port`.
    conflict: another server has the data folder. disk: it is full. ordered: somebody asked it to end. crash: anything else.
    """

    kind: Literal["settings", "newer", "port", "conflict", "disk", "ordered", "crash"]
    detail: str = ""
    port: int = 0


# Events.


@dataclass(frozen=True)
class Asked:
    """A person, or the end of the tray (`close`, within `seconds`), wants something."""

    wish: Literal["start", "stop", "restart", "close"]
    seconds: float = 5.0


@dataclass(frozen=True)
class Tick:
    """Time has passed."""


@dataclass(frozen=True)
class Nothing:
    """A look found no server over this home."""

    run: int


@dataclass(frozen=True)
class Found:
    """A look found a server that this tray did not start."""

    run: int
    address: str
    token: str
    version: str = ""
    pid: int = 0


@dataclass(frozen=True)
class Stuck:
    """A look found processes of an earlier run that can't be ended."""

    run: int
    pid: int


@dataclass(frozen=True)
class NotSpawned:
    """The program can't be run."""

    run: int
    detail: str


@dataclass(frozen=True)
class Progressed:
    """A server that starts says what it is at."""

    run: int
    step: str


@dataclass(frozen=True)
class Listening:
    """The server listens. `token` is what its health answers carry; `pid` 0 where it didn't say."""

    run: int
    address: str
    token: str
    pid: int = 0


@dataclass(frozen=True)
class Answered:
    """A probe has come back."""

    run: int
    number: int
    health: Health


@dataclass(frozen=True)
class Ended:
    """The process of the server has ended."""

    run: int
    ending: Ending


@dataclass(frozen=True)
class Held:
    """Who has the port: "" unknown, None where nobody has it any more. `free` is another port, 0 where none may be taken."""

    run: int
    port: int
    program: str | None
    free: int = 0


@dataclass(frozen=True)
class Installed:
    """The version that lies on the disk now."""

    version: str


@dataclass(frozen=True)
class Occupied:
    """Whether work is under way that a restart would break off, and that no probe tells of: a download, a sync."""

    busy: bool


@dataclass(frozen=True)
class LogFolder:
    """Whether what the server prints can be kept; `unwritable` names the folder where it can't."""

    unwritable: str


News = Nothing | Found | Stuck | NotSpawned | Progressed | Listening | Answered | Ended | Held
Event = Asked | Tick | Installed | Occupied | LogFolder | News


# Decisions.


@dataclass(frozen=True)
class Look:
    """Find a server over this home. `clear`: first end what dead trays and earlier runs have left behind."""

    run: int
    clear: bool = True


@dataclass(frozen=True)
class Spawn:
    """Start a server; `port` None: the configured one."""

    run: int
    port: int | None = None


@dataclass(frozen=True)
class Probe:
    """Ask for its health; `address` "" where it is not known yet: only how its process does."""

    run: int
    number: int
    address: str
    token: str


@dataclass(frozen=True)
class AskHolder:
    """Find out who has the port, and which one is free."""

    run: int
    port: int


@dataclass(frozen=True)
class Signal:
    """Ask the server to end, in rising order of force; `resume` wakes what stands still. `kill` goes to all of its processes."""

    run: int
    how: Literal["resume", "close_input", "terminate", "kill"]


@dataclass(frozen=True)
class Clear:
    """A run is over: end what is left of it."""

    run: int


@dataclass(frozen=True)
class Closed:
    """Nothing is left to do."""


Decision = Look | Spawn | Probe | AskHolder | Signal | Clear | Closed
