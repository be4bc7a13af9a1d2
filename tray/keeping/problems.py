"""A server's problems as a person is told them: their words, their values, and the click that may help. Pure."""

from __future__ import annotations

from tray.keeping.events import Ending, Held
from tray.records import Action, ActionKind, Problem


def of_ending(ending: Ending) -> Problem:
    """Why a server's process ended; `port` is told when its holder is known."""
    match ending.kind:
        case "settings":
            return Problem("settings", {"detail": ending.detail})
        case "newer":
            return Problem("newer_data", {"detail": ending.detail})
        case "conflict":
            return Problem("busy_home", {"detail": ending.detail})
        case "disk":
            return Problem("disk_full")
        case "ordered":
            return Problem("ended")
        case _:
            return Problem("crashed", {"detail": ending.detail})


def for_good(problem: Problem, times: int) -> Problem:
    """A problem that has come so many times in a row that nothing happens by itself any more."""
    last = problem.values.get("detail")
    return Problem("crash_loop", {"times": str(times), "detail": last}) if last else problem


def cannot_start(detail: str) -> Problem:
    """The program can't be run."""
    return Problem("cannot_start", {"detail": detail})


def still_running(pid: int) -> Problem:
    """A process that can't be ended; 0: it is not known which."""
    return Problem("still_running", {"pid": str(pid or "?")})


def port_taken(held: Held) -> Problem:
    """Another program has the port."""
    return Problem("port_taken", {"port": str(held.port), "program": held.program or ""})


def slow_start(seconds: float) -> Problem:
    """A start without a sign of life for so long."""
    return Problem("slow_start", {"seconds": f"{seconds:.0f}"})


def hung(seconds: float) -> Problem:
    """A server of ours that has not answered for so long."""
    return Problem("hung", {"seconds": f"{seconds:.0f}"})


def external_silent(address: str) -> Problem:
    """Somebody else's server does not answer: ours to restart only by a click."""
    return Problem("external_silent", {"address": address}, Action(ActionKind.RESTART_SERVER))


def lived_with(held: Held | None, unwritable: str) -> Problem | None:
    """What is not as it should be while the server serves: another port than the wanted one, logs that can't be kept."""
    if held is not None:
        return Problem("other_port", {"port": str(held.free), "wanted": str(held.port), "program": held.program or ""})
    return Problem("log_unwritable", {"folder": unwritable}, Action(ActionKind.OPEN_LOGS)) if unwritable else None
