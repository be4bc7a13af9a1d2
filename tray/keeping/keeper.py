"""Carries out what the supervisor decides: a thread that owns it, the process, the probes, the looks.

    the tray's calls, the process's lines and end, probes, looks  ->  one queue  ->  supervisor.handle  ->  decisions carried out

A spawn and signals happen at once on that thread. What may take seconds happens beside it: each probe on a thread of its own,
looks and the clearing of what dead runs left on one errand thread, one after the other.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import random
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from typing import Any

from app.core import server_record
from app.core.paths import Home
from tray.keeping import endings, family, probe
from tray.keeping import events as e
from tray.keeping.errands import Errands
from tray.keeping.family import Family
from tray.keeping.process import Child, Pulse
from tray.keeping.supervisor import Supervisor
from tray.records import Server, State

log = logging.getLogger(__name__)
DEFAULT_PORT = 11500
NEXT_PORTS = 50  # that are tried after it
SERVE = (sys.executable, "-P", "-X", "utf8", "-m", "app.cli", "serve", "--json", "--until-stdin-closes")
OWN_END = 8.0  # seconds that a dead tray's server has to end by itself: it finishes answers under way
DEEP = 3  # each so many probes look at the workers too
VERSION_SECONDS = 60.0


def installed_version() -> str:
    """Of the distribution on the disk now; "" where it can't be told."""
    try:
        return metadata.version("ondol")
    except Exception:  # noqa: BLE001 - in the middle of an upgrade anything may be missing
        return ""


class Keeper:
    """One server over one home, kept alive. `start`, `stop`, `restart`, `occupied` return at once, from any thread.

    `tell` is called on the keeper's thread with each change of `server`. `line` is the server's command, to which `--port N`
    is added where another port is taken; `allow_other_port` only ever leaves the default port.
    """

    def __init__(
        self,
        home: Home,
        tell: Callable[[Server], None],
        *,
        line: Sequence[str] = SERVE,
        environment: Mapping[str, str] | None = None,
        limits: e.Limits | None = None,
        allow_other_port: bool = True,
        default_port: int = DEFAULT_PORT,
        installed: Callable[[], str] = installed_version,
    ) -> None:
        self._home, self._tell, self._line, self._limits = home, tell, tuple(line), limits or e.Limits()
        self._environment = dict(environment or {})
        self._default_port = default_port if allow_other_port else None
        self._installed = installed
        self._supervisor = Supervisor(self._limits, random.random)
        self._family = Family(home.root)
        self._events: queue.SimpleQueue[e.Event] = queue.SimpleQueue()
        self._errands = Errands("keeper errands")
        self._child: Child | None = None
        self._run = -1  # whose child or foreign server is watched
        self._pulse: Pulse | None = None
        self._error: dict[str, Any] | None = None
        self._probes = 0
        self._asked_version = -VERSION_SECONDS
        self._server = Server()
        self._over = False
        self._closed = threading.Event()
        self._close_lock, self._spawning = threading.Lock(), threading.Lock()
        self._thread = threading.Thread(target=self._keep, name="keeper", daemon=True)
        self._thread.start()

    @property
    def server(self) -> Server:
        """What was told last."""
        return self._server

    def start(self) -> None:
        """A server is wanted; what failed before is forgotten."""
        self._events.put(e.Asked("start"))

    def stop(self) -> None:
        """No server is wanted; somebody else's is ended too, as a person asked for it."""
        self._events.put(e.Asked("stop"))

    def restart(self) -> None:
        """End what runs in order, and start anew."""
        self._events.put(e.Asked("restart"))

    def occupied(self, busy: bool) -> None:
        """Work is under way that a restart would break off: an upgrade waits for its end."""
        self._events.put(e.Occupied(busy))

    def close(self, seconds: float = 5.0) -> None:
        """End our server in order, within `seconds`, and this keeper. Somebody else's is left alone. Any thread, any number of times."""
        end = time.monotonic() + seconds
        self._events.put(e.Asked("close", max(0.2, seconds - 0.5)))
        self._closed.wait(max(0.0, seconds))
        with self._close_lock:
            if not self._closed.is_set():
                log.error("the server did not end within %.1f s and is killed", seconds)
                with self._spawning:
                    self._over = True  # no spawn from now on
                self._end_child("kill")
            self._errands.close(max(0.5, end - time.monotonic()))

    # The loop.

    def _keep(self) -> None:
        while not self._over:
            self._look_at_version()
            try:
                event = self._events.get(timeout=self._pause())
            except queue.Empty:
                event = e.Tick()
            try:
                self._handle(event)
            except Exception:  # the server must be kept, whatever a listener or the system does
                log.exception("the keeper could not carry out what %s asks for", type(event).__name__)
        self._closed.set()

    def _pause(self) -> float:
        """Seconds until something is due; not long, so that a sleep of this machine is noticed soon."""
        due = self._supervisor.due
        return self._limits.watch if due is None else min(max(0.0, due - time.monotonic()), self._limits.watch)

    def _handle(self, event: e.Event) -> None:
        if isinstance(event, e.Found):
            self._child, self._pulse, self._run, self._probes = None, Pulse(event.pid), event.run, 0
        for decision in self._supervisor.handle(event, e.Moment(time.monotonic(), time.time())):
            self._do(decision)
        now = self._supervisor.server
        if now != self._server:
            before, self._server = self._server, now
            if (before.state, before.problem) != (now.state, now.problem):
                problem = f": {now.problem.code} {now.problem.values}" if now.problem else ""
                log.info("the server is %s %s%s", now.state, now.address, problem)
            self._tell(now)

    def _look_at_version(self) -> None:
        if self._server.state is State.READY and time.monotonic() - self._asked_version >= VERSION_SECONDS:
            self._asked_version = time.monotonic()
            self._errands.put(lambda: self._events.put(e.Installed(self._installed())))

    def _do(self, decision: e.Decision) -> None:
        match decision:
            case e.Look():
                self._errands.put(lambda: self._look(decision))
            case e.Spawn():
                self._spawn(decision)
            case e.Probe():
                threading.Thread(target=self._probe, args=(decision,), name="probe", daemon=True).start()
            case e.AskHolder():
                self._errands.put(lambda: self._ask_holder(decision))
            case e.Signal():
                self._signal(decision)
            case e.Clear():
                self._errands.put(self._clear)
            case e.Closed():
                self._over = True

    # The process.

    def _spawn(self, decision: e.Spawn) -> None:
        run = decision.run
        self._error, self._pulse, self._run, self._probes = None, None, run, 0
        places = {"ONDOL_HOME": str(self._home.root)}
        # The server imports from where we do; not from the current folder, which may hold an `app` of somebody else.
        imports = {"PYTHONPATH": os.pathsep.join(place for place in sys.path if place)}
        self._events.put(e.LogFolder(""))
        with self._spawning:
            if self._over:
                return
            try:
                self._child = Child(
                    [*self._line, *(() if decision.port is None else ("--port", str(decision.port)))],
                    environment={**imports, **places, **self._environment, **self._family.environment(run)},
                    log=self._home.logs / "server.native.log",
                    on_line=lambda line: self._heard(run, line),
                    on_end=lambda status, tail: self._ended(run, status, tail),
                    on_log=self._log_failed,
                )
            except OSError as error:
                log.error("the server can't be started: %s", error)
                self._events.put(e.NotSpawned(run, f"{error.strerror or error}: {self._line[0]}"))
                return
        self._pulse = Pulse(self._child.pid)

    def _heard(self, run: int, line: str) -> None:
        """A line of the server's standard output: what it says of itself, one JSON object each."""
        try:
            said = json.loads(line)
        except ValueError:
            return
        if not isinstance(said, dict):
            return
        if isinstance(said.get("error"), dict):
            self._error = said["error"]
            log.error("the server says: %s", self._error.get("message") if self._error else "")
        elif said.get("event") == "listening":
            pid = said["pid"] if isinstance(said.get("pid"), int) else 0
            if pid:  # Windows: a virtual environment's python starts the real one
                self._pulse = Pulse(pid)
            self._events.put(e.Listening(run, str(said.get("url") or ""), str(said.get("instance") or ""), pid))
        elif said.get("event") == "progress":
            self._events.put(e.Progressed(run, str(said.get("step") or "")))

    def _ended(self, run: int, status: int, tail: list[str]) -> None:
        self._events.put(e.Ended(run, endings.read(status, self._error, tail)))

    def _log_failed(self, error: OSError) -> None:
        log.warning("what the server prints can't be kept in %s: %s", self._home.logs, error)
        self._events.put(e.LogFolder(str(self._home.logs)))

    def _signal(self, decision: e.Signal) -> None:
        if decision.run != self._run:
            return
        if self._child is not None:
            self._end_child(decision.how)
        elif self._pulse is not None and decision.how == "terminate":
            self._pulse.terminate()
        elif self._pulse is not None and decision.how == "kill":
            self._pulse.kill()

    def _end_child(self, how: str) -> None:
        child, run = self._child, self._run
        if child is None:
            return
        if how == "close_input":
            child.close_input()
        elif how == "resume":
            family.resume(self._family.of(run))
        elif how == "terminate":
            child.terminate()
        else:
            relatives = self._family.of(run)
            child.kill()
            family.kill(relatives)

    # Beside the loop.

    def _look(self, decision: e.Look) -> None:
        """Whatever happens, an answer goes back: the supervisor waits for it."""
        try:
            if decision.clear and (stuck := family.end(self._family.left(None), OWN_END)):
                self._events.put(e.Stuck(decision.run, stuck[0].pid))
                return
            found = server_record.running(self._home)
        except Exception:
            log.exception("looking for a server failed")
            found = None
        if found is None:
            self._events.put(e.Nothing(decision.run))
            return
        self._events.put(e.Found(decision.run, found.address, found.token, found.version, found.pid))

    def _clear(self) -> None:
        family.end(self._family.left(None), self._limits.doubt)

    def _probe(self, decision: e.Probe) -> None:
        pulse = self._pulse
        self._probes += 1
        health = e.Health("silent")
        if decision.address:
            health = probe.ask(decision.address, decision.token, seconds=self._limits.answer)
        cpu, stopped = None, False
        if pulse is not None and decision.run == self._run:
            if self._child is None and not pulse.alive:
                self._events.put(e.Ended(decision.run, endings.read(0, None, [])))
                return
            deep = health.kind != "ready" or self._probes % DEEP == 0
            cpu, stopped = pulse.cpu, pulse.stopped(deep=deep)
        self._events.put(
            e.Answered(decision.run, decision.number, e.Health(health.kind, health.version, health.busy, cpu=cpu, stopped=stopped))
        )

    def _ask_holder(self, decision: e.AskHolder) -> None:
        port = decision.port
        program = probe.holder(port)
        if program is not None and probe.instance(f"http://127.0.0.1:{port}", seconds=1.0):
            program = "Ondol"
        free = next((one for one in range(port + 1, port + 1 + NEXT_PORTS) if probe.free(one)), 0) if port == self._default_port else 0
        self._events.put(e.Held(decision.run, port, program, free))
