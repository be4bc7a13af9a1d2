"""What libraries were told, as a worker really sees it: `python -m app.cli.offline.told`, started as every worker is.

The variables of `egress.QUIET` are read inside the process, and the libraries are asked what they made of them. They are asked
by name: none of them is used here, and one that is not installed has nothing to say.
"""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import psutil

from app.cli.offline import sockets
from app.cli.offline.report import Check
from app.core.egress import QUIET
from app.core.workers.child import Channel

# library -> (module, its view, in words; True: it stays home)
VIEWS: dict[str, tuple[str, str, Callable[[Any], bool]]] = {
    "huggingface_hub": ("huggingface_hub.constants", "HF_HUB_OFFLINE", lambda library: bool(library.HF_HUB_OFFLINE)),
    "transformers": ("transformers.utils.hub", "is_offline_mode()", lambda library: bool(library.is_offline_mode())),
    "chromadb": (
        "chromadb.config",
        "not Settings().anonymized_telemetry",
        lambda library: not library.Settings().anonymized_telemetry,
    ),
}


def look() -> dict[str, Any]:
    """This process's variables, and each installed library's own view: True, False, or why it can't be asked."""
    views: dict[str, bool | str] = {}
    for name, (module, _, view) in VIEWS.items():
        try:
            views[name] = view(importlib.import_module(module))
        except ModuleNotFoundError:
            views[name] = "not installed"
        except Exception as error:  # noqa: BLE001 - whatever a broken installation raises is its answer
            views[name] = f"can't be asked: {type(error).__name__}: {error}"
    return {"variables": {name: os.environ.get(name, "") for name in QUIET}, "views": views}


def variables(who: str, seen: Mapping[str, str]) -> Check:
    """Whether a process sees every variable as it was meant. Pure."""
    wrong = [f"{name}={seen.get(name) or '(not set)'}" for name, value in QUIET.items() if seen.get(name) != value]
    if wrong:
        return Check(
            who, False, f"was not told: {', '.join(wrong)}", "Report this: libraries may ask outside, and the guard alone stops them."
        )
    return Check(who, True, "told " + ", ".join(f"{name}={value}" for name, value in QUIET.items()))


def family(pid: int) -> Iterator[Check]:
    """What each process that a running server started was told at its start. A download is told otherwise: it was asked for."""
    for process, role in sockets.family(pid)[1:]:
        if role != "download":
            with contextlib.suppress(psutil.Error):  # it has ended meanwhile
                yield variables(f"what the {role} (pid {process.pid}) was told", process.environ())


def views(seen: Mapping[str, bool | str]) -> list[Check]:
    """One check per library. Pure."""
    found = []
    for name, (_, question, _) in VIEWS.items():
        answer = seen.get(name, "was not asked")
        said = answer if isinstance(answer, str) else f"{question} is {answer}"
        found.append(Check(f"{name}'s own view", answer is True or answer == "not installed", said))
    return found


def main() -> None:
    """Look when asked, until the parent goes."""
    with Channel.open() as channel:
        channel.hello()
        while (call := channel.get()) is not None:
            channel.done(call.id, look())


if __name__ == "__main__":
    main()
