"""What is known of one run of a server, and how it is ended with rising force. Plain values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from tray.keeping.events import Held, Limits

# What comes after an end that was begun: somebody wanted it (stop, restart, close), or it failed.
After = Literal["stop", "restart", "close", "hung", "slow_start"]
# A signal, None: nothing is left to try; and the seconds that it has to work.
Step = tuple[Literal["terminate", "kill"] | None, float]


@dataclass
class Life:
    """One run. `spawned`: it is ours; `port` where it had to take another one; `idle`, `unready` count probes in a row."""

    pid: int = 0
    address: str = ""
    token: str = ""
    version: str = ""
    progress: str = ""
    spawned: bool = False
    port: Held | None = None
    ready_since: float | None = None
    unready: int = 0
    idle: int = 0
    after: After = "stop"
    plan: list[Step] = field(default_factory=list)


def ending_plan(limits: Limits, seconds: float | None) -> tuple[float, list[Step]]:
    """Seconds that the closed input has, then the signals; within `seconds` where all of it has no more."""
    if seconds is None:
        return limits.stop, [("terminate", limits.kill), ("kill", limits.bury), (None, 0.0)]
    return seconds * 0.5, [("terminate", seconds * 0.25), ("kill", seconds * 0.2), (None, 0.0)]
