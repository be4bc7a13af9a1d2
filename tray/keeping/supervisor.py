"""Keeps one server alive: events in, decisions out. Pure: no clock, no process, no thread; `keeper.py` carries the decisions out.

                          Look: nobody         token matches
    stopped --start--> starting --------> (spawned) --------> ready <------- answers -------+
       ^                  |  ^                |                 | 2 silent probes           |
       |             Found|  |due             |ends             +----------------------> suspect
       |                  v  |                v                 |ends                       | silent for long
       |              external backoff <-- how did it end? <----+                           v
       |                          |           ^                                          stopping
       +---- ended <-- stopping   +--> failed |                                             | SIGTERM, SIGKILL
                          ^                   +------------------- ended -------------------+
                          +-- stop, restart, close

    state      what holds                              leaves when
    stopped    nobody wants a server                   start; somebody else's server appears -> external
    starting   looking, or spawned and not ready       ready with our token -> ready; no sign of life for `start` s -> stopping.
                                                       Progress and work of its processor are signs of life; work alone up to `start_cap`
    ready      /health/ready carries our token         2 silent probes -> suspect; its process ends -> by its ending;
                                                       another version lies on the disk and nothing is under way -> restarted in order
    suspect    it does not answer as it should         any right answer -> back; `patience` s of silence and 4 probes -> stopping
                                                       (`busy_patience` s while it works). A live answer, however late, ends nothing;
                                                       what stands still (SIGSTOP) is woken first
    stopping   input closed, then SIGTERM, then SIGKILL   its process ended; not even so -> failed (still_running)
    backoff    waits to start again                    the time is over, or start
    external   a server that we did not start          its process ended -> ours is started where one is wanted. It is never ended
                                                       but by a person's stop or restart; silent: suspect, for as long as it takes
    failed     says why; nothing happens by itself     start; somebody else's server appears -> external

    ending     then
    settings   failed at once, until a person starts it again
    newer      the same: only an update of Ondol helps
    port       somebody else has the port: another one is taken where that is allowed, else failed. The other program is left alone
    conflict   a server has this data folder: looked for; until it is found, backoff
    disk       backoff of `disk` s, for as long as it takes
    ordered    backoff (a logout ends the server a moment before the tray)
    crash      backoff with jitter, doubled up to `backoff_cap`; more than `crashes` without `good` s of work between them: failed

A clock that jumped, or a tick that comes much too late: this machine slept. Then nothing counts as failed: all is asked afresh.
At most one server of ours lives: a spawn follows only a look, and a look only the end of the run before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tray.keeping import events as e
from tray.keeping import problems
from tray.keeping.backoff import Backoff
from tray.keeping.life import After, Life, ending_plan
from tray.keeping.timers import Silence, Timers
from tray.records import Action, ActionKind, Problem, Server, State

_ANSWERING = frozenset({State.STARTING, State.READY, State.SUSPECT, State.EXTERNAL})


class Supervisor:
    """One server over one home. `handle` an event and carry out what it returns; call it with a `Tick` when `due` is reached.

    `chance` returns 0..1 for the jitter of the back-off. Not thread-safe.
    """

    def __init__(self, limits: e.Limits, chance: Callable[[], float]) -> None:
        self._limits, self._backoff = limits, Backoff(limits, chance)
        self._state = State.STOPPED
        self._problem: Problem | None = None
        self._timers, self._silence = Timers(limits.gap), Silence(limits)
        self._out: list[e.Decision] = []
        self._run = self._number = 0
        self._wanted = self._closing = self._occupied = False
        self._installed = self._restarted_for = self._log_folder = ""
        self._life = Life()

    @property
    def server(self) -> Server:
        """What a person is shown."""
        life = self._life
        return Server(self._state, life.address, life.version, life.progress, self._problem)

    @property
    def due(self) -> float | None:
        """When a `Tick` is wanted, on the `mono` clock; None: not before another event."""
        return self._timers.due

    def handle(self, event: e.Event, now: e.Moment) -> list[e.Decision]:
        """What to do now, in this order."""
        self._out = []
        if self._timers.pass_to(now):
            self._ask_afresh()
        match event:
            case e.Asked():
                self._asked(event)
            case e.Tick():
                while (name := self._timers.take()) is not None:
                    self._expired(name)
            case e.Installed():
                self._installed = event.version
            case e.Occupied():
                self._occupied = event.busy
            case e.LogFolder():
                self._log_folder = event.unwritable
                self._show_what_stands()
            case _ if event.run == self._run:
                self._news(event)
        return self._out

    def _news(self, event: e.News) -> None:
        match event:
            case e.Nothing():
                self._nobody()
            case e.Found():
                self._adopt(event)
            case e.Stuck():
                self._fail(problems.still_running(event.pid))
            case e.NotSpawned():
                self._fail(problems.cannot_start(event.detail))
            case e.Progressed() if self._state is State.STARTING:
                self._life.progress = event.step
                self._goes_on(progress=True)
            case e.Listening() if self._state is State.STARTING:
                self._life.address, self._life.token, self._life.pid = event.address, event.token, event.pid
                self._goes_on(progress=True)
                self._probe()
            case e.Answered() if event.number == self._number and "late" in self._timers:
                self._answered(event.health)
            case e.Ended():
                self._ended(event.ending)
            case e.Held():
                self._held(event)

    def _asked(self, event: e.Asked) -> None:
        if event.wish == "close":
            self._wanted, self._closing = False, True
            self._end("close", event.seconds)
        elif not self._closing:
            self._wanted = event.wish != "stop"
            self._backoff.forget()
            if self._state is State.STOPPING:
                self._life.after = "stop" if event.wish == "stop" else "restart"
            elif event.wish != "start":
                self._end(event.wish)
            elif self._state in (State.STOPPED, State.FAILED, State.BACKOFF):
                self._look()

    def _expired(self, timer: str) -> None:
        match timer:
            case "probe":
                self._probe()
            case "late":
                self._number += 1  # whatever it still says
                self._answered(e.Health("silent"))
            case "deadline" | "cap":
                self._end("slow_start")
            case "escalate":
                self._escalate()
            case "again":
                self._look()
            case "watch":
                self._out.append(e.Look(self._run, clear=False))

    def _ask_afresh(self) -> None:
        """This machine slept, or its clock was set: who was silent meanwhile has not failed."""
        self._silence.broken()
        if self._state is State.STARTING and self._life.spawned:
            self._goes_on(progress=True)
        if "escalate" in self._timers:
            self._timers.set("escalate", 2)
        if "late" in self._timers or "probe" in self._timers:
            self._probe()

    # Looking and starting.

    def _look(self) -> None:
        self._new_run()
        self._set(State.STARTING)
        self._out.append(e.Look(self._run))

    def _nobody(self) -> None:
        if self._state is State.STARTING:
            self._spawn()
        else:
            self._timers.set("watch", self._limits.watch)

    def _adopt(self, found: e.Found) -> None:
        self._timers.drop()
        self._life = Life(found.pid, found.address, found.token, found.version)
        self._set(State.EXTERNAL)
        self._probe()

    def _spawn(self) -> None:
        self._life.spawned = True
        self._goes_on(progress=True)
        self._timers.set("probe", self._limits.doubt)
        self._out.append(e.Spawn(self._run, self._life.port.free if self._life.port else None))

    def _held(self, held: e.Held) -> None:
        self._new_run()
        if held.program is None:
            self._back_off(problems.port_taken(held))
        elif held.free:
            self._life.port = held
            self._spawn()
        else:
            self._fail(problems.port_taken(held))

    def _goes_on(self, *, progress: bool) -> None:
        """A start has its time again; for its work alone not for ever."""
        self._timers.set("deadline", self._limits.start)
        if progress:
            self._timers.set("cap", self._limits.start_cap)

    # Health.

    def _probe(self) -> None:
        self._timers.drop("probe")
        self._number += 1
        self._timers.set("late", 2 * self._limits.answer + self._limits.doubt)
        self._out.append(e.Probe(self._run, self._number, self._life.address, self._life.token))

    def _answered(self, health: e.Health) -> None:
        self._timers.drop("late")
        self._timers.set("probe", self._limits.probe if health.kind == "ready" else self._limits.doubt)
        worked = self._silence.worked(self._timers.now.mono, health.cpu)
        if health.stopped and self._life.spawned:
            self._out.append(e.Signal(self._run, "resume"))
        if self._state not in _ANSWERING:
            return
        if health.kind == "ready":
            self._ready(health)
        elif self._state is State.STARTING:
            if worked or health.kind == "live":
                self._goes_on(progress=health.kind == "live")
        elif health.kind == "live":
            self._silence.broken()
            self._life.unready += 1
            if self._life.unready >= 2:
                self._set(State.SUSPECT)
        else:
            self._silent(health)

    def _ready(self, health: e.Health) -> None:
        now = self._timers.now.mono
        self._silence.broken()
        self._timers.drop("deadline", "cap")
        self._life.version, self._life.progress, self._life.unready = health.version or self._life.version, "", 0
        self._set(State.READY if self._life.spawned else State.EXTERNAL)
        self._show_what_stands()
        if self._life.ready_since is None:
            self._life.ready_since = now
        if now - self._life.ready_since >= self._limits.good:
            self._backoff.forget()
        renewed = self._life.spawned and self._installed not in ("", self._life.version, self._restarted_for)
        self._life.idle = self._life.idle + 1 if renewed and not health.busy and not self._occupied else 0
        if self._life.idle >= 2:
            self._restarted_for = self._installed
            self._end("restart")

    def _silent(self, health: e.Health) -> None:
        self._silence.add(self._timers.now.mono, health.cpu)
        if not self._silence.doubtful:
            return
        if not self._life.spawned:
            self._set(State.SUSPECT, problems.external_silent(self._life.address))
            return
        self._set(State.SUSPECT, problems.hung(self._silence.seconds))
        if self._silence.too_long:
            self._end("hung")

    # The end of a server.

    def _end(self, after: After, seconds: float | None = None) -> None:
        """Begin to end what runs, in order. `seconds`: all that there is for it."""
        self._life.after = after
        theirs = not self._life.spawned and self._state in (State.EXTERNAL, State.SUSPECT)
        if not self._life.spawned and (after == "close" or not theirs):
            if after == "restart":
                self._look()
            else:
                self._rest(State.STOPPED)
            return
        failed = after in ("hung", "slow_start")
        polite, self._life.plan = ending_plan(self._limits, seconds)
        self._timers.drop()
        if theirs:
            self._timers.set("probe", self._limits.doubt)  # which sees its end
        else:
            # What stands still can't see that its input ends.
            self._out += [e.Signal(self._run, "close_input"), e.Signal(self._run, "resume")]
        problem = problems.slow_start(self._limits.start) if after == "slow_start" else self._problem
        self._set(State.STOPPING, problem if failed else None)
        self._life.progress = ""
        if theirs or failed:
            self._escalate()
        else:
            self._timers.set("escalate", polite)

    def _escalate(self) -> None:
        how, seconds = self._life.plan.pop(0)
        if how is None:
            self._fail(problems.still_running(self._life.pid))
        else:
            self._out.append(e.Signal(self._run, how))
            self._timers.set("escalate", seconds)

    def _ended(self, ending: e.Ending) -> None:
        self._out.append(e.Clear(self._run))
        if self._state is State.STOPPING:
            if self._life.after == "restart":
                self._look()
            elif self._life.after in ("hung", "slow_start") and self._problem is not None:
                self._back_off(self._problem)
            else:
                self._rest(State.STOPPED)
        elif not self._life.spawned and not self._wanted:
            self._rest(State.STOPPED)
        elif ending.kind == "port":
            self._new_run()
            self._set(State.STARTING)
            self._out.append(e.AskHolder(self._run, ending.port))
        elif ending.kind in ("settings", "newer"):
            self._fail(problems.of_ending(ending))
        elif ending.kind == "disk":
            self._wait(problems.of_ending(ending), self._limits.disk)
        else:
            self._back_off(problems.of_ending(ending))

    def _back_off(self, problem: Problem) -> None:
        seconds = self._backoff.next()
        if seconds is None:
            self._fail(problems.for_good(problem, self._backoff.failures))
        else:
            self._wait(problem, seconds)

    def _wait(self, problem: Problem, seconds: float) -> None:
        self._new_run()
        self._set(State.BACKOFF, problem)
        self._timers.set("again", seconds)

    def _fail(self, problem: Problem) -> None:
        self._rest(State.FAILED, replace(problem, remedy=Action(ActionKind.START_SERVER)))

    def _rest(self, state: State, problem: Problem | None = None) -> None:
        """Nothing runs, and nothing will by itself."""
        self._new_run()
        self._set(state, problem)
        if self._closing:
            self._out.append(e.Closed())
        else:
            self._timers.set("watch", self._limits.watch)

    def _new_run(self) -> None:
        self._run += 1
        self._life = Life()
        self._timers.drop()
        self._silence.broken()

    def _set(self, state: State, problem: Problem | None = None) -> None:
        self._state, self._problem = state, problem

    def _show_what_stands(self) -> None:
        """A problem that a server can live with."""
        if self._state is State.READY:
            self._problem = problems.lived_with(self._life.port, self._log_folder)
