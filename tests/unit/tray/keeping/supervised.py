"""A world for the supervisor: a clock, a server that does what a history says, and all that was decided."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tray.keeping import events as e
from tray.keeping.supervisor import Supervisor
from tray.records import State

ADDRESS, TOKEN = "http://127.0.0.1:11500", "token"
READY = e.Health("ready", version="1.0", cpu=1.0)
SILENT = e.Health("silent", cpu=1.0)
CRASH = e.Ending("crash", "Segmentation fault")
ORDERED = e.Ending("ordered")


class World:
    """`health` answers probes after `takes` seconds (None: never), `found` looks; the process ends at the signals of `obeys`.

    `works` is the share of a processor that the server uses.
    """

    def __init__(self, *, chance: float = 0.5, limits: e.Limits | None = None) -> None:
        self.supervisor = Supervisor(limits or e.Limits(), lambda: chance)
        self.mono, self.wall = 1000.0, 1_700_000_000.0
        self.health: e.Health | None = READY
        self.takes, self.works = 0.1, 0.0
        self.found: e.Found | None = None
        self.stuck = 0
        self.lives = False
        self.obeys = {"close_input", "terminate", "kill"}
        self.ending = ORDERED
        self.decided: list[tuple[float, e.Decision]] = []
        self.seen: list[State] = [State.STOPPED]
        self._coming: list[tuple[float, e.Event]] = []

    # What a test does.

    def ask(self, wish: Any, seconds: float = 5.0) -> World:
        return self.feed(e.Asked(wish, seconds))

    def ready(self) -> World:
        """Started, listening, answering."""
        return self.ask("start").listens().wait(1)

    def listens(self) -> World:
        self.wait(0.5)
        assert self.lives, "nothing was spawned"
        return self.feed(e.Listening(self.run, ADDRESS, TOKEN, 4711))

    def ends(self, ending: e.Ending = CRASH) -> World:
        self.lives = False
        return self.feed(e.Ended(self.run, ending))

    def feed(self, event: e.Event) -> World:
        for decision in self.supervisor.handle(event, e.Moment(self.mono, self.wall)):
            self.decided.append((self.mono, decision))
            self._carry_out(decision)
        if self.state != self.seen[-1]:
            self.seen.append(self.state)
        return self

    def wait(self, seconds: float) -> World:
        """Time passes, with a tick when one is due, and what was asked for comes back."""
        end = self.mono + seconds
        while True:
            due = self.supervisor.due
            moments = [at for at in (due, *(at for at, _ in self._coming)) if at is not None]
            nearest = max(self.mono, min(moments, default=end + 1))
            if nearest > end:
                break
            self._pass(nearest - self.mono)
            arrived = [event for at, event in self._coming if at <= self.mono]
            self._coming = [(at, event) for at, event in self._coming if at > self.mono]
            for event in arrived or [e.Tick()]:
                self.feed(event)
        self._pass(end - self.mono)
        return self

    def sleep(self, seconds: float, *, counted: bool = False) -> World:
        """The machine is suspended; `counted`: its monotonic clock goes on meanwhile."""
        self.wall += seconds
        self.mono += seconds if counted else 0
        return self.feed(e.Tick())

    # What a test looks at.

    @property
    def state(self) -> State:
        return self.supervisor.server.state

    @property
    def problem(self) -> str:
        problem = self.supervisor.server.problem
        return problem.code if problem else ""

    @property
    def values(self) -> dict[str, str]:
        problem = self.supervisor.server.problem
        return problem.values if problem else {}

    @property
    def run(self) -> int:
        return self.supervisor._run

    def of(self, kind: type) -> list[Any]:
        return [decision for _, decision in self.decided if isinstance(decision, kind)]

    @property
    def signals(self) -> list[str]:
        return [decision.how for decision in self.of(e.Signal)]

    def when(self, how: str) -> float:
        """Seconds since the input was closed last, or the first signal, at which this signal was last sent."""
        sent = [(at, decision.how) for at, decision in self.decided if isinstance(decision, e.Signal)]
        first = next((at for at, name in reversed(sent) if name == "close_input"), sent[0][0])
        return next(at for at, name in reversed(sent) if name == how) - first

    def cpu(self) -> float:
        return 1.0 + self.works * (self.mono - 1000.0)

    def _pass(self, seconds: float) -> None:
        self.mono += seconds
        self.wall += seconds

    def _carry_out(self, decision: e.Decision) -> None:
        match decision:
            case e.Look():
                answer: e.Event = e.Nothing(decision.run)
                if self.stuck and decision.clear:
                    answer = e.Stuck(decision.run, self.stuck)
                elif self.found is not None:
                    answer = replace(self.found, run=decision.run)
                self._coming.append((self.mono + 0.1, answer))
            case e.Spawn():
                assert not self.lives, "two servers"
                self.lives = True
            case e.Probe() if self.health is not None:
                health = self.health if decision.address else SILENT
                if health.cpu is not None:
                    health = replace(health, cpu=self.cpu() + self.works * self.takes)
                self._coming.append((self.mono + self.takes, e.Answered(decision.run, decision.number, health)))
            case e.Signal() if decision.how in self.obeys:
                if self.lives or (self.found is not None and decision.how in ("terminate", "kill")):
                    self.lives, self.found = False, None if not self.lives else self.found
                    self._coming.append((self.mono + 0.1, e.Ended(decision.run, self.ending)))
